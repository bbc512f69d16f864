"""How far the workers are: what their consumer groups have committed."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tidegauge.config import Settings
from tidegauge.errors import Unavailable

_ANSWER_SECONDS = 10.0


class Progress:
    """The position of one consumer group in its topics; it never joins the group."""

    def __init__(self, settings: Settings, group: str, topics: Sequence[str]) -> None:
        kafka = settings.kafka
        self._consumer = Consumer(
            {
                **kafka.options,
                "bootstrap.servers": kafka.bootstrap_servers,
                "group.id": f"{kafka.group}.{group}",
                "enable.auto.commit": False,
                "log_level": 0,  # what librdkafka has to say comes back as an exception
            }
        )
        self._topics = topics
        self._partitions: list[TopicPartition] = []

    def done(self) -> int:
        """Return how many records of the topics the group has committed."""
        try:
            committed = self._consumer.committed(self._known(), timeout=_ANSWER_SECONDS)
        except KafkaException as error:
            raise Unavailable(f"the groups' offsets cannot be read: {error.args[0].str()}") from error
        return sum(max(each.offset, 0) for each in committed)

    def there(self) -> int:
        """Return how many records the topics hold; they have lost none."""
        ends = (
            self._consumer.get_watermark_offsets(each, timeout=_ANSWER_SECONDS)[1] for each in self._known()
        )
        return sum(ends)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _known(self) -> list[TopicPartition]:
        if not self._partitions:
            topics = self._consumer.list_topics(timeout=_ANSWER_SECONDS).topics
            self._partitions = [
                TopicPartition(name, number) for name in self._topics for number in topics[name].partitions
            ]
        return self._partitions
