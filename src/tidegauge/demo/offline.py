"""Metrics offline, straight from scikit-learn and numpy: rows in, expectations out."""

# ruff: noqa: PLC0415 - what only the extra `demo` brings is imported when it is used
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.demo.expected import Expected, exactly

Floats = NDArray[np.float64]
Found = dict[str, Expected]

_OF_ONE = ("precision", "recall", "f1")  # of a class
_AVERAGES = ("accuracy", "balanced_accuracy", *(f"{name}_macro" for name in _OF_ONE), "f1_weighted", "mcc")


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns [outcomes] of one series and window."""

    predicted: list[Any]  # class texts, or numbers
    actual: list[Any]
    proba: list[Any]  # None, a number, or a dictionary
    weight: Floats

    def __len__(self) -> int:
        return len(self.predicted)


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a model, and the positive one of a binary task."""

    names: list[str]
    positive: str | None


@dataclass(frozen=True, slots=True)
class Bins:
    """The product's bins, where it keeps no single outcomes: their number; None: it keeps outcomes."""

    score: int | None
    calibration: int


def class_text(value: Any) -> str:
    """Return the name of a class as the documentation defines it.

    >>> class_text(True), class_text(1.0), class_text("cat")
    ('1', '1', 'cat')
    """
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def regression(rows: Rows) -> Found:
    """Return the metrics of a regression: MAPE leaves out actual zeros, sMAPE rows of two zeros."""
    from sklearn import metrics

    if not len(rows):
        return dict.fromkeys(("mae", "rmse", "mape", "smape", "bias", "r2"), exactly(None, 0))
    predicted, actual, weight = np.array(rows.predicted, float), np.array(rows.actual, float), rows.weight
    error, size = predicted - actual, np.abs(predicted) + np.abs(actual)
    mape, smape = (
        _mean_ratio(np.abs(error), np.abs(actual), weight),
        _mean_ratio(2 * np.abs(error), size, weight),
    )
    varied = len(np.unique(actual)) > 1
    return {
        "mae": exactly(metrics.mean_absolute_error(actual, predicted, sample_weight=weight)),
        "rmse": exactly(metrics.root_mean_squared_error(actual, predicted, sample_weight=weight)),
        "mape": mape,
        "smape": smape,
        "bias": exactly(np.average(error, weights=weight)),
        "r2": exactly(metrics.r2_score(actual, predicted, sample_weight=weight) if varied else None),
    }


def _mean_ratio(part: Floats, whole: Floats, weight: Floats) -> Expected:
    some = whole > 0
    if not some.any():
        return exactly(None, 0)
    return exactly(np.average(part[some] / whole[some], weights=weight[some]), int(some.sum()))


def classification(rows: Rows, classes: Classes, bins: Bins) -> Found:
    """Return the metrics of a classification; the order metrics with the bounds that `bins` leave."""
    return _of_classes(rows, classes) | _of_scores(rows, classes, bins)


def confusion(rows: Rows, classes: list[str]) -> list[list[int]]:
    """Return the numbers of rows by actual and predicted class, in the order of `classes`."""
    from sklearn import metrics

    if not len(rows):
        return [[0] * len(classes) for _ in classes]
    matrix: list[list[int]] = metrics.confusion_matrix(rows.actual, rows.predicted, labels=classes).tolist()
    return matrix


def _of_classes(rows: Rows, classes: Classes) -> Found:
    found = _averages(rows, classes) if len(rows) else dict.fromkeys(_AVERAGES, exactly(None, 0))
    found |= {name: found[f"{name}_macro"] for name in _OF_ONE}
    actual, predicted = np.array(rows.actual, object), np.array(rows.predicted, object)
    for name in classes.names if classes.positive is None else [classes.positive]:
        own = _of_one(actual == name, predicted == name, rows.weight)
        suffix = f"[{name}]" if classes.positive is None else ""
        found |= {f"{metric}{suffix}": value for metric, value in own.items()}
    return found


def _averages(rows: Rows, classes: Classes) -> Found:
    """Return accuracy and the averages over the classes that occur, in either column."""
    from sklearn import metrics as sk

    pair, n = (rows.actual, rows.predicted), len(rows)
    present = sorted({*rows.actual, *rows.predicted})
    weighted: dict[str, Any] = {"sample_weight": rows.weight}
    scored: dict[str, Any] = {"labels": present, "zero_division": 0, **weighted}
    matrix = sk.confusion_matrix(*pair, labels=sorted({*classes.names, *present}), **weighted)
    support = matrix.sum(axis=1)
    recalls = matrix.diagonal()[support > 0] / support[support > 0]
    macro = sk.precision_recall_fscore_support(*pair, average="macro", **scored)
    both_vary = min(len({*rows.actual}), len({*rows.predicted})) > 1
    return {
        "accuracy": exactly(sk.accuracy_score(*pair, **weighted), n),
        "balanced_accuracy": exactly(float(recalls.mean()), n),
        **{f"{name}_macro": exactly(value, n) for name, value in zip(_OF_ONE, macro[:3], strict=True)},
        "f1_weighted": exactly(sk.f1_score(*pair, average="weighted", **scored), n),
        "mcc": exactly(sk.matthews_corrcoef(*pair, **weighted) if both_vary else None, n),
    }


