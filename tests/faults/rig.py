"""The servers of a run: one Kafka, and for each trial a Redis of its own, all behind proxies."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from confluent_kafka.admin import AdminClient, NewTopic

from tests.faults.proxy import Proxy
from tidegauge import config
from tidegauge.servers import KAFKA, REDIS, Server

_CREATE_SECONDS = 30
_SYNC_SECONDS = 20
PARTITIONS = 4
# Of groups that the broker manages (KIP-848) the session is its setting, not the members'.
_SESSIONS = {
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
}


class Rig:
    """Kafka announces its proxy's address, so every client can be cut off; Redis is found by its proxy."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self.scratch = Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="tidegauge-faults-")))
        self.kafka_proxy = self._undo.enter_context(Proxy())
        self.redis_proxy = self._undo.enter_context(Proxy())
        self.replica_proxy = self._undo.enter_context(Proxy())
        announced = {"advertised.listeners": f"PLAINTEXT://{self.kafka_proxy.address}"}
        self.kafka = Server(KAFKA, settings=announced | _SESSIONS)
        self._undo.callback(self.kafka.close)
        self.kafka.start()
        self.kafka_proxy.switch(self.kafka.place.port)
        self.admin = AdminClient({"bootstrap.servers": self.kafka_proxy.address, "log_level": 0})
        self._others: list[Server] = []
        self.redis = self._new_redis()

    def fresh(
        self, horizon_seconds: int, session_timeout_ms: int, kafka_options: Mapping[str, str]
    ) -> config.Settings:
        """Return settings with new topics, new groups and an empty Redis."""
        self._close_redis()
        self.redis = self._new_redis()
        self.use(self.redis)
        self.kafka_proxy.heal()
        name = uuid.uuid4().hex[:8]
        wide = ("predictions", "labels", "observations")
        single = ("deadletter", "control", "alerts")
        topics = {topic: f"{topic}.{name}" for topic in (*wide, *single)}
        new = [NewTopic(topics[topic], PARTITIONS if topic in wide else 1, 1) for topic in topics]
        for future in self.admin.create_topics(new).values():
            future.result(_CREATE_SECONDS)
        return config.Settings(
            kafka=config.Kafka(
                bootstrap_servers=self.kafka_proxy.address,
                group=f"faults.{name}",
                session_timeout_ms=session_timeout_ms,
                options=dict(kafka_options),
            ),
            topics=config.Topics(**topics, partitions=PARTITIONS),
            redis=config.Redis(url=f"redis://{self.redis_proxy.address}/0", timeout_seconds=2.0),
            web=config.Web(port=0),
            join=config.Join(
                horizon_seconds=horizon_seconds, lateness_seconds=86_400, shards=4, buckets=64, batch=1_000
            ),
            monitor=config.Monitor(
                publish_seconds=0.1, snapshot_seconds=0.5, baseline_outcomes=300, inference_outcomes=50
            ),
        )

    def discard(self, settings: config.Settings) -> None:
        """Delete a trial's topics."""
        names = [getattr(settings.topics, name) for name in ("predictions", "labels", "observations")]
        for future in self.admin.delete_topics(names).values():
            future.result(_CREATE_SECONDS)

    def use(self, server: Server) -> None:
        """Let workers find this Redis at the one address that they know."""
        self.redis_proxy.switch(server.place.port)
        self.redis_proxy.heal()

    def client(self, server: Server | None = None) -> redis.Redis:
        """Return a client past the proxy."""
        port = (server or self.redis).place.port
        return redis.Redis(port=port, socket_timeout=2.0, socket_connect_timeout=2.0)

    def replica(self) -> Server:
        """Return a replica of the Redis in use, in step with it; its link runs through a proxy."""
        self.replica_proxy.switch(self.redis.place.port)
        self.replica_proxy.heal()
        replica = self._new_redis()
        self._others.append(replica)
        client = self.client(replica)
        client.replicaof("127.0.0.1", str(self.replica_proxy.port))
        wait(lambda: client.info("replication")["master_link_status"] == "up", _SYNC_SECONDS)
        return replica

    def lead(self, replica: Server) -> None:
        """Make a replica the primary; workers find it after `use`."""
        self.client(replica).replicaof("NO", "ONE")
        self._others.remove(replica)
        self._others.append(self.redis)
        self.redis = replica

    def cut_tail(self, size: int) -> None:
        """Let the stopped Redis lose what it wrote to its file beyond `size` bytes, as a power cut would."""
        with self.journal().open("r+b") as file:
            file.truncate(size)

    def journal(self) -> Path:
        """Return the append-only file in use."""
        return max((self.redis.place.data / "appendonlydir").glob("*.incr.aof"))

    def close(self) -> None:
        self._close_redis()
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _new_redis(self) -> Server:
        server = Server(REDIS)
        server.start()
        return server

    def _close_redis(self) -> None:
        for server in (self.redis, *self._others):
            server.close()
        self._others = []


def wait(what: Callable[[], bool], seconds: float, poll_seconds: float = 0.05) -> bool:
    """Return whether a condition came to hold within `seconds`."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(poll_seconds)
    return True
