"""Sends a stream at a steady rate, from a thread of its own, and knows what it had sent when."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Sequence

from confluent_kafka import Producer

from tests.faults.generator import PREDICTIONS, Sent
from tidegauge.config import Settings

_TICK_SECONDS = 0.02
_FLUSH_SECONDS = 60.0
_CLIENT = {
    "enable.idempotence": True,
    "linger.ms": 5,
    "log_level": 0,
    "message.timeout.ms": 120_000,
    "socket.timeout.ms": 5_000,  # what it has not sent counts as lag, so it must not sulk after an outage
    "request.timeout.ms": 5_000,
    "reconnect.backoff.max.ms": 500,
}


class Feed(threading.Thread):
    """Of messages with the same key the order is kept."""

    def __init__(self, settings: Settings, sent: Sequence[Sent], rate: float) -> None:
        super().__init__(daemon=True)
        self._sent = sent
        self._rate = rate
        self._topics = {side: getattr(settings.topics, side) for side in ("predictions", "labels")}
        self._producer = Producer({**_CLIENT, "bootstrap.servers": settings.kafka.bootstrap_servers})
        self._times: list[float] = []
        self._counts: list[tuple[int, int]] = []  # predictions and labels sent by then
        self._halt = threading.Event()
        self.undelivered = 0
        self.done = False

    def run(self) -> None:
        began, place, predictions = time.monotonic(), 0, 0
        while place < len(self._sent) and not self._halt.is_set():
            until = min(int((time.monotonic() - began) * self._rate) + 1, len(self._sent))
            for side, key, value in self._sent[place:until]:
                self._producer.produce(self._topics[side], value, key, on_delivery=self._report)
                predictions += side == PREDICTIONS
            place = until
            self._times.append(time.monotonic())
            self._counts.append((predictions, place - predictions))
            self._producer.poll(0)
            time.sleep(_TICK_SECONDS)
        self.undelivered += self._producer.flush(_FLUSH_SECONDS)
        self.done = True

    def close(self) -> None:
        """Stop sending, if that is not over yet."""
        self._halt.set()
        if self.is_alive():
            self.join(_FLUSH_SECONDS + 5)

    def send_to(self, side: str, partition: int, value: bytes) -> None:
        """Send a message to a partition, after the stream."""
        self._producer.produce(self._topics[side], value, partition=partition, on_delivery=self._report)
        self._producer.flush(_FLUSH_SECONDS)

    def sent_by(self, moment: float) -> tuple[int, int]:
        """Return how many predictions and labels had been sent at a moment of `time.monotonic()`."""
        place = bisect_right(self._times, moment)
        return self._counts[place - 1] if place else (0, 0)

    def share(self) -> float:
        """Return how much of the stream has been sent."""
        return sum(self._counts[-1]) / len(self._sent) if self._counts else 0.0

    def _report(self, error: object, _: object) -> None:
        self.undelivered += error is not None
