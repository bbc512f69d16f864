"""A baseline file from a table of rows: training or validation data, with or without labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from tidegauge.baseline.tables import Column, Table
from tidegauge.baseline_file import (
    BaselineFile,
    Histogram,
    Loss,
    PredictionHistogram,
    ReferenceMetric,
)
from tidegauge.block import Floats, Ints
from tidegauge.config import Settings
from tidegauge.drift import reference
from tidegauge.drift.frozen import histogram_of
from tidegauge.errors import ConfigError
from tidegauge.metrics.classification import Classification
from tidegauge.metrics.order import ORDER, exact_order_metrics
from tidegauge.metrics.regression import Regression
from tidegauge.metrics.scores import bin_of
from tidegauge.metrics.value import Value
from tidegauge.monitor.scored import OTHERS, OWN, SCORE
from tidegauge.monitor.tasks import Decision, Evidence, class_text, decide

FORMAT: Final = 1


class Roles(NamedTuple):
    """Which columns are what. `scores` maps a class to its probability's column, "" to a lone score's."""

    prediction: str | None = None
    label: str | None = None
    scores: Mapping[str, str] = {}
    features: Sequence[str] | None = None  # None: every other column
    without: Sequence[str] = ()


class About(NamedTuple):
    """What a baseline is of."""

    model_id: str
    model_version: str | None = None
    name: str = ""
    made_at: str = ""


class Named(NamedTuple):
    """A column as classes: a code [rows] into names, -1 for null."""

    names: list[str]
    codes: Ints


def fit(table: Table, roles: Roles, about: About, settings: Settings) -> BaselineFile:
    """Return the baseline of a table's rows; raises ConfigError where a column is not there.

    Bins, metrics and score bins are those that the monitor has under the same settings.
    """
    features = {name: _histogram(column, settings) for name, column in _features(table, roles).items()}
    predicted, actual = _column(table, roles.prediction), _column(table, roles.label)
    scores = {name: _numbers(table, column) for name, column in roles.scores.items()}
    decision = _decide(predicted, actual, scores, about.model_id, settings)
    found = BaselineFile(
        tidegauge_baseline=FORMAT,
        **about._asdict(),
        rows=table.rows,
        features=features,
        prediction=_predictions(predicted, scores, settings),
    )
    if decision is None or actual is None or decision.task == "ranking":
        return found
    return _with_labels(found, decision, predicted, actual, scores, settings)


def _with_labels(
    found: BaselineFile,
    decision: Decision,
    predicted: Column | None,
    actual: Column,
    scores: Mapping[str, Floats],
    settings: Settings,
) -> BaselineFile:
    if decision.task == "regression":
        more = _regression(predicted, actual, settings) if predicted else {}
        return replace(found, task="regression", **more)
    classes, labels = decision.classes, _codes(_named(actual), decision.classes)
    counts = np.bincount(labels[labels >= 0], minlength=len(classes)).tolist()
    more = {
        "task": decision.task,
        "positive_class": decision.positive,
        "classes": dict(zip(classes, counts, strict=True)),
        "scores": _score_bins(scores, labels, classes, settings.monitor.score_bins),
    }
    if predicted and len(classes) <= settings.monitor.classes:
        guesses = _codes(_named(predicted), classes)
        more |= _classification(guesses, labels, scores, decision, settings)
    return replace(found, **more)


def _features(table: Table, roles: Roles) -> dict[str, Column]:
    if roles.features is not None:
        return {name: column for name in roles.features if (column := _column(table, name))}
    taken = {roles.prediction, roles.label, *roles.scores.values(), *roles.without}
    for name in roles.without:
        _column(table, name)
    return {name: column for name, column in table.columns.items() if name not in taken}


def _column(table: Table, name: str | None) -> Column | None:
    if name is None:
        return None
    found = table.columns.get(name)
    if found is None:
        there = ", ".join(table.columns)
        raise ConfigError(f"no column {name!r} of numbers or texts; expected one of {there}")
    return found


def _numbers(table: Table, name: str) -> Floats:
    column = _column(table, name)
    assert column is not None  # it was named
    scores = column.numbers
    if len(column.texts) or not ((scores >= 0) & (scores <= 1) | np.isnan(scores)).all():
        raise ConfigError(f"column {name!r}: expected probabilities between 0 and 1")
    return scores


def _histogram(column: Column, settings: Settings) -> Histogram:
    drift, texts = settings.drift, column.texts
    numbers = column.numbers[~np.isnan(column.numbers)]
    nulls = len(column.numbers) - len(numbers) - len(texts)
    bins = reference.fit(numbers, texts, nulls, drift.bins, drift.max_categories)
    return histogram_of(bins, numbers if bins.kind == "numeric" else None)


def _predictions(
    predicted: Column | None, scores: Mapping[str, Floats], settings: Settings
) -> PredictionHistogram | None:
    """Return the bins of what the monitor counts of a prediction: a lone score, else its number or class."""
    if "" in scores:
        none = np.full(len(scores[""]), -1)
        return PredictionHistogram(
            column="score", histogram=_histogram(Column(scores[""], none, []), settings)
        )
    if predicted is None:
        return None
    found = _histogram(predicted, settings)
    return PredictionHistogram(column="number" if found.kind == "numeric" else "class", histogram=found)


def _decide(
    predicted: Column | None,
    actual: Column | None,
    scores: Mapping[str, Floats],
    model_id: str,
    settings: Settings,
) -> Decision | None:
    if actual is None:
        return None
    columns = [column for column in (predicted, actual) if column is not None]
    numbers = frozenset(
        np.unique(np.concatenate([c.numbers[~np.isnan(c.numbers)] for c in columns])).tolist()
    )
    texts = frozenset(text for column in columns for text in column.strings)
    evidence = Evidence(len(actual.codes), numbers, texts, frozenset(scores) - {""}, "" in scores)
    return decide(settings.model(model_id), evidence, enough=0)


def _named(column: Column) -> Named:
    numbers, place = np.unique(column.numbers[~np.isnan(column.numbers)], return_inverse=True)
    names = [*map(class_text, numbers.tolist()), *column.strings]
    codes = np.where(column.codes >= 0, column.codes + len(numbers), -1)
    codes[~np.isnan(column.numbers)] = place
    return Named(names, codes)


def _codes(named: Named, classes: Sequence[str]) -> Ints:
    """Return the codes [rows] of the classes in their order, -1 for null."""
    code = {name: place for place, name in enumerate(classes)}
    table = np.array([*(code.get(name, -1) for name in named.names), -1], np.int64)
    return table[named.codes]


def _score_bins(
    scores: Mapping[str, Floats], labels: Ints, classes: Sequence[str], bins: int
) -> dict[str, tuple[int, ...]]:
    found = {}
    for name, score in scores.items():
        usable = (labels >= 0) & ~np.isnan(score)
        at, label = bin_of(score[usable], bins), labels[usable]
        if name == "":
            masks = {f"{SCORE}:{one}": label == code for code, one in enumerate(classes)}
        else:
            own = label == classes.index(name)
            masks = {f"{OWN}:{name}": own, f"{OTHERS}:{name}": ~own}
        for key, mask in masks.items():
            found[key] = tuple(np.bincount(at[mask], minlength=bins).tolist())
    return found


def _classification(
    guesses: Ints, labels: Ints, scores: Mapping[str, Floats], decision: Decision, settings: Settings
) -> dict[str, object]:
    monitor, classes = settings.monitor, decision.classes
    usable = (guesses >= 0) & (labels >= 0)
    predicted, actual = guesses[usable].astype(np.int32), labels[usable].astype(np.int32)
    family = Classification(max(2, len(classes)), monitor.score_bins, monitor.calibration_bins)
    names = [*classes, *["(none)"] * (family.classes - len(classes))]
    positive = names.index(decision.positive) if decision.positive in names else None
    proba = np.full((len(actual), family.classes), np.nan)
    for name, score in scores.items():
        if name == "" and positive is not None:
            proba[:, positive], proba[:, 1 - positive] = score[usable], 1 - score[usable]
        elif name in names:
            proba[:, names.index(name)] = score[usable]
    ones = np.ones(len(actual))
    index, amount = family.cells(predicted, actual, proba, ones)
    cells = np.bincount(index.reshape(-1), amount.reshape(-1), family.width).astype(np.float64)
    values = family.values(cells, names, positive, confidence=monitor.confidence)
    if len(actual) and not np.isnan(proba).all():
        exact = exact_order_metrics(actual, proba, ones, positive, monitor.confidence)
        values |= {name: exact[name] for name in ORDER if name in values}
    return {"metrics": _metrics(values), "loss": _loss((predicted != actual).astype(np.float64))}


def _regression(predicted: Column, actual: Column, settings: Settings) -> dict[str, object]:
    usable = np.isfinite(predicted.numbers) & np.isfinite(actual.numbers)
    guess, truth = predicted.numbers[usable], actual.numbers[usable]
    if not len(truth):
        return {}
    family = Regression(float(truth[0]))
    index, amount = family.cells(guess, truth, np.ones(len(truth)))
    cells = np.bincount(index.reshape(-1), amount.reshape(-1), family.width).astype(np.float64)
    values = family.values(cells, confidence=settings.monitor.confidence)
    return {"metrics": _metrics(values), "loss": _loss(np.abs(guess - truth))}


def _metrics(values: Mapping[str, Value]) -> dict[str, ReferenceMetric]:
    return {
        name: ReferenceMetric(value=found.value, n=found.n, low=_finite(found.low), high=_finite(found.high))
        for name, found in values.items()
        if found.value is not None and math.isfinite(found.value)
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _loss(errors: Floats) -> Loss | None:
    if not len(errors):
        return None
    return Loss(n=len(errors), mean=float(errors.mean()), variance=float(errors.var()))
