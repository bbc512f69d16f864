"""Which hours of versions have something new to tell."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tidegauge.block import Ints
from tidegauge.windows import grown

_NO_HOUR = -1 << 62


class Hours:
    """Sets of hours by series; what is asked once for all rows is whether they lie in the last one noted.

    >>> hours = Hours()
    >>> hours.add(np.array([3, 3, 5]), np.array([8, 7, 8]))
    >>> hours.take(3), hours.take(3), hours.state()
    ([7, 8], [], [(5, 8)])
    """

    def __init__(self) -> None:
        self._hours: dict[int, set[int]] = {}
        self._noted: Ints = np.zeros(0, np.int64)  # by series: one of its hours, or _NO_HOUR

    def add(self, series: Ints, hour: Ints) -> None:
        """Note hours [n] of series [n]. Cost: O(n), and more for hours other than the last of a series."""
        self._noted = grown(self._noted, int(series.max(initial=-1)) + 1, _NO_HOUR)
        new = np.flatnonzero(self._noted[series] != hour)
        if len(new):
            self._noted[series[new]] = hour[new]
            for one, when in {*zip(series[new].tolist(), hour[new].tolist(), strict=True)}:
                self._hours.setdefault(one, set()).add(when)

    def take(self, series: int) -> list[int]:
        """Return the hours of a series in order, which has none afterwards."""
        self._noted[series : series + 1] = _NO_HOUR
        return sorted(self._hours.pop(series, ()))

    def state(self) -> list[tuple[int, int]]:
        """Return the plain state."""
        return sorted((series, hour) for series, hours in self._hours.items() for hour in hours)

    def restore(self, state: Iterable[tuple[int, int]]) -> None:
        """Take over a state that `state()` returned."""
        for series, hour in state:
            self._hours.setdefault(series, set()).add(hour)
