"""Sends raw events to their topics, no further ahead than the workers follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tidegauge.config import Settings
from tidegauge.errors import DeliveryFailed, Unavailable
from tidegauge.simulate.raw import LABELS, PREDICTIONS, RawEvent

_OPTIONS: dict[str, Any] = {
    "enable.idempotence": True,  # events of a key stay in order over a retry
    "linger.ms": 20,
    "compression.type": "lz4",
    "queue.buffering.max.messages": 50_000,
    "log_level": 0,  # what librdkafka has to say comes back as an exception
}
_WAIT_SECONDS = 0.05
_FLUSH_SECONDS = 60.0


class Sender:
    """A producer of raw events; the record's time is the event's."""

    def __init__(self, settings: Settings) -> None:
        self._topics = {PREDICTIONS: settings.topics.predictions, LABELS: settings.topics.labels}
        kafka = settings.kafka
        self._producer = Producer({**_OPTIONS, **kafka.options, "bootstrap.servers": kafka.bootstrap_servers})
        self._failed: KafkaError | None = None
        self.sent = 0

    def send(self, events: Iterable[RawEvent]) -> None:
        """Queue the events, waiting where the queue is full. Raises DeliveryFailed once one was refused."""
        for event in events:
            while not self._queued(event):
                self._producer.poll(_WAIT_SECONDS)
            self.sent += 1
        self._producer.poll(0)
        if self._failed is not None:
            raise DeliveryFailed(f"the broker refused an event: {self._failed.str()}")

    def flush(self) -> None:
        """Return when every event is delivered. Raises DeliveryFailed, Unavailable."""
        left = self._producer.flush(_FLUSH_SECONDS)
        if self._failed is not None:
            raise DeliveryFailed(f"the broker refused an event: {self._failed.str()}")
        if left:
            raise Unavailable(f"{left} events were not delivered in {_FLUSH_SECONDS:g} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
        else:
            self._producer.purge()

    def _queued(self, event: RawEvent) -> bool:
        try:
            self._producer.produce(
                self._topics[event.side],
                event.value,
                event.key,
                timestamp=event.time_ms,
                on_delivery=self._delivered,
            )
        except BufferError:
            return False
        except KafkaException as error:
            raise DeliveryFailed(f"the event cannot be sent: {error.args[0].str()}") from error
        return True

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self._failed = self._failed or error


def follow(
    received: Callable[[], int], sent: Callable[[], int], ahead: int, wait_seconds: float = 0.02
) -> None:
    """Return when the workers have received all but `ahead` of the events sent."""
    while sent() - received() > ahead:
        time.sleep(wait_seconds)
