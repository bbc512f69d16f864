"""Metrics of a confusion matrix: points by scikit-learn's definitions, intervals by the delta method.

A metric f of the weighted confusion C (actual x predicted) depends on its diagonal, its row sums and
its column sums. With T, A, P the derivatives by these, df/dC_ij = [i=j] T_i + A_i + P_j, and for f that
does not change when C is scaled the multinomial variance is sum_ij C_ij (df/dC_ij)^2.
As Agresti and Coull do for one proportion, z^2 pseudo-rows are spread evenly over the cells first, so
that a window without errors does not claim certainty.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import value as of
from tidegauge.metrics.value import Value, undefined

Floats = NDArray[np.float64]
Slopes = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]

AVERAGES = (
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "f1_weighted",
    "mcc",
)
ALIASES = {"precision": "precision_macro", "recall": "recall_macro", "f1": "f1_macro"}
_ONE_CLASS = ("precision", "recall", "f1")
_OF_POSITIVE = ("accuracy", *_ONE_CLASS, *AVERAGES)


class Confusion(NamedTuple):
    """Sums over rows; the first axis is the rows' count, sum of weights, sum of squared weights."""

    hit: Floats  # [3, K] actual and predicted class k
    actual: Floats  # [3, K]
    predicted: Floats  # [3, K]
    matrix: Floats | None  # [K, K] weights, actual x predicted; None where only margins are kept

    @property
    def n(self) -> int:
        return round(float(self.actual[0].sum()))


def from_matrices(stack: Floats) -> Confusion:
    """Return the confusion of [3, K, K] counts, weights and squared weights, actual x predicted.

    >>> from_matrices(np.ones((3, 2, 2))).n
    4
    """
    stack = np.where(stack[0] > 0.5, stack, 0.0)  # what corrections left of emptied cells is rounding
    return Confusion(np.diagonal(stack, axis1=1, axis2=2), stack.sum(axis=2), stack.sum(axis=1), stack[1])


def from_margins(margins: Floats) -> Confusion:
    """Return the confusion of [3, 3, K]: counts, weights and squares of hits, actual and predicted.

    >>> from_margins(np.ones((3, 3, 50))).n
    50
    """
    margins = np.where(margins[0] > 0.5, margins, 0.0)
    return Confusion(margins[:, 0], margins[:, 1], margins[:, 2], None)


def names(classes: Sequence[str], positive: int | None) -> tuple[str, ...]:
    """Return the metrics of these classes; each class has its own where none is the positive one.

    >>> names(["a", "b"], 1)[:4]
    ('accuracy', 'precision', 'recall', 'f1')
    """
    if positive is not None:
        return _OF_POSITIVE
    return _OF_POSITIVE + tuple([f"{kind}[{name}]" for name in classes for kind in _ONE_CLASS])


def values(
    confusion: Confusion,
    classes: Sequence[str],
    positive: int | None,
    z: float,
    only: Collection[str] | None = None,
) -> dict[str, Value]:
    """Return the metrics in `names`, or those of them in `only`.

    Precision, recall and F1 are of the positive class, without one the macro averages.

    >>> cells = from_matrices(np.array([[[3.0, 1.0], [0.0, 4.0]]] * 3))
    >>> values(cells, ["no", "yes"], 1, 1.96, {"recall", "precision"})["precision"].value
    0.8
    """
    every = names(classes, positive)
    wanted = every if only is None else [name for name in every if name in only]
    n = confusion.n
    if n == 0:
        return dict.fromkeys(wanted, undefined())
    alias = ALIASES if positive is None else {}
    averages = {alias.get(name, name) for name in wanted}.intersection(AVERAGES)
    found = _averages(confusion, averages, n, z) if averages else {}
    if "accuracy" in wanted:
        weight, squares = float(confusion.actual[1].sum()), float(confusion.actual[2].sum())
        hits = float(confusion.hit[1].sum())
        found["accuracy"] = of.proportion(hits, weight, squares, n, z)
    if positive is None:
        found |= _of_each(confusion, classes, z) if any("[" in name for name in wanted) else {}
    elif any(name in _ONE_CLASS for name in wanted):
        found |= _of_class(confusion, positive, z)
    return {name: found[alias.get(name, name)] for name in wanted}


def _of_each(confusion: Confusion, classes: Sequence[str], z: float) -> dict[str, Value]:
    return {
        f"{kind}[{name}]": value
        for k, name in enumerate(classes)
        for kind, value in _of_class(confusion, k, z).items()
    }


def _of_class(confusion: Confusion, k: int, z: float) -> dict[str, Value]:
    hit, actual, predicted = (sums[:, k].tolist() for sums in confusion[:3])
    n, weight, squares = (a + p - h for h, a, p in zip(hit, actual, predicted, strict=True))
    return {
        "precision": of.proportion(hit[1], predicted[1], predicted[2], round(predicted[0]), z),
        "recall": of.proportion(hit[1], actual[1], actual[2], round(actual[0]), z),
        "f1": of.f1(hit[1], weight, squares, round(n), z),
    }


