"""Metrics of a confusion matrix: points by scikit-learn's definitions, intervals by the delta method.

A metric f of the weighted confusion C (actual x predicted) depends on its diagonal, its row sums and
its column sums. With T, A, P the derivatives by these, df/dC_ij = [i=j] T_i + A_i + P_j, and for f that
does not change when C is scaled the multinomial variance is sum_ij C_ij (df/dC_ij)^2.
As Agresti and Coull do for one proportion, z^2 pseudo-rows are spread evenly over the cells first, so
that a window without errors does not claim certainty.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import columns as of
from tidegauge.metrics.columns import Columns

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

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
_LEAST = np.array([0.0, 0.0, 0.0, 0.0, 0.0, -1.0])  # of AVERAGES


class Confusion(NamedTuple):
    """Sums by series; the second axis is the rows' count, sum of weights, sum of squared weights."""

    hit: Floats  # [rows, 3, K] actual and predicted class k
    actual: Floats  # [rows, 3, K]
    predicted: Floats  # [rows, 3, K]
    matrix: Floats | None  # [rows, K, K] weights, actual x predicted; None where only margins are kept

    @property
    def n(self) -> Floats:
        """The rows of each series."""
        rows: Floats = np.rint(self.actual[:, 0].sum(axis=1))
        return rows


def from_matrices(stack: Floats) -> Confusion:
    """Return the confusions of [rows, 3, K, K] counts, weights, squared weights, actual x predicted.

    >>> from_matrices(np.ones((1, 3, 2, 2))).n.tolist()
    [4.0]
    """
    stack = np.where(stack[:, :1] > 0.5, stack, 0.0)  # what corrections left of emptied cells is rounding
    hit = np.diagonal(stack, axis1=2, axis2=3)
    return Confusion(hit, stack.sum(axis=3), stack.sum(axis=2), stack[:, 1])


def from_margins(margins: Floats) -> Confusion:
    """Return the confusions of [rows, 3, 3, K]: counts, weights, squares of hits, actual and predicted.

    >>> from_margins(np.ones((1, 3, 3, 50))).n.tolist()
    [50.0]
    """
    margins = np.where(margins[:, :1] > 0.5, margins, 0.0)
    return Confusion(margins[:, :, 0], margins[:, :, 1], margins[:, :, 2], None)


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
) -> Columns:
    """Return the metrics in `names`, or those of them in `only`, of every series.

    Precision, recall and F1 are of the positive class, without one the macro averages.

    >>> cells = from_matrices(np.array([[[[3.0, 1.0], [0.0, 4.0]]] * 3]))
    >>> float(values(cells, ["no", "yes"], 1, 1.96, {"recall", "precision"}).value[0, 0])
    0.8
    """
    every = names(classes, positive)
    wanted = every if only is None else [name for name in every if name in only]
    n = confusion.n
    alias = ALIASES if positive is None else {}
    averaged = any(alias.get(name, name) in AVERAGES for name in wanted)
    chosen = slice(None) if positive is None else slice(positive, positive + 1)
    if not any(name not in AVERAGES and name not in alias and name != "accuracy" for name in wanted):
        chosen = slice(0, 0)
    parts = [_proportions(confusion, classes, positive, chosen, n, z)]
    if averaged:
        parts.append(_averages(confusion, n, z))
    found = of.beside(parts)
    if only is None and not alias:
        return found
    return found.take([alias.get(name, name) for name in wanted]).renamed(wanted)


def _proportions(
    confusion: Confusion, classes: Sequence[str], positive: int | None, chosen: slice, n: Floats, z: float
) -> Columns:
    """Return the accuracy, and precision, recall and F1 of the chosen classes.

    All are proportions, and F1 = 2J / (1 + J) is one mapped: J = hits / (hits, false alarms and misses).
    """
    hit, actual, predicted = (sums[:, :, chosen] for sums in confusion[:3])
    either = actual + predicted - hit
    whole = np.concatenate((predicted, actual, either, confusion.actual.sum(axis=2)[:, :, None]), axis=2)
    part = np.concatenate((hit[:, 1], hit[:, 1], hit[:, 1], confusion.hit[:, 1].sum(axis=1)[:, None]), axis=1)
    counts = np.rint(whole[:, 0])
    counts[:, -1] = n
    found = of.proportion(part, whole[:, 1], whole[:, 2], counts, z)
    k = hit.shape[2]
    for column in found:
        shares = column[:, 2 * k : 3 * k]
        column[:, 2 * k : 3 * k] = 2 * shares / (1 + shares)
    if positive is None:
        named = [f"{kind}[{name}]" for kind in _ONE_CLASS for name in list(classes)[:k]]
    else:
        named = list(_ONE_CLASS[: 3 * k])
    value, low, high = found
    return Columns((*named, "accuracy"), value, counts, low, high)


def _averages(confusion: Confusion, n: Floats, z: float) -> Columns:
    """Return AVERAGES. Classes without weight on either side do not count."""
    hit, actual, predicted = confusion.hit[:, 1], confusion.actual[:, 1], confusion.predicted[:, 1]
    present = (actual + predicted > 0) & (n > 0)[:, None]
    points = _points(hit, actual, predicted, present)
    counts = np.repeat(n[:, None], len(AVERAGES), axis=1)
    low = high = np.full(points.shape, np.nan)
    if confusion.matrix is not None:
        total = actual.sum(axis=1)
        n_eff = of.effective(total, confusion.actual[:, 2].sum(axis=1))
        size = present.sum(axis=1)
        there = present[:, :, None] & present[:, None, :]
        pseudo = z * z / (size * size)
        smooth = confusion.matrix * (n_eff / total)[:, None, None] + pseudo[:, None, None]
        smooth = np.where(there, smooth, 0.0)
        low, high = _intervals(smooth, present, (actual > 0) & present, points, z)
        some = ((n_eff > 1) & (size > 1))[:, None] & ~np.isnan(points)
        low, high = np.where(some, low, np.nan), np.where(some, high, np.nan)
    return Columns(AVERAGES, points, counts, low, high)


