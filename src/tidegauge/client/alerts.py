"""Following the topic `alerts`: each alert once, however often a replay publishes it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any, Literal, Self

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from tidegauge.config import librdkafka_name
from tidegauge.errors import ConfigError, Unavailable
from tidegauge.records import Alert

_REACH_SECONDS = 10.0  # how long a broker is waited for when a follower starts


class AlertFollower:
    """An iterator of alerts that waits for the next one; ids it has seen are left out.

    Without a `group` every follower sees every alert from `start` on. Followers of one `group` share
    the alerts and go on where the group stopped; an alert counts as handled when the next one is
    asked for, or the `with` block ends well. `unreadable` counts messages that are no alerts.

    for alert in AlertFollower("127.0.0.1:9092"):
        print(alert.status, alert.message)
    """

    def __init__(
        self,
        bootstrap_servers: str = "127.0.0.1:9092",
        topic: str = "alerts",
        start: Literal["earliest", "latest"] = "latest",
        group: str | None = None,
        remember: int = 10_000,
        **options: Any,
    ) -> None:
        self.topic = topic
        self.unreadable = 0
        self._remember = remember
        self._seen: dict[str, None] = {}
        self._in_hand: Message | None = None
        self._grouped = group is not None
        config = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group or f"tidegauge-follower-{uuid.uuid4()}",
            "auto.offset.reset": start,
            "enable.auto.commit": self._grouped,
            "enable.auto.offset.store": False,
            "session.timeout.ms": 10_000,  # a follower that died is replaced so soon
            "fetch.queue.backoff.ms": 10,
            "reconnect.backoff.ms": 500,  # each attempt that fails is a line in the log
        }
        named = {librdkafka_name(name): value for name, value in options.items()}
        try:
            self._consumer = Consumer(config | named, logger=logging.getLogger("tidegauge.client"))
        except KafkaException as error:
            raise ConfigError(f"Kafka options: {error.args[0].str()}") from error
        if self._grouped:
            self._consumer.subscribe([topic])
        else:
            self._consumer.assign(self._positions(start))

    def poll(self, timeout_seconds: float = 1.0) -> Alert | None:
        """Return the next alert, or None after `timeout_seconds` without a message.

        Raises Unavailable where the broker says that following cannot go on.
        """
        self._handled()
        message = self._consumer.poll(timeout_seconds)
        if message is None:
            return None
        if error := message.error():
            self._check(error)
            return None
        self._in_hand = message
        return self._alert(message.value() or b"")

    def __iter__(self) -> Iterator[Alert]:
        return self

    def __next__(self) -> Alert:
        while True:
            if alert := self.poll():
                return alert

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exception_type: type[BaseException] | None, *_: object) -> None:
        if exception_type is None:
            self._handled()
        self.close()

    def close(self) -> None:
        """Leave the group and close the connection."""
        self._consumer.close()

    def _positions(self, start: str) -> list[TopicPartition]:
        """Return where to begin in each partition; `latest` is settled now, not at the first fetch."""
        try:
            partitions = self._consumer.list_topics(self.topic, _REACH_SECONDS).topics[self.topic]
            if partitions.error or not partitions.partitions:
                raise Unavailable(f"topic {self.topic} does not exist; `tidegauge topics create` makes it")
            return [self._position(number, start) for number in partitions.partitions]
        except KafkaException as error:
            raise Unavailable(f"Kafka: {error.args[0].str()}") from error

    def _position(self, number: int, start: str) -> TopicPartition:
        if start == "earliest":
            return TopicPartition(self.topic, number, OFFSET_BEGINNING)
        place = TopicPartition(self.topic, number)
        _, end = self._consumer.get_watermark_offsets(place, _REACH_SECONDS)
        return TopicPartition(self.topic, number, end)

    def _handled(self) -> None:
        if self._in_hand is not None and self._grouped:
            self._consumer.store_offsets(self._in_hand)
        self._in_hand = None

    def _check(self, error: KafkaError) -> None:
        """Raise Unavailable for what librdkafka does not retry by itself."""
        if error.fatal() or error.code() in _HOPELESS:
            raise Unavailable(f"topic {self.topic}: {error.str()}")

    def _alert(self, value: bytes) -> Alert | None:
        try:
            alert = msgspec.json.decode(value, type=Alert)
        except (msgspec.DecodeError, RecursionError):
            self.unreadable += 1
            return None
        if alert.alert_id in self._seen:
            return None
        self._seen[alert.alert_id] = None
        if len(self._seen) > self._remember:
            del self._seen[next(iter(self._seen))]
        return alert


_HOPELESS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError._AUTHENTICATION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