def _of_one(actual: NDArray[np.bool_], predicted: NDArray[np.bool_], weight: Floats) -> Found:
    """Return precision, recall and F1 of one class; each None where nothing could have been right."""
    hit = float(weight[actual & predicted].sum())
    claimed, true, either = predicted.sum(), actual.sum(), (actual | predicted).sum()
    return {
        "precision": exactly(hit / float(weight[predicted].sum()) if claimed else None, int(claimed)),
        "recall": exactly(hit / float(weight[actual].sum()) if true else None, int(true)),
        "f1": exactly(
            2 * hit / float(weight[actual].sum() + weight[predicted].sum()) if either else None, int(either)
        ),
    }


def _of_scores(rows: Rows, classes: Classes, bins: Bins) -> Found:
    known = [place for place, proba in enumerate(rows.proba) if proba is not None]
    names = ("roc_auc", "pr_auc", "log_loss", "brier", "ece")
    if not known:
        return dict.fromkeys(names, exactly(None))
    matrix = np.array([_row(rows.proba[place], classes) for place in known], float)
    actual = np.array([classes.names.index(rows.actual[place]) for place in known])
    weight = rows.weight[known]
    hits = np.eye(len(classes.names))[actual]
    true_class = np.clip(matrix[np.arange(len(actual)), actual], np.finfo(float).eps, 1.0)
    squares = (matrix - hits) ** 2
    binary = classes.positive is not None
    positive = classes.names.index(classes.positive) if classes.positive is not None else 0
    found = {
        "log_loss": exactly(np.average(-np.log(true_class), weights=weight)),
        "brier": exactly(np.average(squares[:, positive] if binary else squares.sum(axis=1), weights=weight)),
    }
    columns = [positive] if binary else range(len(classes.names))
    orders = [order(actual == column, matrix[:, column], weight, bins.score) for column in columns]
    for name, pair in (("roc_auc", 0), ("pr_auc", 1)):
        ranges = [one[pair] for one in orders if one[pair].low is not None]
        found[name] = _mean(ranges) if ranges else exactly(None)
    if binary:
        found["ece"] = exactly(
            calibration_error(actual == positive, matrix[:, positive], weight, bins.calibration)
        )
    else:
        top = matrix.argmax(axis=1)
        found["ece"] = exactly(calibration_error(top == actual, matrix.max(axis=1), weight, bins.calibration))
    return found


def _row(proba: Any, classes: Classes) -> list[float]:
    if isinstance(proba, dict):
        return [float(proba.get(name, 0.0)) for name in classes.names]
    return [float(proba) if name == classes.positive else 1.0 - float(proba) for name in classes.names]


def _mean(ranges: list[Expected]) -> Expected:
    low, high = ([getattr(one, end) for one in ranges] for end in ("low", "high"))
    return Expected(float(np.mean(low)), float(np.mean(high)))


def order(
    hit: NDArray[np.bool_], score: Floats, weight: Floats, bins: int | None
) -> tuple[Expected, Expected]:
    """Return what ROC AUC and average precision may be when scores are only known to the bin.

    ROC AUC is then off by half the pairs inside bins at most; average precision lies between that of
    all positives last and that of all positives first in their bins. With `bins` None the values are
    exact. Both are None without positives and negatives.
    """
    from sklearn import metrics

    if hit.all() or not hit.any():
        return exactly(None), exactly(None)
    area = float(metrics.roc_auc_score(hit, score, sample_weight=weight))
    if bins is None:
        return exactly(area), exactly(metrics.average_precision_score(hit, score, sample_weight=weight))
    cell = score_bin(score, bins)
    positive: Floats = np.bincount(cell, weight * hit, bins)[::-1].astype(np.float64)
    negative: Floats = np.bincount(cell, weight * ~hit, bins)[::-1].astype(np.float64)
    bound = float(positive @ negative / (2 * positive.sum() * negative.sum()))
    return Expected(area - bound, area + bound), _precision_range(positive, negative)


def score_bin(score: Floats, bins: int) -> NDArray[np.int64]:
    """Return the bin of each probability: half of the bins even in p, half even in logit p up to +-14."""
    edge = 1 / (1 + math.exp(14))
    inner = np.minimum(np.maximum(score, edge), 1 - edge)
    place = bins / 2 * (score + 0.5 + (np.log(inner) - np.log1p(-inner)) / 28)
    return np.minimum(np.maximum(place, 0), bins - 1).astype(np.int64)


def _precision_range(positive: Floats, negative: Floats) -> Expected:
    """Return the least and greatest average precision of weights [bins] by falling score."""
    hits = alarms = low = high = 0.0
    for own, other in zip(positive.tolist(), negative.tolist(), strict=True):
        if own:
            high += own * (hits + own) / (hits + own + alarms)
            lost = alarms + other
            low += own - (lost * math.log((hits + own + lost) / (hits + lost)) if lost else 0.0)
        hits, alarms = hits + own, alarms + other
    return Expected(low / hits, high / hits)


def calibration_error(hit: NDArray[np.bool_], score: Floats, weight: Floats, bins: int) -> float:
    """Return the expected calibration error over `bins` equal bins of [0, 1]."""
    cell = np.minimum((score * bins).astype(int), bins - 1)
    total = 0.0
    for number in np.unique(cell):
        own = cell == number
        total += abs(float((weight[own] * (hit[own] - score[own])).sum()))
    return total / math.fsum(weight)
