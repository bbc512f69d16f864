"""The servers of a run, and the recorded events in their topics."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple, Self

import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.events import Pair, Stream, pairs
from benchmarks.processes import usage
from benchmarks.progress import say
from tidegauge import config
from tidegauge.adapters.kafka_admin import TopicAdmin
from tidegauge.errors import Unavailable
from tidegauge.servers import KINDS, Kind, Server
from tidegauge.topics import wanted

PARTITIONS = config.Topics().partitions
_CREATE_SECONDS = 30
_FLUSH_SECONDS = 120


class Filled(NamedTuple):
    """Input topics with a stream in them, and the truth of it."""

    predictions: str
    labels: str
    stream: Stream
    events: int
    corrections: int
    right: int  # outcomes whose prediction was right
    message_bytes: float  # of a prediction, on average


class Rig:
    """One broker and one store; the real ones where they can be had."""

    def __init__(self, kind: Kind | None = None) -> None:
        self._undo = ExitStack()
        try:
            self.broker, self.store, self.kind = self._start(kind)
        except BaseException:
            self._undo.close()
            raise
        self.admin = AdminClient({"bootstrap.servers": self.broker.address, "log_level": 0})
        self.redis = redis.Redis.from_url(self.redis_url, decode_responses=True)
        self._filled: dict[Stream, Filled] = {}

    @property
    def redis_url(self) -> str:
        return f"redis://{self.store.address}/0"

    def versions(self) -> dict[str, str]:
        """Return what runs here: name to version."""
        info: Any = self.redis.info("server")
        store = "valkey" if info.get("server_name") == "valkey" else "redis"
        return {
            "broker": self.broker.spec.name,
            "store": f"{store} {info.get('valkey_version') or info['redis_version']}",
        }

    def used_bytes(self) -> int:
        """Return the bytes that Redis has allocated, all overhead included."""
        info: Any = self.redis.info("memory")
        return int(info["used_memory"])

    def servers_usage(self) -> dict[str, Any]:
        return {"broker": usage([self.broker.pid]), "redis": usage([self.store.pid])}

    def empty(self) -> None:
        """Let Redis forget everything, scripts too."""
        self.redis.flushall()
        self.redis.script_flush()

    def topics(self, names: Iterable[str], partitions: int = PARTITIONS) -> None:
        """Create topics."""
        new = [NewTopic(name, partitions, 1) for name in names]
        for future in self.admin.create_topics(new).values():
            future.result(_CREATE_SECONDS)

    def fill(self, stream: Stream) -> Filled:
        """Return topics with the events of a stream; those of one that is there already are used again."""
        if stream not in self._filled:
            names = new_name("predictions"), new_name("labels")
            self.topics(names)
            self._filled[stream] = self.record(stream, *names)
        return self._filled[stream]

    def record(self, stream: Stream, predictions: str, labels: str, sides: str = "both") -> Filled:
        """Send a stream to its topics, or one side of it: `predictions` or `labels`."""
        producer, started = self.producer(), time.monotonic()
        corrections = right = size = 0
        for number, pair in enumerate(pairs(stream)):
            partition = number % PARTITIONS
            if sides != "labels":
                send(producer, predictions, pair.prediction, pair, partition)
            if sides != "predictions":
                for label in pair.labels:
                    send(producer, labels, label, pair, partition)
            corrections += len(pair.labels) - 1
            right += pair.right
            size += len(pair.prediction)
            if number % 100_000 == 0 and number:
                say(f"  {number} of {stream.pairs} pairs recorded")
        if left := producer.flush(_FLUSH_SECONDS):
            raise Unavailable(f"{left} messages could not be recorded")
        events = 2 * stream.pairs + corrections
        say(f"  recorded in {time.monotonic() - started:.1f} s")
        return Filled(predictions, labels, stream, events, corrections, right, size / max(stream.pairs, 1))

    def discard(self, stream: Stream) -> None:
        """Delete the topics of a stream."""
        filled = self._filled.pop(stream, None)
        if filled is not None:
            for future in self.admin.delete_topics([filled.predictions, filled.labels]).values():
                future.result(_CREATE_SECONDS)

    def settings(self, filled: Filled, observation_partitions: int | None = None) -> config.Settings:
        """Return the defaults, with these inputs, and topics and groups that nobody had before."""
        names = config.Topics(
            predictions=filled.predictions,
            labels=filled.labels,
            observations=new_name("observations"),
            deadletter=new_name("deadletter"),
            control=new_name("control"),
            alerts=new_name("alerts"),
            observation_partitions=observation_partitions,
        )
        settings = config.Settings(
            kafka=config.Kafka(bootstrap_servers=self.broker.address, group=new_name("bench")),
            topics=names,
            redis=config.Redis(url=self.redis_url),
            web=config.Web(port=0),
        )
        admin = TopicAdmin(settings.kafka, _CREATE_SECONDS)
        admin.create(
            [one for one in wanted(settings) if one.name not in (names.predictions, names.labels)], 1
        )
        return settings

    def producer(self, linger_ms: int = 20) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.broker.address,
                "linger.ms": linger_ms,
                "batch.size": 1_000_000,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 1_000_000,
            },
            logger=None,
        )

    def close(self) -> None:
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, kind: Kind | None) -> tuple[Server, Server, Kind]:
        try:
            return self._started(kind or "real")
        except Unavailable as error:
            if kind is not None:
                raise
            say(f"no real servers, so the embedded ones: {str(error).splitlines()[0]}")
            return self._started("embedded")

    def _started(self, kind: Kind) -> tuple[Server, Server, Kind]:
        broker, store = (self._undo.enter_context(Server(spec)) for spec in KINDS[kind])
        return broker, store, kind


def send(producer: Producer, topic: str, value: bytes, pair: Pair, partition: int) -> None:
    """Queue a message; waits where the queue is full."""
    while True:
        try:
            producer.produce(topic, value, pair.key, partition=partition)
        except BufferError:
            producer.poll(0.05)
        else:
            break
    producer.poll(0)


def new_name(stem: str) -> str:
    """Return a name that nothing had before."""
    return f"{stem}.{uuid.uuid4().hex[:10]}"
