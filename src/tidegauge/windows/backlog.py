"""Rows that wait until their series has some: what is done series by series is done for many rows at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tidegauge.block import Floats, Ints
from tidegauge.windows.columns import Runs, grown, smallest


class Backlog:
    """Up to `hold` rows [columns] of each series, in the order of arrival.

    >>> backlog = Backlog(hold=2, columns=1)
    >>> rows = np.array([[0.1], [0.2], [0.3]])
    >>> backlog.add(Runs(np.array([5, 6, 5])), rows).tolist()
    [5]
    >>> backlog.take(5)[:, 0].tolist(), backlog.take(5)[:, 0].tolist()
    ([0.1, 0.3], [])
    """

    def __init__(self, hold: int, columns: int) -> None:
        self.hold = hold
        self._rows: Floats = np.zeros((0, hold, columns))
        self.count: Ints = np.zeros(0, np.int64)  # by series

    def fits(self, runs: Runs) -> Any:
        """Return which of the series [s] have room for their rows."""
        self._reach(runs)
        return self.count[runs.series] + runs.sizes <= self.hold

    def add(self, runs: Runs, rows: Floats) -> Ints:
        """Append rows [n, columns], for which there is room; return the series that are full now."""
        self._reach(runs)
        series = runs.series[runs.place]
        self._rows[series, self.count[series] + runs.rank] = rows
        self.count[runs.series] += runs.sizes
        full: Ints = runs.series[self.count[runs.series] == self.hold]
        return full

    def offer(self, runs: Runs, rows: Floats) -> Iterator[tuple[int, Floats]]:
        """Let rows [n, columns] wait as far as there is room; yield the series and rows that do not wait.

        Of a series without room come first the rows that waited, then its own; of one that is full now all.

        >>> backlog = Backlog(hold=2, columns=1)
        >>> offered = [*backlog.offer(Runs(np.array([5, 6])), np.array([[0.1], [0.2]]))]
        >>> more = backlog.offer(Runs(np.array([5, 6, 6])), np.array([[0.3], [0.4], [0.5]]))
        >>> offered, [(series, part[:, 0].tolist()) for series, part in more]
        ([], [(6, [0.2]), (6, [0.4, 0.5]), (5, [0.1, 0.3])])
        """
        fits = self.fits(runs)
        for which in np.flatnonzero(~fits).tolist():
            series = int(runs.series[which])
            waited = self.take(series)
            if len(waited):
                yield series, waited
            yield series, rows[runs.place == which]
        if not fits.all():
            few = np.flatnonzero(fits[runs.place])
            rows, runs = rows[few], runs.take(few)
        for series in self.add(runs, rows).tolist():
            yield series, self.take(series)

    def take(self, series: int) -> Floats:
        """Return the rows [n, columns] of a series, which has none afterwards."""
        if series >= len(self.count):
            return np.zeros((0, self._rows.shape[2]))
        rows = self._rows[series, : self.count[series]].copy()
        self.count[series] = 0
        return rows

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        series = np.flatnonzero(self.count)
        counts = self.count[series]
        runs = Runs(np.repeat(series, counts))
        rows = self._rows[runs.series[runs.place], runs.rank]
        columns = [smallest(rows[:, column]) for column in range(rows.shape[1])]
        return {"series": series, "counts": counts, "columns": columns}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        if len(state["series"]):
            rows = np.stack(state["columns"], axis=1).astype(np.float64)
            self.add(Runs(np.repeat(state["series"], state["counts"])), rows)

    def _reach(self, runs: Runs) -> None:
        self.count, self._rows = grown(self.count, runs.top, 0), grown(self._rows, runs.top, 0)
