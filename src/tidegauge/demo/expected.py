"""What a stored number may be: one value, or a range where the product keeps bins."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_RELATIVE = 1e-9
_ABSOLUTE = 1e-12


class Expected(NamedTuple):
    """The values that are right: from low to high, both None where the metric is undefined."""

    low: float | None
    high: float | None
    n: int | None = None  # rows it rests on, where that is known apart from the window's count

    def holds(self, stored: float | None) -> bool:
        """Return whether `stored` is right: 1e-9 relative beyond the range, 1e-12 near zero.

        >>> exactly(0.5).holds(0.5 + 1e-10), exactly(0.5).holds(0.500001), exactly(None).holds(0.0)
        (True, False, False)
        """
        if self.low is None or self.high is None or stored is None:
            return self.low is None and stored is None
        slack = max(_RELATIVE * max(abs(self.low), abs(self.high)), _ABSOLUTE)
        return self.low - slack <= stored <= self.high + slack

    def __str__(self) -> str:
        if self.low is None or self.low == self.high:
            return str(self.low)
        return f"{self.low} to {self.high}"


def exactly(value: float | None, n: int | None = None) -> Expected:
    """Return the expectation of one value; one that is not finite is undefined."""
    if value is None or not math.isfinite(value):
        return Expected(None, None, n)
    return Expected(float(value), float(value), n)


def about_quantile(values: NDArray[np.float64], share: float, relative: float) -> Expected:
    """Return what a sketch of that relative error may say of a quantile of values [n].

    The quantile is numpy's `inverted_cdf`.

    >>> about_quantile(np.array([1.0, 2.0, 4.0]), 0.5, 0.01).holds(2.01)
    True
    """
    if not len(values):
        return exactly(None, 0)
    exact = float(np.quantile(values, share, method="inverted_cdf"))
    return Expected(exact * (1 - relative), exact * (1 + relative), len(values))
