"""What the workers published to topics, read back from the beginning."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from tidegauge.adapters import block_codec
from tidegauge.config import Settings
from tidegauge.demo.book import Seen
from tidegauge.errors import Unavailable
from tidegauge.records import Alert

_TAKEN = 500  # messages at once; a block may hold thousands of rows
_WAIT_SECONDS = 0.5
_ANSWER_SECONDS = 10.0


def order(settings: Settings) -> Iterator[Seen]:
    """Yield the outcome rows in the order in which the monitors take them; replays come again.

    Only ids and revisions are read: the values come from the raw events.
    """
    for block, value in enumerate(values(settings, settings.topics.observations)):
        rows = block_codec.decode(value).outcomes
        signs, revisions = rows.sign.astype(int).tolist(), rows.revision.tolist()
        yield from map(Seen, rows.prediction_id, revisions, signs, itertools.repeat(block))


def alerts(settings: Settings) -> list[Alert]:
    """Return the alerts of the topic, each once, in their order."""
    found: dict[str, Alert] = {}
    for value in values(settings, settings.topics.alerts):
        alert = msgspec.json.decode(value, type=Alert)
        found.setdefault(alert.alert_id, alert)
    return list(found.values())


def values(settings: Settings, topic: str) -> Iterator[bytes]:
    """Yield the values of a topic up to its present end, partition by partition."""
    consumer = Consumer(
        {
            **settings.kafka.options,
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": f"{settings.kafka.group}.check",  # never joined, never committed to
            "enable.auto.commit": False,
            "log_level": 0,  # what librdkafka has to say comes back as an exception
            "fetch.queue.backoff.ms": 20,
        }
    )
    try:
        for partition in _partitions(consumer, topic):
            yield from _partition(consumer, topic, partition)
    except KafkaException as error:
        raise Unavailable(f"topic {topic} cannot be read: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    return sorted(consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions)


def _partition(consumer: Consumer, topic: str, partition: int) -> Iterator[bytes]:
    place = TopicPartition(topic, partition)
    low, high = consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    next_offset, silent = low, 0.0
    while next_offset < high:
        messages = consumer.consume(_TAKEN, _WAIT_SECONDS)
        silent = 0.0 if messages else silent + _WAIT_SECONDS
        if silent > _ANSWER_SECONDS:
            raise Unavailable(
                f"{topic}[{partition}]: nothing after offset {next_offset}, expected up to {high}"
            )
        # A fetch tells the end; asked for it, the embedded broker counts the last batch as one record.
        high = max(high, consumer.get_watermark_offsets(place, cached=True)[1])
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            next_offset = (message.offset() or 0) + 1
            value = message.value()
            if value is not None and message.key() != b"control":
                yield value
