"""Metrics of many series at once: a row a series, a column a metric; NaN where something is undefined.

The intervals are those of `value`, for arrays of any shape. What divides by nothing comes out as NaN: call
these functions under `quiet()`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.value import Value

Floats = NDArray[np.float64]
Limits = tuple[Floats, Floats]

_NONE = math.nan


class Columns(NamedTuple):
    """Metrics [rows, metrics], the unweighted rows each rests on, and its interval."""

    names: tuple[str, ...]  # [metrics]
    value: Floats  # [rows, metrics]
    n: Floats  # [rows, metrics] whole numbers
    low: Floats
    high: Floats

    def take(self, names: Collection[str]) -> Columns:
        """Return these metrics, in this order."""
        wanted = tuple(names)
        if wanted == self.names:
            return self
        place = {name: at for at, name in enumerate(self.names)}
        at = [place[name] for name in wanted]
        return Columns(wanted, *(column[:, at] for column in self[1:]))

    def rows(self, which: Any) -> Columns:
        """Return these rows."""
        return Columns(self.names, *(column[which] for column in self[1:]))

    def replaced(self, other: Columns) -> Columns:
        """Return the columns with those of another in place of the same names, which are overwritten here."""
        if not set(other.names) <= set(self.names):
            return beside((self.take([name for name in self.names if name not in other.names]), other))
        for source, name in enumerate(other.names):
            place = self.names.index(name)
            for mine, theirs in zip(self[1:], other[1:], strict=True):
                mine[:, place] = theirs[:, source]
        return self

    def renamed(self, names: Collection[str]) -> Columns:
        """Return the same columns under other names."""
        return self._replace(names=tuple(names))

    def values(self, row: int = 0) -> dict[str, Value]:
        """Return the metrics of a row.

        >>> Columns(("f1",), *(np.array([[x]]) for x in (0.5, 3.0, np.nan, np.nan))).values()
        {'f1': Value(value=0.5, n=3, low=None, high=None)}
        """
        value, n, low, high = (column[row].tolist() for column in self[1:])
        return {
            name: Value(_known(value[i]), int(n[i]), _known(low[i]), _known(high[i]))
            for i, name in enumerate(self.names)
        }


def quiet() -> Any:
    """Return a context in which NaN and infinity come without a warning."""
    return np.errstate(divide="ignore", invalid="ignore", over="ignore")


def beside(parts: Collection[Columns]) -> Columns:
    """Return columns side by side, for the same rows."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    names = tuple(name for part in parts for name in part.names)
    return Columns(names, *(np.concatenate(column, axis=1) for column in list(zip(*parts, strict=True))[1:]))


def stacked(names: Collection[str], parts: Collection[tuple[Floats, Floats, Floats, Floats]]) -> Columns:
    """Return one column for each part: value, n, low, high [rows]."""
    return Columns(tuple(names), *(np.array(column).T for column in zip(*parts, strict=True)))


def undefined(names: Collection[str], n: Floats) -> Columns:
    """Return metrics that n [rows] rows do not define."""
    shape = (len(n), len(names))
    nothing = np.full(shape, _NONE)
    counts = np.repeat(n[:, None], len(names), axis=1)
    return Columns(tuple(names), nothing, counts, nothing.copy(), nothing.copy())


def of_rows(rows: Collection[Mapping[str, Value]]) -> Columns:
    """Return the metrics of rows, which have the same names.

    >>> of_rows([{"f1": Value(None, 0, None, None)}] * 2).value.shape
    (2, 1)
    """
    table = np.array([[*row.values()] for row in rows], np.float64)  # None becomes NaN
    names = tuple(next(iter(rows), {}))
    return Columns(names, *np.moveaxis(table.reshape(len(rows), len(names), 4), 2, 0))


def effective(weight: Floats, squares: Floats) -> Floats:
    """Return n_eff of rows whose weights sum to `weight` and whose squares sum to `squares`."""
    found: Floats = np.where(squares > 0, weight * weight / squares, 0.0)
    return found


def wilson(share: Floats, n_eff: Floats, z: float) -> Limits:
    """Return the score intervals of proportions; NaN up to one effective row."""
    ratio = z * z / n_eff
    centre = share + ratio / 2
    half = np.sqrt(np.maximum(share * (1 - share), 0.0) * ratio + ratio * ratio / 4)
    low = np.minimum(np.maximum((centre - half) / (1 + ratio), 0.0), share)
    high = np.maximum(np.minimum((centre + half) / (1 + ratio), 1.0), share)
    some = n_eff > 1
    return np.where(some, low, _NONE), np.where(some, high, _NONE)


def proportion(part: Floats, whole: Floats, squares: Floats, n: Floats, z: float) -> tuple[Floats, ...]:
    """Return value, low, high of part / whole, sums of weights; `squares` those of the whole's."""
    share = np.where(n > 0, np.minimum(np.maximum(part / whole, 0.0), 1.0), _NONE)
    return share, *wilson(share, effective(whole, squares), z)


def standard_error(variance: Floats, n_eff: Floats) -> Floats:
    """Return the standard errors of means of n_eff rows; NaN up to one."""
    found: Floats = np.where(n_eff > 1, np.sqrt(np.maximum(variance, 0.0) / (n_eff - 1)), _NONE)
    return found


def normal(value: Floats, error: Floats, z: float, least: Any, most: Any) -> Limits:
    """Return value +- z * error within limits."""
    away = z * error
    return np.maximum(value - away, least), np.minimum(value + away, most)


def mean(
    total: Floats, total_squares: Floats, weight: Floats, n_eff: Floats, z: float, least: Any, most: Any
) -> tuple[Floats, ...]:
    """Return value, low, high of weighted means with normal intervals; NaN without weight."""
    centre = np.minimum(np.maximum(total / weight, least), most)
    error = standard_error(total_squares / weight - centre * centre, n_eff)
    return centre, *normal(centre, error, z, least, most)


def logit_normal(value: Floats, error: Floats, z: float) -> Limits:
    """Return the intervals of values inside (0, 1) that are normal on the logit scale."""
    rest = value * (1 - value)
    centre, half = np.log(value / (1 - value)), z * error / rest
    return (1 + np.tanh((centre - half) / 2)) / 2, (1 + np.tanh((centre + half) / 2)) / 2


def log_normal(value: Floats, error: Floats, z: float) -> Limits:
    """Return the intervals of positive values that are normal on the log scale."""
    factor = np.exp(np.minimum(z * error / value, 700.0))
    return value / factor, value * factor


def area_interval(area: Floats, error: Floats, rows: Floats, z: float) -> Limits:
    """Return the logit intervals of areas under curves; NaN up to one effective row of `rows`.

    Where the error vanishes (perfect separation) that many trials give Wilson's interval.
    """
    plain = (error <= 1e-12) | ~((area > 0) & (area < 1))
    low, high = logit_normal(area, error, z)
    if plain.any():
        exact = wilson(np.minimum(np.maximum(area, 0.0), 1.0), rows, z)
        low, high = np.where(plain, exact[0], low), np.where(plain, exact[1], high)
    some = rows > 1
    return np.where(some, low, _NONE), np.where(some, high, _NONE)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
