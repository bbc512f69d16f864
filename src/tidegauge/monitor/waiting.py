"""Rows of features that wait until their version has some, by the layout they came in."""

from __future__ import annotations

import numpy as np

from tidegauge.block import NO_TEXT, Floats, Ints, Layout
from tidegauge.windows import Backlog, distinct, grown

_FEWEST, _MOST, _HELD_VALUES = 4, 64, 2_048  # rows that wait; a wide version's wait in fewer


class Waiting:
    """Rows of one layout that wait, with texts by codes of their own."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        width = len(layout.names)
        hold = max(_FEWEST, min(_MOST, _HELD_VALUES // width))
        self.rows = Backlog(hold, width + 1)  # the last column is the time
        self.strings: dict[str, int] = {}
        self._texts = np.flatnonzero(layout.text).tolist()

    def coded(self, values: Floats, at_ms: Ints, strings: tuple[str, ...]) -> Floats:
        """Return rows [n, names + 1] whose texts have the codes of this backlog."""
        rows = np.concatenate((values, at_ms[:, None].astype(np.float64)), axis=1)
        for column in self._texts:
            codes = values[:, column].astype(np.int64)
            first, place = distinct(codes)
            own = [self._code(strings[code]) if code >= 0 else NO_TEXT for code in codes[first].tolist()]
            rows[:, column] = np.array(own, np.float64)[place]
        return rows

    def take(self, series: int) -> tuple[Floats, Ints]:
        """Return values [n, names] and times [n] of a series, which waits no more."""
        rows = self.rows.take(series)
        return rows[:, :-1], rows[:, -1].astype(np.int64)

    def _code(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings))


class Queue:
    """The rows of one kind that wait, by layout; and by series how many, and how many freeze its bins."""

    def __init__(self) -> None:
        self.layouts: dict[Layout, Waiting] = {}
        self.count: Ints = np.zeros(0, np.int64)
        self.room: Ints = np.zeros(0, np.int64)  # 0 for a series without rows so far

    def reach(self, size: int) -> None:
        """Have room for so many series."""
        self.count, self.room = grown(self.count, size, 0), grown(self.room, size, 0)
