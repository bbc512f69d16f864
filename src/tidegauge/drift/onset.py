"""When a change began: where a bet against it had earned least (Page 1954)."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Sums = tuple[float, float, float]


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
        low = self._low(way, step)
        now = self._sums[step, way] - low.low_sums
        return self.before + step * self._block - low.outcomes, now.tolist()

    def end(self) -> list[Path]:
        """Return the paths after the last step."""
        return [self._low(way, len(self._logs) - 1) for way in range(len(self._paths))]

    def _low(self, way: int, step: int) -> Path:
        path, logs = self._paths[way], self._logs[: step + 1, way]
        lowest = step - int(np.argmin(logs[:0:-1])) if step else 0  # the last one
        sums = tuple(self._sums[step, way].tolist())
        if step and logs[lowest] <= path.low:
            at = self.before + lowest * self._block
            return Path(
                float(logs[-1]), float(logs[lowest]), at, sums, tuple(self._sums[lowest, way].tolist())
            )
        return Path(float(logs[-1]), path.low, path.outcomes, sums, path.low_sums)
