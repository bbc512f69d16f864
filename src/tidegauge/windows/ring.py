"""Count windows: the last N outcomes of each series, as rows of numbers.

Rows lie in pages, and a series takes pages as it gets rows: a window of a thousand costs a small
model what it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Codes, Floats, Ints
from tidegauge.windows.columns import Runs, distinct, grown, smallest

Hashes = NDArray[np.uint64]

_PAGE = 32  # rows
_AT_ONCE = 16  # series whose rows are gathered at once: they stay in a core's cache


class RingTable:
    """The last `capacity` rows [columns] of each series, in the order of arrival.

    >>> ring = RingTable(capacity=2, columns=1)
    >>> ring.append(np.array([7, 7, 7]), np.array([1, 2, 3], np.uint64), np.array([[0.1], [0.2], [0.3]]))
    >>> sorted(ring.rows(7)[:, 0].tolist())
    [0.2, 0.3]
    """

    def __init__(self, capacity: int, columns: int) -> None:
        self.capacity = capacity
        self._page = min(_PAGE, capacity)
        self._rows: Floats = np.zeros((1, self._page, columns))  # page 0 is nobody's
        self._ids: Hashes = np.zeros((1, self._page), np.uint64)
        self._pages: Codes = np.zeros((0, -(-capacity // self._page)), np.int32)
        self._count: Ints = np.zeros(0, np.int64)  # rows that ever came
        self._page_count = 1

    def append(self, series: Ints, ids: Hashes, rows: Floats, runs: Runs | None = None) -> None:
        """Append rows [n, columns] to the rings of `series` [n]; `runs` are theirs. Cost: that of `Runs`."""
        if not len(series):
            return
        runs = runs or Runs(series)
        self._reach(runs.top)
        place = (self._count[series] + runs.rank) % self.capacity
        if int(runs.sizes.max()) > self.capacity:
            kept = runs.rank >= runs.sizes[runs.place] - self.capacity
            series, ids, rows, place = series[kept], ids[kept], rows[kept], place[kept]
        self._write(series, place, ids, rows)
        self._count[runs.series] += runs.sizes

    def replace(self, series: int, id_hash: int, row: Floats) -> bool:
        """Put `row` where the outcome `id_hash` stands; return False where it has left the ring."""
        size = self._size(series)
        if not size:
            return False
        places = np.flatnonzero(self._ids_of(series, size) == np.uint64(id_hash))
        self._rows[self._pages[series, places // self._page], places % self._page] = row
        return len(places) > 0

    def rows(self, series: int) -> Floats:
        """Return the rows [n, columns] in the window, n <= capacity, in no particular order."""
        size = self._size(series)
        if not size:
            return self._rows[0, :0]
        pages = self._pages[series, : -(-size // self._page)]
        return self._rows[pages].reshape(-1, self._rows.shape[2])[:size]

    def sizes(self, series: Ints) -> Ints:
        """Return how many rows the windows of series [n] hold."""
        found = np.zeros(len(series), np.int64)
        there = series < len(self._count)
        found[there] = np.minimum(self._count[series[there]], self.capacity)
        return found

    def alike(self, series: Ints) -> Iterator[tuple[Ints, Floats, NDArray[np.bool_]]]:
        """Yield which of the series [n], their rows [m, rows, columns], and which of these are in the window.

        Series with about as many rows come together, and how far a series' rows are filled up with others
        depends on it alone. Series without rows are left out.
        """
        sizes = self.sizes(series)
        pages = -(-sizes // self._page)
        room = np.minimum(1 << np.ceil(np.log2(np.maximum(pages, 1))).astype(np.int64), self._pages.shape[1])
        for most in sorted(set(room[sizes > 0].tolist())):
            which = np.flatnonzero((room == most) & (sizes > 0))
            for start in range(0, len(which), _AT_ONCE):
                part = which[start : start + _AT_ONCE]
                rows = self._rows[self._pages[series[part], :most]]
                rows = rows.reshape(len(part), -1, rows.shape[3])
                yield part, rows, np.arange(rows.shape[1]) < sizes[part, None]

    def latest(self, series: int, count: int) -> Floats:
        """Return the last `count` rows [n, columns] in the window, or all there are, the newest last."""
        size = min(self._size(series), count)
        if not size:
            return self._rows[0, :0]
        place = (int(self._count[series]) - size + np.arange(size)) % self.capacity
        rows: Floats = self._rows[self._pages[series, place // self._page], place % self._page]
        return rows

    def size(self, series: int) -> int:
        """Return how many rows the window holds."""
        return self._size(series)

    def forget(self, series: int) -> None:
        """Empty the ring of a series."""
        if series < len(self._count):
            self._count[series] = 0

    def move(self, series: int, other: RingTable, widen: Any) -> None:
        """Move a series to a ring of other columns; `widen` maps its rows [n, columns]."""
        size = self._size(series)
        if size:
            place = np.arange(size)
            same = np.full(size, series)
            other._reach(series + 1)
            other._write(same, place, self._ids_of(series, size), widen(self.rows(series)))
            other._count[series] = self._count[series]
            self.forget(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state: series, counts, and the rows in use end to end, column by column."""
        series = np.flatnonzero(self._count)
        counts = self._count[series]
        owner, place = _spread(series, np.minimum(counts, self.capacity))
        page, within = self._pages[owner, place // self._page], place % self._page
        rows = self._rows[page, within]
        return {
            "series": series,
            "counts": counts,
            "columns": [smallest(rows[:, column]) for column in range(rows.shape[1])],
            "ids": self._ids[page, within],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned, or one of layout 1, with rows instead of columns."""
        series, counts = state["series"], state["counts"]
        rows = state["rows"] if "rows" in state else np.stack(state["columns"], axis=1).astype(np.float64)
        owner, place = _spread(series, np.minimum(counts, self.capacity))
        self._reach(int(series.max(initial=-1)) + 1)
        self._write(owner, place, state["ids"], rows)
        self._count[series] = counts

    def _size(self, series: int) -> int:
        return min(int(self._count[series]), self.capacity) if series < len(self._count) else 0

    def _ids_of(self, series: int, size: int) -> Hashes:
        ids: Hashes = self._ids[self._pages[series]].reshape(-1)[:size]
        return ids

    def _reach(self, size: int) -> None:
        self._count, self._pages = grown(self._count, size, 0), grown(self._pages, size, 0)

    def _write(self, series: Ints, place: Ints, ids: Hashes, rows: Floats) -> None:
        number, within = place // self._page, place % self._page
        page = self._pages[series, number].astype(np.int64)
        missing = np.flatnonzero(page == 0)
        if len(missing):
            first, where = distinct(series[missing] * self._pages.shape[1] + number[missing])
            found = np.arange(self._page_count, self._page_count + len(first))
            self._page_count += len(first)
            self._rows = grown(self._rows, self._page_count, 0)
            self._ids = grown(self._ids, self._page_count, 0)
            new = missing[first]
            self._pages[series[new], number[new]] = found
            page[missing] = found[where]
        self._rows[page, within] = rows
        self._ids[page, within] = ids


def _spread(series: Ints, sizes: Ints) -> tuple[Ints, Ints]:
    """Return each series `sizes` times, and the places 0 up to its size."""
    starts = np.cumsum(sizes) - sizes
    return np.repeat(series, sizes), np.arange(int(sizes.sum())) - np.repeat(starts, sizes)
