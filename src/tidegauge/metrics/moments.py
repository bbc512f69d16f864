"""Moments: sums, means and a correlation, for business KPIs and what serving cost."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import value as of
from tidegauge.metrics.regression import CANCELLED
from tidegauge.metrics.value import Value, undefined

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

NAMES = ("sum", "mean", "per_outcome", "correlation")
_LARGEST = 1e150  # squares stay finite; a row beyond it counts as so large


class _Sums(NamedTuple):
    """The cells: d = x - pivot; those from `pairs` on are of the rows that have a quality q."""

    n: float
    d: float
    dd: float
    pairs: float
    pair_d: float
    pair_dd: float
    q: float
    qq: float
    dq: float


@dataclass(frozen=True)
class Moments:
    """Cells: rows, and sums of powers of x - pivot and of a quality that goes with it.

    pivot: any number near the series' values (its first one), the same for all its cells.
    """

    pivot: float = 0.0

    @property
    def width(self) -> int:
        """Number of cells."""
        return len(_Sums._fields)

    def cells(self, x: Floats, quality: Floats | None = None) -> tuple[Codes, Floats]:
        """Return the cells [n, m] that each row adds to, and what it adds.

        x [n]: the KPI; a row that is not finite adds nothing. quality [n]: 1 where the outcome was
        correct, else 0, or its absolute error; NaN or None: unknown.

        >>> index, amount = Moments().cells(np.array([2.0, np.nan]))
        >>> amount[:, 0].tolist()
        [1.0, 0.0]
        """
        known = np.isfinite(x)
        paired = np.zeros_like(known) if quality is None else known & np.isfinite(quality)
        d = np.where(known, np.clip(x - self.pivot, -_LARGEST, _LARGEST), 0.0)
        q = np.zeros_like(d) if quality is None else np.where(paired, quality, 0.0)
        q = np.clip(q, -_LARGEST, _LARGEST)
        pair = d * paired
        amount = np.stack((known, d, d * d, paired, pair, pair * d, q, q * q, pair * q))
        index = np.repeat(np.arange(self.width, dtype=np.int32), len(x)).reshape(self.width, -1)
        return index.T, amount.astype(np.float64, copy=False).T

    def values(
        self,
        cells: Floats,
        outcomes: int | None = None,
        confidence: float = 0.95,
        only: Collection[str] | None = None,
    ) -> dict[str, Value]:
        """Return sum, mean, per_outcome (sum / `outcomes`) and correlation of x with the quality.

        per_outcome is undefined without `outcomes`, the rows of the series with or without this KPI;
        those without count as 0 in its interval. sum has no interval: it is what it is.

        >>> cells = Moments().cells(np.array([2.0, 4.0]), np.array([0.0, 1.0]))[1].sum(axis=0)
        >>> {name: found.value for name, found in Moments().values(cells, outcomes=4).items()}
        {'sum': 6.0, 'mean': 3.0, 'per_outcome': 1.5, 'correlation': 1.0}
        """
        z = of.normal_quantile(confidence)
        sums = _Sums(*cells.tolist())
        n = round(sums.n)
        found = {
            "sum": Value(sums.d + n * self.pivot, n, None, None) if n else undefined(),
            "mean": self._mean(sums, z),
            "per_outcome": self._per_outcome(sums, outcomes, z),
            "correlation": _correlation(sums, z),
        }
        return {name: found[name] for name in NAMES if only is None or name in only}

    def _mean(self, sums: _Sums, z: float) -> Value:
        value, n, low, high = of.mean(of.Sums(round(sums.n), sums.n, sums.n, sums.d, sums.dd), z)
        shifted = (None if at is None else at + self.pivot for at in (value, low, high))
        value, low, high = shifted
        return Value(value, n, low, high)

    def _per_outcome(self, sums: _Sums, outcomes: int | None, z: float) -> Value:
        if not outcomes:
            return undefined()
        pivot, n = self.pivot, sums.n
        total = sums.d + n * pivot
        total_squares = sums.dd + 2 * pivot * sums.d + n * pivot * pivot
        return of.mean(of.Sums(outcomes, outcomes, outcomes, total, total_squares), z)


def _correlation(sums: _Sums, z: float) -> Value:
    """Pearson's r; undefined up to one row, or where one side does not vary."""
    n = round(sums.pairs)
    if n < 2:
        return undefined(n)
    x, q, xx, qq = sums.pair_d / n, sums.q / n, sums.pair_dd / n, sums.qq / n
    x_variance, q_variance = xx - x * x, qq - q * q
    if x_variance <= CANCELLED * xx or q_variance <= CANCELLED * qq:
        return undefined(n)
    r = (sums.dq / n - x * q) / (math.sqrt(x_variance) * math.sqrt(q_variance))
    r = min(max(r, -1.0), 1.0)
    return Value(r, n, *of.fisher(r, n, z))
