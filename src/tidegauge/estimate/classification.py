"""Confidence-based performance estimation from score bins: metrics of rows that have no label yet.

A row whose score has come to mean the probability c is a hit with probability c where the model said the
class, and a miss with probability c where it did not. So every metric of the confusion matrix, and the ROC
AUC, has an expected value. Rows stand in bins [bins], `own` those predicted as the class, `other` the rest:
both add, and a new calibration prices all past windows anew.
Source: NannyML's documentation, "How it works: performance estimation" (CBPE); Poisson binomial intervals:
arXiv 2407.08649. True as long as P(class | score) is what it was among the labelled rows: where that
changes, which is concept drift, these estimates do not move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Floats, Ints
from tidegauge.estimate.calibration import Calibration
from tidegauge.metrics.columns import Columns, quiet
from tidegauge.metrics.columns import normal as interval
from tidegauge.metrics.value import UNIT, Value, normal, undefined

METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")
MACRO = {name: f"{name}_macro" for name in ("precision", "recall", "f1")}


class _Curves(NamedTuple):
    """Calibrations of rows; 0 where there is none."""

    known: NDArray[np.bool_]  # [rows]
    probability: Floats  # [rows, bins]
    block: Ints  # [rows, bins] of all rows: no two have one in common
    variance: Floats  # [rows, bins] by the block of the row


def binary(own: Floats, other: Floats, curve: Calibration | None, z: float) -> dict[str, Value]:
    """Return the estimated metrics of rows in bins, own [bins] and other [bins]; undefined without a curve.

    The interval is for what will be realised on these rows: it has the chance in their labels, and the
    error of the calibration.

    >>> from tidegauge.estimate.calibration import monotone
    >>> curve = monotone(np.array([[100.0, 100.0], [10.0, 80.0], [100.0, 100.0]]))
    >>> found = binary(np.array([0.0, 50.0]), np.array([50.0, 0.0]), curve, 1.96)
    >>> {name: round(value.value, 3) for name, value in found.items()}
    {'accuracy': 0.85, 'precision': 0.8, 'recall': 0.889, 'f1': 0.842, 'roc_auc': 0.854}
    """
    return binaries(own[None], other[None], [curve], z).values()


def binaries(own: Floats, other: Floats, curves: Sequence[Calibration | None], z: float) -> Columns:
    """Return the same of many windows, own [rows, bins] and other [rows, bins], each with its curve."""
    n = np.rint(own.sum(axis=1) + other.sum(axis=1))
    with quiet():
        value, variance = _expected(own, other, _stacked(curves, own.shape[1]))
        value = np.minimum(np.maximum(value, 0.0), 1.0)
        low, high = interval(value, np.sqrt(variance), z, *UNIT)
    return Columns(METRICS, value, np.repeat(n[:, None], len(METRICS), axis=1), low, high)


def multiclass(
    own: Floats, other: Floats, curves: Sequence[Calibration | None], z: float
) -> dict[str, Value]:
    """Return accuracy, macro averages and one-vs-rest ROC AUC of rows in bins [K, bins] for each class.

    Each class has a curve of its own; the probabilities of a row need not sum to one, for rows are gone.
    Averages are over the classes that have a value, and their errors are taken as independent.

    >>> from tidegauge.estimate.calibration import monotone
    >>> curves = [monotone(np.array([[9.0, 9.0], [0.0, 9.0], [9.0, 9.0]]))] * 3
    >>> found = multiclass(np.array([[0.0, 5.0]] * 3), np.array([[10.0, 0.0]] * 3), curves, 1.96)
    >>> found["accuracy"].value, found["f1_macro"].value
    (1.0, 1.0)
    """
    n = round(float(own.sum()))
    every = _stacked(curves, own.shape[1])
    with quiet():
        values, variances = _expected(own, other, every)
    found = {"accuracy": _hits(own, every, n, z)}
    for at, name in enumerate(METRICS[1:], 1):
        some = ~np.isnan(values[:, at])
        parts = list(zip(values[some, at].tolist(), variances[some, at].tolist(), strict=True))
        found[MACRO.get(name, name)] = _mean(parts, n, z)
    return found


def extrapolated(own: Floats, other: Floats, curve: Calibration) -> float:
    """Return the share of rows in bins [bins] whose scores lie beyond all labelled ones; 0 of no rows.

    >>> from tidegauge.estimate.calibration import monotone
    >>> curve = monotone(np.array([[0.0, 9.0, 0.0], [0.0, 9.0, 0.0], [0.0, 9.0, 0.0]]))
    >>> extrapolated(np.array([0.0, 1.0, 1.0]), np.array([2.0, 0.0, 0.0]), curve)
    0.75
    """
    rows = own + other
    inside = float(rows[curve.first : curve.last + 1].sum())
    total = float(rows.sum())
    return 1.0 - inside / total if total > 0 else 0.0


def _stacked(curves: Sequence[Calibration | None], bins: int) -> _Curves:
    shape = len(curves), bins
    found = _Curves(
        np.zeros(len(curves), np.bool_), np.zeros(shape), np.zeros(shape, np.int64), np.zeros(shape)
    )
    for row, curve in enumerate(curves):
        if curve is not None:
            found.known[row] = True
            found.probability[row], found.block[row] = curve.probability, curve.block
            found.variance[row, : len(curve.variance)] = curve.variance
    return found._replace(block=found.block + np.arange(len(curves))[:, None] * bins)


def _expected(own: Floats, other: Floats, curves: _Curves) -> tuple[Floats, Floats]:
    """Return METRICS [rows, 5] and the variance of what will be realised; NaN where undefined.

    With T the expected rows of the class: precision TP / N1, recall TP / T, F1 2 TP / (N1 + T). A unit of
    probability of a row moves a metric by a slope, one for the rows predicted as the class, one for the rest.
    """
    c = curves.probability
    chosen, n = own.sum(axis=1), own.sum(axis=1) + other.sum(axis=1)
    hits, missed = (own * c).sum(axis=1), (other * c).sum(axis=1)
    relevant = hits + missed
    right, recall, both = hits + (other * (1 - c)).sum(axis=1), hits / relevant, chosen + relevant
    f1, zero = 2 * hits / both, np.zeros(len(n))
    plain = np.stack(
        (
            np.where(n > 0, right / n, np.nan),
            np.where(chosen > 0, hits / chosen, np.nan),
            np.where(relevant > 0, recall, np.nan),
            np.where(both > 0, f1, np.nan),
        ),
        axis=1,
    )
    slopes = np.stack((1 / n, 1 / chosen, (1 - recall) / relevant, (2 - f1) / both), axis=1)
    others = np.stack((-1 / n, zero, -recall / relevant, -f1 / both), axis=1)
    spread = _spread(own, other, curves)
    variance = slopes**2 * spread[0] + others**2 * spread[1] + slopes * others * spread[2]
    area, of_area = _area(own + other, curves)
    known = curves.known[:, None]
    values = np.where(known, np.concatenate((plain, area[:, None]), axis=1), np.nan)
    return values, np.where(known, np.concatenate((variance, of_area[:, None]), axis=1), np.nan)


def _spread(own: Floats, other: Floats, curves: _Curves) -> tuple[Floats, Floats, Floats]:
    """Return the variance [rows, 1] of metrics by their squared slopes, and by the product of both slopes.

    Labels are independent trials: sum of n_b c_b (1 - c_b) slope^2 (for the accuracy that of a Poisson
    binomial, exactly). To it comes the error of the calibration, which all rows of a block share.
    """
    chance = curves.probability * (1 - curves.probability)
    mine, rest = _by_block(own, curves), _by_block(other, curves)
    return (
        ((own * chance).sum(axis=1) + (mine * mine * curves.variance).sum(axis=1))[:, None],
        ((other * chance).sum(axis=1) + (rest * rest * curves.variance).sum(axis=1))[:, None],
        2 * (mine * rest * curves.variance).sum(axis=1)[:, None],
    )


def _by_block(rows: Floats, curves: _Curves) -> Floats:
    """Return the sums of rows [rows, bins] by the block of their bin."""
    found = np.bincount(curves.block.reshape(-1), rows.reshape(-1), rows.size)
    return found.astype(np.float64, copy=False).reshape(rows.shape)


def _area(rows: Floats, curves: _Curves) -> tuple[Floats, Floats]:
    """Return the ROC AUC of rows [rows, bins] that are positive with probability c, and its variance.

    The rows of a bin are tied.
    """
    c = curves.probability
    positive, negative = rows * c, rows * (1 - c)
    positives, negatives = (part.sum(axis=1)[:, None] for part in (positive, negative))
    below = (negative.cumsum(axis=1) - negative / 2) / negatives
    above = 1 - (positive.cumsum(axis=1) - positive / 2) / positives
    area = (positive * below).sum(axis=1) / positives[:, 0]
    slope = (below - area[:, None]) / positives - (above - area[:, None]) / negatives
    known = ((positives > 0) & (negatives > 0))[:, 0]
    slope = np.where(known[:, None], slope, 0.0)
    moved = _by_block(rows * slope, curves)
    variance = (c * (1 - c) * rows * slope**2 + moved * moved * curves.variance).sum(axis=1)
    return np.where(known, area, np.nan), variance


def _mean(parts: Sequence[tuple[float, float]], n: int, z: float) -> Value:
    if not parts or n == 0:
        return undefined(n)
    value = sum(value for value, _ in parts) / len(parts)
    error = math.sqrt(sum(variance for _, variance in parts)) / len(parts)
    return Value(value, n, *normal(value, error, z, UNIT))


def _hits(own: Floats, curves: _Curves, n: int, z: float) -> Value:
    """Return the share of rows predicted as what they are; undefined where a predicted class has no curve."""
    if n == 0 or (~curves.known & (own.sum(axis=1) > 0)).any():
        return undefined(n)
    value = float((own * curves.probability).sum()) / n
    variance = float(_spread(own, np.zeros_like(own), curves)[0].sum()) / n**2
    return Value(value, n, *normal(value, math.sqrt(variance), z, UNIT))
