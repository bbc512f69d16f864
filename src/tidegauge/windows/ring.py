"""Count windows: the last N outcomes of each series, as rows of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Floats, Ints

Hashes = NDArray[np.uint64]

_FIRST_SLOTS = 4


class RingTable:
    """The last `capacity` rows [columns] of each series, in the order of arrival.

    >>> ring = RingTable(capacity=2, columns=1)
    >>> ring.append(np.array([7, 7, 7]), np.array([1, 2, 3], np.uint64), np.array([[0.1], [0.2], [0.3]]))
    >>> sorted(ring.rows(7)[:, 0].tolist())
    [0.2, 0.3]
    """

    def __init__(self, capacity: int, columns: int) -> None:
        self.capacity = capacity
        self._rows: Floats = np.zeros((_FIRST_SLOTS, capacity, columns))
        self._ids: Hashes = np.zeros((_FIRST_SLOTS, capacity), np.uint64)
        self._count: Ints = np.zeros(_FIRST_SLOTS, np.int64)
        self._slots: dict[int, int] = {}

    def append(self, series: Ints, ids: Hashes, rows: Floats) -> None:
        """Append rows [n, columns] to the rings of `series` [n]. Cost: O(n log n)."""
        order = np.argsort(series, kind="stable")
        found, starts, sizes = np.unique(series[order], return_index=True, return_counts=True)
        slots = np.array([self._slot(number) for number in found.tolist()], np.int64)
        rank = np.arange(len(order)) - np.repeat(starts, sizes)
        kept = rank >= np.repeat(sizes - self.capacity, sizes)
        slot = np.repeat(slots, sizes)
        place = (self._count[slot] + rank) % self.capacity
        self._rows[slot[kept], place[kept]] = rows[order][kept]
        self._ids[slot[kept], place[kept]] = ids[order][kept]
        self._count[slots] += sizes

    def replace(self, series: int, id_hash: int, row: Floats) -> bool:
        """Put `row` where the outcome `id_hash` stands; return False where it has left the ring."""
        slot = self._slots.get(series)
        if slot is None:
            return False
        places = np.flatnonzero(self._ids[slot, : self._count[slot]] == np.uint64(id_hash))
        self._rows[slot, places] = row
        return len(places) > 0

    def rows(self, series: int) -> Floats:
        """Return the rows [n, columns] in the window, n <= capacity, in no particular order."""
        slot = self._slots.get(series)
        if slot is None:
            return self._rows[0, :0]
        return self._rows[slot, : self._count[slot]]

    def forget(self, series: int) -> None:
        """Empty the ring of a series."""
        slot = self._slots.get(series)
        if slot is not None:
            self._count[slot] = 0

    def move(self, series: int, other: RingTable, widen: Any) -> None:
        """Move a series to a ring of other columns; `widen` maps its rows [n, columns]."""
        slot = self._slots.get(series)
        if slot is not None:
            there = other._slot(series)
            size = min(int(self._count[slot]), self.capacity)
            other._rows[there, :size] = widen(self._rows[slot, :size])
            other._ids[there] = self._ids[slot]
            other._count[there] = self._count[slot]
            self.forget(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state: series, counts, and the rows in use end to end."""
        slots = np.array(list(self._slots.values()), np.int64)
        counts = self._count[slots]
        sizes = np.minimum(counts, self.capacity).tolist()
        pairs = list(zip(slots.tolist(), sizes, strict=True))
        empty = self._rows[0, :0]
        return {
            "series": np.array(list(self._slots), np.int64),
            "counts": counts,
            "rows": np.concatenate([empty, *(self._rows[slot, :size] for slot, size in pairs)]),
            "ids": np.concatenate([self._ids[0, :0], *(self._ids[slot, :size] for slot, size in pairs)]),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        start = 0
        for series, count in zip(state["series"].tolist(), state["counts"].tolist(), strict=True):
            slot, end = self._slot(series), start + min(count, self.capacity)
            self._rows[slot, : end - start] = state["rows"][start:end]
            self._ids[slot, : end - start] = state["ids"][start:end]
            self._count[slot] = count
            start = end

    def _slot(self, series: int) -> int:
        slot = self._slots.get(series)
        if slot is None:
            slot = self._slots[series] = len(self._slots)
            if slot == len(self._count):
                self._rows = np.concatenate((self._rows, np.zeros_like(self._rows)))
                self._ids = np.concatenate((self._ids, np.zeros_like(self._ids)))
                self._count = np.concatenate((self._count, np.zeros_like(self._count)))
        return slot
