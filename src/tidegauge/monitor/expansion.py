"""The rows of a block by what they belong to: what many parts ask of them is found once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Ints
from tidegauge.windows import Groups, Runs, grouped


@dataclass(frozen=True)
class Expansion:
    """The rows of a block, each once for every series it belongs to.

    >>> own, zeros, at_ms = np.array([6, 4, 6]), np.zeros(3, np.int64), np.array([0, 700, 900])
    >>> rows = Expansion(zeros, own, np.arange(3), own, at_ms, zeros + 900)
    >>> rows.every.series.tolist(), rows.groups(step_ms=500).at_ms.tolist()
    ([4, 6], [500, 0, 500])
    >>> part, place = rows.within(np.array([1, 2]))
    >>> part.series.tolist(), place.tolist(), rows.only(at_ms > 800)[0].tolist()
    ([4, 6], [0, 1], [2])
    """

    model: Ints  # [rows] number of the row's model
    version: Ints  # [rows] number of the series of the row's version
    row: Ints  # [m] index of a row
    series: Ints  # [m] number of a series that the row belongs to
    at_ms: Ints  # [rows] time of the prediction
    watermark_ms: Ints  # [rows] of the row's model, these rows included
    _steps: dict[int, Groups] = field(default_factory=dict)

    @cached_property
    def versions(self) -> Runs:
        """The rows [rows] by version."""
        return Runs(self.version)

    @cached_property
    def every(self) -> Runs:
        """The rows [m] by series."""
        return self.versions if self.series is self.version else Runs(self.series)

    def groups(self, step_ms: int) -> Groups:
        """Return the rows [m] by series and time step."""
        if step_ms not in self._steps:
            columns = self.at_ms[self.row], self.watermark_ms[self.row]
            self._steps[step_ms] = grouped(self.series, *columns, step_ms)
        return self._steps[step_ms]

    def only(self, rows: NDArray[np.bool_]) -> tuple[Ints, Runs]:
        """Return which of the m [k] are of these rows [rows], and the runs of their series."""
        chosen = np.flatnonzero(rows[self.row])
        return chosen, self.every if len(chosen) == len(self.row) else self.every.take(chosen)

    def within(self, rows: Ints) -> tuple[Expansion, Ints]:
        """Return what belongs to rows at these places [n], and the place of each among them [k]."""
        if len(rows) == len(self.model):
            return self, self.row
        place = np.full(len(self.model), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.row] >= 0
        part = replace(self, row=self.row[kept], series=self.series[kept], _steps={})
        return part, place[part.row]
