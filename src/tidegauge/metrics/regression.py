"""Regression: the cells of numeric outcomes, and every metric with its interval from their sums."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import value as of
from tidegauge.metrics.value import Value, undefined

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

NAMES = ("mae", "rmse", "mape", "smape", "bias", "r2")
CANCELLED = 1e-12  # of the mean square: a smaller variance is what rounding leaves of a constant
_LARGEST = 1e75  # fourth powers stay finite; a row beyond it counts as so large


class _Sums(NamedTuple):
    """The cells, all but the counts multiplied by w: e = prediction - actual, d = actual - pivot."""

    n: float
    weight: float
    squares: float  # of the weights
    e: float
    ee: float
    eeee: float
    absolute: float  # |e|
    d: float
    dd: float
    ddd: float
    dddd: float
    ee_d: float
    ee_dd: float
    percent_n: float  # rows with actual != 0
    percent_weight: float
    percent_squares: float
    percent: float  # |e| / |actual|
    percent_total_squares: float
    symmetric_n: float  # rows with |actual| + |prediction| > 0
    symmetric_weight: float
    symmetric_squares: float
    symmetric: float  # 2 |e| / (|actual| + |prediction|)
    symmetric_total_squares: float


@dataclass(frozen=True)
class Regression:
    """Cells: sums of powers of the error and of the actual value's distance from a pivot.

    pivot: any number near the series' actual values (its first one), the same for all its cells; R2
    loses digits as ((mean - pivot) / standard deviation)^2.
    """

    pivot: float = 0.0

    @property
    def width(self) -> int:
        """Number of cells."""
        return len(_Sums._fields)

    def cells(
        self, prediction: Floats, actual: Floats, weight: Floats, pivot: Floats | None = None
    ) -> tuple[Codes, Floats]:
        """Return the cells [n, m] that each row adds to, and what it adds; arguments [n], weight > 0.

        pivot [n]: that of each row's series, where one call serves many; `values` needs none.
        A row with a number that is not finite adds nothing.

        >>> index, amount = Regression().cells(np.array([3.0]), np.array([2.0]), np.ones(1))
        >>> index.shape == amount.shape == (1, Regression().width)
        True
        """
        usable = np.isfinite(prediction) & np.isfinite(actual) & np.isfinite(weight)
        if not usable.all():
            prediction, actual, weight = (np.where(usable, x, 0.0) for x in (prediction, actual, weight))
        prediction, actual = np.clip((prediction, actual), -_LARGEST, _LARGEST)
        e = prediction - actual
        d = actual - (self.pivot if pivot is None else pivot)
        ee, dd, size = e * e, d * d, np.abs(e)
        square = weight * weight
        scale = np.abs(actual)
        percent, symmetric = _ratio(size, scale), _ratio(2 * size, scale + np.abs(prediction))
        some, either = (scale > 0) & usable, (scale + np.abs(prediction) > 0) & usable
        rows = (usable, weight, square)
        moments = (e, ee, ee * ee, size, d, dd, dd * d, dd * dd, ee * d, ee * dd)
        amounts = [*rows, *(weight * moment for moment in moments)]
        for mask, ratio in ((some, percent), (either, symmetric)):
            amounts += [mask, mask * weight, mask * square, weight * ratio, weight * ratio * ratio]
        index = np.repeat(np.arange(self.width, dtype=np.int32), len(actual))
        return index.reshape(self.width, -1).T, np.stack(amounts).astype(np.float64, copy=False).T

    def values(
        self, cells: Floats, confidence: float = 0.95, only: Collection[str] | None = None
    ) -> dict[str, Value]:
        """Return the metrics of summed cells [width], or those in `only`; docs/metrics.md defines them.

        >>> family = Regression()
        >>> index, amount = family.cells(np.array([1.0, 4.0]), np.array([2.0, 2.0]), np.ones(2))
        >>> found = family.values(amount.sum(axis=0))
        >>> found["mae"].value, found["bias"].value, found["r2"].value
        (1.5, 0.5, None)
        """
        z = of.normal_quantile(confidence)
        sums = _Sums(*cells.tolist())
        wanted = NAMES if only is None else [name for name in NAMES if name in only]
        return {name: _METRICS[name](sums, z) for name in wanted}


def _ratio(size: Floats, scale: Floats) -> Floats:
    ratio: Floats = np.divide(size, scale, out=np.zeros_like(size), where=scale > 0)
    return np.minimum(ratio, _LARGEST)


def _mean(sums: _Sums, total: float, total_squares: float, z: float, legal: tuple[float, float]) -> Value:
    return of.mean(of.Sums(round(sums.n), sums.weight, sums.squares, total, total_squares), z, legal)


def _mae(sums: _Sums, z: float) -> Value:
    return _mean(sums, sums.absolute, sums.ee, z, of.NON_NEGATIVE)


def _bias(sums: _Sums, z: float) -> Value:
    return _mean(sums, sums.e, sums.ee, z, of.ANY)


def _rmse(sums: _Sums, z: float) -> Value:
    """Root of the mean square, with the delta method's interval of its logarithm."""
    n = round(sums.n)
    if n == 0:
        return undefined()
    square = max(sums.ee / sums.weight, 0.0)
    root = math.sqrt(square)
    error = of.standard_error(
        sums.eeee / sums.weight - square * square, of.effective(sums.weight, sums.squares)
    )
    if error is None or root == 0:
        return Value(root, n, None, None)
    return Value(root, n, *of.log_normal(root, error / (2 * root), z))


def _mape(sums: _Sums, z: float) -> Value:
    n, weight, squares = round(sums.percent_n), sums.percent_weight, sums.percent_squares
    moments = of.Sums(n, weight, squares, sums.percent, sums.percent_total_squares)
    return of.mean(moments, z, of.NON_NEGATIVE)


def _smape(sums: _Sums, z: float) -> Value:
    n, weight, squares = round(sums.symmetric_n), sums.symmetric_weight, sums.symmetric_squares
    moments = of.Sums(n, weight, squares, sums.symmetric, sums.symmetric_total_squares)
    return of.mean(moments, z, (0.0, 2.0))


def _r2(sums: _Sums, z: float) -> Value:
    """1 - mean e^2 / V with V the variance of the actual values; undefined without any.

    A row moves R2 by (-e^2 + (1 - R2) (actual - mean)^2) / V; the interval is log-normal in 1 - R2.
    """
    n, w = round(sums.n), sums.weight
    if n < 2:
        return undefined(n)
    mean, ee = sums.d / w, sums.ee / w
    variance = sums.dd / w - mean * mean
    if variance <= CANCELLED * sums.dd / w:
        return undefined(n)
    share = ee / variance
    third = sums.ee_dd / w - 2 * mean * sums.ee_d / w + mean * mean * ee  # E e^2 (d - mean)^2
    fourth = (
        sums.dddd - 4 * mean * sums.ddd + 6 * mean * mean * sums.dd - 4 * mean * mean * mean * sums.d
    ) / w + mean * mean * mean * mean
    spread = variance * variance  # not a power: where that overflows Python raises, a product is infinite
    if spread == 0:
        return Value(1 - share, n, None, None)
    moved = (sums.eeee / w - 2 * share * third + share * share * fourth) / spread
    error = of.standard_error(moved, of.effective(w, sums.squares))
    if error is None or share == 0:
        return Value(1 - share, n, None, None)
    low, high = of.log_normal(share, error, z)
    return Value(1 - share, n, 1 - high, 1 - low)


_METRICS = {"mae": _mae, "rmse": _rmse, "mape": _mape, "smape": _smape, "bias": _bias, "r2": _r2}
