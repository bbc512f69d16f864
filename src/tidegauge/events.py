"""From the bytes of a message to a validated record, or to a named reason why not.

msgspec decodes and checks types in one pass; what it cannot know (sizes in bytes, times) is checked
here. A message of few bytes cannot hold a long text or many items, so only long ones are measured.
Only a message that failed is read a second time, field by field, to say which field, and why.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Set
from datetime import datetime
from types import NoneType
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec.json import Decoder as JsonDecoder

from tidegauge.block import Labelled, Predicted, Scalar
from tidegauge.block_columns import Names
from tidegauge.config import Limits
from tidegauge.errors import Rejected
from tidegauge.explain import PATH_CHARACTERS, UNREADABLE, explained, kind_of, malformed
from tidegauge.feature_maps import FeatureReader
from tidegauge.records import DeadLetter, Label, Prediction, Time
from tidegauge.redact import printable

LEAST_MS_NUMBER = 1e11  # seconds up to the year 5138; milliseconds from 1973 on
LAST_MS = 253_402_300_799_999  # the end of the year 9999, where RFC 3339 ends

PREDICTED_AT, LABELLED_AT = "$.predicted_at", "$.labelled_at"
IDS: Mapping[type, tuple[str, ...]] = {
    Prediction: ("prediction_id", "model_id", "model_version", "entity_id"),
    Label: ("prediction_id",),
}

_UTF8_BYTES = 4  # of a character, at most
_ITEM_BYTES = 2  # of a list item in JSON, at least: `1,`
_FIELD_BYTES = 5  # of a field of an object in JSON, at least: `"":1,`
_MEMO_LENGTH = 1_000
_NO_TEXT: Set[type] = frozenset({bool, int, float, NoneType})

Record = TypeVar("Record", Prediction, Label)
Shape = TypeVar("Shape")


class PredictionEvent(NamedTuple):
    """A prediction that may be used."""

    prediction_id: str
    predicted: Predicted
    features: Mapping[str, Scalar | None]
    latency_ms: float | None
    resources: Mapping[str, float]
    entity_id: str | None


class LabelEvent(NamedTuple):
    """A label that may be used."""

    prediction_id: str
    labelled: Labelled
    labelled_at_ms: int


class Decoder:
    """Decodes messages under one set of limits.

    `record_time_ms` is the time of the Kafka record, negative where the broker does not know it.

    >>> value = b'{"prediction_id": "a", "label": true, "labelled_at": 1357000000}'
    >>> Decoder(Limits()).label(value, 1357000060000).labelled_at_ms
    1357000000000
    """

    __slots__ = (
        "_limits",
        "_short_names",
        "features",
        "future_ms",
        "id_bytes",
        "label_json",
        "message_bytes",
        "most_segments",
        "prediction_json",
        "short_id",
        "short_message",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits: Final = limits
        self._short_names: Final[set[tuple[str, ...]]] = set()  # of maps seen, a memo
        self.features: Final = FeatureReader(limits)
        self.message_bytes: Final = limits.message_bytes
        self.prediction_json: Final = JsonDecoder(Prediction)
        self.label_json: Final = JsonDecoder(Label)
        self.future_ms: Final = limits.future_seconds * 1_000
        self.id_bytes: Final = limits.id_bytes
        self.short_id: Final = limits.id_bytes // _UTF8_BYTES
        self.most_segments: Final = limits.segments
        self.short_message: Final = min(
            limits.message_bytes,
            limits.text_bytes,
            limits.list_items * _ITEM_BYTES,
            min(limits.features, limits.classes) * _FIELD_BYTES,
        )

    def prediction(self, value: bytes | None, record_time_ms: int) -> PredictionEvent:
        """Return the prediction in a message, or raise Rejected."""
        record = self.prediction_record(value)
        at_ms = self.time_ms(record.predicted_at, record_time_ms, PREDICTED_AT)
        return PredictionEvent(
            record.prediction_id,
            Predicted(
                record.model_id,
                record.model_version,
                tuple(sorted(record.segments.items())),
                at_ms,
                record.prediction,
                record.prediction_proba,
                record.value,
            ),
            record.features,
            record.latency_ms,
            record.resources,
            record.entity_id,
        )

    def label(self, value: bytes | None, record_time_ms: int) -> LabelEvent:
        """Return the label in a message, or raise Rejected."""
        record = self.label_record(value)
        at_ms = self.time_ms(record.labelled_at, record_time_ms, LABELLED_AT)
        labelled = Labelled(record.label, record.weight, record.kpis, record.partial)
        return LabelEvent(record.prediction_id, labelled, at_ms)

    def prediction_record(self, value: bytes | None) -> Prediction:
        """Return the prediction in a message, its time not yet read, or raise Rejected."""
        record = self._record(self.prediction_json, Prediction, value)
        self.check_ids(record)
        if len(value or b"") > self.short_message or len(record.segments) > self.most_segments:
            self._check_prediction(record, record.features)
        return record

    def check_long(self, record: Prediction, names: Names, values: bytes | tuple[Any, ...]) -> None:
        """Raise Rejected where a message of many bytes says too much; its features stand beside it.

        Features that are packed are within the limits.
        """
        self.check_ids(record)
        self._check_prediction(
            record, {} if isinstance(values, bytes) else dict(zip(names, values, strict=True))
        )

    def label_record(self, value: bytes | None) -> Label:
        """Return the label in a message, its time not yet read, or raise Rejected."""
        record = self._record(self.label_json, Label, value)
        self.check_ids(record)
        if len(value or b"") > self.short_message:
            self._check_value(record.label, "$.label")
            self._check_map(record.kpis, self._limits.features, "$.kpis")
        if record.partial:
            _check_partial(record)
        return record

    def _record(self, decoder: JsonDecoder[Record], shape: type[Record], value: bytes | None) -> Record:
        if not value:
            came = "no value (a tombstone)" if value is None else "an empty value"
            raise Rejected("malformed", f"expected a JSON object, got {came}")
        if len(value) > self._limits.message_bytes:
            raise Rejected("too_large", _at_most(self._limits.message_bytes, "bytes", len(value)))
        try:
            return decoder.decode(value)
        except msgspec.ValidationError:
            raise explained(value, shape) from None
        except UNREADABLE as error:
            raise malformed(error) from None

    def time_ms(self, time: Time, record_time_ms: int, path: str) -> int:
        """Return an event's time, that of its record where it has none, or raise Rejected."""
        if time is None:
            if record_time_ms < 0:
                raise Rejected("missing_field", "expected a time, as the record has none", path)
            return record_time_ms
        at_ms = _text_ms(time, path) if isinstance(time, str) else _number_ms(time)
        if not 0 <= at_ms <= LAST_MS:
            raise Rejected("out_of_range", "expected a time in the years 1970 to 9999", path)
        if 0 <= record_time_ms < at_ms - self.future_ms:
            ahead = (at_ms - record_time_ms) // 1_000
            limit = self._limits.future_seconds
            detail = f"expected at most {limit} s after the record's time, got {ahead} s after it"
            raise Rejected("from_the_future", detail, path)
        return at_ms

    def _check_prediction(self, record: Prediction, features: Mapping[str, Any]) -> None:
        limits = self._limits
        self._check_value(record.prediction, "$.prediction")
        self._check_map(features, limits.features, "$.features")
        self._check_map(record.segments, limits.segments, "$.segments")
        self._check_map(record.resources, limits.features, "$.resources")
        if isinstance(record.prediction_proba, dict):
            self._check_map(record.prediction_proba, limits.classes, "$.prediction_proba")

    def check_ids(self, record: Prediction | Label) -> None:
        """Raise Rejected where an id is too long."""
        for name in IDS[Prediction if isinstance(record, Prediction) else Label]:
            _check_text(getattr(record, name), self._limits.id_bytes, f"$.{name}")

    def _check_map(self, items: Mapping[str, Any], most: int, path: str) -> None:
        if len(items) > most:
            raise Rejected("too_many", _at_most(most, "fields", len(items)), path)
        names = tuple(items)
        if names in self._short_names and set(map(type, items.values())) <= _NO_TEXT:
            return
        for name, item in items.items():
            _check_text(name, self._limits.text_bytes, f"{path}.{name[:PATH_CHARACTERS]}")
            _check_text(item, self._limits.text_bytes, f"{path}.{name}")
        if len(self._short_names) < _MEMO_LENGTH:
            self._short_names.add(names)

    def _check_value(self, value: Scalar | list[Any] | dict[str, float], path: str) -> None:
        if isinstance(value, dict):
            self._check_map(value, self._limits.list_items, path)
            return
        if not isinstance(value, list):
            _check_text(value, self._limits.text_bytes, path)
            return
        if len(value) > self._limits.list_items:
            raise Rejected("too_many", _at_most(self._limits.list_items, "items", len(value)), path)
        for index, item in enumerate(value):
            _check_text(item, self._limits.text_bytes, f"{path}[{index}]")


