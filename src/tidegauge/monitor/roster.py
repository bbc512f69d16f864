"""The roster: which models, versions and segments are watched, by number."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import Block, Ints, OutcomeRows, PredictionRows
from tidegauge.config import Settings

OTHER = "(other)"  # the segment values past limits.segment_values, watched together

# Room for the three dictionary codes of a row in one integer; a block has far fewer of each.
_CODE_BITS = 20


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
    watermark_ms: int = 0
    pivot: float | None = None  # the first label of a regression

    @property
    def positive_code(self) -> int:
        """The code of the positive class of two."""
        return self.classes.index(self.positive) if self.positive in self.classes else 1

    def add_class(self, name: str) -> None:
        """Know one more class."""
        self.classes.append(name)
        self.task = task_of(self.classes)


def task_of(classes: list[str]) -> str:
    """Return the name of a classification among these classes."""
    return "binary" if len(classes) <= 2 else "multiclass"


class Expansion(NamedTuple):
    """The rows of a block, each once for every series it belongs to."""

    model: Ints  # [rows] number of the row's model
    version: Ints  # [rows] number of the series of the row's version
    row: Ints  # [m] index of a row
    series: Ints  # [m] number of a series that the row belongs to


class Roster:
    """Numbers of models and series, in the order of their first observation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.model_ids: list[str] = []
        self.models: list[ModelState] = []
        self.series: list[SeriesKey] = []
        self.series_model: list[int] = []
        self._model_numbers: dict[str, int] = {}
        self._series_numbers: dict[SeriesKey, int] = {}
        self._segment_values: dict[tuple[str, str, str], int] = {}

    def model(self, model_id: str) -> int:
        """Return the number of a model, which is new where it was not known."""
        number = self._model_numbers.get(model_id)
        if number is None:
            number = self._model_numbers[model_id] = len(self.models)
            self.model_ids.append(model_id)
            self.models.append(ModelState())
        return number

    def expand(self, block: Block, rows: PredictionRows | OutcomeRows) -> Expansion:
        """Return the series of each row, and move the models' watermarks. Cost: O(n log n)."""
        codes = rows.model.astype(np.int64) << _CODE_BITS | rows.version
        combined = codes << _CODE_BITS | rows.segments
        _, first, place = np.unique(combined, return_index=True, return_inverse=True)
        models, series = [], []
        for row in first.tolist():
            model_id, version = block.strings[rows.model[row]], block.strings[rows.version[row]]
            models.append(self.model(model_id))
            if version not in self.models[models[-1]].versions:
                self.models[models[-1]].versions.append(version)
            series.append(self._series(models[-1], model_id, version, block.segments[rows.segments[row]]))
        model = np.array(models, np.int64)[place]
        self._advance(model, rows.predicted_at_ms)
        sizes = np.array([len(numbers) for numbers in series], np.int64)
        ends = np.cumsum(sizes)
        count = sizes[place]
        row_index = np.repeat(np.arange(len(place)), count)
        within = np.arange(len(row_index)) - np.repeat(np.cumsum(count) - count, count)
        flat = np.array([number for numbers in series for number in numbers], np.int64)
        version = np.array([numbers[0] for numbers in series], np.int64)[place]
        members = flat[(ends - sizes)[place][row_index] + within]
        return Expansion(model, version, row_index, members)

    def watermarks(self, model: Ints) -> Ints:
        """Return the watermark in ms of each model number [n]."""
        return np.array([state.watermark_ms for state in self.models], np.int64)[model]

    def watermark(self, series: int) -> int:
        """Return the watermark in ms of a series: that of its model."""
        return self.models[self.series_model[series]].watermark_ms

    def version_series(self, model_id: str, version: str) -> list[int]:
        """Return the numbers of a version's series: its own and those of its segments."""
        return [n for n, key in enumerate(self.series) if key[:2] == (model_id, version)]

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {
            "models": [[name, asdict(m)] for name, m in zip(self.model_ids, self.models, strict=True)],
            "series": [list(key) for key in self.series],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        for name, fields in state["models"]:
            self._model_numbers[name] = len(self.models)
            self.model_ids.append(name)
            self.models.append(ModelState(**fields))
        for model_id, version, segment in state["series"]:
            if segment is not None:
                self._count_value(model_id, version, segment.partition("=")[0])
            self._number(self._model_numbers[model_id], SeriesKey(model_id, version, segment))

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
        return number

    def _advance(self, model: Ints, at_ms: Ints) -> None:
        for number in np.unique(model).tolist():
            state = self.models[number]
            state.watermark_ms = max(state.watermark_ms, int(at_ms[model == number].max()))
