"""What the broker says of topics, and their creation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not in __all__
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from tidegauge.config import Kafka
from tidegauge.errors import ConfigError, TidegaugeError, Unavailable
from tidegauge.topics import Topic

_SHOWN = ("cleanup.policy", "retention.ms", "max.message.bytes")
_QUIET: dict[str, Any] = {"log_level": 0}  # what librdkafka has to say comes back as an exception


# What no waiting mends: the broker refuses the user, or one of the two refuses the other's certificate.
_REFUSED = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})


class TopicAdmin:
    """Asks and changes the topics of one cluster.

    Each call raises Unavailable when nothing answers, ConfigError where TLS or SASL fail.
    """

    def __init__(self, kafka: Kafka, timeout_seconds: float = 5.0) -> None:
        self._servers = kafka.bootstrap_servers
        self._timeout = timeout_seconds
        config = {"bootstrap.servers": self._servers, "socket.timeout.ms": int(timeout_seconds * 1_000)}
        self._refusal: KafkaError | None = None
        try:
            self._client = AdminClient(_QUIET | config | kafka.options | {"error_cb": self._noted})
        except KafkaException as error:
            raise ConfigError(f"kafka.options: {error.args[0].str()}") from error

    def brokers(self) -> int:
        """Return how many brokers the cluster has."""
        return len(self._metadata().brokers)

    def found(self, names: Sequence[str]) -> dict[str, Topic]:
        """Return those of the named topics that exist; a config that cannot be read stays empty."""
        topics = self._metadata().topics
        partitions = {
            name: len(topics[name].partitions)
            for name in names
            if name in topics and topics[name].error is None
        }
        return {name: Topic(name, count, self._config(name)) for name, count in partitions.items()}

    def records(self, names: Sequence[str]) -> dict[str, int]:
        """Return how many records each topic holds, by its offsets; 0 where it is not there."""
        topics = self._metadata().topics
        parts = [
            TopicPartition(name, number)
            for name in names
            if name in topics
            for number in topics[name].partitions
        ]
        earliest: Callable[[], OffsetSpec] = OffsetSpec.earliest
        latest: Callable[[], OffsetSpec] = OffsetSpec.latest
        first, end = (self._offsets(parts, spec()) for spec in (earliest, latest))
        held = dict.fromkeys(names, 0)
        for part in parts:
            held[part.topic] += end[part] - first[part]
        return held

    def create(self, topics: Sequence[Topic], replication: int) -> list[str]:
        """Create the topics that do not exist; return the names of those that were created."""
        new = [
            NewTopic(topic.name, topic.partitions, replication, config=dict(topic.config)) for topic in topics
        ]
        created = []
        for name, future in self._client.create_topics(new, operation_timeout=self._timeout).items():
            try:
                future.result(self._timeout * 2)
                created.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise TidegaugeError(f"topic {name}: {error.args[0].str()}") from error
            except TimeoutError as error:
                raise Unavailable(f"Kafka at {self._servers}: no answer to the creation of {name}") from error
        return created

    def _metadata(self) -> Any:
        try:
            return self._client.list_topics(timeout=self._timeout)
        except KafkaException as error:
            self._client.poll(0)  # tells what came before the time was up
            if self._refusal is not None:
                raise ConfigError(f"kafka.options: {self._refusal.str()}") from error
            raise Unavailable(f"Kafka at {self._servers}: {error.args[0].str()}") from error

    def _offsets(self, parts: list[TopicPartition], spec: OffsetSpec) -> dict[TopicPartition, int]:
        if not parts:
            return {}
        futures = self._client.list_offsets(dict.fromkeys(parts, spec), request_timeout=self._timeout)
        try:
            return {part: future.result(self._timeout * 2).offset for part, future in futures.items()}
        except (KafkaException, TimeoutError) as error:
            raise Unavailable(f"Kafka at {self._servers}: {error}") from error

    def _noted(self, error: KafkaError) -> None:
        if error.code() in _REFUSED:
            self._refusal = error

    def _config(self, name: str) -> dict[str, str]:
        resource = ConfigResource(ResourceType.TOPIC, name)
        try:
            future = self._client.describe_configs([resource], request_timeout=self._timeout)[resource]
            entries = future.result(self._timeout * 2)
        except (KafkaException, TimeoutError):
            return {}  # a broker may forbid or not know the request
        return {key: entries[key].value for key in _SHOWN if key in entries and entries[key].value}
