"""Kafka: batches in, rows out, and the topics themselves. The one importer of confluent_kafka's clients.

A `BatchConsumer` belongs to the thread that made it: from confluent-kafka 2.16 a call from another
thread waits behind `consume()`. In its callbacks it may be asked for offsets, but not for metadata: the
client forgets there which call it is in, and a second callback of that call aborts the process.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from tidegauge.config import Kafka
from tidegauge.errors import DeliveryFailed, TidegaugeError, Unavailable
from tidegauge.ports import Committed, Ownership, Partition, Records

# After an outage: as soon again as a group's session ends, not after the minute of the client's defaults.
_CONNECTION = {
    "socket.timeout.ms": 10_000,
    "reconnect.backoff.max.ms": 2_000,
}
# librdkafka waits a second after a full queue, which shows as stalls.
_CONSUMER = {
    **_CONNECTION,
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "fetch.queue.backoff.ms": 20,
    "fetch.wait.max.ms": 50,
    "allow.auto.create.topics": False,
}
# By group. Events come one by one: a broker that answers each fetch with a few of them is busy with fetches.
# What is withheld is fetched again, so little is fetched ahead.
_FETCHES = {
    "join": {"fetch.min.bytes": 100_000, "fetch.wait.max.ms": 20, "queued.min.messages": 20_000},
}
# Not compressed unless kafka.options say so: clients without the codec could not read the alerts.
# Without gaps: a row that is missing between two delivered ones would be dropped on replay.
_PRODUCER = {
    **_CONNECTION,
    "log_level": 3,  # errors: its warning that the gapless guarantee is experimental says nothing new
    "enable.idempotence": True,
    "enable.gapless.guarantee": True,
    "message.timeout.ms": 0,
    "linger.ms": 5,
    "batch.size": 1_000_000,
    "message.max.bytes": 16_000_000,
    "queue.buffering.max.messages": 200_000,
}
_FLUSH_STEP_SECONDS = 0.5
# How long is waited for more: as long as the work on what came before took, by group at most so long.
# A step of the join costs less a record the more it has, and makes a block for every partition, which costs
# the monitor some milliseconds: so steps grow with the load instead of falling behind.
_LONGEST_GATHER_SECONDS = {"join": 0.25}
_SHORT_GATHER_SECONDS = 0.005
_ANSWER_SECONDS = 10.0
_LAST_LOOK_SECONDS = 0.05
# The group has given the partitions to others, or is about to: they read the events again.
_MOVED_ON = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._NO_OFFSET,
    }
)


class BatchConsumer:
    """A member of a consumer group that takes batches and commits only what it is told.

    Where something is there, it gathers more for at least `gather_seconds`.
    """

    def __init__(
        self,
        settings: Kafka,
        group: str,
        topics: list[str],
        ownership: Ownership,
        gather_seconds: float = _SHORT_GATHER_SECONDS,
    ) -> None:
        self._ownership = ownership
        self._held: list[Message] = []  # for the next take
        self._withheld: frozenset[Partition] = frozenset()
        self._gather_seconds = gather_seconds, max(gather_seconds, _LONGEST_GATHER_SECONDS.get(group, 0.0))
        self._taken_at = time.monotonic()
        self._consumer = Consumer(
            {
                **_CONSUMER,
                **_FETCHES.get(group, {}),
                "queued.max.messages.kbytes": settings.buffer_mb * 1_024,
                **_membership(settings),
                **settings.options,
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": f"{settings.group}.{group}",
                "auto.offset.reset": settings.start,
            },
            logger=None,
        )
        self._consumer.subscribe(topics, on_assign=self._gain, on_revoke=self._give_up, on_lost=self._lose)

    def take(self, count: int, seconds: float) -> Records:
        """Return up to `count` records: what is there, and what comes while more are gathered.

        Where nothing is there it waits no longer than `seconds`. So a batch grows with the load alone.
        Raises Unavailable where the broker reports an error that stops reading.
        """
        least, most = self._gather_seconds
        worked = time.monotonic() - self._taken_at
        gather_seconds = 0.0 if self._held else min(max(worked, least), most)
        if not self._held:
            self._hold(1, seconds)
        if self._held:
            self._hold(count - len(self._held), gather_seconds)
        self._taken_at = time.monotonic()
        return self._released()

    def more(self, count: int) -> Records:
        """Return up to `count` further records that are there by now; partitions may come and go."""
        self._hold(count - len(self._held), 0.0)
        return self._released()

    def rest(self, seconds: float) -> None:
        """Wait, and stay a member of the group without reading on."""
        assigned = self._consumer.assignment()
        self._consumer.pause(assigned)
        self._hold(1, seconds)  # of a partition that was gained meanwhile
        self._consumer.resume(self._consumer.assignment())
        self._withheld = frozenset()

    def withhold(self, partitions: Collection[Partition]) -> None:
        """Read on in all partitions but these, of those that are owned."""
        wanted = frozenset(partitions)
        if wanted != self._withheld:
            self._consumer.pause([TopicPartition(*each) for each in wanted - self._withheld])
            self._consumer.resume([TopicPartition(*each) for each in self._withheld - wanted])
            self._withheld = wanted

    def seek(self, partition: Partition, offset: int) -> None:
        """Read an owned partition from this offset on."""
        self._drop([partition])
        try:
            self._consumer.seek(TopicPartition(*partition, offset))
        except KafkaException as error:
            raise _translated(error) from error

    def end_offset(self, partition: Partition) -> int | None:
        """Return the offset after the last record, as of the last fetch; None where not known."""
        with contextlib.suppress(KafkaException):
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
            return int(high) if high >= 0 else None
        return None

    def committed(self, topic: str, partitions: int) -> dict[int, Committed]:
        """Return what the group has committed of the partitions of a topic.

        Raises Unavailable where the broker does not answer.
        """
        asked = [TopicPartition(topic, partition) for partition in range(partitions)]
        try:
            answered = self._consumer.committed(asked, timeout=_ANSWER_SECONDS)
        except KafkaException as error:
            raise _translated(error) from error
        return {
            each.partition: Committed(each.offset, each.metadata or "")
            for each in answered
            if each.offset >= 0
        }

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """Return the offset of the oldest record that the topic still has, and that after the newest.

        Raises Unavailable where the broker does not answer.
        """
        try:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(*partition), timeout=_ANSWER_SECONDS
            )
        except KafkaException as error:
            raise _translated(error) from error
        return int(low), int(high)

    def commit(self, offsets: Mapping[Partition, Committed]) -> bool:
        """Store for the group the offsets to read next; return False where the partitions have moved on.

        Raises Unavailable where the broker does not answer.
        """
        if not offsets:
            return True
        stored = [TopicPartition(*part, offset, note) for part, (offset, note) in offsets.items()]
        try:
            self._consumer.commit(offsets=stored, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() in _MOVED_ON:
                return False
            raise _translated(error) from error
        return True

    def close(self) -> None:
        """Give up the partitions and leave the group.

        What a rebalance takes away is given up before: of two such callbacks in one call the client may wait
        for ever in the second.
        """
        with contextlib.suppress(TidegaugeError):
            self._consume(1, _LAST_LOOK_SECONDS)
        self._consumer.close()

    def _hold(self, count: int, seconds: float) -> None:
        came = self._consume(count, seconds) if count > 0 else []  # its callbacks may let go of some
        self._held += came

    def _released(self) -> Records:
        held, self._held = self._held, []
        return _records(held)

    def _let_go(self, partitions: Sequence[Partition]) -> None:
        self._withheld -= frozenset(partitions)
        self._drop(partitions)

    def _drop(self, partitions: Sequence[Partition]) -> None:
        gone = frozenset(partitions)
        self._held = [each for each in self._held if (each.topic(), each.partition()) not in gone]

    def _consume(self, count: int, seconds: float) -> list[Message]:
        try:
            messages = self._consumer.consume(count, seconds)
        except KafkaException as error:
            raise _translated(error) from error
        errors = [message.error() for message in messages]
        if errors.count(None) == len(errors):
            return messages
        return [message for message in messages if _is_data(message)]

    def _gain(self, consumer: Consumer, gained: list[TopicPartition]) -> None:
        starts = self._ownership.gained([(each.topic, each.partition) for each in gained])
        for each in gained:
            offset = starts.get((each.topic, each.partition))
            if offset is not None:
                each.offset = offset
        consumer.incremental_assign(gained)
        consumer.resume(gained)  # a partition that was lost while this member rested is still paused

    def _give_up(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        partitions = [(each.topic, each.partition) for each in given]
        self._let_go(partitions)
        self._ownership.given_up(partitions)
        consumer.incremental_unassign(given)

    def _lose(self, consumer: Consumer, lost: list[TopicPartition]) -> None:
        partitions = [(each.topic, each.partition) for each in lost]
        self._let_go(partitions)
        self._ownership.lost(partitions)
        consumer.incremental_unassign(lost)


class RowProducer:
    """An idempotent producer that knows of every message whether it was delivered."""

    def __init__(self, settings: Kafka) -> None:
        self._failed: KafkaError | None = None
        self._producer = Producer(
            {
                **_PRODUCER,
                "queue.buffering.max.kbytes": settings.buffer_mb * 1_024,
                **settings.options,
                "bootstrap.servers": settings.bootstrap_servers,
            },
            logger=None,
        )

    def send(self, topic: str, value: bytes, key: bytes | None = None, partition: int = -1) -> None:
        """Queue a message; waits where the queue is full."""
        while True:
            try:
                self._producer.produce(topic, value, key, partition=partition, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.05)
            except KafkaException as error:
                raise _translated(error) from error
            else:
                return

    def flush(self, seconds: float) -> None:
        """Return when every queued message is delivered.

        Raises DeliveryFailed where the broker refused one, Unavailable after `seconds`.
        """
        waited = 0.0
        while self._producer.flush(_FLUSH_STEP_SECONDS):
            waited += _FLUSH_STEP_SECONDS
            if self._failed is not None or waited >= seconds:
                break
        if self._failed is not None:
            raise DeliveryFailed(f"the broker refused a message: {self._failed.str()}")
        if len(self._producer):
            raise Unavailable(f"{len(self._producer)} messages were not delivered in {seconds:g} s")

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; raises Unavailable where it has none."""
        try:
            topics = self._producer.list_topics(timeout=_ANSWER_SECONDS).topics  # by name, it may create it
        except KafkaException as error:
            raise _translated(error) from error
        found = topics.get(topic)
        if found is None or found.error or not found.partitions:
            raise Unavailable(f"topic {topic} does not exist: run `tidegauge topics create`")
        return len(found.partitions)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None and self._failed is None:
            self._failed = error