def _averages(confusion: Confusion, wanted: Collection[str], n: int, z: float) -> dict[str, Value]:
    hit, actual, predicted = confusion.hit[1], confusion.actual[1], confusion.predicted[1]
    matrix = confusion.matrix
    present = actual + predicted > 0
    if not present.all():
        hit, actual, predicted = hit[present], actual[present], predicted[present]
        matrix = None if matrix is None else matrix[np.ix_(present, present)]
    points = _points(hit, actual, predicted)
    intervals = dict.fromkeys(AVERAGES, of.NO_INTERVAL)
    total = float(actual.sum())
    n_eff = of.effective(total, float(confusion.actual[2].sum()))
    if matrix is not None and n_eff > 1 and len(hit) > 1:
        smooth = matrix * (n_eff / total) + z * z / matrix.size
        intervals = _intervals(smooth, (actual > 0).tolist(), points, z)
    return {
        name: undefined(n) if (point := points[name]) is None else Value(point, n, *intervals[name])
        for name in wanted
    }


def _points(hit: Floats, actual: Floats, predicted: Floats) -> dict[str, float | None]:
    total = float(actual.sum())
    occurring, predictions = int(np.count_nonzero(actual)), int(np.count_nonzero(predicted))
    recall = float((hit / np.where(actual > 0, actual, 1.0)).sum())
    precision = float((hit / np.where(predicted > 0, predicted, 1.0)).sum())
    f1 = 2 * hit / (actual + predicted)
    agree = float(hit.sum()) * total - float(actual @ predicted)
    return {
        "balanced_accuracy": recall / occurring,
        "precision_macro": precision / len(hit),
        "recall_macro": recall / len(hit),
        "f1_macro": float(f1.sum()) / len(hit),
        "f1_weighted": float(actual @ f1) / total,
        "mcc": _mcc(agree, total, actual, predicted) if min(occurring, predictions) > 1 else None,
    }


def _mcc(agree: float, total: float, actual: Floats, predicted: Floats) -> float | None:
    """Return the correlation; None where one class has all the weight, as far as float64 can tell."""
    free_actual = total * total - float(actual @ actual)
    free_predicted = total * total - float(predicted @ predicted)
    if min(free_actual, free_predicted) <= 0:
        return None
    product = free_actual * free_predicted
    beyond = product == 0 or math.isinf(product)
    spread = math.sqrt(free_actual) * math.sqrt(free_predicted) if beyond else math.sqrt(product)
    return agree / spread if spread > 0 else None


def _intervals(
    matrix: Floats, occurs: list[bool], points: dict[str, float | None], z: float
) -> dict[str, of.Interval]:
    """Return the intervals of AVERAGES from a matrix [K, K] without zeros; `occurs` as actual class."""
    hit, actual, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    centres, slopes = _gradients(hit.tolist(), actual.tolist(), predicted.tolist(), occurs)
    by_hit, by_actual, by_predicted = np.array(slopes).transpose(1, 2, 0)
    variance = (
        (by_hit * (by_hit + 2 * (by_actual + by_predicted))) @ hit
        + by_actual**2 @ actual
        + by_predicted**2 @ predicted
        + 2 * ((by_actual @ matrix) * by_predicted).sum(axis=1)
    )
    found: dict[str, of.Interval] = {}
    for name, centre, square in zip(AVERAGES, centres, variance.tolist(), strict=True):
        legal = of.SIGNED_UNIT if name == "mcc" else of.UNIT
        low, high = of.normal(centre, math.sqrt(max(square, 0.0)), z, legal)
        point = points[name]
        found[name] = (low, high) if point is None else (min(low, point), max(high, point))
    return found


def _gradients(
    hit: list[float], actual: list[float], predicted: list[float], occurs: list[bool]
) -> tuple[list[float], list[Slopes]]:
    """Return the AVERAGES, and for each class their derivatives by its hit, actual, predicted sums.

    A loop over the (at most MATRIX_CLASSES) classes: for a few of them numpy takes four times as long.
    """
    k, total, hits, rows = len(hit), sum(actual), sum(hit), sum(occurs)
    free_actual = total * total - sum(a * a for a in actual)
    free_predicted = total * total - sum(p * p for p in predicted)
    scale = 1 / math.sqrt(free_actual * free_predicted)
    mcc = (hits * total - sum(map(operator.mul, actual, predicted))) * scale
    scores = [(h / a, h / p, 2 * h / (a + p)) for h, a, p in zip(hit, actual, predicted, strict=True)]
    weighted = sum(a * score[2] for a, score in zip(actual, scores, strict=True)) / total
    slopes: list[Slopes] = []
    balanced = 0.0
    for a, p, here, (recall, precision, f1) in zip(actual, predicted, occurs, scores, strict=True):
        row, both, share = here / rows, a + p, a / total / (a + p)
        balanced += row * recall
        by_hit = (row / a, 1 / p / k, 1 / a / k, 2 / both / k, 2 * share, total * scale)
        fewer = total * mcc / free_predicted
        by_actual = (
            -row * recall / a,
            0.0,
            -recall / a / k,
            -f1 / both / k,
            (f1 - weighted) / total - share * f1,
            (hits - p) * scale - mcc * (total - a) / free_actual - fewer,
        )
        drop = mcc * p / free_predicted - a * scale
        by_predicted = (0.0, -precision / p / k, 0.0, -f1 / both / k, -share * f1, drop)
        slopes.append((by_hit, by_actual, by_predicted))
    recalls, precisions, f1s = (sum(column) / k for column in zip(*scores, strict=True))
    return [balanced, precisions, recalls, f1s, weighted, mcc], slopes
