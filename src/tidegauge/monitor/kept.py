"""A sample of predictions whose labels are waited for: an outcome has no features, so they are kept here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Codes, Ints

Hashes = NDArray[np.uint64]

_MIX = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: the upper bits of a product are well spread

MOSTLY = 0.5


class KeptRows:
    """At most `capacity` rows of cells by the hash of their prediction: those of a share of all hashes.

    The share is 2^-level. Where most rows that have to go have had no label yet, the level rises: labels take
    longer than the table is long, and a smaller share is kept for as long as they take.

    >>> kept = KeptRows(capacity=2, columns=1)
    >>> kept.add(np.array([7, 9], np.uint64), np.array([[1], [3]], np.int32))
    >>> which, cells = kept.find(np.array([8, 9], np.uint64))
    >>> which.tolist(), cells.tolist()
    ([1], [[3]])
    """

    def __init__(self, capacity: int, columns: int) -> None:
        self._hashes: Hashes = np.zeros(capacity, np.uint64)
        self._cells: NDArray[np.int16] = np.zeros((capacity, columns), np.int16)
        self._labelled = np.ones(capacity, np.bool_)
        self._slots: dict[int, int] = {}
        self._count = 0
        self.level = 0

    def add(self, hashes: Hashes, cells: Codes, least_level: int = 0) -> None:
        """Keep those of rows [n, columns] whose hashes belong to a share of at most 2^-least_level."""
        capacity = len(self._hashes)
        self.level = max(self.level, least_level)
        mine = np.flatnonzero(self._chosen(hashes))[-capacity:]
        if not len(mine):
            return
        place = (self._count + np.arange(len(mine))) % capacity
        if self._labelled[place].mean() < MOSTLY:
            self.level += 1
            mine = mine[self._chosen(hashes[mine])]
            place = (self._count + np.arange(len(mine))) % capacity
        for slot, new in zip(place.tolist(), hashes[mine].tolist(), strict=True):
            old = int(self._hashes[slot])
            if self._slots.get(old) == slot:
                del self._slots[old]
            self._slots[new] = slot
        self._hashes[place], self._cells[place] = hashes[mine], cells[mine]
        self._labelled[place] = False
        self._count += len(mine)

    def find(self, hashes: Hashes) -> tuple[Ints, Codes]:
        """Return which of the hashes [n] are kept, and their cells [found, columns]; they had a label now."""
        slots = np.array([self._slots.get(one, -1) for one in hashes.tolist()], np.int64)
        found = np.flatnonzero(slots >= 0)
        self._labelled[slots[found]] = True
        return found, self._cells[slots[found]].astype(np.int32)

    def state(self) -> dict[str, Any]:
        """Return the plain state, oldest row first."""
        size = min(self._count, len(self._hashes))
        order = (self._count - size + np.arange(size)) % len(self._hashes)
        return {
            "hashes": self._hashes[order],
            "cells": self._cells[order],
            "labelled": self._labelled[order],
            "level": self.level,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; the newest rows where there is less room now."""
        capacity = len(self._hashes)
        hashes = np.array(state["hashes"], np.uint64)[-capacity:]
        size = len(hashes)
        self._hashes[:size] = hashes
        self._cells[:size] = state["cells"][-capacity:]
        self._labelled[:size] = state["labelled"][-capacity:]
        self._slots = {one: slot for slot, one in enumerate(hashes.tolist())}
        self._count, self.level = size, int(state["level"])

    def _chosen(self, hashes: Hashes) -> NDArray[np.bool_]:
        if self.level == 0:
            return np.ones(len(hashes), np.bool_)
        chosen: NDArray[np.bool_] = (hashes * _MIX) >> np.uint64(64 - min(self.level, 63)) == 0
        return chosen
