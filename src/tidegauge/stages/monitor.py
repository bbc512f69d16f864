"""MONITOR: blocks of observations in, metric state and alerts out.

The order of a step; every write replays harmlessly:
1. take blocks
2. observe them, each by the monitor of its partition: the models of a partition are its alone
3. publish the alerts, and wait until they are delivered: ids are the same on a replay
4. soon, write metric state that changed to Redis, refused where the partition has a newer owner; while
   Redis works on a piece, the next is made, or blocks are observed
5. less often, store a snapshot with the next offset, refused likewise
6. commit that offset; the group's offset is a hint, the snapshot's is what a new owner starts at

Metric state goes out in pieces, the partitions in turn and of each the series that wait longest. A piece is
followed by a rest: a short one where all that changed went with it, so that a label shows within a blink; a
long one where more waits than went with it, or the stage lags behind: writing leaves time for the rest then.
Snapshots are stored one partition at a time, in turn, so that the other blocks wait for one alone.
Drift, estimates, baselines and history follow once a second, likewise one partition at a time, and more often
where not all of them fit.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from tidegauge import keys
from tidegauge.adapters import block_codec
from tidegauge.baseline_file import BaselineFile
from tidegauge.config import Settings
from tidegauge.errors import Rejected, SnapshotError, TidegaugeError, Unavailable
from tidegauge.events import dead_letter, read
from tidegauge.monitor import Monitor, Report
from tidegauge.ports import (
    Answer,
    Committed,
    JoinGroup,
    Ownership,
    Partition,
    Patience,
    Producer,
    Publishing,
    Record,
    Snapshot,
    Store,
)
from tidegauge.records import Alert, Control

_log = logging.getLogger("tidegauge")

CONTROL_KEY = b"control"  # of a record that is a request, not a block
_BLOCKS = 16  # taken at once: memory is bounded by blocks, each of at most a join batch
_LINGER_SECONDS = 0.02
_FLUSH_SECONDS = 5.0
_SOONEST_SECONDS = 0.04  # from one piece to the next: nobody sees it sooner
_WHOLE_SECONDS = 1.0  # from one piece of a partition with drift and estimates to its next, at most
_WHOLE_REST = 6  # times what such a piece took, where more of them wait
_PIECE_SECONDS = 0.05  # what a piece should take: the larger, the less a series costs
_PIECE_SERIES = (16, 512)  # at least and at most
_RESTS = {  # times what the piece took; the second where more waits than went with it
    "quiet": (1, 0),
    "busy": (2, 4),
    "behind": (19, 19),
}
_SNAPSHOT_REST = 19  # times what a snapshot took: a twentieth of the time is for snapshots
_LONGEST_REST_SECONDS = 300.0
_FAREWELL_SECONDS = 5.0  # to publish the rest; the next owner publishes everything anyway


@dataclass(slots=True)
class Owned:
    """A partition that is this worker's: its monitor, its epoch, and how far it has read."""

    monitor: Monitor
    epoch: int
    next_offset: int
    saved_offset: int
    saved_at: float = 0.0  # by the stage's clock
    named: set[str] = field(default_factory=set)  # models that were put into the set of all lately


class Writing(NamedTuple):
    """A report that is on its way to the store."""

    partition: int
    report: Report
    ended: Publishing


