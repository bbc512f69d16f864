"""A batch of messages, decoded: the events that may be used, and why the others may not.

The rules are those of `events.Decoder`. What can be looked at for all events at once is; an event that
stands out by it goes through the decoder by itself, whose word counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import attrgetter
from types import NoneType
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Ints
from tidegauge.block_columns import Given
from tidegauge.errors import Rejected
from tidegauge.events import IDS, LABELLED_AT, LAST_MS, LEAST_MS_NUMBER, PREDICTED_AT, Decoder, adds_up
from tidegauge.explain import UNREADABLE
from tidegauge.records import Label, Prediction, Time

Message = TypeVar("Message", Prediction, Label)
Values = Sequence[bytes | None]

_NUMBERS = frozenset({int, float, NoneType})
_AT_ONCE = 256  # messages read by one call, and again one by one where one of them cannot be read
_WIDE_BYTES = 500  # of a message on average, from which on features are read by layouts: some 20 of them


@dataclass(slots=True)
class Intake(Generic[Message]):
    """The events of messages [n] that may be used [m]."""

    places: Ints  # [m] among the messages
    events: list[Message]  # [m]
    at_ms: Ints  # [m]
    rejected: dict[int, Rejected]  # the other n - m, by place
    features: Given | None = None  # [m] of predictions, where they are not in the events

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
    exact = decoder.prediction_record
    sizes = sizes_of(values)
    if sizes.sum() > _WIDE_BYTES * len(sizes):
        taken = _read(decoder.sent_json.decode, exact, values, sizes, decoder.message_bytes)
        _read_features(taken, decoder, values, sizes)
    else:
        taken = _read(decoder.prediction_json.decode, exact, values, sizes, decoder.short_message)
    segments = _lengths([event.segments for event in taken.events])
    many = np.flatnonzero(segments > decoder.most_segments).tolist()
    _look_closer(taken, exact, values, [*_long_ids(decoder, Prediction, taken, sizes), *many])
    times = [event.predicted_at for event in taken.events]
    _read_times(taken, decoder, times, record_times_ms, PREDICTED_AT)
    return taken


def labels(decoder: Decoder, values: Values, record_times_ms: Ints) -> Intake[Label]:
    """Return the labels in messages [n] of records with these times [n]."""
    exact = decoder.label_record
    sizes = sizes_of(values)
    taken = _read(decoder.label_json.decode, exact, values, sizes, decoder.short_message)
    partial = [at for at, event in enumerate(taken.events) if event.partial and not adds_up(event)]
    _look_closer(taken, exact, values, [*_long_ids(decoder, Label, taken, sizes), *partial])
    times = [event.labelled_at for event in taken.events]
    _read_times(taken, decoder, times, record_times_ms, LABELLED_AT)
    return taken


def sizes_of(values: Values) -> Ints:
    """Return the bytes of messages [n]; 0 where there is no value."""
    return _lengths([value or b"" for value in values])


def _read(
    decode: Callable[[bytes], Message],
    exact: Callable[[bytes | None], Message],
    values: Values,
    sizes: Ints,
    most: int,
) -> Intake[Message]:
    """Return what the messages say; of those of at most so many bytes, all that their types allow."""
    plain = (sizes > 0) & (sizes <= most)
    places: list[int] = []
    events: list[Message] = []
    rejected: dict[int, Rejected] = {}
    for start in range(0, len(values), _AT_ONCE):
        chunk = range(len(values))[start : start + _AT_ONCE]
        read = _all(decode, values[start : chunk.stop]) if plain[start : chunk.stop].all() else None
        if read is not None:
            places += chunk
            events += read
            continue
        for place in chunk:
            try:
                event = _one(decode if plain[place] else exact, exact, values[place])
            except Rejected as reason:
                rejected[place] = reason
            else:
                places.append(place)
                events.append(event)
    return Intake(np.array(places, np.int64), events, np.zeros(len(places), np.int64), rejected)


def _all(decode: Callable[[Any], Message], values: Values) -> list[Message] | None:
    """Return what all of the messages say, None where one of them cannot be read."""
    try:
        return list(map(decode, values))
    except UNREADABLE:
        return None


def _one(decode: Callable[[Any], Message], exact: Callable[[Any], Message], value: bytes | None) -> Message:
    """Return what a message says, or raise Rejected."""
    try:
        return decode(value)
    except UNREADABLE:
        raise _reason(exact, value) from None


def _read_features(taken: Intake[Prediction], decoder: Decoder, values: Values, sizes: Ints) -> None:
    """Fill in the features, and reject messages whose features are none, or that say too much."""
    models = [(event.model_id, event.model_version) for event in taken.events]
    given, wrong = decoder.features.read(models, [event.features for event in taken.events])
    taken.features = given
    for index in np.flatnonzero(sizes[taken.places] > decoder.short_message).tolist():
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


def _long_ids(decoder: Decoder, shape: type[Message], taken: Intake[Message], sizes: Ints) -> list[int]:
    """Return the indices of events with an id that may be too long; a short message has none."""
    if not (sizes[taken.places] > decoder.id_bytes).any():
        return []
    found: list[int] = []
    for name in IDS[shape]:
        lengths = _lengths([each or "" for each in map(attrgetter(name), taken.events)])
        found += np.flatnonzero(lengths > decoder.short_id).tolist()
    return found


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


def _numbers_ms(times: list[Time], of_records: Ints, future_ms: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Return times [m] in ms where they are numbers that may be, and where that is so [m]."""
    nothing = np.zeros(len(times), np.int64), np.zeros(len(times), np.bool_)
    if not set(map(type, times)) <= _NUMBERS:
        return nothing
    try:
        numbers: Any = np.array(times, np.float64)
    except OverflowError:
        return nothing
    absent = np.isnan(numbers)
    with np.errstate(over="ignore"):
        at_ms = np.rint(np.where(np.abs(numbers) >= LEAST_MS_NUMBER, numbers, numbers * 1_000))
    at_ms = np.where(absent, of_records, at_ms)
    sure = (at_ms >= 0) & (at_ms <= LAST_MS)
    sure &= absent | (of_records < 0) | (of_records >= at_ms - future_ms)
    return np.where(sure, at_ms, 0).astype(np.int64), sure
