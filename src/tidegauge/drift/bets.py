"""Bets against a bounded mean: the stakes, and against how much change each is best.

A bet of stake s on a value x between 0 and 1 multiplies its capital by 1 + s (x - m). Where the mean of x is
m, whatever came before, the expected factor is 1: capital that grows is evidence against m. A stake above 0
wins where the mean rises, one below 0 where it falls. Which stake is best depends on the size of the change,
so a few of them share the capital (Waudby-Smith and Ramdas 2024; Shin, Ramdas and Rinaldo 2024).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ODDS = (1.25, 1.6, 2.2, 3.5, 6.0)  # changes of the odds for which a stake is best
MOST_STAKED = 0.95  # of what would lose all capital on one value
LEAST_MEAN = 1e-6


def stakes_up(mean: float, variance: float | None = None) -> Floats:
    """Return the stakes [len(ODDS)] that win where the mean rises above `mean`.

    A stake is (p - m) / variance, the first-order optimum for a mean that has risen to p (Kelly 1956);
    `variance` is that of a healthy value, m (1 - m) of a 0/1 error where it is None.

    >>> stakes_up(0.1).round(2).tolist()
    [0.24, 0.57, 1.07, 2.0, 3.33]
    """
    mean = min(max(mean, LEAST_MEAN), 1 - LEAST_MEAN)
    odds = np.array(ODDS) * mean / (1 - mean)
    spread = mean * (1 - mean)
    if variance is not None:
        spread = min(max(variance, LEAST_MEAN), spread)
    return np.minimum((odds / (1 + odds) - mean) / spread, MOST_STAKED / mean)


def stakes_down(mean: float, variance: float | None = None) -> Floats:
    """Return the stakes [len(ODDS)], below 0, that win where the mean falls below `mean`.

    >>> stakes_down(0.9).round(2).tolist()
    [-0.24, -0.57, -1.07, -2.0, -3.33]
    """
    return -stakes_up(1 - mean, variance)