def _membership(settings: Kafka) -> dict[str, str | int]:
    """Return how a member keeps its place; with `group.protocol` consumer the broker says so itself."""
    if settings.options.get("group.protocol") == "consumer":
        return {}
    return {
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": settings.session_timeout_ms,
        "heartbeat.interval.ms": max(settings.session_timeout_ms // 6, 1),  # it is how a rebalance is noticed
    }


def _records(messages: Sequence[Message]) -> Records:
    times: list[Any] = [message.timestamp() for message in messages]
    columns: tuple[Any, ...] = (
        [message.topic() for message in messages],
        [message.partition() for message in messages],
        [message.offset() for message in messages],
        [-1 if kind == TIMESTAMP_NOT_AVAILABLE else time_ms for kind, time_ms in times],
        [message.key() for message in messages],
        [message.value() for message in messages],
    )
    return Records.of_columns(*columns)


def _is_data(message: Message) -> bool:
    """Return whether a message is one; raises where it is an error that does not pass by itself."""
    error = message.error()
    if error is None:
        return True
    if error.fatal():
        raise DeliveryFailed(f"the consumer cannot go on: {error.str()}")
    if error.code() in _STOPPING:
        raise Unavailable(f"{message.topic() or 'the broker'}: {error.str()}")
    return False  # the client reconnects and retries by itself


_STOPPING = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._AUTO_OFFSET_RESET}
)


def _translated(error: KafkaException) -> TidegaugeError:
    cause: Any = error.args[0]
    return DeliveryFailed(cause.str()) if cause.fatal() else Unavailable(cause.str())
