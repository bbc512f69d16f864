"""How much more than independent values the mean of a series varies: its variance inflation.

Bets assume that a value's mean does not depend on those before it. Errors that come in runs break that, and
evidence then seems to grow faster than it does. Dividing the logarithm of every bet by the inflation slows it
as the variance does: a heuristic, no theorem; the benchmark measures what it keeps.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_CORRELATED = 0.98
LEAST_BLOCKS = 16  # fewer means say too little of their variance
FIRST_BLOCK = 8
DOUBTED = 1.0  # standard errors taken off the inflation of block means, which are few


def lag_one(values: Floats) -> float:
    """Return the correlation of neighbours among values [n]; 0 where they do not vary, or are fewer than 3.

    >>> lag_one(np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]))
    -0.125
    """
    if len(values) < 3:
        return 0.0
    centred = values - values.mean()
    total = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / total if total > 0 else 0.0


def variance_inflation(values: Floats) -> float:
    """Return by what factor, 1 or more, dependence inflates the variance of a mean of values [n].

    The greater of (1 + r) / (1 - r) for a lag-one correlation r, exact for a first-order autoregression
    (Bayley and Hammersley 1946), and what means of blocks of doubling size show for certain (batch means,
    Conway 1963): the variance of neighbouring means' differences, so that one step does not count.

    >>> variance_inflation(np.tile([0.0, 1.0], 500))
    1.0
    """
    correlation = min(lag_one(values), MOST_CORRELATED)
    found = max(1.0, (1 + correlation) / (1 - correlation))
    variance = float(values.var()) if len(values) else 0.0
    size = FIRST_BLOCK
    while variance > 0 and len(values) // size >= LEAST_BLOCKS:
        found = max(found, _of_blocks(values, size) / variance)
        size *= 2
    return found


def _of_blocks(values: Floats, size: int) -> float:
    """Return the variance of a value that means of blocks of `size` suggest, less its doubt."""
    count = len(values) // size
    means = values[: count * size].reshape(count, size).mean(axis=1)
    steps = np.diff(means)
    return size * float(steps @ steps) / (2 * (count - 1)) / (1 + DOUBTED * math.sqrt(3 / (count - 1)))
