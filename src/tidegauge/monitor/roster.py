"""The roster: which models, versions and segments are watched, by number."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Block, Floats, Ints, OutcomeRows, PredictionRows
from tidegauge.config import Settings
from tidegauge.monitor.expansion import Expansion
from tidegauge.windows import distinct, grown

OTHER = "(other)"  # the segment values past limits.segment_values, watched together

_MOST_KINDS = 200_000  # of rows remembered: segments that are not watched may have any number of values
RANKING, UNDECIDED, REGRESSION = -1, 0, 1  # shapes; a classification's is its number of classes, at least 2


Kind = tuple[str, str, tuple[tuple[str, str], ...]]  # model, version and segments that rows have together


class SeriesKey(NamedTuple):
    """What is watched apart: a version, or one segment of it (`origin=JFK`)."""

    model_id: str
    version: str
    segment: str | None


@dataclass(slots=True)
class ModelState:
    """What is known of a model: its task once decided, its classes in the order of their codes."""

    task: str | None = None
    classes: list[str] = field(default_factory=list)
    positive: str | None = None
    versions: list[str] = field(default_factory=list)
    pivot: float | None = None  # the first label of a regression

    @property
    def positive_code(self) -> int:
        """The code of the positive class of two."""
        return self.classes.index(self.positive) if self.positive in self.classes else 1

    def plain(self) -> dict[str, Any]:
        """Return the fields as a map."""
        return {
            "task": self.task,
            "classes": list(self.classes),
            "positive": self.positive,
            "versions": list(self.versions),
            "pivot": self.pivot,
        }

    def add_class(self, name: str) -> None:
        """Know one more class."""
        self.classes.append(name)
        self.task = task_of(self.classes)


def task_of(classes: list[str]) -> str:
    """Return the name of a classification among these classes."""
    return "binary" if len(classes) <= 2 else "multiclass"


class Columns:
    """What blocks need to know of all models at once, by model number; and of all series."""

    def __init__(self) -> None:
        self.model: Ints = np.zeros(0, np.int64)  # by series
        self.whole: NDArray[np.bool_] = np.zeros(0, np.bool_)  # by series: it is a version's own
        self.watermark_ms: Ints = np.zeros(0, np.int64)
        self.shape: Ints = np.zeros(0, np.int64)  # RANKING, UNDECIDED, REGRESSION, or how many classes
        self.positive: Ints = np.zeros(0, np.int64)  # code of the positive class of two
        self.zero_one: Ints = np.zeros((0, 2), np.int64)  # codes of the classes 0 and 1, -1 for none
        self.pivot: Floats = np.zeros(0)  # NaN for none
        self.decided: NDArray[np.bool_] = np.zeros(0, np.bool_)

    def note(self, number: int, state: ModelState) -> None:
        """Take over what is known of a model now."""
        size = number + 1
        self.watermark_ms = grown(self.watermark_ms, size, 0)
        self.shape, self.positive = grown(self.shape, size, 0), grown(self.positive, size, 0)
        self.zero_one, self.pivot = grown(self.zero_one, size, -1), grown(self.pivot, size, np.nan)
        self.decided = grown(self.decided, size, 0)
        classes = max(2, len(state.classes)) if state.classes else UNDECIDED
        self.shape[number] = _SHAPES.get(state.task or "", classes)
        self.positive[number] = state.positive_code
        self.zero_one[number] = [state.classes.index(c) if c in state.classes else -1 for c in "01"]
        self.pivot[number] = np.nan if state.pivot is None else state.pivot
        self.decided[number] = state.task is not None


_SHAPES = {"regression": REGRESSION, "ranking": RANKING}


class Roster:
    """Numbers of models and series, in the order of their first observation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.model_ids: list[str] = []
        self.models: list[ModelState] = []
        self.columns = Columns()
        self.series: list[SeriesKey] = []
        self.series_model: list[int] = []
        self.of_version: dict[tuple[str, str], list[int]] = {}  # its own series, and those of its segments
        self._model_numbers: dict[str, int] = {}
        self._series_numbers: dict[SeriesKey, int] = {}
        self._segment_values: dict[tuple[str, str, str], int] = {}
        self._kind_numbers: dict[Kind, int] = {}
        self._kinds: list[list[int]] = []  # the series of each: of the version, then those of its segments
        self._kind_columns: Ints = np.zeros((0, 3), np.int64)  # model, first series, how many series

    def model(self, model_id: str) -> int:
        """Return the number of a model, which is new where it was not known."""
        number = self._model_numbers.get(model_id)
        if number is None:
            number = self._add_model(model_id, ModelState())
        return number

    def numbers(self, model_ids: list[str]) -> Ints:
        """Return the numbers of models [n], which are new where they were not known."""
        found = np.fromiter(map(self._model_numbers.get, model_ids, repeat(-1)), np.int64, len(model_ids))
        for place in np.flatnonzero(found < 0).tolist():
            found[place] = self.model(model_ids[place])
        return found

    def note(self, number: int) -> None:
        """Bring the columns up to what is known of a model now."""
        self.columns.note(number, self.models[number])

    def expand(self, block: Block, rows: PredictionRows | OutcomeRows) -> Expansion:
        """Return the series of each row, and move the models' watermarks.

        Cost: O(n), and a look-up for each model, version and segments that are together in the block.
        """
        version = rows.model.astype(np.int64) * len(block.strings) + rows.version
        first, place = distinct(version * len(block.segments) + rows.segments)
        kinds = self._kinds_of(block, rows, first)
        model, own = self._kind_columns[kinds, :2].T[:, place]
        np.maximum.at(self.columns.watermark_ms, model, rows.predicted_at_ms)
        when = rows.predicted_at_ms, self.columns.watermark_ms[model]
        sizes = self._kind_columns[kinds, 2]
        if (sizes == 1).all():
            return Expansion(model, own, np.arange(len(place)), own, *when)
        count = sizes[place]
        row_index = np.repeat(np.arange(len(place)), count)
        within = np.arange(len(row_index)) - np.repeat(np.cumsum(count) - count, count)
        flat = np.array(list(chain.from_iterable([self._kinds[kind] for kind in kinds.tolist()])), np.int64)
        series = flat[(np.cumsum(sizes) - sizes)[place][row_index] + within]
        return Expansion(model, own, row_index, series, *when)

    def watermarks(self, model: Ints) -> Ints:
        """Return the watermark in ms of each model number [n]."""
        return self.columns.watermark_ms[model]

    def watermark(self, series: int) -> int:
        """Return the watermark in ms of a series: that of its model."""
        return int(self.columns.watermark_ms[self.series_model[series]])

    def version_series(self, model_id: str, version: str) -> list[int]:
        """Return the numbers of a version's series: its own and those of its segments."""
        return self.of_version.get((model_id, version), [])

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        watermarks = self.columns.watermark_ms[: len(self.models)].tolist()
        return {
            "models": [
                [name, model.plain() | {"watermark_ms": watermark_ms}]
                for name, model, watermark_ms in zip(self.model_ids, self.models, watermarks, strict=True)
            ],
            "series": [list(key) for key in self.series],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        for name, fields in state["models"]:
            watermark_ms = fields.pop("watermark_ms")
            number = self._add_model(name, ModelState(**fields))  # first: it may lay the columns anew
            self.columns.watermark_ms[number] = watermark_ms
        for model_id, version, segment in state["series"]:
            if segment is not None:
                self._count_value(model_id, version, segment.partition("=")[0])
            self._number(self._model_numbers[model_id], SeriesKey(model_id, version, segment))

    def _add_model(self, model_id: str, state: ModelState) -> int:
        number = self._model_numbers[model_id] = len(self.models)
        self.model_ids.append(model_id)
        self.models.append(state)
        self.note(number)
        return number

    def _kinds_of(self, block: Block, rows: PredictionRows | OutcomeRows, first: Ints) -> Ints:
        """Return the kinds [k] of the rows at these indices [k]; new ones get numbers in order of arrival."""
        models, versions = (
            map(block.strings.__getitem__, column[first].tolist()) for column in (rows.model, rows.version)
        )
        segments = map(block.segments.__getitem__, rows.segments[first].tolist())
        wanted = list(zip(models, versions, segments, strict=True))
        kinds = np.fromiter(map(self._kind_numbers.get, wanted, repeat(-1)), np.int64, len(first))
        if (kinds < 0).any():
            if len(self._kinds) >= _MOST_KINDS:
                self._kind_numbers.clear()
                self._kinds.clear()
                kinds[:] = -1
            for place in np.argsort(first).tolist():
                if kinds[place] < 0:
                    kinds[place] = self._kind(*wanted[place])
        return kinds

    def _kind(self, model_id: str, version: str, segments: tuple[tuple[str, str], ...]) -> int:
        model = self.model(model_id)
        if version not in self.models[model].versions:
            self.models[model].versions.append(version)
        series = self._series(model, model_id, version, segments)
        number = self._kind_numbers[model_id, version, segments] = len(self._kinds)
        self._kinds.append(series)
        self._kind_columns = grown(self._kind_columns, number + 1, 0)
        self._kind_columns[number] = model, series[0], len(series)
        return number

    def _series(
        self, model: int, model_id: str, version: str, segments: tuple[tuple[str, str], ...]
    ) -> list[int]:
        numbers = [self._number(model, SeriesKey(model_id, version, None))]
        watched = self._settings.model(model_id).segments
        for name, value in segments:
            if name in watched:
                numbers.append(self._segment(model, SeriesKey(model_id, version, f"{name}={value}"), name))
        return numbers

    def _segment(self, model: int, key: SeriesKey, name: str) -> int:
        """Return the number of a segment's series, or of OTHER where its field has too many values."""
        if key not in self._series_numbers:
            room = self._settings.limits.segment_values
            if self._segment_values.get((key.model_id, key.version, name), 0) >= room:
                return self._number(model, key._replace(segment=f"{name}={OTHER}"))
            self._count_value(key.model_id, key.version, name)
        return self._number(model, key)

    def _count_value(self, model_id: str, version: str, name: str) -> None:
        counted = (model_id, version, name)
        self._segment_values[counted] = self._segment_values.get(counted, 0) + 1

    def _number(self, model: int, key: SeriesKey) -> int:
        number = self._series_numbers.get(key)
        if number is None:
            number = self._series_numbers[key] = len(self.series)
            self.series.append(key)
            self.series_model.append(model)
            self.columns.model = grown(self.columns.model, len(self.series), 0)
            self.columns.model[number] = model
            self.columns.whole = grown(self.columns.whole, len(self.series), 0)
            self.columns.whole[number] = key.segment is None
            self.of_version.setdefault(key[:2], []).append(number)
        return number
