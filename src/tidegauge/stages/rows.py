"""From resolutions to blocks and dead letters: what follows from a batch of events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import NO_TEXT, Block, Codes, Floats, Ints, Lists, OutcomeRows, PredictionRows
from tidegauge.block_columns import Dictionary, number_of, text_of
from tidegauge.errors import Rejected
from tidegauge.events import dead_letter
from tidegauge.join import (
    KEY_BYTES,
    Answers,
    Orphan,
    Resolutions,
    Verdict,
    unpack_answers,
    unpack_floats,
    unpack_labelled,
)
from tidegauge.records import REASONS, DeadLetter
from tidegauge.stages.batch import Batch, Contexts, spread
from tidegauge.windows import distinct

Name = TypeVar("Name")

BLOCK_BYTES = 2_000_000  # of events in a block; the topic takes blocks of 8 MB

_LETTERS = {Verdict.LATE: "late", Verdict.REJECTED: "too_many_revisions"}


def destination(model_id: str, partitions: int) -> int:
    """Return the partition of the observations to which a model belongs.

    >>> destination("churn", 4)
    0
    """
    return spread(model_id) % partitions


class Resolved(NamedTuple):
    """A batch [n] and what became of it in the window."""

    batch: Batch
    resolutions: Resolutions
    again: NDArray[np.bool_]  # [n] its outcomes may have been delivered, completed by another event


class _Outcomes(NamedTuple):
    """The outcomes [m] of a batch, in the order of the events that completed them."""

    places: Ints
    answers: Answers
    contexts: Ints
    predicted_at_ms: Ints
    labels: list[bytes]
    labelled_at_ms: Ints
    revisions: Codes
    signs: Floats


class Rows:
    """The rows that follow from a batch, ready to become blocks."""

    def __init__(self, resolved: Resolved, contexts: Contexts, partitions: int) -> None:
        batch, resolutions, self._again = resolved
        self._batch = batch
        self._outcomes = _outcomes(resolutions, self._again, contexts)
        self._contexts = contexts.columns()  # those of the outcomes are among them now
        self._emitted = np.flatnonzero(resolutions.emitted[batch.predictions.places])
        self._hashes = np.frombuffer(batch.arrivals.keys, "<u8")[:: KEY_BYTES // 8]
        self._partitions = partitions

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Yield the blocks, each with its partition, in the order of the events."""
        places = self._batch.predictions.places[self._emitted]
        of_predictions = self._destinations(self._batch.contexts[self._emitted])
        of_outcomes = self._destinations(self._outcomes.contexts)
        for partition in np.flatnonzero(np.bincount(np.concatenate((of_predictions, of_outcomes)))).tolist():
            predictions = np.flatnonzero(of_predictions == partition)
            outcomes = np.flatnonzero(of_outcomes == partition)
            for part in self._parts(places[predictions], self._outcomes.places[outcomes]):
                mine = predictions[part[0]], outcomes[part[1]]
                yield partition, self._block(self._emitted[mine[0]], mine[1])

    def _destinations(self, contexts: Ints) -> Ints:
        return self._contexts.spread[contexts] % self._partitions

    def _parts(self, predictions: Ints, outcomes: Ints) -> Iterator[tuple[slice, slice]]:
        """Yield which rows go into one block, given the places of the events that they follow from."""
        there = np.zeros(len(self._batch.sizes), np.bool_)
        there[predictions] = there[outcomes] = True
        places = np.flatnonzero(there)
        sizes = self._batch.sizes[places]
        block = (np.cumsum(sizes) - sizes) // BLOCK_BYTES
        bounds = [0, *places[1:][np.diff(block) > 0].tolist(), len(self._batch.arrivals)]
        for first, end in pairwise(bounds):
            of_predictions, of_outcomes = (
                np.searchsorted(rows, [first, end]) for rows in (predictions, outcomes)
            )
            yield slice(*of_predictions), slice(*of_outcomes)

    def _block(self, predictions: Ints, outcomes: Ints) -> Block:
        texts, segments = Dictionary(), _Segments()
        of_predictions = self._predictions(predictions, texts, segments)
        of_outcomes = self._outcome_rows(outcomes, texts, segments)
        return Block(
            tuple(texts), tuple(segments), tuple(self._batch.records.sources), of_predictions, of_outcomes
        )

    def _predictions(self, rows: Ints, texts: Dictionary, segments: _Segments) -> PredictionRows:
        taken = self._batch.predictions
        events, given = taken.events, taken.features
        assert given is not None  # those of predictions
        if len(rows) < len(events):
            events, given = [events[row] for row in rows.tolist()], given.take(rows.tolist())
        latencies = np.array([event.latency_ms for event in events], np.float64)
        return PredictionRows(
            **self._shared(taken.places[rows], self._batch.contexts[rows], texts, segments),
            **_answer_columns(self._batch.answers, rows, texts),
            predicted_at_ms=taken.at_ms[rows],
            features=texts.given(given),
            latency_ms=latencies,
            resources=texts.maps([event.resources for event in events]),
            entity=texts.codes([event.entity_id for event in events]),
        )

    def _outcome_rows(self, rows: Ints, texts: Dictionary, segments: _Segments) -> OutcomeRows:
        found = self._outcomes
        places = found.places[rows]
        return OutcomeRows(
            **self._shared(places, found.contexts[rows], texts, segments),
            **_answer_columns(found.answers, rows, texts),
            **_label_columns([found.labels[row] for row in rows.tolist()], texts),
            predicted_at_ms=found.predicted_at_ms[rows],
            labelled_at_ms=found.labelled_at_ms[rows],
            revision=found.revisions[rows],
            sign=found.signs[rows],
            again=self._again[places],
        )

    def _shared(self, places: Ints, contexts: Ints, texts: Dictionary, segments: _Segments) -> dict[str, Any]:
        every, arrivals, ids = self._contexts, self._batch.arrivals, self._batch.arrivals.names
        model, of_model = _named(every.models, contexts)
        version, of_version = _named(every.versions, every.version[contexts])
        segment, of_segment = _named(every.segments, every.segment[contexts])
        return {
            "source": self._batch.records.source[places].astype(np.int32),
            "offset": arrivals.offsets[places],
            "model": texts.codes(model)[of_model],
            "version": texts.codes(version)[of_version],
            "segments": segments.codes(segment)[of_segment],
            "id_hash": self._hashes[places].astype(np.uint64),
            "prediction_id": tuple([ids[place] for place in places.tolist()]),
        }


