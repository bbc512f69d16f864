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

Where the window may have lost writes (a restart, a failover) it refuses every call (`reading.py`). Then the
stage gives it again what was committed before it goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from tidegauge import keys
from tidegauge.adapters import block_codec
from tidegauge.config import Settings
from tidegauge.errors import Rejected, WentBack
from tidegauge.events import Decoder, LabelEvent, PredictionEvent
from tidegauge.join import Arrival, Resolution, Side, key_of, pack_labelled, pack_predicted
from tidegauge.ports import JoinGroup, Partition, Patience, Producer, Record, Store, Window, ends
from tidegauge.records import DeadLetter
from tidegauge.stages.reading import Reading
from tidegauge.stages.refill import Refill
from tidegauge.stages.rows import Event, Resolved, Rows, letters, orphan_letter

Answer = TypeVar("Answer")

VERSIONS_KEY = "tgw:versions"  # every model version seen, for limits.models
_FLUSH_SECONDS = 5.0
_PUBLISH_SECONDS = 1.0
_SWEEP_BUCKETS = 64  # looked at in a step: a full pass takes buckets / 64 steps, each under 1 ms


class JoinStage:
    """A member of the join group: both input topics, one window in Redis for all members."""

    def __init__(
        self,
        settings: Settings,
        join_group: JoinGroup,
        producer: Producer,
        window: Window,
        store: Store,
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        names = settings.topics
        self._settings = settings
        self._producer = producer
        self._window = window
        self._store = store
        self._patience = patience
        self._clock = clock
        self._decoder = Decoder(settings.limits)
        self._sides = {names.predictions: Side.PREDICTION, names.labels: Side.LABEL}
        self._versions = {_version_of(member) for member in store.members(VERSIONS_KEY)}
        self._new_versions: list[str] = []
        self._published = 0.0
        self._partitions = producer.partitions(names.observations)
        self._reading = Reading(settings.join, join_group, window, self._sides, producer.partitions)

    def step(self) -> int:
        """Take a batch through the stage; the numbers are those of the module's text."""
        records = self._reading.take()  # 1
        refill = self._reading.refill
        try:
            if refill is None:
                return self._work(records)
            self._keep(lambda: self._give_again(refill, records))
            return len(records)
        except WentBack:
            self._keep(self._reading.look_again)
            return 0

    def _work(self, records: list[Record]) -> int:
        events = [self._decode(record) for record in records]  # 2
        self._keep(self._remember_versions)
        self._keep(self._reading.begin)
        self._keep(lambda: self._reading.wake(ends(records)))
        resolutions = self._keep(lambda: self._resolve(events))  # 3
        batch = list(map(self._resolved, events, resolutions))
        self._send_blocks(batch)  # 4, 5
        orphans = self._keep(self._window.outbox)
        self._send(letters(batch))
        self._send(orphan_letter(orphan, self._settings.topics.labels) for orphan in orphans)
        self._keep(lambda: self._producer.flush(_FLUSH_SECONDS))
        self._keep(lambda: self._window.acknowledge(orphans))  # 6
        self._reading.done(records)
        self._keep(self._reading.commit)  # 7
        self._keep(lambda: self._reading.advance(_reached(events)))  # 8
        self._keep(lambda: self._window.sweep(self._reading.watermark_ms, _SWEEP_BUCKETS))
        self._keep(self._publish)
        return len(records)

    def ready(self) -> bool:
        """Return whether the group has given this member its share, which may be nothing."""
        return self._reading.joined

    def close(self, failed: bool) -> None:
        """Leave the group; every finished step is committed, an unfinished one is read again."""
        self._reading.consumer.close()
        if not failed:
            self._published = 0.0
            self._publish()
        self._window.close()

    def _keep(self, call: Callable[[], Answer]) -> Answer:
        """Return what a call to a server returns, and hold still while the server is away."""
        return self._patience.keep(call, self._reading.consumer.rest)

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

    def _resolve(self, events: list[Event]) -> list[Resolution]:
        arrivals = [event.arrival for event in events]
        return self._window.apply(arrivals, self._reading.watermark_ms)

    def _send_blocks(self, batch: list[Resolved]) -> None:
        for partition, block in Rows(self._partitions).blocks(batch):
            encoded = block_codec.encode(block)
            self._producer.send(self._settings.topics.observations, encoded, None, partition)

    def _resolved(self, event: Event, resolution: Resolution) -> Resolved:
        return Resolved(event, resolution, self._reading.again(event.record, resolution))

    def _send(self, dead: Iterable[DeadLetter]) -> None:
        for letter in dead:
            self._producer.send(self._settings.topics.deadletter, msgspec.json.encode(letter))

    def _publish(self) -> None:
        now = self._clock()
        if now - self._published >= _PUBLISH_SECONDS:
            counters = {**self._window.counters(), "watermark_ms": self._reading.watermark_ms}
            self._store.write({keys.JOIN: {name: str(count) for name, count in counters.items()}})
            self._published = now

    def _give_again(self, refill: Refill, records: list[Record]) -> None:
        """Apply what is below the committed offsets and lacking; go on when nobody lacks anything."""
        if refill is not self._reading.refill:  # another loss
            return
        began = refill.turn
        missing = self._reading.missing(refill)
        wanted = refill.wanted(records, missing)
        if not missing:
            self._reading.go_on(refill)
        elif began is refill.turn:
            self._apply_again(refill, wanted)

    def _apply_again(self, refill: Refill, records: list[Record]) -> None:
        events = [self._decode(record) for record in records]
        self._remember_versions()
        resolutions = self._resolve(events)
        batch = [
            Resolved(event, refill.remaining(event.arrival, resolution), again=True)
            for event, resolution in zip(events, resolutions, strict=True)
        ]
        self._send_blocks(batch)
        self._send(letters(batch))
        self._producer.flush(_FLUSH_SECONDS)


def _reached(events: list[Event]) -> dict[Partition, int | None]:
    """Return the newest time of each partition in a batch, None where every event of it was rejected."""
    reached: dict[Partition, int | None] = {}
    for record, _, arrival in events:
        partition = (record.topic, record.partition)
        newest = reached.get(partition)
        if arrival.rejected:
            reached.setdefault(partition, None)
        elif newest is None or arrival.at_ms > newest:
            reached[partition] = arrival.at_ms
    return reached


def _version_of(member: str) -> tuple[str, str]:
    model_id, _, version = member.partition(":")
    return keys.decoded(model_id), keys.decoded(version)