def read(value: bytes | None, shape: type[Shape]) -> Shape:
    """Return the record of this shape (Control, Alert) in a message, or raise Rejected.

    >>> from tidegauge.records import Control
    >>> read(b'{"action": "reset", "model_id": "churn", "model_version": "v1"}', Control).action
    'reset'
    """
    try:
        return msgspec.json.decode(value or b"", type=shape)
    except msgspec.ValidationError as error:
        raise Rejected("wrong_type", printable(str(error))) from None
    except UNREADABLE as error:
        raise malformed(error) from None


def dead_letter(
    rejected: Rejected,
    topic: str,
    partition: int,
    offset: int,
    value: bytes | None = None,
    prediction_id: str | None = None,
) -> DeadLetter:
    """Return the dead letter of a rejected event.

    An event that was too large is named by its position alone: its copy could be more than
    the broker takes, and a dead letter that cannot be delivered would stop the stage.
    """
    keep = value is not None and rejected.reason != "too_large"
    return DeadLetter(
        reason=rejected.reason,
        detail=rejected.detail,
        path=rejected.path[:PATH_CHARACTERS],
        topic=topic,
        partition=partition,
        offset=offset,
        value_base64=base64.b64encode(value).decode("ascii") if value is not None and keep else None,
        prediction_id=prediction_id,
    )


