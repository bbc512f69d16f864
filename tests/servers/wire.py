"""A message through a broker and back, as a user's client would send it."""

from __future__ import annotations

import socket

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "messages"
_SECONDS = 15.0
_QUIET = {"log_level": 0}  # a killed broker is no news to these tests


def create_topic(address: str) -> None:
    admin = AdminClient(_QUIET | {"bootstrap.servers": address})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(_SECONDS)


def produce(address: str, value: bytes) -> None:
    producer = Producer(_QUIET | {"bootstrap.servers": address, "enable.idempotence": True})
    producer.produce(TOPIC, value)
    assert producer.flush(_SECONDS) == 0


def first(address: str) -> bytes | None:
    """Return the value of the first message."""
    consumer = Consumer(_QUIET | {"bootstrap.servers": address, "group.id": "tests"})
    try:
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        message = consumer.poll(_SECONDS)
        assert message is not None
        assert message.error() is None, message.error()
        return message.value()
    finally:
        consumer.close()


def topics(address: str) -> set[str]:
    admin = AdminClient(_QUIET | {"bootstrap.servers": address})
    return set(admin.list_topics(timeout=_SECONDS).topics)


def listens(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
