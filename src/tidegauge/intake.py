"""A batch of messages, decoded: the events that may be used, and why the others may not.

The rules are those of `events.Decoder`. What can be looked at for all events at once is; an event that
stands out by it goes through the decoder by itself, whose word counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, compress
from types import NoneType
from typing import Any, Generic, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Ints
from tidegauge.block_columns import Given
from tidegauge.errors import Rejected
from tidegauge.events import LABELLED_AT, LAST_MS, LEAST_MS_NUMBER, PREDICTED_AT, Decoder, adds_up
from tidegauge.explain import UNREADABLE
from tidegauge.feature_maps import FeatureReader
from tidegauge.records import Label, Prediction, Time

Message = TypeVar("Message", Prediction, Label)
Values = Sequence[bytes | None]
Flags = NDArray[np.bool_]

_NUMBERS = frozenset({int, float, NoneType})
_AT_ONCE = 256  # messages read by one call, and again one by one where one of them cannot be read


@dataclass(slots=True)
class Intake(Generic[Message]):
    """The events of messages [n] that may be used [m]."""

    places: Ints  # [m] among the messages
    events: list[Message]  # [m], predictions without their features
    at_ms: Ints  # [m]
    sizes: Ints  # [n] bytes; 0 where there is no value
    rejected: dict[int, Rejected]  # the other n - m, by place
    features: Given | None = None  # [m] of predictions

    def move(self, places: Ints) -> None:
        """Let the messages [n] be those at these places [n] among others."""
        self.places = places[self.places]
        self.rejected = {int(places[place]): reason for place, reason in self.rejected.items()}

    def reject(self, reasons: dict[int, Rejected]) -> None:
        """Take events out, by place among the messages."""
        if reasons:
            kept = np.isin(self.places, list(reasons), invert=True)
            self.events = list(compress(self.events, kept.tolist()))
            if self.features is not None:
                self.features = self.features.take(np.flatnonzero(kept).tolist())
            self.places, self.at_ms = self.places[kept], self.at_ms[kept]
            self.rejected |= reasons


def predictions(decoder: Decoder, values: Values, record_times_ms: Ints) -> Intake[Prediction]:
    """Return the predictions in messages [n] of records with these times [n]."""
    exact, reader = decoder.prediction_record, decoder.features
    sizes, rejected = _sizes(values), dict[int, Rejected]()
    parts = _read(
        reader.messages, reader.message, exact, values, _usable(sizes, decoder.message_bytes), rejected
    )
    events, given, wrong = _with_features(reader, parts)
    taken = _taken(events, sizes, rejected, given)
    _check_features(taken, decoder, values, wrong)
    many = _longer([event.segments for event in taken.events], decoder.most_segments)
    long = _long_ids(
        decoder,
        sizes,
        [event.prediction_id for event in taken.events],
        [event.model_id for event in taken.events],
        [event.model_version for event in taken.events],
        [event.entity_id or "" for event in taken.events],
    )
    _look_closer(taken, exact, values, [*long, *many])
    times = [event.predicted_at for event in taken.events]
    _read_times(taken, decoder, times, record_times_ms, PREDICTED_AT)
    return taken


def labels(decoder: Decoder, values: Values, record_times_ms: Ints) -> Intake[Label]:
    """Return the labels in messages [n] of records with these times [n]."""
    exact, decode = decoder.label_record, decoder.label_json.decode
    sizes, rejected = _sizes(values), dict[int, Rejected]()

    def at_once(part: Values) -> list[Label]:
        return list(map(decode, cast("Sequence[bytes]", part)))

    parts = _read(at_once, decode, exact, values, _usable(sizes, decoder.short_message), rejected)
    taken = _taken(list(chain.from_iterable(parts)), sizes, rejected)
    partial = [at for at, event in enumerate(taken.events) if event.partial and not adds_up(event)]
    long = _long_ids(decoder, sizes, [event.prediction_id for event in taken.events])
    _look_closer(taken, exact, values, [*long, *partial])
    times = [event.labelled_at for event in taken.events]
    _read_times(taken, decoder, times, record_times_ms, LABELLED_AT)
    return taken


def _sizes(values: Values) -> Ints:
    """Return the bytes of messages [n]; 0 where there is no value."""
    try:
        return _lengths(values)
    except TypeError:  # None has none
        return _lengths([value or b"" for value in values])


def _usable(sizes: Ints, most: int) -> Flags:
    """Return which messages [n] say nothing that their types do not tell, by their size."""
    return (sizes > 0) & (sizes <= most)


def _taken(
    events: list[Message], sizes: Ints, rejected: dict[int, Rejected], features: Given | None = None
) -> Intake[Message]:
    """Return the events [m] of the messages [n] that were not rejected."""
    used = np.ones(len(sizes), np.bool_)
    used[list(rejected)] = False
    places = np.flatnonzero(used)
    return Intake(places, events, np.zeros(len(places), np.int64), sizes, rejected, features)


def _read(
    at_once: Callable[[Values], list[Message]],
    decode: Callable[[Any], Message],
    exact: Callable[[bytes | None], Message],
    values: Values,
    plain: Flags,
    rejected: dict[int, Rejected],
) -> Iterator[list[Message]]:
    """Yield what the messages [n] say, some at once; of plain ones all that their types allow."""
    for start in range(0, len(values), _AT_ONCE):
        chunk = range(len(values))[start : start + _AT_ONCE]
        if plain[start : chunk.stop].all():
            with suppress(*UNREADABLE):
                yield at_once(values[start : chunk.stop])
                continue
        events = []
        for place in chunk:
            try:
                events.append(_one(decode if plain[place] else exact, exact, values[place]))
            except Rejected as reason:
                rejected[place] = reason
        yield events


def _one(decode: Callable[[Any], Message], exact: Callable[[Any], Message], value: bytes | None) -> Message:
    """Return what a message says, or raise Rejected."""
    try:
        return decode(value)
    except UNREADABLE:
        raise _reason(exact, value) from None


def _with_features(
    reader: FeatureReader, parts: Iterable[list[Any]]
) -> tuple[list[Prediction], Given, list[int]]:
    """Return all predictions [n], their features apart from them, and the indices of those that have none."""
    events: list[Prediction] = []
    given, wrong = Given([], []), list[int]()
    for part in parts:
        models = ((event.model_id, event.model_version) for event in part)
        found, others = reader.read(models, [event.features for event in part])
        given.names.extend(found.names)
        given.values.extend(found.values)
        wrong += [len(events) + index for index in others]
        events += part
    return events, given, wrong


def _check_features(taken: Intake[Prediction], decoder: Decoder, values: Values, wrong: list[int]) -> None:
    """Reject messages whose features are none, as these are, or that say too much."""
    given, long = taken.features, taken.sizes[taken.places] > decoder.short_message
    assert given is not None
    for index in np.flatnonzero(long).tolist():
        try:
            decoder.check_long(taken.events[index], given.names[index], given.values[index])
        except Rejected:
            wrong.append(index)
    places = taken.places[wrong].tolist() if wrong else ()
    taken.reject({place: _reason(decoder.prediction_record, values[place]) for place in places})


def _reason(exact: Callable[[bytes | None], Any], value: bytes | None) -> Rejected:
    try:
        exact(value)
    except Rejected as reason:
        return reason
    raise AssertionError("the decoder reads what its own types do not allow")


def _long_ids(decoder: Decoder, sizes: Ints, *columns: list[str]) -> list[int]:
    """Return the indices of events with an id that may be too long; a short message has none."""
    if not (sizes > decoder.id_bytes).any():
        return []
    return [index for ids in columns for index in _longer(ids, decoder.short_id)]


def _longer(items: Sequence[Sized], most: int) -> list[int]:
    """Return the indices of items that are longer."""
    if max(map(len, items), default=0) <= most:
        return []
    return [index for index, item in enumerate(items) if len(item) > most]


def _lengths(items: Iterable[Any]) -> Ints:
    return np.fromiter(map(len, items), np.int64)


def _look_closer(
    taken: Intake[Message], exact: Callable[[bytes | None], Message], values: Values, suspects: list[int]
) -> None:
    """Reject those at these indices that the decoder refuses."""
    reasons = {}
    for place in taken.places[suspects].tolist() if suspects else ():
        try:
            exact(values[place])
        except Rejected as reason:
            reasons[place] = reason
    taken.reject(reasons)


def _read_times(
    taken: Intake[Message], decoder: Decoder, times: list[Time], record_times_ms: Ints, path: str
) -> None:
    """Fill in the times, and reject the events whose time may not be."""
    of_records = record_times_ms[taken.places]
    taken.at_ms, sure = _numbers_ms(times, of_records, decoder.future_ms)
    reasons = {}
    for index in np.flatnonzero(~sure).tolist():
        try:
            taken.at_ms[index] = decoder.time_ms(times[index], int(of_records[index]), path)
        except Rejected as reason:
            reasons[int(taken.places[index])] = reason
    taken.reject(reasons)


def _numbers_ms(times: list[Time], of_records: Ints, future_ms: int) -> tuple[Ints, Flags]:
    """Return times [m] in ms where they are numbers that may be, and where that is so [m]."""
    nothing = np.zeros(len(times), np.int64), np.zeros(len(times), np.bool_)
    kinds = set(map(type, times))
    if not kinds <= _NUMBERS:
        return nothing
    try:
        numbers: Any = np.array(times, np.int64 if kinds == {int} else np.float64).astype(np.float64)
    except OverflowError:
        return nothing
    absent = np.isnan(numbers)
    with np.errstate(over="ignore"):
        at_ms = np.rint(np.where(np.abs(numbers) >= LEAST_MS_NUMBER, numbers, numbers * 1_000))
    at_ms = np.where(absent, of_records, at_ms)
    sure = (at_ms >= 0) & (at_ms <= LAST_MS)
    sure &= absent | (of_records < 0) | (of_records >= at_ms - future_ms)
    return np.where(sure, at_ms, 0).astype(np.int64), sure