def _number_ms(time: int | float) -> int:
    """Return a number as ms: it is in ms from 1e11 on, else in seconds."""
    return round(time if abs(time) >= LEAST_MS_NUMBER else time * 1_000)


def _text_ms(time: str, path: str) -> int:
    try:
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is not None:
            return round(moment.timestamp() * 1_000)
    except (ValueError, OverflowError):
        detail = f"expected RFC 3339 text such as 2013-01-31T08:00:00Z, got {time[:40]!r}"
    else:
        detail = f"expected a zone (Z or +01:00) at the end of the time, got {time[:40]!r}"
    raise Rejected("out_of_range", detail, path)


def adds_up(record: Label) -> bool:
    """Return whether a partial label is one that can be added to others."""
    return isinstance(record.label, list | dict) and record.weight == 1 and not record.kpis


def _check_partial(record: Label) -> None:
    if adds_up(record):
        return
    if not isinstance(record.label, list | dict):
        detail = f"expected list or object beside partial, got {kind_of(record.label)}"
        raise Rejected("wrong_type", detail, "$.label")
    name, expected = ("kpis", "no KPIs") if record.kpis else ("weight", "1")
    detail = f"expected {expected} beside partial: only relevant items add up"
    raise Rejected("out_of_range", detail, f"$.{name}")


def _check_text(value: Any, most_bytes: int, path: str) -> None:
    if not isinstance(value, str) or len(value) * _UTF8_BYTES <= most_bytes:
        return
    came = len(value.encode())
    if came > most_bytes:
        raise Rejected("out_of_range", _at_most(most_bytes, "bytes of UTF-8", came), path)


def _at_most(most: int, unit: str, came: int) -> str:
    return f"expected at most {most} {unit}, got {came}"
