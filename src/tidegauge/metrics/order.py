"""ROC AUC and average precision: exactly from raw rows, and their intervals.

Arrays are [rows, classes] or [rows, classes, n]: one row a series, each class against the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import columns as of
from tidegauge.metrics.columns import Columns
from tidegauge.metrics.value import Value, normal_quantile

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

ORDER = ("roc_auc", "pr_auc")


class Areas(NamedTuple):
    """Classes against the rest [rows, classes]; NaN where undefined."""

    roc_auc: Floats
    roc_error: Floats  # standard error
    pr_auc: Floats
    positives: Floats  # n_eff
    negatives: Floats  # n_eff


def exact_order_metrics(
    actual: Codes, proba: Floats, weight: Floats, positive: int | None, confidence: float
) -> dict[str, Value]:
    """Return `roc_auc` and `pr_auc` (average precision) of rows, ties as scikit-learn treats them.

    Of the positive class, or without one the mean over the classes (one against the rest) that some
    rows have and some have not. Arguments as for `Classification.cells`: actual [n], proba [n, K],
    weight [n]; rows whose proba is all NaN do not count. Cost: one sort of the rows per class.

    >>> proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.65, 0.35]])
    >>> rows = np.array([0, 1, 0, 1], np.int32), proba, np.ones(4)
    >>> {name: round(found.value, 4) for name, found in exact_order_metrics(*rows, 1, 0.95).items()}
    {'roc_auc': 0.75, 'pr_auc': 0.8333}
    """
    return exact_order(actual[None], proba[None], weight[None], positive, confidence).values()


def exact_order(
    actual: Codes, proba: Floats, weight: Floats, positive: int | None, confidence: float
) -> Columns:
    """Return the same of many series: actual [rows, n], proba [rows, n, K], weight [rows, n]."""
    scored = ~np.isnan(proba[:, :, 0])
    for code in range(1, proba.shape[2]):
        scored |= ~np.isnan(proba[:, :, code])
    codes = np.arange(proba.shape[2]) if positive is None else np.array([positive])
    score = proba[:, :, codes].transpose(0, 2, 1)
    score = np.where(np.isnan(score), 0.0, score)
    own = actual[:, None, :] == codes[:, None]
    with of.quiet():
        found = areas(score, own, np.where(scored, weight, 0.0)[:, None, :])
        return averaged(found, scored.sum(axis=1).astype(np.float64), normal_quantile(confidence))


def averaged(each: Areas, n: Floats, z: float) -> Columns:
    """Return the mean of the areas that are defined; its error is bounded by the mean of the errors.

    >>> areas = Areas(*(np.array([pair]) for pair in ((1.0, np.nan), (0.0, np.nan), (1.0, np.nan), (5.0, 0.0),
    ...     (5.0, 9.0))))
    >>> with of.quiet(): averaged(areas, np.array([10.0]), 2.0).values()["pr_auc"].n
    10
    """
    if each.roc_auc.shape[1] == 1:
        roc, error, precision, positives, negatives = (column[:, 0] for column in _by_name(each))
    else:
        some = ~np.isnan(each.roc_auc)
        count = some.sum(axis=1)
        roc, error, precision = (
            np.where(some & ~np.isnan(column), column, 0.0).sum(axis=1) / count
            for column in (each.roc_auc, each.roc_error, each.pr_auc)
        )
        positives, negatives = (
            np.where(some, column, np.inf).min(axis=1) for column in (each.positives, each.negatives)
        )
    error = np.where(np.isnan(error) & ~np.isnan(roc), 0.0, error)
    of_precision = np.sqrt(precision * (1 - precision) / positives)
    value, errors = np.array((roc, precision)).T, np.array((error, of_precision)).T
    rows = np.array((np.minimum(positives, negatives), positives)).T
    low, high = of.area_interval(value, errors, rows, z)
    known = ~np.isnan(value)
    counts = np.repeat(n[:, None], len(ORDER), axis=1)
    return Columns(ORDER, value, counts, np.where(known, low, np.nan), np.where(known, high, np.nan))


def _by_name(each: Areas) -> tuple[Floats, ...]:
    return each.roc_auc, each.roc_error, each.pr_auc, each.positives, each.negatives


def areas(score: Floats, positive: NDArray[np.bool_], weight: Floats) -> Areas:
    """Return the areas of rows [..., n] in which `positive` ones should score higher; weight 0 is no row.

    Of rows with one score the last holds the sums of all; the others count for nothing.

    >>> score, hit = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    >>> float(areas(score, hit, np.ones(4)).roc_auc)
    0.75
    """
    if not score.shape[-1]:
        nothing = np.full(score.shape[:-1], np.nan)
        return Areas(nothing, nothing, nothing, np.zeros_like(nothing), np.zeros_like(nothing))
    own, other = np.where(positive, weight, 0.0), np.where(positive, 0.0, weight)
    order = np.argsort(score, axis=-1)
    ordered = np.take_along_axis(score, order, axis=-1)
    last = np.ones(ordered.shape, np.bool_)
    last[..., :-1] = ordered[..., 1:] != ordered[..., :-1]
    to_own, own_here = _tied(np.take_along_axis(own, order, axis=-1), last)
    to_other, other_here = _tied(np.take_along_axis(other, order, axis=-1), last)
    total_own, total_other = to_own[..., -1:], to_other[..., -1:]
    positives = of.effective(total_own[..., 0], (own * own).sum(axis=-1))
    negatives = of.effective(total_other[..., 0], (other * other).sum(axis=-1))
    below, above = (to_other - other_here / 2) / total_other, 1 - (to_own - own_here / 2) / total_own
    share, rest = own_here / total_own, other_here / total_other
    area = (share * below).sum(axis=-1)
    hits, alarms = total_own - to_own + own_here, total_other - to_other + other_here
    precision = np.where(own_here > 0, share * (hits / (hits + alarms)), 0.0).sum(axis=-1)
    error = delong_error(
        (share * below * below).sum(axis=-1), (rest * above * above).sum(axis=-1), area, positives, negatives
    )
    known = (positives > 0) & (negatives > 0)
    area, error, precision = (np.where(known, column, np.nan) for column in (area, error, precision))
    return Areas(area, error, precision, positives, negatives)


def _tied(weight: Floats, last: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the running sums [..., n] of weights, and what the rows tied with each `last` one add."""
    to = weight.cumsum(axis=-1)
    before = np.zeros_like(to)
    np.maximum.accumulate(np.where(last, to, 0.0)[..., :-1], axis=-1, out=before[..., 1:])
    return to, np.where(last, to - before, 0.0)


def delong_error(
    below_squared: Floats, above_squared: Floats, area: Floats, positives: Floats, negatives: Floats
) -> Floats:
    """Return DeLong's standard errors from the mean squared placement values of both classes.

    NaN up to one effective row of a class.

    >>> half = np.full(1, 0.5)
    >>> delong_error(half, half, half, np.full(1, 26.0), np.full(1, 26.0)).round(4).tolist()
    [0.1414]
    """
    of_own = of.standard_error(below_squared - area * area, positives)
    of_other = of.standard_error(above_squared - area * area, negatives)
    found: Floats = np.sqrt(of_own * of_own + of_other * of_other)
    return found
