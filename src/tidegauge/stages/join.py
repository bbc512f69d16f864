"""JOIN: predictions and labels in, observations and dead letters out.

The order of a step; every write replays harmlessly:
1. take a batch of both topics
2. decode it: an event, or a dead letter that says why not
3. resolve the events in the window: stored, counted and marked as applied by one script a shard
4. put the rows that follow into blocks, one for each partition of the observations
5. send blocks and dead letters, and wait until all are delivered
6. acknowledge the orphans whose dead letters are delivered
7. commit the offsets, unless the window lacks what was committed before: a crash before this reads the
   events again, and the window tells the same rows
8. move the watermark and let go of what is due: a batch of many days must not expire its own labels

Where the window has lost writes (a failover, a crash) it says so. Then the stage gives it again what was
committed (`refill.py`) before it goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import msgspec
import numpy as np

from tidegauge import keys
from tidegauge.adapters import block_codec
from tidegauge.config import Settings
from tidegauge.errors import Rejected, WentBack
from tidegauge.events import Decoder
from tidegauge.join import Resolutions, Side
from tidegauge.ports import JoinGroup, Ownership, Partition, Patience, Producer, Record, Store, Window, ends
from tidegauge.records import DeadLetter
from tidegauge.stages.batch import Batch, Contexts, decoded
from tidegauge.stages.refill import Refill
from tidegauge.stages.rows import Resolved, Rows, letters, orphan_letter

Answer = TypeVar("Answer")

VERSIONS_KEY = "tgw:versions"  # every model version seen, for limits.models
_FLUSH_SECONDS = 5.0
_FOREVER = 1 << 62
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
        self._contexts = Contexts(self._admit)
        self._sides = {names.predictions: Side.PREDICTION, names.labels: Side.LABEL}
        self._versions = {_version_of(member) for member in store.members(VERSIONS_KEY)}
        self._new_versions: list[str] = []
        self._next: dict[Partition, int] = {}  # of the partitions owned
        self._known: dict[tuple[Side, int], int] = {}  # offsets seen applied, of the partitions owned
        self._idle: set[Partition] = set()  # of the partitions owned: read to their end
        self._to_commit: dict[Partition, int] = {}
        self._again_until: dict[Partition, int] = {}  # offsets below may have been delivered before
        self._refill: Refill | None = None  # after a loss
        self._lost = False  # the window, at some time of this member
        self._joined = False
        self._published = 0.0
        self._watermark_ms = window.watermark({})
        self._partitions = producer.partitions(names.observations)
        self._consumer = join_group(Ownership(gained=self._gain, given_up=self._drop, lost=self._drop))

    def step(self) -> int:
        """Take a batch through the stage; the numbers are those of the module's text."""
        join = self._settings.join
        records = self._consumer.take(join.batch, join.linger_ms / 1_000)  # 1
        try:
            refill = self._refill
            if refill is None:
                return self._work(records)
            self._keep(lambda: self._give_again(refill, records))
            return len(records)
        except WentBack:
            self._keep(self._read_again)
            return 0

    def _work(self, records: list[Record]) -> int:
        batch = self._decode(records)  # 2
        self._keep(self._remember_versions)
        self._keep(lambda: self._wake(ends(records)))
        resolved = self._keep(lambda: self._resolve(batch))  # 3
        self._send_blocks(resolved)  # 4, 5
        orphans = self._keep(self._window.outbox)
        self._send(letters(resolved))
        self._send(orphan_letter(orphan, self._settings.topics.labels) for orphan in orphans)
        self._keep(lambda: self._producer.flush(_FLUSH_SECONDS))
        self._keep(lambda: self._window.acknowledge(orphans))  # 6
        self._note(records)
        self._keep(self._commit)  # 7
        self._watermark_ms = self._keep(lambda: self._window.watermark(self._advances(batch)))  # 8
        self._keep(lambda: self._window.sweep(self._watermark_ms, _SWEEP_BUCKETS))
        self._keep(self._publish)
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

    def _keep(self, call: Callable[[], Answer]) -> Answer:
        """Return what a call to a server returns, and hold still while the server is away."""
        return self._patience.keep(call, self._consumer.rest)

    def _decode(self, records: list[Record]) -> Batch:
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

    def _wake(self, partitions: Iterable[Partition]) -> None:
        """Let partitions that had been read to their end hold the watermark back again.

        Otherwise another worker's time could let go of what this batch matches, before a replay of it.
        """
        woken = self._idle.intersection(partitions)
        if woken:
            self._window.watermark({_mark(each): 0 for each in woken})
            self._idle -= woken

    def _resolve(self, batch: Batch) -> Resolved:
        """Return a batch with what became of it.

        What the window tells again has the trigger it had. What is new to it may still have been delivered
        before: by a worker that crashed before it committed, while the window lost that too.
        """
        found = self._window.apply(batch.arrivals, self._watermark_ms, self._known)
        resolutions = Resolutions.of(found)
        until = np.array([self._again_until.get(source, 0) for source in batch.sources], np.int64)
        again = (batch.arrivals.offsets < until[batch.source]) & ~resolutions.replayed
        return Resolved(batch, resolutions, again)

    def _send_blocks(self, resolved: Resolved) -> None:
        for partition, block in Rows(resolved, self._contexts, self._partitions).blocks():
            encoded = block_codec.encode(block)
            self._producer.send(self._settings.topics.observations, encoded, None, partition)

    def _send(self, dead: Iterable[DeadLetter]) -> None:
        for letter in dead:
            self._producer.send(self._settings.topics.deadletter, msgspec.json.encode(letter))

    def _note(self, records: list[Record]) -> None:
        """Remember how far the owned partitions are read and applied."""
        for partition, offset in ends(records).items():
            if partition in self._next:
                self._next[partition] = self._to_commit[partition] = offset
                self._known[self._source(partition)] = offset - 1

    def _commit(self) -> None:
        """Commit what is done; where the group refuses, again with the next step."""
        if self._to_commit:
            self._require_committed()
            if self._consumer.commit(self._to_commit):
                self._to_commit.clear()

    def _advances(self, batch: Batch) -> dict[str, int | None]:
        """Return how far each source has come in event time, None where it has been read to its end."""
        advances: dict[str, int | None] = {}
        self._idle.clear()
        for partition in self._next.keys() - set(batch.sources):
            end = self._consumer.end_offset(partition)
            if end is not None and self._next[partition] >= end:
                advances[_mark(partition)] = None
                self._idle.add(partition)
        return advances | {_mark(source): at_ms for source, at_ms in batch.advances().items()}

    def _publish(self) -> None:
        now = self._clock()
        if now - self._published >= _PUBLISH_SECONDS:
            self._require_known()
            counters = {**self._window.counters(), "watermark_ms": self._watermark_ms}
            self._store.write({keys.JOIN: {name: str(count) for name, count in counters.items()}})
            self._published = now

    def _require_known(self) -> None:
        """Raise WentBack where the window has lost what this member saw applied, also while nothing comes."""
        applied = self._window.applied()
        for source, offset in self._known.items():
            if applied.get(source, -1) < offset:
                raise WentBack(f"{source[0].plural}.{source[1]}: {offset} was applied, and is not any more")

    def _require_committed(self) -> None:
        """Raise WentBack where the window lacks what any worker has committed, or this one is about to.

        Without it this worker could commit what it joined with a window that another worker's events have
        left, before that worker notices; a refill would then take both for delivered.
        """
        committed, applied = self._all_committed() | self._to_commit, self._window.applied()
        if Refill(committed, self._sides).missing(applied) and self._refill_of(committed).missing(applied):
            raise WentBack("the window lacks events that were committed")

    def _refill_of(self, committed: dict[Partition, int]) -> Refill:
        """Return a refill of what was committed and is still in the topics."""
        first = self._consumer.first_offset
        return Refill({each: below for each, below in committed.items() if first(each) < below}, self._sides)

    # Where to read

    def _gain(self, partitions: list[Partition]) -> dict[Partition, int | None]:
        starts = self._starts(partitions)
        for partition, start in starts.items():
            self._next[partition] = self._consumer.first_offset(partition) if start is None else start
            self._note_again(partition)
        self._window.watermark({_mark(each): 0 for each in partitions})
        self._joined = True
        return starts

    def _drop(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            for kept in (self._next, self._to_commit, self._again_until):
                kept.pop(partition, None)
            self._known.pop(self._source(partition), None)

    def _note_again(self, partition: Partition) -> None:
        """Note which rows a monitor must know by what they say.

        The first batch may have been applied and delivered before a crash kept it from being committed,
        and Redis may have lost it since. After a loss all may have been.
        """
        ahead = _FOREVER if self._lost else self._settings.join.batch
        self._again_until[partition] = self._next[partition] + ahead

    def _starts(self, partitions: list[Partition]) -> dict[Partition, int | None]:
        """Return where to read on: what was committed, or before it what the window has lost.

        Committed offsets are asked for first: what is committed by then is applied, unless it was lost.
        """
        committed = self._all_committed()
        applied = self._window.applied()
        missing = self._lacking(committed, applied)
        starts: dict[Partition, int | None] = {}
        for partition in partitions:
            starts[partition] = missing.get(partition, committed.get(partition))
            if partition in committed and not missing:
                self._known[self._source(partition)] = committed[partition] - 1
        return starts

    def _read_again(self) -> None:
        """Begin a refill: the window has lost writes."""
        self._lacking(self._all_committed(), self._window.applied(), lost=True)

    def _lacking(
        self, committed: dict[Partition, int], applied: Mapping[tuple[Side, int], int], lost: bool = False
    ) -> dict[Partition, int]:
        """Return what the window lacks of what was committed, and begin a refill where that is something."""
        refill = self._refill_of(committed)
        missing = refill.missing(applied)
        if missing or lost:
            for partition, read in self._next.items():  # of those that nothing was committed of
                known = applied.get(self._source(partition), -1) + 1
                start = max(min(read, known), self._consumer.first_offset(partition))
                refill.resumes.setdefault(partition, start)
            self._lost, self._refill = True, refill
            self._known.clear()
            self._to_commit = {
                each: done
                for each, done in self._to_commit.items()
                if applied.get(self._source(each), -1) >= done - 1
            }
            # Nobody has read to its end: what comes again must not be let go of by one worker's time.
            self._watermark_ms = self._window.watermark({_mark(each): 0 for each in committed})
        return missing

    def _give_again(self, refill: Refill, records: list[Record]) -> None:
        """Apply what is below the committed offsets and lacking; go on when nobody lacks anything."""
        missing = refill.missing(self._window.applied())
        wanted = refill.wanted(records, missing)
        if not missing:
            self._go_on(refill)
        elif refill.begins(missing):
            for partition in missing.keys() & self._next.keys():
                self._consumer.seek(
                    partition, max(missing[partition], self._consumer.first_offset(partition))
                )
        else:
            self._apply_again(refill, wanted)

    def _apply_again(self, refill: Refill, records: list[Record]) -> None:
        batch = self._decode(records)
        self._remember_versions()
        found = [
            refill.remaining(arrival, resolution)
            for arrival, resolution in zip(batch.arrivals, self._resolve(batch).resolutions, strict=True)
        ]
        again = np.ones(len(records), np.bool_)
        resolved = Resolved(batch, Resolutions.of(found), again)
        self._send_blocks(resolved)
        self._send(letters(resolved))
        self._producer.flush(_FLUSH_SECONDS)
        self._known |= {self._source(each): offset - 1 for each, offset in ends(records).items()}

    def _go_on(self, refill: Refill) -> None:
        self._refill = None
        for partition in self._next:
            if partition in refill.resumes:
                self._next[partition] = refill.resumes[partition]
                self._consumer.seek(partition, self._next[partition])
                self._known[self._source(partition)] = self._next[partition] - 1
            self._note_again(partition)

    def _all_committed(self) -> dict[Partition, int]:
        return {
            (topic, number): offset
            for topic in self._sides
            for number, offset in self._consumer.committed(topic).items()
        }

    def _source(self, partition: Partition) -> tuple[Side, int]:
        return self._sides[partition[0]], partition[1]


def _mark(partition: Partition) -> str:
    """Return the name under which the window keeps how far a source partition has come in event time."""
    return f"{partition[0]}-{partition[1]}"


def _version_of(member: str) -> tuple[str, str]:
    model_id, _, version = member.partition(":")
    return keys.decoded(model_id), keys.decoded(version)
