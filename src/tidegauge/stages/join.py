"""JOIN: predictions and labels in, observations and dead letters out.

The order of a step; every write replays harmlessly:
1. take a batch of both topics, and another as long as each is full, a few at most
2. decode it: an event, or a dead letter that says why not
3. resolve the events in the window: stored, counted and marked as applied by one script a shard
4. put the rows that follow into blocks, one for each partition of the observations
5. send blocks and dead letters, and wait until all are delivered
6. acknowledge the orphans whose dead letters are delivered
7. commit the offsets: a crash before this reads the events again, and the window tells the same rows
8. move the watermark and let go of what is due: a batch of many days must not expire its own labels

Batches go through 2 to 5 in halves: while Redis works on one half, others are taken, decoded and put into
blocks. At the end of a step nothing is under way.

Where the window may have lost writes (a restart, a failover) it refuses every call (`reading.py`). Then the
stage gives it again what was committed before it goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import TypeVar

import msgspec
import numpy as np

from tidegauge import keys
from tidegauge.adapters import block_codec
from tidegauge.block import Ints
from tidegauge.config import Settings
from tidegauge.errors import Rejected, TidegaugeError, Unavailable, WentBack
from tidegauge.events import Decoder
from tidegauge.join import Resolution, Resolutions, Side
from tidegauge.ports import Applying, JoinGroup, Partition, Patience, Producer, Records, Store, Window
from tidegauge.records import DeadLetter
from tidegauge.stages.batch import Batch, Contexts, decoded
from tidegauge.stages.reading import Reading
from tidegauge.stages.refill import Refill
from tidegauge.stages.rows import Resolved, Rows, letters, orphan_letter

Answer = TypeVar("Answer")

VERSIONS_KEY = "tgw:versions"  # every model version seen, for limits.models
_FLUSH_SECONDS = 5.0
_PUBLISH_SECONDS = 1.0
_PARTS = 2  # of a full batch: each is a call to every shard, so more cost more CPU
_SWEEP_BUCKETS = {"quiet": 256, "busy": 16}  # of each shard, looked at in a step
_NEVER_MS = -1
_SWEEP_AGAIN_SECONDS = 60.0  # although nothing seems to be due
_SWEEP_REST = 19  # times what a sweep took: a twentieth of the time is for sweeps, but while nothing comes


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
        self._contexts = Contexts(self._admit)
        self._sides = {names.predictions: Side.PREDICTION, names.labels: Side.LABEL}
        self._versions = {_version_of(member) for member in store.members(VERSIONS_KEY)}
        self._new_versions: list[str] = []
        self._published = 0.0
        self._sweep_next = self._sweep_again = 0.0
        self._pass_ms = self._swept_ms = _NEVER_MS  # watermarks of this pass of sweeps and of the last
        self._partitions = producer.partitions(names.observations)
        self._reading = Reading(settings.join, join_group, window, self._sides, producer.partitions)

    def step(self) -> int:
        """Take a batch through the stage; the numbers are those of the module's text."""
        records = self._reading.take()
        refill = self._reading.refill
        try:
            if refill is None:
                return self._work(records)
            self._keep(lambda: self._give_again(refill, records))
            return len(records)
        except WentBack:
            self._keep(self._reading.look_again)
            return 0

    def _work(self, records: Records) -> int:
        self._contexts.begin()
        count, reached = 0, dict[Partition, int | None]()
        with closing(self._resolved(records)) as parts:  # 1, 2, 3
            for resolved in parts:
                self._send_blocks(resolved)  # 4, 5
                self._send(letters(resolved))
                count += len(resolved.batch.records)
                for source, at_ms in resolved.batch.reached().items():
                    reached[source] = max(reached.get(source), at_ms, key=_time)
        orphans = self._keep(self._window.outbox)
        self._send(orphan_letter(orphan, self._settings.topics.labels) for orphan in orphans)
        self._keep(lambda: self._producer.flush(_FLUSH_SECONDS))
        self._keep(lambda: self._window.acknowledge(orphans))  # 6
        self._reading.done()
        self._keep(self._reading.commit)  # 7
        self._keep(lambda: self._reading.advance(reached))  # 8
        self._keep(partial(self._sweep, quiet=not count))
        self._keep(self._publish)
        return count

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

    def _decode(self, records: Records) -> Batch:
        return decoded(records, self._sides, self._decoder, self._contexts)

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

    def _resolved(self, records: Records) -> Generator[Resolved, None, None]:
        """Yield the parts of the step, resolved; while one waits for the window the next is decoded."""
        under_way: list[tuple[Batch, Ints, Applying]] = []  # one at most
        try:
            for part in self._parts(records):
                batch = self._decode(part)
                self._keep(self._remember_versions)
                self._keep(partial(self._reading.wake, batch.records.sources))
                ended = [self._ended(*under_way.pop()) for _ in under_way[:]]
                self._reading.hold()
                until = self._again_until(batch)  # before partitions come and go with the next batch
                applying = self._window.begin(batch.arrivals, self._reading.watermark_ms)
                under_way.append((batch, until, applying))
                yield from ended
            while under_way:
                yield self._ended(*under_way.pop())
        finally:
            for *_, applying in under_way:  # nothing of a batch that is given up may enter the window later
                with suppress(TidegaugeError):
                    applying()

    def _parts(self, first: Records) -> Iterator[Records]:
        """Yield the parts of the first batch of a step, and of those that follow it."""
        size = max(self._settings.join.batch // _PARTS, 1)
        records: Records | None = first
        while records is not None:
            self._keep(self._reading.begin)
            yield from (records[start : start + size] for start in range(0, len(records), size))
            records = self._keep(partial(self._reading.more, records))

    def _ended(self, batch: Batch, until: Ints, applying: Applying) -> Resolved:
        try:
            return _judged(batch, until, applying())
        except Unavailable:
            return self._keep(lambda: self._held(batch, until))

    def _held(self, batch: Batch, until: Ints) -> Resolved:
        self._reading.hold()
        return self._resolve(batch, until)

    def _resolve(self, batch: Batch, until: Ints) -> Resolved:
        return _judged(batch, until, self._window.apply(batch.arrivals, self._reading.watermark_ms))

    def _again_until(self, batch: Batch) -> Ints:
        """Return the offset of each event's partition [n] below which its rows may have been delivered."""
        until = [self._reading.again_until(source) for source in batch.records.sources]
        return np.array(until, np.int64)[batch.records.source]

    def _send_blocks(self, resolved: Resolved) -> None:
        for partition, block in Rows(resolved, self._contexts, self._partitions).blocks():
            encoded = block_codec.encode(block)
            self._producer.send(self._settings.topics.observations, encoded, None, partition)

    def _send(self, dead: Iterable[DeadLetter]) -> None:
        for letter in dead:
            self._producer.send(self._settings.topics.deadletter, msgspec.json.encode(letter))

    def _sweep(self, quiet: bool) -> None:
        """Let go of what is due, some buckets at a time.

        Nothing is after a whole pass at this watermark in which nothing came: what comes may be due at once.
        What came to another worker, who is gone, is looked for now and then.
        """
        now_ms, began = self._reading.watermark_ms, self._clock()
        if not quiet:
            self._pass_ms = self._swept_ms = _NEVER_MS
        elif now_ms == self._swept_ms and began < self._sweep_again:
            return
        if quiet or began >= self._sweep_next:
            if self._window.sweep(now_ms, _SWEEP_BUCKETS["quiet" if quiet else "busy"]):
                self._swept_ms, self._pass_ms = self._pass_ms, now_ms
                self._sweep_again = began + _SWEEP_AGAIN_SECONDS
            ended = self._clock()
            self._sweep_next = ended + _SWEEP_REST * (ended - began)

    def _publish(self) -> None:
        now = self._clock()
        if now - self._published >= _PUBLISH_SECONDS:
            counters = {**self._window.counters(), "watermark_ms": self._reading.watermark_ms}
            self._store.write({keys.JOIN: {name: str(count) for name, count in counters.items()}})
            self._published = now

    def _give_again(self, refill: Refill, records: Records) -> None:
        """Apply what is below the committed offsets and lacking; go on when nobody lacks anything."""
        self._pass_ms = self._swept_ms = _NEVER_MS
        if refill is not self._reading.refill:  # another loss
            return
        began = refill.turn
        missing = self._reading.missing(refill)
        wanted = refill.wanted(records, missing)
        if not missing:
            self._reading.go_on(refill)
        elif began is refill.turn:
            self._apply_again(refill, wanted)

    def _apply_again(self, refill: Refill, records: Records) -> None:
        self._contexts.begin()
        batch = self._decode(records)
        self._remember_versions()
        told = self._resolve(batch, self._again_until(batch)).resolutions
        pairs = zip(batch.arrivals, told, strict=True)
        found = [refill.remaining(arrival, resolution) for arrival, resolution in pairs]
        resolved = Resolved(batch, Resolutions.of(found), np.ones(len(records), np.bool_))
        self._send_blocks(resolved)
        self._send(letters(resolved))
        self._producer.flush(_FLUSH_SECONDS)


def _judged(batch: Batch, until: Ints, resolutions: Sequence[Resolution]) -> Resolved:
    found = Resolutions.of(resolutions)
    return Resolved(batch, found, (batch.arrivals.offsets < until) & ~found.replayed)


def _time(at_ms: int | None) -> int:
    return -1 if at_ms is None else at_ms


def _version_of(member: str) -> tuple[str, str]:
    model_id, _, version = member.partition(":")
    return keys.decoded(model_id), keys.decoded(version)