class MonitorStage:
    """A member of the monitor group with a monitor for each of its partitions."""

    def __init__(
        self,
        settings: Settings,
        join_group: JoinGroup,
        producer: Producer,
        store: Store,
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
        baselines: Mapping[str, BaselineFile] | None = None,
    ) -> None:
        self._settings = settings
        self._baselines = baselines  # configured, by model
        self._producer = producer
        self._store = store
        self._patience = patience
        self._clock = clock
        self._owned: dict[int, Owned] = {}
        self._reports: dict[int, Report] = {}  # made, and not on their way yet
        self._writing: Writing | None = None
        self._to_commit: dict[Partition, Committed] = {}
        self._joined = False
        self._piece = _PIECE_SERIES[0]
        self._turn = self._whole_turn = -1  # the partition that was served last
        self._crowded = False  # more waits than went with the last piece
        self._published = self._saved = self._looked = self._whole = clock()
        self._whole_rest = _WHOLE_SECONDS
        self._published_in = self._saved_in = 0.0  # seconds that the last one took
        self._consumer = join_group(Ownership(gained=self._gain, given_up=self._give_up, lost=self._lose))

    def step(self) -> int:
        """Take a batch of blocks through the stage; the numbers are those of the module's text."""
        records = self._consumer.take(_BLOCKS, 0.0 if self._crowded else _LINGER_SECONDS)  # 1
        alerts = [alert for record in records for alert in self._observe(record)]  # 2
        self._send(alerts)
        self._keep(lambda: self._producer.flush(_FLUSH_SECONDS))  # 3
        now = self._clock()
        if now - self._published >= self._publish_rest(len(records)):
            self._keep(self._publish)  # 4
            self._published = self._clock()
        if now - self._saved >= self._save_rest():
            self._keep(lambda: self._save(self._longest_unsaved()))  # 5, 6
            self._saved = self._clock()
        return len(records)

    def ready(self) -> bool:
        """Return whether the group has given this member its share, which may be nothing."""
        return self._joined

    def close(self, failed: bool) -> None:
        """Publish, store and leave the group; after a failure only leave."""
        if failed:
            self._owned.clear()
        self._consumer.close()  # gives up the partitions, which publishes and stores

    def _keep(self, call: Callable[[], Answer]) -> Answer:
        """Return what a call to a server returns, and hold still while the server is away."""
        return self._patience.keep(call, self._consumer.rest)

    def _observe(self, record: Record) -> list[Alert]:
        owned = self._owned.get(record.partition)
        if owned is None or record.offset < owned.next_offset or record.value is None:
            return []
        owned.next_offset = record.offset + 1
        try:
            if record.key == CONTROL_KEY:
                return owned.monitor.control(read(record.value, Control))
            return owned.monitor.observe(block_codec.decode(record.value))
        except (SnapshotError, Rejected) as error:  # somebody else's message
            self._refuse(record, str(error))
            return []

    def _refuse(self, record: Record, why: str) -> None:
        rejected = Rejected("malformed", why)
        letter = dead_letter(rejected, record.topic, record.partition, record.offset, record.value)
        self._producer.send(self._settings.topics.deadletter, msgspec.json.encode(letter))

    def _send(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            _log.info("alert %s: %s", alert.status, alert.message)
            key = f"{alert.model_id}:{alert.model_version}".encode()
            self._producer.send(self._settings.topics.alerts, msgspec.json.encode(alert), key)

    def _publish_rest(self, taken: int) -> float:
        """Return how long after a piece the next one goes out, when so many records came at once."""
        load = "quiet" if not taken else "behind" if self._behind() else "busy"
        rest = _RESTS[load][self._crowded] * self._published_in
        soonest = 0.0 if self._crowded else _SOONEST_SECONDS
        return min(max(rest, soonest), self._settings.monitor.publish_seconds)

    def _behind(self) -> bool:
        """Return whether more blocks wait in a partition than are taken at once."""
        topic = self._settings.topics.observations
        ends = {number: self._consumer.end_offset((topic, number)) for number in self._owned}
        return any(
            end is not None and end - self._owned[number].next_offset > _BLOCKS
            for number, end in ends.items()
        )

    def _save_rest(self) -> float:
        """Return how long after a snapshot the next partition's is stored."""
        turns = max(len(self._owned), 1)
        rest = min(_SNAPSHOT_REST * self._saved_in, _LONGEST_REST_SECONDS / turns)
        return max(rest, self._settings.monitor.snapshot_seconds / turns)

    def _longest_unsaved(self) -> dict[int, Owned]:
        """Return the partition whose snapshot is behind for the longest time, if any is."""
        behind = [each for each in self._owned.items() if each[1].next_offset != each[1].saved_offset]
        return dict(sorted(behind, key=lambda each: each[1].saved_at)[:1])

    def _publish(self) -> None:
        """Write a piece of what changed since the last time.

        Now and then write nothing of those that did not change: the store says then whether it lost writes.
        """
        started = self._clock()
        changed = self._changed()
        self._publish_in_turn(changed)
        self._publish_whole(at_once=not changed)
        if started - self._looked >= self._settings.monitor.publish_seconds:
            for partition in self._owned.keys() - changed.keys():
                self._publish_of(partition, 0)
            self._looked = started
        self._published_in = self._clock() - started

    def _publish_in_turn(self, changed: Mapping[int, int]) -> None:
        """Write a piece of the metrics of partitions, of which so many series changed.

        One after the other, from the one whose turn it is: series are cheaper together than apart.
        """
        started, room, every = self._clock(), self._piece, sum(changed.values())
        for partition in _from(self._turn, changed):
            if room <= 0:
                break
            self._publish_of(partition, room, whole=False)
            self._turn = partition
            room -= changed[partition]
        self._crowded = every > self._piece
        took = self._clock() - started
        if self._crowded or took > _PIECE_SECONDS:
            fitting = min(every, self._piece) * _PIECE_SECONDS / max(took, _PIECE_SECONDS / 2)
            self._piece = min(max(int(fitting), _PIECE_SERIES[0]), _PIECE_SERIES[1])

    def _publish_whole(self, at_once: bool) -> None:
        """Write a whole report of the partition whose turn it is, where it is time for one or `at_once`."""
        started = self._clock()
        if not at_once and started - self._whole < self._whole_rest:
            return
        unread = {number: owned.monitor.unread() for number, owned in self._owned.items()}
        for partition in _from(self._whole_turn, {number for number, count in unread.items() if count})[:1]:
            self._publish_of(partition, self._piece, metrics=False)
            self._owned[partition].named.clear()  # somebody may delete the set
            self._whole, self._whole_turn = started, partition
            more = self._owned[partition].monitor.unread() > 0
            took = self._clock() - started
            turn = _WHOLE_SECONDS / len(self._owned)
            self._whole_rest = min(turn, _WHOLE_REST * took if more else math.inf)
            self._crowded = self._crowded or (at_once and sum(unread.values()) > self._piece)

    def _changed(self) -> dict[int, int]:
        """Return the partitions that have metrics to publish, and of how many series."""
        counts = {number: owned.monitor.unmeasured() for number, owned in self._owned.items()}
        return {number: count for number, count in counts.items() if count or number in self._reports}

    def _publish_of(self, partition: int, limit: int, whole: bool = True, metrics: bool = True) -> None:
        """Begin to write a report; the one before is written by then, or raises and is kept."""
        owned = self._owned[partition]
        if partition not in self._reports:
            self._reports[partition] = owned.monitor.report(limit, whole, metrics)
        self._end_writing()
        report = self._reports[partition]
        if not owned.named.issuperset(report.models):
            self._store.add_members(keys.MODELS, report.models)
            owned.named.update(report.models)
        self._writing = Writing(
            partition, report, self._store.begin_publish(partition, owned.epoch, report.writes)
        )
        del self._reports[partition]

    def _end_writing(self) -> None:
        """Wait for the report that is on its way."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            written = writing.ended()
        except Unavailable:
            newer = self._reports.get(writing.partition)
            self._reports[writing.partition] = writing.report.then(newer) if newer else writing.report
            raise
        if not written:
            raise TidegaugeError(f"partition {writing.partition} has a newer owner")

    def _publish_rest_of(self, partitions: Iterable[int]) -> None:
        """Write all that changed in partitions that go, as far as time allows."""
        until = self._clock() + _FAREWELL_SECONDS
        for partition in partitions:
            unwritten = partition in self._reports or self._owned[partition].monitor.unreported()
            while unwritten and self._clock() < until:
                self._publish_of(partition, self._piece)
                unwritten = self._owned[partition].monitor.unreported()

    def _save(self, partitions: Mapping[int, Owned]) -> None:
        self._end_writing()
        started = self._clock()
        for partition, owned in partitions.items():
            if owned.next_offset == owned.saved_offset:
                continue
            snapshot = Snapshot(owned.next_offset, block_codec.pack(owned.monitor.state()))
            if not self._store.save(partition, owned.epoch, snapshot):
                raise TidegaugeError(f"partition {partition} has a newer owner")
            owned.saved_offset, owned.saved_at = owned.next_offset, self._clock()
            self._to_commit[self._settings.topics.observations, partition] = Committed(owned.next_offset)
        self._saved_in = self._clock() - started  # a commit waits for the broker and costs nothing
        if self._to_commit and self._consumer.commit(self._to_commit):
            self._to_commit.clear()

    def _gain(self, partitions: list[Partition]) -> dict[Partition, int | None]:
        starts: dict[Partition, int | None] = {}
        for topic, partition in partitions:
            epoch = self._store.claim(partition)
            monitor, offset = self._restored(topic, partition)
            self._owned[partition] = Owned(monitor, epoch, offset, offset)
            self._to_commit[topic, partition] = Committed(offset)  # the last owner may not have come to it
            starts[topic, partition] = offset
        self._joined = True
        return starts

    def _restored(self, topic: str, partition: int) -> tuple[Monitor, int]:
        """Return the monitor of the last snapshot; a new one from the topic's start without any."""
        monitor = Monitor(self._settings, self._baselines)
        try:
            snapshot = self._store.load(partition)
            if snapshot is not None:
                monitor.restore(block_codec.unpack(snapshot.state))
                return monitor, snapshot.offset
        except SnapshotError as error:
            _log.warning("%s; the state is built again from the topic", error)
            monitor = Monitor(self._settings, self._baselines)
        return monitor, self._consumer.bounds((topic, partition))[0]

    def _give_up(self, partitions: list[Partition]) -> None:
        leaving = {number: self._owned[number] for _, number in partitions if number in self._owned}
        self._publish_rest_of(leaving)
        self._save(leaving)
        self._lose(partitions)

    def _lose(self, partitions: list[Partition]) -> None:
        for topic, number in partitions:
            self._to_commit.pop((topic, number), None)
            self._owned.pop(number, None)
            self._reports.pop(number, None)
            if self._writing is not None and self._writing.partition == number:
                self._writing = None  # refused, if somebody has claimed it since


def _from(last: int, partitions: Iterable[int]) -> list[int]:
    """Return partitions in turn, from the one after the last."""
    return sorted(partitions, key=lambda number: (number <= last, number))
