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

from tidegauge.block import Floats
from tidegauge.estimate.calibration import Calibration
from tidegauge.metrics.value import UNIT, Value, normal, undefined

METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")
MACRO = {name: f"{name}_macro" for name in ("precision", "recall", "f1")}


class _Expected(NamedTuple):
    """A metric's expected value, and its slopes: by how much a unit of probability of a row moves it."""

    value: float
    own: Floats  # [bins]
    other: Floats  # [bins]


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
    n = round(float(own.sum() + other.sum()))
    if curve is None or n == 0:
        return dict.fromkeys(METRICS, undefined(n))
    found = _expected(own, other, curve.probability)
    return {
        name: undefined(n) if one is None else _value(one, n, _spread(one, own, other, curve), z)
        for name, one in found.items()
    }


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
    singles = [
        {} if curve is None else _with_variance(own[k], other[k], curve) for k, curve in enumerate(curves)
    ]
    found = {"accuracy": _hits(own, curves, n, z)}
    for name in METRICS[1:]:
        parts = [one[name] for one in singles if name in one]
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


def _expected(own: Floats, other: Floats, c: Floats) -> dict[str, _Expected | None]:
    """Return each metric with its slopes; None where it is undefined.

    With T the expected rows of the class: precision TP / N1, recall TP / T, F1 2 TP / (N1 + T).
    """
    ones, zeros = np.ones(len(c)), np.zeros(len(c))
    n, chosen = float(own.sum() + other.sum()), float(own.sum())
    hits = float((own * c).sum())
    relevant = hits + float((other * c).sum())
    right = hits + float((other * (1 - c)).sum())
    found: dict[str, _Expected | None] = {
        "accuracy": _Expected(right / n, ones / n, -ones / n),
        "precision": _Expected(hits / chosen, ones / chosen, zeros) if chosen > 0 else None,
        "recall": None,
        "f1": None,
        "roc_auc": _area(own + other, c),
    }
    if relevant > 0:
        recall = hits / relevant
        found["recall"] = _Expected(recall, ones * (1 - recall) / relevant, -ones * recall / relevant)
    if chosen + relevant > 0:
        both = chosen + relevant
        f1 = 2 * hits / both
        found["f1"] = _Expected(f1, ones * (2 - f1) / both, -ones * f1 / both)
    return found


def _area(rows: Floats, c: Floats) -> _Expected | None:
    """Return the ROC AUC of rows [bins] that are positive with probability c; a bin's rows are tied."""
    positive, negative = rows * c, rows * (1 - c)
    positives, negatives = float(positive.sum()), float(negative.sum())
    if positives <= 0 or negatives <= 0:
        return None
    below = (negative.cumsum() - negative / 2) / negatives
    above = 1 - (positive.cumsum() - positive / 2) / positives
    area = float((positive * below).sum()) / positives
    slope = (below - area) / positives - (above - area) / negatives
    return _Expected(area, slope, slope)


def _spread(one: _Expected, own: Floats, other: Floats, curve: Calibration) -> float:
    """Return the variance of a realised metric about its expected value, by its slopes (delta method).

    Labels are independent trials: sum of n_b c_b (1 - c_b) slope^2 (for the accuracy that of a Poisson
    binomial, exactly). To it comes the error of the calibration, which all rows of a block share.
    """
    c = curve.probability
    chance = float((c * (1 - c) * (own * one.own**2 + other * one.other**2)).sum())
    moved = np.bincount(curve.block, own * one.own + other * one.other, len(curve.variance))
    return chance + float((moved**2 * curve.variance).sum())


def _value(one: _Expected, n: int, variance: float, z: float) -> Value:
    value = min(max(one.value, 0.0), 1.0)
    return Value(value, n, *normal(value, math.sqrt(variance), z, UNIT))


def _with_variance(own: Floats, other: Floats, curve: Calibration) -> dict[str, tuple[float, float]]:
    """Return (value, variance) of the metrics of one class against the rest, where they are defined."""
    if own.sum() + other.sum() <= 0:
        return {}
    found = _expected(own, other, curve.probability)
    return {name: (one.value, _spread(one, own, other, curve)) for name, one in found.items() if one}


def _mean(parts: Sequence[tuple[float, float]], n: int, z: float) -> Value:
    if not parts or n == 0:
        return undefined(n)
    value = sum(value for value, _ in parts) / len(parts)
    error = math.sqrt(sum(variance for _, variance in parts)) / len(parts)
    return Value(value, n, *normal(value, error, z, UNIT))


def _hits(own: Floats, curves: Sequence[Calibration | None], n: int, z: float) -> Value:
    """Return the share of rows predicted as what they are; undefined where a predicted class has no curve."""
    value, variance = 0.0, 0.0
    for rows, curve in zip(own, curves, strict=True):
        if rows.sum() <= 0:
            continue
        if curve is None:
            return undefined(n)
        one = _Expected(float((rows * curve.probability).sum()) / n, np.full(len(rows), 1 / n), rows * 0)
        value += one.value
        variance += _spread(one, rows, rows * 0, curve)
    return Value(value, n, *normal(value, math.sqrt(variance), z, UNIT)) if n else undefined()
