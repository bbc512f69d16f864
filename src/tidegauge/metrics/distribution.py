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

from tidegauge.metrics.columns import Columns
from tidegauge.metrics.value import Value, normal_quantile, undefined

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
        wanted = {name: q for name, q in quantiles.items() if only is None or name in only}
        return self.columns(cells[None], wanted, confidence).values()

    def columns(self, cells: Floats, quantiles: Mapping[str, float], confidence: float = 0.95) -> Columns:
        """Return what `values` says of each row of cells [rows, width].

        >>> family = Distribution(low=1.0, high=1000.0)
        >>> family.columns(np.zeros((2, family.width)), {"p90": 0.9}).value.tolist()
        [[nan], [nan]]
        """
        z = normal_quantile(confidence)
        q = np.array([*quantiles.values()])
        used = np.flatnonzero(cells[:, :-1].any(axis=0))  # the others hold no quantile
        below = np.rint(cells[:, used]).cumsum(axis=1)
        n = np.maximum(below[:, -1:] if len(used) else np.zeros((len(cells), 1)), 0.0)
        centre, half = n * q, z * np.sqrt(n * q * (1 - q))
        rank = np.clip(np.ceil(centre - 1e-9), 1, np.maximum(n, 1))
        first, last = np.floor(centre - half), np.ceil(centre + half) + 1
        ranks = np.concatenate((rank, np.maximum(first, 1), np.minimum(last, n)), axis=1)
        found = np.append(used, self.width - 1)[_places(below, ranks)]
        at, lower, upper = found[:, : len(q)], found[:, len(q) : 2 * len(q)], found[:, 2 * len(q) :]
        some = n > 0
        return Columns(
            tuple(quantiles),
            np.where(some, self._points[np.minimum(at, self.buckets + 2)], np.nan),
            np.repeat(n, len(q), axis=1),
            np.where(some & (first >= 1), self._edges[np.maximum(lower - 1, 0)], np.nan),
            np.where(some & (last <= n) & (upper < self.buckets + 2), self._edges[upper], np.nan),
        )

    def mean(self, cells: Floats) -> Value:
        """Return the mean, exact but for rounding, without an interval.

        >>> family = Distribution(low=1.0, high=10.0)
        >>> index, amount = family.cells(np.array([2.0, 4.0]))
        >>> family.mean(np.bincount(index.ravel(), amount.ravel(), family.width)).value
        3.0
        """
        n = round(float(cells[:-1].sum()))
        return Value(float(cells[-1]) / n, n, None, None) if n > 0 else undefined()

    @cached_property
    def _edges(self) -> Floats:
        """The upper end of each cell; 0 for the first."""
        return np.array([0.0, *(self._edge(cell) for cell in range(1, self.width))])

    @cached_property
    def _points(self) -> Floats:
        """What stands for a value in each cell."""
        return np.array([self._point(cell) for cell in range(self.width)])

    def _edge(self, cell: int) -> float:
        return min(self.low * math.exp((cell - 1) * self._log_growth), self.high)

    def _point(self, cell: int) -> float:
        if cell <= 1:
            return self.low if cell else 0.0
        if cell >= self.buckets + 2:
            return self.high
        return self.low * math.exp((cell - 2) * self._log_growth) * (1 + self.relative_error)


def _places(sums: Floats, ranks: Floats) -> NDArray[np.int64]:
    """Return for each rank [rows, m] the first place in its row of sums [rows, k] that reaches it, or k.

    >>> _places(np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([[2.0], [3.0]])).tolist()
    [[1], [2]]
    """
    rows, across = sums.shape
    apart = max(float(sums.max(initial=0.0)), float(ranks.max(initial=0.0))) + 1
    starts = np.arange(rows)[:, None] * apart  # so that all rows are one rising column
    found = np.searchsorted((sums + starts).reshape(-1), (ranks + starts).reshape(-1)).reshape(ranks.shape)
    places: NDArray[np.int64] = np.clip(found - np.arange(rows)[:, None] * across, 0, across)
    return places
