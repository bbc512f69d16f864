"""Sending events without standing in the way of the caller.

An event is put into librdkafka's queue in memory, whose size is bounded; a thread of librdkafka's
own sends it. While the queue is full (the broker is away, or slower than the caller) a call waits
at most `wait_seconds` for room, then drops the event and counts it: monitoring never stops serving.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tidegauge.config import Limits, librdkafka_name
from tidegauge.errors import ConfigError, Unavailable
from tidegauge.events import Decoder

OnFailure = Callable[[bytes, str], None]

# 64 MB of events wait at most; a report of failure comes after message.timeout.ms.
_DEFAULTS: dict[str, Any] = {
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 65_536,
    "message.timeout.ms": 60_000,
    "linger.ms": 20,
    "compression.type": "lz4",
    "enable.idempotence": True,
    "reconnect.backoff.ms": 500,  # each attempt that fails is a line in the log
}


class EventProducer:
    """Sends the events of one topic; safe to share between threads.

    `delivered`, `failed` and `dropped` count the events whose fate is known; `on_failure(event, why)`
    is called for the latter two, in a thread that is inside a call of this object. `limits` are those
    of the deployment, where it does not use the defaults.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        wait_seconds: float = 0.05,
        on_failure: OnFailure | None = None,
        limits: Limits | None = None,
        **options: Any,
    ) -> None:
        named = {librdkafka_name(name): value for name, value in options.items()}
        config = {"bootstrap.servers": bootstrap_servers} | _DEFAULTS | named
        try:
            self._producer = Producer(config, logger=logging.getLogger("tidegauge.client"))
        except KafkaException as error:
            raise ConfigError(f"Kafka options: {error.args[0].str()}") from error
        self.topic = topic
        self.exit_seconds = 10.0  # how long the end of a `with` block waits for deliveries
        self.delivered = 0
        self.failed = 0
        self.dropped = 0
        self._judge = Decoder(limits or Limits())
        self._wait_seconds = wait_seconds
        self._on_failure = on_failure
        self._counting = threading.Lock()

    def flush(self, timeout_seconds: float = 10.0) -> int:
        """Wait until every event is delivered or has failed; return how many are still on their way."""
        return self._producer.flush(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exception_type: type[BaseException] | None, *_: object) -> None:
        left = self.flush(self.exit_seconds)
        if left and exception_type is None:
            waited = f"within {self.exit_seconds:g} s"
            raise Unavailable(f"{left} events for {self.topic} were not delivered {waited}")

    def _send(self, key: str, event: bytes) -> bool:
        """Queue an event; return False where it was dropped, because the queue stayed full."""
        deadline: float | None = None
        while True:
            try:
                self._producer.produce(self.topic, event, key.encode(), on_delivery=self._report)
            except BufferError:
                now = time.monotonic()
                deadline = now + self._wait_seconds if deadline is None else deadline
                if now >= deadline:
                    self._drop(event, f"the queue was full for {self._wait_seconds} s")
                    return False
                self._producer.poll(min(0.01, deadline - now))
            except KafkaException as error:
                self._drop(event, error.args[0].str())
                return False
            else:
                self._producer.poll(0)
                return True

    def _report(self, error: KafkaError | None, message: Message) -> None:
        with self._counting:
            self.delivered += error is None
            self.failed += error is not None
        if error is not None and self._on_failure:
            self._on_failure(message.value() or b"", error.str())

    def _drop(self, event: bytes, why: str) -> None:
        with self._counting:
            self.dropped += 1
        if self._on_failure:
            self._on_failure(event, why)


def now_ms() -> int:
    """Return the time that the record of an event sent now would have."""
    return int(time.time() * 1_000)