def _named(names: Sequence[Name], numbers: Ints) -> tuple[list[Name], Ints]:
    """Return the names of the distinct numbers [n], and each row's place among them [n]."""
    first, place = distinct(numbers)
    return [names[number] for number in numbers[first].tolist()], place


class _Segments(dict[tuple[tuple[str, str], ...], int]):
    def codes(self, segments: list[tuple[tuple[str, str], ...]]) -> Codes:
        return np.array([self.setdefault(each, len(self)) for each in segments], np.int32)


def letters(resolved: Resolved) -> Iterator[DeadLetter]:
    """Yield the dead letters of a batch, in the order of its events."""
    batch, resolutions, _ = resolved
    refused = dict(resolutions.refused(_LETTERS))
    for place in sorted(refused.keys() | batch.rejected.keys()):
        record, rejected, name = batch.records[place], batch.rejected.get(place), None
        if rejected is None:
            reason, name = _LETTERS[refused[place]], batch.arrivals.names[place]
            rejected = Rejected(reason, REASONS[reason])
        yield dead_letter(rejected, record.topic, record.partition, record.offset, record.value, name)


def orphan_letter(orphan: Orphan, topic: str) -> DeadLetter:
    """Return the dead letter of a label that waited in vain; its bytes are at the offset."""
    rejected = Rejected("orphan", REASONS["orphan"])
    return dead_letter(rejected, topic, orphan.partition, orphan.offset, prediction_id=orphan.prediction_id)


def _outcomes(resolutions: Resolutions, again: NDArray[np.bool_], contexts: Contexts) -> _Outcomes:
    matched = resolutions.matched
    count = len(matched.places)
    places, predicted, at_ms = matched.places, list(matched.predicted), matched.predicted_at_ms
    labels, labelled_at_ms = list(matched.labels), matched.labelled_at_ms
    revisions, signs = np.zeros(count, np.int32), np.ones(count)
    others = [
        (place, each.predicted, each.predicted_at_ms, *row)
        for place, each in resolutions.others.items()
        for row in (*each.outcomes, *(each.instead if again[place] else ()))
    ]
    if others:
        more: Any = list(zip(*others, strict=True))
        order = np.argsort(np.concatenate((places, more[0])), kind="stable")
        places, at_ms, labelled_at_ms, revisions, signs = (
            np.concatenate((column, np.array(further, column.dtype)))[order]
            for column, further in (
                (places, more[0]),
                (at_ms, more[2]),
                (labelled_at_ms, more[5]),
                (revisions, more[3]),
                (signs, more[4]),
            )
        )
        predicted, labels = (
            [both[index] for index in order.tolist()]
            for both in ([*predicted, *more[1]], [*labels, *more[6]])
        )
    found = unpack_answers(predicted)
    numbers = contexts.of_packed(found.contexts)
    return _Outcomes(places, found, numbers, at_ms, labels, labelled_at_ms, revisions, signs)


def _answer_columns(found: Answers, rows: Ints, texts: Dictionary) -> dict[str, Any]:
    special = {}
    if found.special:
        special = {at: found.special[row] for at, row in enumerate(rows.tolist()) if row in found.special}
    text = np.full(len(rows), NO_TEXT, np.int32)
    maps: list[dict[str, float]] = [{}] * len(rows)
    ranked: dict[int, list[Any]] = {}
    for at, (prediction, proba) in special.items():
        if isinstance(prediction, list):  # each has other items: scores by item would be a layout each
            ranked[at] = prediction
            continue
        words = text_of(prediction)
        text[at] = NO_TEXT if words is None else texts.code(words)
        maps[at] = proba if isinstance(proba, dict) else {}
    return {
        "number": found.numbers[rows],
        "text": text,
        "score": found.scores[rows],
        "business_value": found.values[rows],
        "proba": texts.maps(maps),
        "items": texts.lists([ranked.get(at) for at in range(len(rows))]) if ranked else Lists.none(),
    }


def _label_columns(payloads: list[bytes], texts: Dictionary) -> dict[str, Any]:
    count = len(payloads)
    floats = unpack_floats(payloads)
    if floats is not None:
        return {
            "label_number": floats,
            "label_text": np.full(count, NO_TEXT, np.int32),
            "weight": np.ones(count),
            "kpis": texts.maps([{}] * count),
        }
    codes = {payload: code for code, payload in enumerate(dict.fromkeys(payloads))}
    which = np.fromiter(map(codes.__getitem__, payloads), np.int64, count)
    told = [unpack_labelled(payload) for payload in codes]
    said = [each.label for each in told]
    kpis = [told[code].kpis for code in which.tolist()] if any(each.kpis for each in told) else [{}] * count
    return {
        "label_number": np.array([number_of(label) for label in said], np.float64)[which],
        "label_text": texts.codes([text_of(label) for label in said])[which],
        "relevant": texts.lists(said).take(which),
        "weight": np.array([each.weight for each in told], np.float64)[which],
        "kpis": texts.maps(kpis),
    }
