"""Distribution: quantiles with a relative error bound from logarithmic buckets that add and subtract.

Bucket i holds (low * g^i, low * g^(i+1)] with g = (1 + a) / (1 - a) and answers with the point that is
within a relative error a of both its ends. Source: Masson, Rim, Lee 2019 (DDSketch), section 2.1;
here the buckets are fixed, so that vectors add.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import value as of
from tidegauge.metrics.value import Value, undefined

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

_LARGEST = 1e300


@dataclass(frozen=True)
class Distribution:
    """Cells: x <= 0, (0, low], the buckets up to high, above high, and the sum of x.

    Quantiles inside [low, high] are within `relative_error`; in (0, low] the answer is `low`, above
    `high` it is `high`: read it as "or less" and "or more".
    """

    low: float
    high: float
    relative_error: float = 0.01

    def __post_init__(self) -> None:
        if not (0 < self.low < self.high and 0 < self.relative_error < 1):
            raise ValueError(f"expected 0 < low < high and 0 < relative_error < 1, got {self}")

    @cached_property
    def _log_growth(self) -> float:
        return 2 * math.atanh(self.relative_error)

    @cached_property
    def buckets(self) -> int:
        """Number of logarithmic buckets."""
        return math.ceil(math.log(self.high / self.low) / self._log_growth)

    @property
    def width(self) -> int:
        """Number of cells."""
        return self.buckets + 4

    def cells(self, x: Floats) -> tuple[Codes, Floats]:
        """Return the cells [n, 2] that each row adds to, and what it adds; NaN adds nothing.

        >>> family = Distribution(low=1.0, high=1000.0)
        >>> index, amount = family.cells(np.array([0.0, 0.5, 2000.0, np.nan]))
        >>> index[:3, 0].tolist() == [0, 1, family.width - 2], amount.tolist()[3]
        (True, [0.0, 0.0])
        """
        known = ~np.isnan(x)
        size = np.clip(np.where(known, x, 0.0), -_LARGEST, _LARGEST)
        steps = np.log(np.maximum(size, self.low) / self.low) / self._log_growth
        place = np.minimum(np.ceil(steps), self.buckets + 1) + 1
        place[size <= 0] = 0
        place[size > self.high] = self.buckets + 2
        index = np.stack((place.astype(np.int32), np.full(len(x), self.width - 1, np.int32))).T
        return index, np.stack((known.astype(np.float64), size)).T

    def values(
        self,
        cells: Floats,
        quantiles: Mapping[str, float],
        confidence: float = 0.95,
        only: Collection[str] | None = None,
    ) -> dict[str, Value]:
        """Return the quantiles by the caller's names, or those in `only`; undefined without rows.

        The q-quantile is the row of rank ceil(q * n), numpy's `inverted_cdf`. Its interval spans the
        buckets of the ranks n q -+ z sqrt(n q (1 - q)); open (None) where such a rank does not exist.

        >>> family = Distribution(low=1.0, high=1000.0)
        >>> index, amount = family.cells(np.arange(1.0, 101.0))
        >>> cells = np.bincount(index.ravel(), amount.ravel(), family.width)
        >>> abs(family.values(cells, {"p90": 0.9})["p90"].value / 90 - 1) <= 0.01
        True
        """
        z = of.normal_quantile(confidence)
        below = np.rint(cells[:-1]).cumsum()
        n = int(below[-1])
        wanted = {name: q for name, q in quantiles.items() if only is None or name in only}
        if n <= 0:
            return dict.fromkeys(wanted, undefined())
        return {name: self._quantile(below, n, q, z) for name, q in wanted.items()}

    def mean(self, cells: Floats) -> Value:
        """Return the mean, exact but for rounding, without an interval.

        >>> family = Distribution(low=1.0, high=10.0)
        >>> index, amount = family.cells(np.array([2.0, 4.0]))
        >>> family.mean(np.bincount(index.ravel(), amount.ravel(), family.width)).value
        3.0
        """
        n = round(float(cells[:-1].sum()))
        return Value(float(cells[-1]) / n, n, None, None) if n > 0 else undefined()

    def _quantile(self, below: Floats, n: int, q: float, z: float) -> Value:
        centre, half = n * q, z * math.sqrt(n * q * (1 - q))
        rank = min(max(math.ceil(centre - 1e-9), 1), n)
        first, last = math.floor(centre - half), math.ceil(centre + half) + 1
        at, lower, upper = np.searchsorted(below, [rank, max(first, 1), min(last, n)]).tolist()
        over = self.buckets + 2
        return Value(
            self._point(at),
            n,
            self._edge(lower - 1) if first >= 1 else None,
            self._edge(upper) if last <= n and upper < over else None,
        )

    def _edge(self, cell: int) -> float:
        """Return the upper end of a cell; 0 for the first and for what lies before it."""
        if cell <= 0:
            return 0.0
        return min(self.low * math.exp((cell - 1) * self._log_growth), self.high)

    def _point(self, cell: int) -> float:
        if cell <= 1:
            return self.low if cell else 0.0
        if cell >= self.buckets + 2:
            return self.high
        return self.low * math.exp((cell - 2) * self._log_growth) * (1 + self.relative_error)
