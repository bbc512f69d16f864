"""How much more than independent values the mean of a series varies: its variance inflation.

Bets assume that a value's mean does not depend on those before it. Errors that come in runs break that, and
evidence then seems to grow faster than it does. Dividing the logarithm of every bet by the inflation slows it
as the variance does: a heuristic, no theorem; the benchmark measures what it keeps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]

MOST_CORRELATED = 0.98
SAFETY = 0.5  # standard errors added to the correlation: an inflation too small breaks the promise
LEAST_BLOCKS = 16  # fewer means say too little of their variance
FIRST_BLOCK = 8
SCALES = 7  # blocks of 1 to 64 steps
DOUBTED = 2.0  # standard errors taken off the inflation of block means, which are few


def lag_one(values: Floats) -> float:
    """Return the correlation of neighbours among values [n]; 0 where they do not vary, or are fewer than 3.

    >>> lag_one(np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]))
    0.125
    """
    if len(values) < 3:
        return 0.0
    centred = values - values.mean()
    total = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / total if total > 0 else 0.0


def variance_inflation(values: Floats) -> float:
    """Return by what factor, 1 or more, dependence inflates the variance of a mean of values [n].

    The greater of (1 + r) / (1 - r) for a lag-one correlation r and half its standard error, exact for a
    first-order autoregression (Bayley and Hammersley 1946), and what means of blocks of doubling size show
    for certain (batch means, Conway 1963): the variance of neighbouring means' differences, so that one step
    does not count.

    >>> variance_inflation(np.tile([0.0, 1.0], 500))
    1.0
    """
    if not len(values) or not values.var():
        return 1.0
    return max(of_neighbours(lag_one(values), len(values)), of_block_means(values))


def of_neighbours(correlation: float, count: int) -> float:
    """Return the inflation, 1 or more, that the lag-one correlation of `count` values suggests.

    >>> round(of_neighbours(0.5, 10_000), 2)
    3.04
    """
    safe = min(correlation + SAFETY / math.sqrt(max(count, 1)), MOST_CORRELATED)
    return max(1.0, (1 + safe) / (1 - safe))


def of_block_means(values: Floats) -> float:
    """Return the inflation, 1 or more, that means of blocks of values [n] show for certain.

    >>> of_block_means(np.tile([0.0, 1.0], 500))
    1.0
    """
    variance = float(values.var()) if len(values) else 0.0
    found, size = 1.0, FIRST_BLOCK
    while variance and len(values) // size >= LEAST_BLOCKS:
        found = max(found, _of_blocks(values, size) / variance)
        size *= 2
    return found


def _of_blocks(values: Floats, size: int) -> float:
    """Return the variance of a value that means of blocks of `size` suggest, less its doubt."""
    count = len(values) // size
    means = values[: count * size].reshape(count, size).mean(axis=1)
    steps = np.diff(means)
    return size * float(steps @ steps) / (2 * (count - 1)) / (1 + DOUBTED * math.sqrt(3 / (count - 1)))


class RunningInflation:
    """The variance inflation of many series of steps at once, from the steps so far.

    Steps are standardised: independent ones have variance 1. Sums of 1, 2, 4 ... steps are compared with
    their predecessors (the Allan variance, 1966). The greatest difference of each scale is left out, so a
    level that changed once, which is what evidence is sought of, does not count.
    """

    def __init__(self, series: int, scales: int = SCALES) -> None:
        self.steps = 0
        self._sums = np.zeros((scales, series))  # of an unfinished block of each scale
        self._before = np.zeros((scales, series))  # the block before
        self._squares = np.zeros((scales, series))  # of differences, as variances of a step
        self._most = np.zeros((scales, series))  # the greatest of them

    def add(self, steps: Floats) -> None:
        """Take the next step [series] of each."""
        self.steps += 1
        self._sums += steps
        for scale in range(len(self._sums)):
            size = 1 << scale
            if self.steps % size:
                break
            if self.steps > size:
                square = (self._sums[scale] - self._before[scale]) ** 2 / (2 * size)
                self._squares[scale] += square
                self._most[scale] = np.maximum(self._most[scale], square)
            self._before[scale] = self._sums[scale]
            self._sums[scale] = 0.0

    def value(self) -> Floats:
        """Return the inflation [series], 1 or more: the greatest that a scale shows, less its doubt."""
        found = np.ones(self._sums.shape[1])
        for scale in range(len(self._sums)):
            count = (self.steps >> scale) - 1
            if count < LEAST_BLOCKS:
                break
            mean = (self._squares[scale] - self._most[scale]) / (count - 1)
            found = np.maximum(found, mean / (1 + DOUBTED * math.sqrt(3 / count)))
        return found

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `load` reads back."""
        return {"steps": self.steps, "sums": [self._sums, self._before, self._squares, self._most]}

    @classmethod
    def load(cls, state: Mapping[str, Any], scales: int = SCALES) -> RunningInflation:
        """Return what `dump` wrote; raises SnapshotError where its arrays do not fit together."""
        sums = [np.array(one, np.float64) for one in state["sums"]]
        if len(sums) != 4 or any(one.ndim != 2 or one.shape != (scales, sums[0].shape[1]) for one in sums):
            raise SnapshotError(f"variance inflation: expected four arrays of {scales} scales")
        found = cls(sums[0].shape[1], scales)
        found.steps, (found._sums, found._before, found._squares, found._most) = int(state["steps"]), sums
        return found
