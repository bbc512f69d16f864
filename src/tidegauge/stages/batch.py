"""A batch of both topics, decoded: what the window is asked, and what the rows are made of."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tidegauge import intake
from tidegauge.block import Ints, Labelled
from tidegauge.errors import Rejected
from tidegauge.events import Decoder
from tidegauge.intake import Intake
from tidegauge.join import (
    Answers,
    Arrivals,
    Side,
    answers,
    keys_of,
    pack_context,
    pack_heads,
    pack_labelled,
    pack_labels,
    unpack_context,
)
from tidegauge.ports import Partition, Record, Records
from tidegauge.records import Label, Prediction

Item = TypeVar("Item")

_MOST_CONTEXTS = 100_000  # remembered; beyond it all are learnt anew


def spread(model_id: str) -> int:
    """Return the number that chooses the partition of a model, by its remainder."""
    return zlib.crc32(model_id.encode())


class Context(NamedTuple):
    """Whose a prediction is."""

    model_id: str
    model_version: str
    segments: tuple[tuple[str, str], ...]  # sorted


class ContextColumns(NamedTuple):
    """Contexts [n] as columns: what many have in common stands once."""

    models: list[str]
    spread: Ints  # [n] what chooses the partition of the model
    version: Ints  # [n] places in versions
    versions: list[str]
    segment: Ints  # [n] places in segments
    segments: list[tuple[tuple[str, str], ...]]


class Contexts:
    """Numbers for the contexts of predictions; `admit` raises Rejected for a version that is too many."""

    def __init__(self, admit: Callable[[str, str], None]) -> None:
        self._admit = admit
        self._forget()

    def _forget(self) -> None:
        self.packed: list[bytes] = []
        self._models: list[str] = []
        self._versions: dict[str, int] = {}
        self._segments: dict[tuple[tuple[str, str], ...], int] = {}
        self._spread, self._version, self._segment = array("q"), array("q"), array("q")
        self._by_bytes: dict[bytes, int] = {}
        self._by_fields: dict[tuple[object, ...], int] = {}

    def begin(self) -> None:
        """Forget all where they have become too many; numbers of before mean nothing then."""
        if len(self._by_fields) > _MOST_CONTEXTS or len(self._by_bytes) > _MOST_CONTEXTS:
            self._forget()

    def of_events(self, events: Sequence[Prediction]) -> tuple[Ints, dict[int, Rejected]]:
        """Return the numbers of the contexts of predictions [n], and why some may have none, by index."""
        fields = [
            (event.model_id, event.model_version, *event.segments.items())
            if event.segments
            else (event.model_id, event.model_version)
            for event in events
        ]
        numbers = list(map(self._by_fields.get, fields))
        rejected: dict[int, Rejected] = {}
        if None in numbers:
            for index, (event, each) in enumerate(zip(events, fields, strict=True)):
                try:
                    self._learn(event, each)
                except Rejected as reason:
                    rejected[index] = reason
            numbers = [self._by_fields.get(each, -1) for each in fields]
        return np.array(numbers, np.int64), rejected

    def of_packed(self, contexts: Sequence[bytes]) -> Ints:
        """Return the numbers of contexts that come from the window [n]."""
        for context in dict.fromkeys(contexts):
            if context not in self._by_bytes:
                self._add(Context(*unpack_context(context)), context)
        return np.fromiter(map(self._by_bytes.__getitem__, contexts), np.int64, len(contexts))

    def columns(self) -> ContextColumns:
        """Return all contexts by their numbers."""
        spread, version, segment = (
            np.array(column, np.int64) for column in (self._spread, self._version, self._segment)
        )
        return ContextColumns(
            self._models, spread, version, list(self._versions), segment, list(self._segments)
        )

    def _learn(self, event: Prediction, fields: tuple[object, ...]) -> None:
        if fields in self._by_fields:
            return
        self._admit(event.model_id, event.model_version)
        found = Context(event.model_id, event.model_version, tuple(sorted(event.segments.items())))
        packed = pack_context(*found)
        number = self._by_bytes.get(packed)
        self._by_fields[fields] = self._add(found, packed) if number is None else number

    def _add(self, context: Context, packed: bytes) -> int:
        number = self._by_bytes[packed] = len(self.packed)
        self.packed.append(packed)
        self._models.append(context.model_id)
        self._spread.append(spread(context.model_id))
        self._version.append(self._versions.setdefault(context.model_version, len(self._versions)))
        self._segment.append(self._segments.setdefault(context.segments, len(self._segments)))
        return number


class Batch(NamedTuple):
    """Records [n] of both topics, decoded."""

    records: Records
    predictions: Intake[Prediction]
    contexts: Ints  # [predictions] numbers of their contexts
    answers: Answers  # [predictions]
    arrivals: Arrivals  # [n]
    sizes: Ints  # [n] bytes
    rejected: dict[int, Rejected]  # by place

    def reached(self) -> dict[Partition, int | None]:
        """Return the newest time of each source, None where every event of it was rejected."""
        newest = np.full(len(self.records.sources), -1)
        used = ~self.arrivals.rejected
        np.maximum.at(newest, self.records.source[used], self.arrivals.at_ms[used])
        there = zip(self.records.sources, newest.tolist(), strict=True)
        return {source: at_ms if at_ms >= 0 else None for source, at_ms in there}


def decoded(records: Iterable[Record], sides: dict[str, Side], decoder: Decoder, contexts: Contexts) -> Batch:
    """Return the records [n], decoded."""
    records = Records.of(records)
    values, times_ms = records.values, records.timestamps_ms
    side = np.array([sides[topic] for topic, _ in records.sources], np.uint8)[records.source]
    of_predictions, of_labels = (np.flatnonzero(side == each) for each in Side)

    predictions = intake.predictions(decoder, _at(values, of_predictions), times_ms[of_predictions])
    numbers, refused = contexts.of_events(predictions.events)
    predictions.reject({int(predictions.places[index]): reason for index, reason in refused.items()})
    numbers = numbers[numbers >= 0]
    found = _answers(predictions.events, [contexts.packed[number] for number in numbers.tolist()])
    labels = intake.labels(decoder, _at(values, of_labels), times_ms[of_labels])
    predictions.move(of_predictions)
    labels.move(of_labels)

    count = len(records)
    at_ms, rejected = np.zeros(count, np.int64), np.ones(count, np.bool_)
    both: tuple[Intake[Any], ...] = predictions, labels
    for taken in both:
        at_ms[taken.places], rejected[taken.places] = taken.at_ms, False
    places = [taken.places for taken in both]
    names = _placed(count, "", places, [[event.prediction_id for event in taken.events] for taken in both])
    payloads = _placed(count, b"", places, [pack_heads(found), _packed_labels(labels.events)])
    apart = np.ones(len(numbers), np.bool_)  # from their contexts
    apart[list(found.special)] = False
    of_arrivals = np.full(count, -1)
    of_arrivals[predictions.places[apart]] = numbers[apart]
    partitions = np.array([partition for _, partition in records.sources], np.int64)[records.source]
    columns = partitions, records.offsets, at_ms
    arrivals = Arrivals(
        side, keys_of(names), *columns, payloads, names, rejected, of_arrivals, contexts.packed
    )
    reasons = predictions.rejected | labels.rejected
    sizes = np.zeros(count, np.int64)
    sizes[of_predictions], sizes[of_labels] = predictions.sizes, labels.sizes
    return Batch(records, predictions, numbers, found, arrivals, sizes, reasons)


def _placed(count: int, nothing: Item, places: Sequence[Ints], parts: Sequence[Sequence[Item]]) -> list[Item]:
    """Return a list of `count` in which the items of each part stand at its places."""
    column = np.full(count, nothing, object)
    for at, part in zip(places, parts, strict=True):
        column[at] = part
    found: list[Item] = column.tolist()
    return found


def _at(values: Sequence[bytes | None], places: Ints) -> Sequence[bytes | None]:
    return values if len(places) == len(values) else [values[place] for place in places.tolist()]


def _answers(events: Sequence[Prediction], contexts: list[bytes]) -> Answers:
    return answers(
        contexts,
        [event.prediction for event in events],
        [event.prediction_proba for event in events],
        [event.value for event in events],
    )


def _packed_labels(events: Sequence[Label]) -> list[bytes]:
    if any(event.kpis or event.weight != 1 or event.partial for event in events):
        return [
            pack_labelled(Labelled(event.label, event.weight, event.kpis, event.partial)) for event in events
        ]
    return pack_labels([event.label for event in events])
