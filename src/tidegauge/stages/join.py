"""JOIN: predictions and labels in, observations and dead letters out.

The order of a step; every write replays harmlessly:
1. take a batch of both topics
2. decode it: an event, or a dead letter that says why not
3. resolve the events in the window: stored, counted and marked as applied by one script a shard
4. put the rows that follow into blocks, one for each partition of the observations
5. send blocks and dead letters, and wait until all are delivered
6. acknowledge the orphans whose dead letters are delivered
7. commit the offsets: a crash before this reads the events again, and the window tells the same rows
8. move the watermark and let go of what is due: a batch of many days must not expire its own labels
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from tidegauge import keys
from tidegauge.adapters import block_codec
from tidegauge.block import Block, Trigger
from tidegauge.block_builder import BlockBuilder
from tidegauge.config import Settings
from tidegauge.errors import Rejected
from tidegauge.events import Decoder, LabelEvent, PredictionEvent, dead_letter
from tidegauge.join import (
    Arrival,
    Resolution,
    Side,
    Verdict,
    key_of,
    pack_labelled,
    pack_predicted,
    unpack_labelled,
    unpack_predicted,
)
from tidegauge.ports import JoinGroup, Ownership, Partition, Producer, Record, Store, Window, ends
from tidegauge.records import REASONS, DeadLetter

VERSIONS_KEY = "tgw:versions"  # every model version seen, for limits.models
_FLUSH_SECONDS = 30.0
_PUBLISH_SECONDS = 1.0
_SWEEP_BUCKETS = 64  # looked at in a step: a full pass takes buckets / 64 steps, each under 1 ms
_BLOCK_BYTES = 2_000_000  # of events in a block; the topic takes blocks of 8 MB


class Event(NamedTuple):
    """A record of a topic, decoded, or the reason why not."""

    record: Record
    found: PredictionEvent | LabelEvent | Rejected
    arrival: Arrival


def destination(model_id: str, partitions: int) -> int:
    """Return the partition of the observations to which a model belongs.

    >>> destination("churn", 4)
    0
    """
    return zlib.crc32(model_id.encode()) % partitions


def _version_of(member: str) -> tuple[str, str]:
    model_id, _, version = member.partition(":")
    return keys.decoded(model_id), keys.decoded(version)


class JoinStage:
    """A member of the join group: both input topics, one window in Redis for all members."""

    def __init__(
        self,
        settings: Settings,
        join_group: JoinGroup,
        producer: Producer,
        window: Window,
        store: Store,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        names = settings.topics
        self._settings = settings
        self._producer = producer
        self._window = window
        self._store = store
        self._clock = clock
        self._decoder = Decoder(settings.limits)
        self._sides = {names.predictions: Side.PREDICTION, names.labels: Side.LABEL}
        self._versions = {_version_of(member) for member in store.members(VERSIONS_KEY)}
        self._new_versions: list[str] = []
        self._next: dict[Partition, int] = {}  # of the partitions owned
        self._joined = False
        self._published = 0.0
        self._watermark_ms = window.watermark({})
        self._partitions = producer.partitions(names.observations)
        self._consumer = join_group(Ownership(gained=self._gain, given_up=self._drop, lost=self._drop))

    def step(self) -> int:
        """Take a batch through the stage; the numbers are those of the module's text."""
        join = self._settings.join
        records = self._consumer.take(join.batch, join.linger_ms / 1_000)  # 1
        events = [self._decode(record) for record in records]  # 2
        self._remember_versions()
        arrivals = [event.arrival for event in events]
        resolutions = self._window.apply(arrivals, self._watermark_ms)  # 3
        for partition, block in self._blocks(events, resolutions):  # 4, 5
            self._producer.send(
                self._settings.topics.observations, block_codec.encode(block), None, partition
            )
        orphans = self._window.outbox()
        self._send_letters(self._letters(events, resolutions))
        self._send_letters(
            dead_letter(
                Rejected("orphan", REASONS["orphan"]),
                self._settings.topics.labels,
                orphan.partition,
                orphan.offset,
                prediction_id=orphan.prediction_id,
            )
            for orphan in orphans
        )
        self._producer.flush(_FLUSH_SECONDS)
        self._window.acknowledge(orphans)  # 6
        self._consumer.commit(ends(records))  # 7
        self._watermark_ms = self._window.watermark(self._advances(events))  # 8
        self._next |= ends(records)
        self._window.sweep(self._watermark_ms, _SWEEP_BUCKETS)
        self._publish()
        return len(records)

    def ready(self) -> bool:
        """Return whether the group has given this member its share, which may be nothing."""
        return self._joined

    def close(self, failed: bool) -> None:
        """Leave the group; every finished step is committed, an unfinished one is read again."""
        self._consumer.close()
        if not failed:
            self._published = 0.0
            self._publish()
        self._window.close()

    def _decode(self, record: Record) -> Event:
        side = self._sides[record.topic]
        found: PredictionEvent | LabelEvent | Rejected
        try:
            if side is Side.PREDICTION:
                found = self._decoder.prediction(record.value, record.timestamp_ms)
                self._admit(found.predicted.model_id, found.predicted.model_version)
                at_ms, payload = found.predicted.predicted_at_ms, pack_predicted(found.predicted)
            else:
                found = self._decoder.label(record.value, record.timestamp_ms)
                at_ms, payload = found.labelled_at_ms, pack_labelled(found.labelled)
        except Rejected as rejected:
            refused = Arrival(side, b"", record.partition, record.offset, 0, b"", rejected=True)
            return Event(record, rejected, refused)
        name = found.prediction_id
        arrival = Arrival(side, key_of(name), record.partition, record.offset, at_ms, payload, name)
        return Event(record, found, arrival)

    def _admit(self, model_id: str, version: str) -> None:
        """Know a model version from now on, or raise Rejected where there are too many."""
        if (model_id, version) in self._versions:
            return
        most = self._settings.limits.models
        if len(self._versions) >= most:
            detail = f"expected at most {most} model versions, got one more: {model_id} {version}"
            raise Rejected("too_many", detail, "$.model_id")
        self._versions.add((model_id, version))
        self._new_versions.append(f"{keys.encoded(model_id)}:{keys.encoded(version)}")

    def _remember_versions(self) -> None:
        if self._new_versions:
            self._store.add_members(VERSIONS_KEY, self._new_versions)
            self._new_versions.clear()

    def _advances(self, events: list[Event]) -> dict[str, int | None]:
        """Return how far each source has come in event time, None where it has been read to its end."""
        advances: dict[str, int | None] = {}
        for topic, partition in self._next.keys() - ends(event.record for event in events).keys():
            end = self._consumer.end_offset((topic, partition))
            if end is not None and self._next[topic, partition] >= end:
                advances[f"{topic}-{partition}"] = None
        for record, _, arrival in events:
            if not arrival.rejected:
                source = f"{record.topic}-{record.partition}"
                advances[source] = max(arrival.at_ms, advances.get(source) or 0)
        return advances

    def _blocks(self, events: list[Event], resolutions: list[Resolution]) -> Iterator[tuple[int, Block]]:
        builders = [BlockBuilder() for _ in range(self._partitions)]
        sizes = [0] * self._partitions
        for event, resolution in zip(events, resolutions, strict=True):
            if not (resolution.emit_prediction or resolution.outcomes):
                continue
            partition = self._add_rows(builders, event, resolution)
            sizes[partition] += len(event.record.value or b"")
            if sizes[partition] >= _BLOCK_BYTES:
                yield partition, builders[partition].build()
                builders[partition], sizes[partition] = BlockBuilder(), 0
        for partition, builder in enumerate(builders):
            if len(builder):
                yield partition, builder.build()

    def _add_rows(self, builders: list[BlockBuilder], event: Event, resolution: Resolution) -> int:
        """Add the rows of an event to the builder of its model; return the model's partition."""
        record, found, arrival = event
        assert not isinstance(found, Rejected)  # the window emits nothing for a rejected event
        trigger = Trigger(record.topic, record.partition, record.offset)
        id_hash = int.from_bytes(arrival.key[:8], "little")
        if isinstance(found, PredictionEvent):
            predicted = found.predicted
        else:
            predicted = unpack_predicted(resolution.predicted, resolution.predicted_at_ms)
        partition = destination(predicted.model_id, self._partitions)
        builder = builders[partition]
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
        for revision, sign, labelled_at_ms, label in resolution.outcomes:
            labelled = unpack_labelled(label)
            builder.outcome(
                found.prediction_id, id_hash, trigger, predicted, labelled, labelled_at_ms, revision, sign
            )
        return partition

    def _letters(self, events: list[Event], resolutions: list[Resolution]) -> Iterator[DeadLetter]:
        for (record, found, _), resolution in zip(events, resolutions, strict=True):
            if isinstance(found, Rejected):
                reason = found
            elif resolution.verdict in _LETTERS:
                name = _LETTERS[resolution.verdict]
                reason = Rejected(name, REASONS[name])
            else:
                continue
            known = None if isinstance(found, Rejected) else found.prediction_id
            yield dead_letter(reason, record.topic, record.partition, record.offset, record.value, known)

    def _send_letters(self, letters: Iterable[DeadLetter]) -> None:
        for letter in letters:
            self._producer.send(self._settings.topics.deadletter, msgspec.json.encode(letter))

    def _publish(self) -> None:
        now = self._clock()
        if now - self._published >= _PUBLISH_SECONDS:
            counters = {**self._window.counters(), "watermark_ms": self._watermark_ms}
            self._store.write({keys.JOIN: {name: str(count) for name, count in counters.items()}})
            self._published = now

    def _gain(self, partitions: list[Partition]) -> dict[Partition, int | None]:
        starts = {partition: self._consumer.start_offset(partition) for partition in partitions}
        for partition, start in starts.items():
            self._next[partition] = self._consumer.first_offset(partition) if start is None else start
        self._window.watermark({f"{topic}-{number}": 0 for topic, number in partitions})
        self._joined = True
        return starts

    def _drop(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            self._next.pop(partition, None)


_LETTERS = {Verdict.LATE: "late", Verdict.REJECTED: "too_many_revisions"}
