"""MONITOR: blocks of observations in, metric state and alerts out.

The order of a step; every write replays harmlessly:
1. take blocks
2. observe them, each by the monitor of its partition: the models of a partition are its alone
3. publish the alerts, and wait until they are delivered: ids are the same on a replay
4. soon, write metric state that changed (`reports.py`), refused where the partition has a newer owner
5. less often, store a snapshot with the next offset, refused likewise
6. commit that offset; the group's offset is a hint, the snapshot's is what a new owner starts at

Snapshots are stored one partition at a time, in turn, so that the other blocks wait for one alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

import msgspec

from tidegauge.adapters import block_codec
from tidegauge.baseline_file import BaselineFile
from tidegauge.config import Settings
from tidegauge.errors import Rejected, SnapshotError
from tidegauge.events import dead_letter, read
from tidegauge.monitor import Monitor
from tidegauge.ports import (
    Answer,
    Committed,
    JoinGroup,
    Ownership,
    Partition,
    Patience,
    Producer,
    Record,
    Snapshot,
    Store,
)
from tidegauge.records import Alert, Control
from tidegauge.stages.reports import Load, Owned, Reports, taken_over

_log = logging.getLogger("tidegauge")

CONTROL_KEY = b"control"  # of a record that is a request, not a block
_BLOCKS = 16  # taken at once: memory is bounded by blocks, each of at most a join batch
_LINGER_SECONDS = 0.2  # where nothing is to be told
_FLUSH_SECONDS = 5.0
_SNAPSHOT_REST = 19  # times what a snapshot took: a twentieth of the time is for snapshots
_LONGEST_REST_SECONDS = 300.0
_FAREWELL_SECONDS = 5.0  # to publish the rest; the next owner publishes everything anyway


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
        self._reports = Reports(self._owned, store, settings.monitor.publish_seconds, clock)
        self._to_commit: dict[Partition, Committed] = {}
        self._joined = False
        self._saved = clock()
        self._saved_in = 0.0  # seconds that the last one took
        self._consumer = join_group(Ownership(gained=self._gain, given_up=self._give_up, lost=self._lose))

    def step(self) -> int:
        """Take a batch of blocks through the stage; the numbers are those of the module's text."""
        records = self._consumer.take(_BLOCKS, min(self._reports.due_in(), _LINGER_SECONDS))  # 1
        alerts = [alert for record in records for alert in self._observe(record)]  # 2
        self._send(alerts)
        self._keep(lambda: self._producer.flush(_FLUSH_SECONDS))  # 3
        if self._reports.due(self._load(len(records))):
            self._keep(self._reports.write)  # 4
        if self._clock() - self._saved >= self._save_rest():
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

    def _load(self, taken: int) -> Load:
        """Return how busy the stage is, when so many records came at once."""
        if not taken:
            return "quiet"
        return "behind" if self._behind() else "busy"

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

    def _save(self, partitions: Mapping[int, Owned]) -> None:
        self._reports.settle()
        started = self._clock()
        for partition, owned in partitions.items():
            if owned.next_offset == owned.saved_offset:
                continue
            snapshot = Snapshot(owned.next_offset, block_codec.pack(owned.monitor.state()))
            if not self._store.save(partition, owned.epoch, snapshot):
                raise taken_over(partition)
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
        self._reports.write_all(leaving, _FAREWELL_SECONDS)
        self._save(leaving)
        self._lose(partitions)

    def _lose(self, partitions: list[Partition]) -> None:
        for topic, number in partitions:
            self._to_commit.pop((topic, number), None)
            self._owned.pop(number, None)
            self._reports.drop(number)