def _points(hit: Floats, actual: Floats, predicted: Floats, present: Bools) -> Floats:
    """Return AVERAGES [rows, 6] of hits, actual and predicted sums [rows, K]; NaN where undefined."""
    total, size = actual.sum(axis=1), present.sum(axis=1)
    occurs, said = actual > 0, predicted > 0
    occurring, predictions = occurs.sum(axis=1), said.sum(axis=1)
    recall = np.where(occurs, hit / actual, 0.0).sum(axis=1)
    precision = np.where(said, hit / predicted, 0.0).sum(axis=1)
    f1 = np.where(present, 2 * hit / (actual + predicted), 0.0)
    agree = hit.sum(axis=1) * total - (actual * predicted).sum(axis=1)
    mcc = _mcc(agree, total, actual, predicted)
    found = np.array(
        (
            recall / occurring,
            precision / size,
            recall / size,
            f1.sum(axis=1) / size,
            (actual * f1).sum(axis=1) / total,
            np.where(np.minimum(occurring, predictions) > 1, mcc, np.nan),
        )
    )
    return found.T


def _mcc(agree: Floats, total: Floats, actual: Floats, predicted: Floats) -> Floats:
    """Return the correlations; NaN where one class has all the weight, as far as float64 can tell."""
    free_actual = total * total - (actual * actual).sum(axis=1)
    free_predicted = total * total - (predicted * predicted).sum(axis=1)
    product = free_actual * free_predicted
    beyond = (product == 0) | np.isinf(product)
    spread = np.where(beyond, np.sqrt(free_actual) * np.sqrt(free_predicted), np.sqrt(product))
    known = (np.minimum(free_actual, free_predicted) > 0) & (spread > 0)
    found: Floats = np.where(known, agree / spread, np.nan)
    return found


def _intervals(smooth: Floats, present: Bools, occurs: Bools, points: Floats, z: float) -> of.Limits:
    """Return the intervals [rows, 6] of AVERAGES from matrices [rows, K, K] without zeros where `present`."""
    hit, actual, predicted = np.diagonal(smooth, axis1=1, axis2=2), smooth.sum(axis=2), smooth.sum(axis=1)
    centres, by_hit, by_actual, by_predicted = _gradients(hit, actual, predicted, present, occurs)
    hit, actual, predicted = hit[:, None], actual[:, None], predicted[:, None]
    variance = (
        by_hit * (by_hit + 2 * (by_actual + by_predicted)) * hit
        + by_actual * by_actual * actual
        + by_predicted * by_predicted * predicted
        + 2 * (by_actual @ smooth) * by_predicted
    ).sum(axis=2)
    low, high = of.normal(centres, np.sqrt(np.maximum(variance, 0.0)), z, _LEAST, 1.0)
    return np.minimum(low, points), np.maximum(high, points)


def _gradients(
    hit: Floats, actual: Floats, predicted: Floats, present: Bools, occurs: Bools
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return AVERAGES [rows, 6], and their derivatives [rows, 6, K] by the hit, actual, predicted sums.

    Sums [rows, K] are positive where a class is `present` and 0 elsewhere; `occurs`: as actual class.
    """
    k, rows = present.sum(axis=1)[:, None], occurs.sum(axis=1)[:, None]
    total, hits = actual.sum(axis=1)[:, None], hit.sum(axis=1)[:, None]
    free_actual = total * total - (actual * actual).sum(axis=1)[:, None]
    free_predicted = total * total - (predicted * predicted).sum(axis=1)[:, None]
    scale = 1 / np.sqrt(free_actual * free_predicted)
    mcc = (hits * total - (actual * predicted).sum(axis=1)[:, None]) * scale
    a, p = np.where(present, actual, 1.0), np.where(present, predicted, 1.0)
    both, row, one = a + p, occurs / rows, present / k
    recall, precision, f1 = hit / a, hit / p, 2 * hit / both
    weighted = (actual * f1).sum(axis=1)[:, None] / total
    share = actual / total / both
    none = np.zeros_like(hit)
    by_hit = (row / a, one / p, one / a, 2 * one / both, 2 * share, np.where(present, total * scale, 0.0))
    by_actual = (
        -row * recall / a,
        none,
        -recall / a * one,
        -f1 / both * one,
        (f1 - weighted) / total - share * f1,
        (hits - p) * scale - mcc * (total - a) / free_actual - total * mcc / free_predicted,
    )
    drop = mcc * p / free_predicted - a * scale
    by_predicted = (none, -precision / p * one, none, -f1 / both * one, -share * f1, drop)
    averages = ((row * recall), precision * one, recall * one, f1 * one)
    centres = [average.sum(axis=1) for average in averages]
    return (
        np.array((*centres, weighted[:, 0], mcc[:, 0])).T,
        np.array(by_hit).transpose(1, 0, 2),
        np.array(by_actual).transpose(1, 0, 2),
        np.array(by_predicted).transpose(1, 0, 2),
    )
