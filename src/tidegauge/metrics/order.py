"""ROC AUC and average precision of raw rows, exactly: for the window of the last N outcomes."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import value as of
from tidegauge.metrics.value import Value, undefined

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


class Areas(NamedTuple):
    """One class against the rest; None where undefined."""

    roc_auc: float | None
    roc_error: float | None  # standard error
    pr_auc: float | None
    positives: float  # n_eff
    negatives: float  # n_eff


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
    scored = ~reduce(np.logical_and, np.isnan(proba).T)
    if not scored.all():
        actual, proba, weight = actual[scored], proba[scored], weight[scored]
    codes = range(proba.shape[1]) if positive is None else (positive,)
    each = [areas(np.nan_to_num(proba[:, code]), actual == code, weight) for code in codes]
    return averaged(each, len(actual), of.normal_quantile(confidence))


def averaged(each: list[Areas], n: int, z: float) -> dict[str, Value]:
    """Return the mean of the areas that are defined; its error is bounded by the mean of the errors.

    >>> averaged([Areas(1.0, 0.0, 1.0, 5.0, 5.0), Areas(None, None, None, 0.0, 9.0)], 10, 2.0)["pr_auc"].n
    10
    """
    whole = [one for one in each if one.roc_auc is not None]
    if not whole:
        return {"roc_auc": undefined(n), "pr_auc": undefined(n)}
    roc, precision, error = (
        sum(x for x in column if x is not None) / len(whole)
        for column in ([a.roc_auc for a in whole], [a.pr_auc for a in whole], [a.roc_error for a in whole])
    )
    positives = min(one.positives for one in whole)
    pairs = min(positives, *(one.negatives for one in whole))
    return {
        "roc_auc": Value(roc, n, *of.roc_auc_interval(roc, error, pairs, z)),
        "pr_auc": Value(precision, n, *of.pr_auc_interval(precision, positives, z)),
    }


def areas(score: Floats, positive: NDArray[np.bool_], weight: Floats) -> Areas:
    """Return the areas of rows [n] in which `positive` ones should score higher.

    >>> areas(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]), np.ones(4)).roc_auc
    0.75
    """
    own, other = np.where(positive, weight, 0.0), np.where(positive, 0.0, weight)
    positives, negatives = _effective(own), _effective(other)
    if not (positives and negatives):
        return Areas(None, None, None, positives, negatives)
    order = np.argsort(score)
    ordered = score[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    to_own, to_other = own[order].cumsum()[last], other[order].cumsum()[last]
    own, other = np.diff(to_own, prepend=0.0), np.diff(to_other, prepend=0.0)
    total_own, total_other = float(to_own[-1]), float(to_other[-1])
    below, above = (to_other - other / 2) / total_other, 1 - (to_own - own / 2) / total_own
    share, rest = own / total_own, other / total_other
    area = float(share @ below)
    hits = total_own - to_own + own
    alarms = total_other - to_other + other
    return Areas(
        area,
        delong_error(float(share @ below**2), float(rest @ above**2), area, positives, negatives),
        float(share @ (hits / (hits + alarms))),
        positives,
        negatives,
    )


def delong_error(
    below_squared: float, above_squared: float, area: float, positives: float, negatives: float
) -> float | None:
    """Return DeLong's standard error from the mean squared placement values of both classes.

    None up to one effective row of a class.

    >>> round(delong_error(0.5, 0.5, 0.5, 26.0, 26.0), 4)
    0.1414
    """
    parts = (
        of.standard_error(below_squared - area * area, positives),
        of.standard_error(above_squared - area * area, negatives),
    )
    return None if None in parts else sum(part * part for part in parts if part is not None) ** 0.5


def _effective(weight: Floats) -> float:
    return of.effective(float(weight.sum()), float(weight @ weight))
