"""Latency at a paced rate: from the produce time of a label to its outcome in Redis, and to an alert.

Predictions are produced as fast as labels, each label a second after its prediction. `predicted_at` is the
time of producing, so an alert, which carries the event time that it was judged at, tells the newest event
that it knows.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from benchmarks.events import Pair, Stream, pairs
from benchmarks.figures import overtaking, per_second, percentiles
from benchmarks.product import workers
from benchmarks.progress import say
from benchmarks.race import Contender, Failed, tail
from benchmarks.rig import PARTITIONS, Filled, Rig, new_name, send
from tidegauge import config, keys
from tidegauge.records import Alert

RATE = 5_000  # events a second, half of them labels
CASES = {  # title, partitions of the observations
    "latency": (f"{RATE} events/s, paced; observations in one partition", 1),
    "latency_spread": (f"the same; observations in {PARTITIONS} partitions", PARTITIONS),
}
MODELS = 10
_TICK_SECONDS = 0.002
_LAG_SECONDS = 1.0
_WARM_SECONDS = 8.0  # the worker starts, joins its groups, and decides the models' task
_POLL_SECONDS = 0.004
_DRAIN_SECONDS = 20.0


class Feed:
    """Produces a stream at a rate in a thread, and remembers when it produced each model's labels."""

    def __init__(self, rig: Rig, filled: Filled) -> None:
        self._producer = rig.producer()
        self._filled = filled
        self.labelled: dict[str, list[float]] = defaultdict(list)
        self.seconds = 0.0  # that it took
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        stream, rate = self._filled.stream, RATE / 2
        started = time.time()
        source = enumerate(pairs(stream, int(started * 1_000), 1_000 / rate))
        waiting: deque[tuple[int, Pair]] = deque()
        sent = labelled = 0
        while labelled < stream.pairs:
            due = (time.time() - started) * rate
            for number, pair in islice(source, max(int(min(due, stream.pairs)) - sent, 0)):
                send(self._producer, self._filled.predictions, pair.prediction, pair, number % PARTITIONS)
                waiting.append((number, pair))
                sent += 1
            while waiting and waiting[0][0] <= due - _LAG_SECONDS * rate:
                number, pair = waiting.popleft()
                self.labelled[pair.model].append(time.time())
                send(self._producer, self._filled.labels, pair.labels[-1], pair, number % PARTITIONS)
                labelled += 1
            self._producer.poll(0)
            time.sleep(_TICK_SECONDS)
        self.seconds = time.time() - started - _LAG_SECONDS
        self._producer.flush(10)


class Alarms:
    """Reads the alerts in a thread, and remembers when each came."""

    def __init__(self, rig: Rig, topic: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": rig.broker.address,
                "group.id": new_name("alarms"),
                "enable.auto.commit": False,
            }
        )
        self._consumer.assign([TopicPartition(topic, 0, 0)])
        self._ended = threading.Event()
        self._came: list[tuple[int, float]] = []  # event time, and how much later it came
        self.thread = threading.Thread(target=self._run)

    def end(self) -> None:
        self._ended.set()
        self.thread.join()
        self._consumer.close()

    def since(self, began: float) -> list[float]:
        """Return the latencies in ms of the alerts that were raised after a time."""
        return [took for raised_at_ms, took in self._came if raised_at_ms >= began * 1_000]

    def _run(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.2)
            value = message.value() if message is not None and message.error() is None else None
            if value is not None:
                alert = msgspec.json.decode(value, type=Alert)
                self._came.append((alert.raised_at_ms, time.time() * 1_000 - alert.raised_at_ms))


def measure(rig: Rig, seconds: float, partitions: int, log: Path) -> dict[str, Any]:
    """Return percentiles in ms over so many seconds, with the observations in so many partitions.

    Raises Failed where outcomes are missing.
    """
    stream = Stream(int((seconds + _WARM_SECONDS) * RATE / 2), MODELS, regime=1_500)
    filled = Filled(new_name("predictions"), new_name("labels"), stream, 0, 0, 0, 0.0)
    rig.topics((filled.predictions, filled.labels))
    settings = rig.settings(filled, partitions)
    with workers(rig, filled, settings, log) as contender:
        return _watched(rig, filled, settings, contender)


def _watched(rig: Rig, filled: Filled, settings: config.Settings, contender: Contender) -> dict[str, Any]:
    _await_presence(rig, contender)
    feed, alarms = Feed(rig, filled), Alarms(rig, settings.topics.alerts)
    began = time.time()
    alarms.thread.start()
    feed.thread.start()
    counts = _counts(rig, filled, feed, contender)
    feed.thread.join()
    alarms.end()
    latencies, warm = [], began + _WARM_SECONDS
    alerts = alarms.since(warm)
    for model, sent in feed.labelled.items():
        for sent_at, took in zip(sent, overtaking(counts[model], sent), strict=True):
            if took is None:
                raise Failed(f"{model}: {len(sent)} labels, {counts[model][-1][1]} outcomes")
            if sent_at >= warm:
                latencies.append(took * 1_000)
    return {
        "pairs": filled.stream.pairs,
        "rate_per_s": per_second(2 * filled.stream.pairs, feed.seconds),
        "metric_ms": percentiles(latencies),
        "metric_samples": len(latencies),
        "alert_ms": percentiles(alerts),
        "alert_samples": len(alerts),
    }


def _counts(rig: Rig, filled: Filled, feed: Feed, contender: Contender) -> dict[str, list[tuple[float, int]]]:
    """Return for each model when its count of outcomes was seen to change, until all are there."""
    field, names = keys.metric_field("n", "7d"), [f"m{number}" for number in range(MODELS)]
    counts: dict[str, list[tuple[float, int]]] = {name: [(0.0, 0)] for name in names}
    until: float | None = None
    while True:
        pipeline = rig.redis.pipeline(transaction=False)
        for name in names:
            pipeline.hget(keys.metrics_key(name, "v1"), field)
        found: list[Any] = pipeline.execute()
        now = time.time()
        for name, text in zip(names, found, strict=True):
            count = int(float(text)) if text and text != keys.UNDEFINED else 0
            if count != counts[name][-1][1]:
                counts[name].append((now, count))
        if sum(each[-1][1] for each in counts.values()) >= filled.stream.pairs:
            return counts
        if not feed.thread.is_alive():
            until = until or now + _DRAIN_SECONDS
            if now > until:
                return counts
        if contender.processes[0].poll() is not None:
            raise Failed(f"the worker ended:\n{tail(contender.log)}")
        time.sleep(_POLL_SECONDS)


def _await_presence(rig: Rig, contender: Contender) -> None:
    until = time.monotonic() + 60
    while not rig.redis.exists(keys.WORKERS):
        if time.monotonic() > until or contender.processes[0].poll() is not None:
            raise Failed(f"the worker does not start:\n{tail(contender.log)}")
        time.sleep(0.1)
    say("  the worker is there; events are paced now")
