"""Watches a trial from outside: what is joined and monitored, and how much memory the workers take."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import redis
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.faults.feed import Feed
from tidegauge.config import Settings

# tg:join is written each second, the group's offset with each snapshot (half a second here).
FRESH_SECONDS = 1.2
_ANSWER_SECONDS = 2.0
_CLIENT = {"log_level": 0, "socket.timeout.ms": 2_000}


class Gauge:
    """Asks Redis directly, past the proxy, and the broker through it."""

    def __init__(self, settings: Settings, store: redis.Redis) -> None:
        self._store = store
        self._partitions = [
            TopicPartition(settings.topics.observations, number)
            for number in range(settings.topics.partitions)
        ]
        servers = {**_CLIENT, "bootstrap.servers": settings.kafka.bootstrap_servers}
        self._group = Consumer({**servers, "group.id": f"{settings.kafka.group}.monitor"})
        self._admin = AdminClient(servers)
        self._ends: deque[tuple[float, int]] = deque()  # moment, rows of the observations by then

    def switch(self, store: redis.Redis) -> None:
        """Ask another server from now on."""
        self._store = store

    def counters(self) -> dict[str, int]:
        """Return what tg:join says; nothing where Redis does not answer."""
        with contextlib.suppress(redis.RedisError):
            return {name.decode(): int(count) for name, count in self._store.hgetall("tg:join").items()}
        return {}

    def joined(self) -> tuple[int, int]:
        """Return how many predictions and labels the join has counted."""
        found = self.counters()
        return found.get("predictions.received", 0), found.get("labels.received", 0)

    def caught_up(self, feed: Feed) -> bool:
        """Return whether all that was sent FRESH_SECONDS ago is joined and monitored."""
        moment = time.monotonic()
        known = moment - FRESH_SECONDS
        joined, sent = self.joined(), feed.sent_by(known)
        end, monitored = self._end(), self._monitored()
        if end is not None:
            self._ends.append((moment, end))
        while len(self._ends) > 1 and self._ends[1][0] <= known:
            self._ends.popleft()
        if min(one - other for one, other in zip(joined, sent, strict=True)) < 0 or monitored is None:
            return False
        return bool(self._ends) and self._ends[0][0] <= known and monitored >= self._ends[0][1]

    def close(self) -> None:
        self._group.close()

    def _end(self) -> int | None:
        """Return the sum of the end offsets of the observations."""
        try:
            asked = self._admin.list_offsets(
                {partition: OffsetSpec.latest() for partition in self._partitions},
                request_timeout=_ANSWER_SECONDS,
            )
            return sum(future.result(_ANSWER_SECONDS).offset for future in asked.values())
        except (KafkaException, TimeoutError):
            return None

    def _monitored(self) -> int | None:
        """Return the sum of the offsets that the monitors have committed."""
        try:
            found = self._group.committed(self._partitions, timeout=_ANSWER_SECONDS)
        except KafkaException:
            return None
        return sum(max(each.offset, 0) for each in found)


def resident_bytes(processes: Iterable[int]) -> int:
    """Return the most memory that one of the processes has ever had resident, by Linux's account."""
    most = 0
    for process in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    most = max(most, int(line.split()[1]) * 1_024)
    return most
