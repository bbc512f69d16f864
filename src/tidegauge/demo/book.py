"""The outcomes of the whole stream, opened at a series and a window."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tidegauge.config import Settings, duration_ms
from tidegauge.demo.expected import about_quantile, exactly
from tidegauge.demo.offline import Bins, Classes, Found, Rows, class_text, classification, regression
from tidegauge.demo.oracle import Truth
from tidegauge.demo.reading import Made, Told
from tidegauge.demo.stored import Series

_QUANTILES = (50, 90, 95, 99)
_SKETCH_ERROR = 0.01  # relative, of latency and label delay


class Seen(NamedTuple):
    """An outcome row in the order in which the monitor took it."""

    prediction_id: str
    revision: int
    sign: int
    block: int  # the monitor judges at the end of each


@dataclass(slots=True)
class _Version:
    ids: list[str] = field(default_factory=list)  # of predictions
    at_ms: list[int] = field(default_factory=list)
    order: list[str] = field(default_factory=list)  # of first outcomes
    values: set[tuple[str, str]] = field(default_factory=set)  # of segments


class Task(NamedTuple):
    """What a model predicts, as its outcomes show."""

    name: str
    classes: Classes


class Book:
    """Truth and order, by model and version."""

    def __init__(self, truth: Truth, order: Iterable[Seen], settings: Settings) -> None:
        self._truth = truth
        self._settings = settings
        self._versions: dict[tuple[str, str], _Version] = {}
        for prediction_id, made in truth.predictions.items():
            version = self._versions.setdefault((made.model, made.version), _Version())
            version.ids.append(prediction_id)
            version.at_ms.append(made.at_ms)
            version.values.update(made.segments)
        self.revisions = self._take_order(order)
        self.watermarks: dict[str, int] = {}
        for (model, _), version in self._versions.items():
            self.watermarks[model] = max(self.watermarks.get(model, 0), *version.at_ms)
        self.tasks = {model: self._task(model) for model in self.watermarks}

    def _take_order(self, order: Iterable[Seen]) -> dict[str, int]:
        """Return the highest revision of each outcome that was seen; keep the order of the first ones."""
        newest: dict[str, int] = {}
        for seen in order:
            if seen.sign > 0:
                if seen.prediction_id not in newest and (
                    made := self._truth.predictions.get(seen.prediction_id)
                ):
                    self._versions[made.model, made.version].order.append(seen.prediction_id)
                newest[seen.prediction_id] = max(newest.get(seen.prediction_id, 0), seen.revision)
        return newest

    def series(self) -> list[Series]:
        """Return every series that must be there."""
        found = []
        for (model, version), content in self._versions.items():
            watched = self._settings.model(model).segments
            found.append(Series(model, version))
            found += [Series(model, version, pair) for pair in sorted(content.values) if pair[0] in watched]
        return found

    def windows(self) -> list[str]:
        """Return the names of the windows that are set."""
        monitor = self._settings.monitor
        return [*map(str, monitor.count_windows), *monitor.time_windows]

    def expect(self, series: Series, window: str, at_ms: int) -> tuple[Found, Rows]:
        """Return the metrics of a series over a window as of a watermark, and the rows they are of."""
        timed = window in self._settings.monitor.time_windows
        ids = self.in_time(series, window, at_ms) if timed else self.last(series, int(window))
        outcomes = [prediction_id for prediction_id in ids if prediction_id in self._truth.outcomes]
        rows = self.rows(series.model, outcomes)
        found = self.quality(series.model, rows, timed) | {"n": exactly(len(outcomes))}
        return (found | self._traffic(series.model, ids, outcomes, window) if timed else found), rows

    def in_time(self, series: Series, window: str, at_ms: int) -> list[str]:
        """Return the ids predicted in the panes of a time window."""
        version = self._versions[series.model, series.version]
        pane = duration_ms(window) // self._settings.monitor.panes
        newest = at_ms // pane * pane
        oldest = newest - pane * (self._settings.monitor.panes - 1)
        times = np.array(version.at_ms)
        places = np.flatnonzero((times >= oldest) & (times < newest + pane)).tolist()
        return [version.ids[place] for place in places if self._belongs(version.ids[place], series)]

    def last(self, series: Series, count: int) -> list[str]:
        """Return the ids of the last `count` outcomes in the monitor's order."""
        ids: list[str] = []
        for prediction_id in reversed(self._versions[series.model, series.version].order):
            if len(ids) == count:
                break
            if self._belongs(prediction_id, series):
                ids.append(prediction_id)
        return ids

    def first(self, series: Series, count: int) -> Rows:
        """Return the first `count` outcomes in the monitor's order, with their first labels."""
        order = self._versions[series.model, series.version].order
        mine = (prediction_id for prediction_id in order if self._belongs(prediction_id, series))
        ids = list(itertools.islice(mine, count))
        return self.rows(series.model, ids, [self.label(prediction_id, 0) for prediction_id in ids])

    def label(self, prediction_id: str, revision: int) -> Told:
        """Return the label of a revision: labels replaced while they waited are no revisions."""
        labels = self._truth.revisions.get(prediction_id, [self._truth.outcomes[prediction_id]])
        hidden = len(labels) - 1 - self.revisions.get(prediction_id, 0)
        return labels[max(hidden, 0) + revision]

    def ordered(self, series: Series) -> list[str]:
        """Return the ids of a series' outcomes in the monitor's order."""
        order = self._versions[series.model, series.version].order
        return [prediction_id for prediction_id in order if self._belongs(prediction_id, series)]

    def quality(self, model: str, rows: Rows, binned: bool) -> Found:
        """Return the metrics of the model's task."""
        task, monitor = self.tasks[model], self._settings.monitor
        if task.name == "regression":
            return regression(rows)
        return classification(
            rows, task.classes, Bins(monitor.score_bins if binned else None, monitor.calibration_bins)
        )

    def rows(self, model: str, ids: Sequence[str], labels: Sequence[Told] | None = None) -> Rows:
        """Return the outcomes as columns, under their final labels unless others are given."""
        named = self.tasks[model].name != "regression"
        made = [self._truth.predictions[prediction_id] for prediction_id in ids]
        told = (
            labels if labels is not None else [self._truth.outcomes[prediction_id] for prediction_id in ids]
        )
        predicted, actual = [row.prediction for row in made], [label.what[0] for label in told]
        return Rows(
            [class_text(value) for value in predicted] if named else predicted,
            [class_text(value) for value in actual] if named else actual,
            [row.proba for row in made],
            np.array([label.what[1] for label in told], float),
        )

    def _traffic(self, model: str, ids: list[str], outcomes: list[str], window: str) -> Found:
        made = [self._truth.predictions[prediction_id] for prediction_id in ids]
        judged = [self._truth.predictions[prediction_id] for prediction_id in outcomes]
        told = [self._truth.outcomes[prediction_id] for prediction_id in outcomes]
        delay = np.array([max(t.at_ms - m.at_ms, 0) / 1_000 for t, m in zip(told, judged, strict=True)])
        latency = np.array([row.latency_ms for row in made if row.latency_ms is not None])
        found = {
            "predictions": exactly(len(ids)),
            "coverage": exactly(len(outcomes) / len(ids) if ids else None),
            "throughput_per_s": exactly(len(ids) / (duration_ms(window) / 1_000)),
            "value.sum": exactly(sum(row.value or 0.0 for row in made)),
        }
        for percent in _QUANTILES:
            found[f"latency_p{percent}_ms"] = about_quantile(latency, percent / 100, _SKETCH_ERROR)
            found[f"label_delay_p{percent}_s"] = about_quantile(delay, percent / 100, _SKETCH_ERROR)
        for name in sorted({name for row in made for name in row.resources}):
            used = [row.resources[name] for row in made if name in row.resources]
            found[f"resource.{name}.mean"] = exactly(float(np.mean(used)), len(used))
        return found | self._kpis(model, judged, told)

    def _kpis(self, model: str, judged: list[Made], told: list[Told]) -> Found:
        found: Found = {}
        good = np.array([self._goodness(model, m, t) for m, t in zip(judged, told, strict=True)])
        for name in sorted({name for label in told for name, _ in label.what[2]}):
            has = np.array([name in dict(label.what[2]) for label in told])
            values = np.array([dict(label.what[2])[name] for label in told if name in dict(label.what[2])])
            varied = np.ptp(values) > 0 and np.ptp(good[has]) > 0
            found |= {
                f"kpi.{name}.sum": exactly(float(values.sum())),
                f"kpi.{name}.mean": exactly(float(values.mean())),
                f"kpi.{name}.per_outcome": exactly(float(values.sum()) / len(told)),
                f"kpi.{name}.correlation": exactly(
                    float(np.corrcoef(values, good[has])[0, 1]) if varied else None
                ),
            }
        return found

    def _goodness(self, model: str, made: Made, told: Told) -> float:
        """Return 1 for a right class and 0 for a wrong one, or the absolute error of a regression."""
        if self.tasks[model].name == "regression":
            return abs(float(made.prediction) - float(told.what[0]))
        return float(class_text(made.prediction) == class_text(told.what[0]))

    def _belongs(self, prediction_id: str, series: Series) -> bool:
        return series.segment is None or series.segment in self._truth.predictions[prediction_id].segments

    def _task(self, model: str) -> Task:
        made = [row for row in self._truth.predictions.values() if row.model == model]
        ids = (
            prediction_id
            for prediction_id in self._truth.outcomes
            if self._truth.predictions[prediction_id].model == model
        )
        answers = {row.prediction for row in made} | {
            self._truth.outcomes[prediction_id].what[0] for prediction_id in ids
        }
        texts = any(isinstance(answer, str) for answer in answers)
        scored = any(row.proba is not None for row in made)
        if not texts and not scored and not answers <= {0, 1}:
            return Task("regression", Classes([], None))
        named = {name for row in made if isinstance(row.proba, dict) for name in row.proba}
        names = named | {class_text(answer) for answer in answers} | (set() if texts or named else {"0", "1"})
        positive = self._settings.model(model).positive_class or max(names)
        classes = sorted(names)
        return (
            Task("binary", Classes(classes, positive))
            if len(classes) <= 2
            else Task("multiclass", Classes(classes, None))
        )
