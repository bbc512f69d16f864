"""Event-time windows as panes: a row of cells for each series and time step.

Statistics are additive, so a window is the sum of its panes, a late label fills its old pane,
and a correction adds with the opposite sign. A pane that has left the window is dropped when its
window is read, or when its series has twice as many panes as the window needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegauge.block import Codes, Floats, Ints

_FIRST_SLOTS = 16


class PaneTable:
    """Cells [width] by series and pane, over the last `panes` panes of `pane_ms`.

    The window at time t covers the panes that end after t - panes * pane_ms, so the current pane
    and the `panes` - 1 before it.

    >>> table = PaneTable(width=1, pane_ms=1_000, panes=2)
    >>> one = np.array([1])
    >>> for at_ms in (0, 900, 1_500, 2_100):
    ...     table.add(one, one * at_ms, one * at_ms, np.array([[0]]), np.array([[1.0]]))
    >>> table.window(1, 2_100)
    array([2.])
    """

    def __init__(self, width: int, pane_ms: int, panes: int) -> None:
        self.width = width
        self.pane_ms = pane_ms
        self.panes = panes
        self._cells: Floats = np.zeros((_FIRST_SLOTS, width))
        self._free = list(range(_FIRST_SLOTS))
        self._slots: dict[int, dict[int, int]] = {}  # series -> pane -> slot

    def add(self, series: Ints, at_ms: Ints, watermark_ms: Ints, index: Ints | Codes, amount: Floats) -> None:
        """Add amounts [n, m] to the cells `index` [n, m] of the panes in which `at_ms` [n] lies.

        Rows older than the window at `watermark_ms` [n] add nothing. Cost: O(n m).
        """
        pane = at_ms // self.pane_ms
        kept = pane > watermark_ms // self.pane_ms - self.panes
        if not kept.all():
            series, pane, index, amount = series[kept], pane[kept], index[kept], amount[kept]
        keys, place = np.unique((series << 32) | pane, return_inverse=True)
        slots = np.array([self._slot(key >> 32, key & 0xFFFFFFFF) for key in keys.tolist()], np.int64)
        if len(slots):
            flat = slots[place, None] * self.width + index
            np.add.at(self._cells.reshape(-1), flat.reshape(-1), amount.reshape(-1))

    def window(self, series: int, watermark_ms: int) -> Floats:
        """Return the sum [width] of the panes in the window at `watermark_ms`."""
        newest = watermark_ms // self.pane_ms
        panes = self._slots.get(series, {})
        self._drop(panes, newest - self.panes)
        slots = [slot for pane, slot in panes.items() if pane <= newest]
        total: Floats = self._cells[slots].sum(0)
        return total

    def pane(self, series: int, at_ms: int) -> Floats | None:
        """Return the cells [width] of one pane, or None where nothing fell into it."""
        slot = self._slots.get(series, {}).get(at_ms // self.pane_ms)
        return None if slot is None else self._cells[slot]

    def forget(self, series: int) -> None:
        """Drop every pane of a series."""
        for slot in self._slots.pop(series, {}).values():
            self._release(slot)

    def move(self, series: int, other: PaneTable, widen: Any) -> None:
        """Move a series to a table of another width; `widen` maps its cells [width]."""
        for pane, slot in self._slots.get(series, {}).items():
            there = other._slot(series, pane)  # first: it may lay the cells anew
            other._cells[there] = widen(self._cells[slot])
        self.forget(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state: keys and cells of the panes in use."""
        keys = [(s, p, slot) for s, panes in self._slots.items() for p, slot in panes.items()]
        table = np.array(keys, np.int64).reshape(-1, 3)
        return {"keys": table[:, :2], "cells": self._cells[table[:, 2]]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        for (series, pane), cells in zip(state["keys"].tolist(), state["cells"], strict=True):
            slot = self._slot(series, pane)  # first: it may lay the cells anew
            self._cells[slot] = cells

    def _slot(self, series: int, pane: int) -> int:
        panes = self._slots.setdefault(series, {})
        slot = panes.get(pane)
        if slot is None:
            if len(panes) >= 2 * self.panes:
                self._drop(panes, max(panes) - self.panes)
            slot = panes[pane] = self._take()
        return slot

    def _take(self) -> int:
        if not self._free:
            used = len(self._cells)
            self._cells = np.concatenate((self._cells, np.zeros_like(self._cells)))
            self._free = list(range(used, 2 * used))
        return self._free.pop()

    def _release(self, slot: int) -> None:
        self._cells[slot] = 0.0
        self._free.append(slot)

    def _drop(self, panes: dict[int, int], oldest: int) -> None:
        """Give back the panes up to `oldest`, which have left the window."""
        for pane in [pane for pane in panes if pane <= oldest]:
            self._release(panes.pop(pane))
