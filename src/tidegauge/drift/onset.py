"""When a change began: where a bet against it had earned least (Page 1954)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from operator import add

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Sums = Sequence[float]

MOST_OWNED = 1e200  # an alarm even where no run length is known


class Run(msgspec.Struct, array_like=True):
    """The most suspicious run of outcomes that ends now, by one bet."""

    owned: float = 1.0
    n: int = 0  # outcomes
    total: float = 0.0  # of their values

    def through(self, gains: Sequence[float], totals: Sequence[float], outcomes: Sequence[int]) -> Run:
        """Return the run after steps [n] that earned so much, on so many outcomes with these totals.

        A run that lost all it earned begins anew. Totals are added one by one, however steps are cut.
        """
        owned = list(accumulate(gains, _bet_on, initial=self.owned))
        lost = next((step for step in range(len(gains), 0, -1) if owned[step] == 1.0), 0)
        n, total = (0, 0.0) if lost else (self.n, self.total)
        return Run(owned[-1], n + sum(outcomes[lost:]), reduce(add, totals[lost:], total))


def _bet_on(owned: float, earned: float) -> float:
    return min(owned * earned, MOST_OWNED) if owned * earned > 1 else 1.0


class Path(msgspec.Struct, array_like=True):
    """What a bet has earned since its beginning, and where it had earned least."""

    log: float = 0.0  # of what it has earned
    low: float = 0.0  # the least that was
    outcomes: int = 0  # when that was
    sums: Sums = (0.0, 0.0, 0.0)  # of rows, expected and actual labels, up to now
    low_sums: Sums = (0.0, 0.0, 0.0)  # and up to then


class Trail:
    """The paths of an update, step by step: `logs` [steps, paths] earned, and sums [steps, paths, 3].

    A step is `block` outcomes; there were `before` ones.
    """

    def __init__(self, paths: list[Path], logs: Floats, sums: Floats, before: int, block: int) -> None:
        self.before = before  # outcomes
        self._paths, self._block = paths, block
        self._logs = np.cumsum(np.concatenate(([[path.log for path in paths]], logs)), axis=0)
        self._sums = np.cumsum(np.concatenate(([[path.sums for path in paths]], sums)), axis=0)

    def since(self, way: int, step: int) -> tuple[int, list[float]]:
        """Return how many outcomes ago the path was lowest, up to a step, and the sums since then."""
        low = self._after(step)[way]
        now = self._sums[step, way] - low.low_sums
        return self.before + step * self._block - low.outcomes, now.tolist()

    def end(self) -> list[Path]:
        """Return the paths after the last step."""
        return self._after(len(self._logs) - 1)

    def _after(self, step: int) -> list[Path]:
        """Return the paths after so many steps, at least one."""
        lowest = step - np.argmin(self._logs[step:0:-1], axis=0)  # the last one
        every = np.arange(len(self._paths))
        columns = (
            self._logs[step],
            self._logs[lowest, every],
            self.before + lowest * self._block,
            self._sums[step],
            self._sums[lowest, every],
        )
        found = []
        for path, log, low, outcomes, sums, low_sums in zip(
            self._paths, *(column.tolist() for column in columns), strict=True
        ):
            kept = (low, outcomes, low_sums) if low <= path.low else (path.low, path.outcomes, path.low_sums)
            found.append(Path(log, kept[0], kept[1], sums, kept[2]))
        return found
