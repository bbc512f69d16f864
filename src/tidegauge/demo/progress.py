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
        return sum(self._committed().values())

    def behind(self) -> int:
        """Return how many records of the topics the group has not committed; they have lost none.

        They may be more: the embedded broker counts the last batch of a partition as one record.
        """
        return sum(max(self._end(each) - done, 0) for each, done in self._committed().items())

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _committed(self) -> dict[TopicPartition, int]:
        try:
            committed = self._consumer.committed(self._known(), timeout=_ANSWER_SECONDS)
        except KafkaException as error:
            raise Unavailable(f"the groups' offsets cannot be read: {error.args[0].str()}") from error
        return {each: max(each.offset, 0) for each in committed}

    def _end(self, partition: TopicPartition) -> int:
        _, end = self._consumer.get_watermark_offsets(partition, timeout=_ANSWER_SECONDS)
        return int(end)

    def _known(self) -> list[TopicPartition]:
        if not self._partitions:
            topics = self._consumer.list_topics(timeout=_ANSWER_SECONDS).topics
            self._partitions = [
                TopicPartition(name, number) for name in self._topics for number in topics[name].partitions
            ]
        return self._partitions
