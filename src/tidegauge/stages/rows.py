"""From resolutions to blocks and dead letters: what follows from a batch of events."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from tidegauge.block import Block, Trigger
from tidegauge.block_builder import BlockBuilder
from tidegauge.errors import Rejected
from tidegauge.events import LabelEvent, PredictionEvent, dead_letter
from tidegauge.join import Arrival, Orphan, OutcomeRow, Resolution, Verdict, unpack_labelled, unpack_predicted
from tidegauge.ports import Record
from tidegauge.records import REASONS, DeadLetter

BLOCK_BYTES = 2_000_000  # of events in a block; the topic takes blocks of 8 MB

_LETTERS = {Verdict.LATE: "late", Verdict.REJECTED: "too_many_revisions"}


class Event(NamedTuple):
    """A record of a topic, decoded, or the reason why not."""

    record: Record
    found: PredictionEvent | LabelEvent | Rejected
    arrival: Arrival


class Resolved(NamedTuple):
    """An event and what became of it in the window."""

    event: Event
    resolution: Resolution
    again: bool = False  # its outcomes may have been delivered, completed by another event

    def outcomes(self) -> tuple[OutcomeRow, ...]:
        """Return the outcome rows that follow."""
        resolution = self.resolution
        return resolution.outcomes + resolution.instead if self.again else resolution.outcomes


def destination(model_id: str, partitions: int) -> int:
    """Return the partition of the observations to which a model belongs.

    >>> destination("churn", 4)
    0
    """
    return zlib.crc32(model_id.encode()) % partitions


class Rows:
    """Collects the rows of a batch in builders, one for each partition of the observations."""

    def __init__(self, partitions: int) -> None:
        self._builders = [BlockBuilder() for _ in range(partitions)]
        self._bytes = [0] * partitions

    def blocks(self, batch: list[Resolved]) -> Iterator[tuple[int, Block]]:
        """Yield the blocks of a batch, each with its partition; a full one as soon as it is."""
        for one in batch:
            event, resolution, _ = one
            if resolution.emit_prediction or one.outcomes():
                partition = self._add(one)
                self._bytes[partition] += len(event.record.value or b"")
                if self._bytes[partition] >= BLOCK_BYTES:
                    yield partition, self._take(partition)
        for partition, builder in enumerate(self._builders):
            if len(builder):
                yield partition, self._take(partition)

    def _take(self, partition: int) -> Block:
        block = self._builders[partition].build()
        self._builders[partition], self._bytes[partition] = BlockBuilder(), 0
        return block

    def _add(self, resolved: Resolved) -> int:
        """Add the rows of an event to the builder of its model; return the model's partition."""
        event, resolution, again = resolved
        record, found, arrival = event
        assert not isinstance(found, Rejected)  # the window emits nothing for a rejected event
        trigger = Trigger(record.topic, record.partition, record.offset)
        id_hash = int.from_bytes(arrival.key[:8], "little")
        if isinstance(found, PredictionEvent):
            predicted = found.predicted
        else:
            predicted = unpack_predicted(resolution.predicted, resolution.predicted_at_ms)
        partition = destination(predicted.model_id, len(self._builders))
        builder = self._builders[partition]
        if isinstance(found, PredictionEvent) and resolution.emit_prediction:
            builder.prediction(
                found.prediction_id,
                id_hash,
                trigger,
                predicted,
                found.features,
                found.latency_ms,
                found.resources,
                found.entity_id,
            )
        for revision, sign, labelled_at_ms, label in resolved.outcomes():
            labelled = unpack_labelled(label)
            builder.outcome(
                found.prediction_id,
                id_hash,
                trigger,
                predicted,
                labelled,
                labelled_at_ms,
                revision,
                sign,
                again,
            )
        return partition


def letters(batch: list[Resolved]) -> Iterator[DeadLetter]:
    """Yield the dead letters of a batch."""
    for (record, found, _), resolution, _ in batch:
        if isinstance(found, Rejected):
            yield dead_letter(found, record.topic, record.partition, record.offset, record.value)
        elif resolution.verdict in _LETTERS:
            name = _LETTERS[resolution.verdict]
            rejected = Rejected(name, REASONS[name])
            yield dead_letter(
                rejected, record.topic, record.partition, record.offset, record.value, found.prediction_id
            )


def orphan_letter(orphan: Orphan, topic: str) -> DeadLetter:
    """Return the dead letter of a label that waited in vain; its bytes are at the offset."""
    rejected = Rejected("orphan", REASONS["orphan"])
    return dead_letter(rejected, topic, orphan.partition, orphan.offset, prediction_id=orphan.prediction_id)
