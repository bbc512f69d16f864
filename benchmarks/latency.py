"""Latency at a paced rate: from the produce time of a label to its outcome in Redis, and to an alert;
and what the rate takes of the cores.

Predictions are produced as fast as labels, each label a second after its prediction. `predicted_at` is the
time of producing, so an alert, which carries the event time that it was judged at, tells the newest event
that it knows.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, TopicPartition

from benchmarks.events import Pair, Stream, pairs
from benchmarks.figures import overtaking, per_second, percentiles
from benchmarks.processes import usage
from benchmarks.product import workers
from benchmarks.progress import say
from benchmarks.race import Contender, Failed, tail
from benchmarks.rig import PARTITIONS, Filled, Rig, new_name, send
from tidegauge import config, keys
from tidegauge.records import Alert


class Paced(NamedTuple):
    """Events that come at a rate."""

    title: str
    rate: int  # events a second, half of them labels
    models: int
    partitions: int  # of the observations
    settings: Mapping[str, str] = {}  # of the worker


CASES = {
    "latency": Paced("5000 events/s of 10 models; observations in one partition", 5_000, 10, 1),
    "latency_spread": Paced(
        f"the same; observations in {PARTITIONS} partitions, as by default", 5_000, 10, PARTITIONS
    ),
    "latency_trickle": Paced("200 events/s of 3 models, default settings", 200, 3, PARTITIONS),
    "latency_gathered": Paced(
        "the same, with join.gather_ms = 500", 200, 3, PARTITIONS, {"TIDEGAUGE_JOIN__GATHER_MS": "500"}
    ),
}
_REGIME = 1_500  # outcomes of a model, after which it gets worse or better
_TICK_SECONDS = 0.002
_LAG_SECONDS = 1.0
_WARM_SECONDS = 8.0  # the worker starts, joins its groups, and decides the models' task
_POLL_SECONDS = 0.004
_DRAIN_SECONDS = 20.0


class Feed:
    """Produces a stream at a rate in a thread, and remembers when it produced each model's labels."""

    def __init__(self, rig: Rig, filled: Filled, rate: int) -> None:
        self._producer = rig.producer()
        self._rate = rate / 2  # of predictions, and of labels
        self._filled = filled
        self.labelled: dict[str, list[float]] = defaultdict(list)
        self.last_ms = 0  # of predictions: then a model's event time stands still, while labels come
        self.seconds = 0.0  # that it took
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        stream, rate = self._filled.stream, self._rate
        started = time.time()
        at_ms, step_ms = int(started * 1_000), 1_000 / rate
        self.last_ms = at_ms + int((stream.pairs - stream.models) * step_ms)
        source = enumerate(pairs(stream, at_ms, step_ms))
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

    def between(self, began_ms: float, ended_ms: float) -> list[float]:
        """Return the latencies in ms of the alerts that were raised from a time in ms until another."""
        return [took for raised_at_ms, took in self._came if began_ms <= raised_at_ms < ended_ms]

    def _run(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.2)
            value = message.value() if message is not None and message.error() is None else None
            if value is not None:
                alert = msgspec.json.decode(value, type=Alert)
                self._came.append((alert.raised_at_ms, time.time() * 1_000 - alert.raised_at_ms))


class Busy:
    """The cores that worker, broker and Redis keep busy, from a time in the run on."""

    def __init__(self, rig: Rig, contender: Contender, seconds: float) -> None:
        self._rig = rig
        self._worker = [process.pid for process in contender.processes]
        self._timer = threading.Timer(seconds, self._begin)
        self._timer.start()

    def _begin(self) -> None:
        self._before, self._began = self._used(), time.monotonic()

    def cores(self) -> dict[str, float | None]:
        """Return the cores of each since then."""
        self._timer.join()
        after, seconds = self._used(), time.monotonic() - self._began
        return {name: per_second(after[name].cpu_s - self._before[name].cpu_s, seconds) for name in after}

    def _used(self) -> dict[str, Any]:
        return {"worker": usage(self._worker), **self._rig.servers_usage()}


def measure(rig: Rig, seconds: float, paced: Paced, log: Path) -> dict[str, Any]:
    """Return percentiles in ms over so many seconds, and the cores that were busy.

    Raises Failed where outcomes are missing.
    """
    stream = Stream(int((seconds + _WARM_SECONDS) * paced.rate / 2), paced.models, regime=_REGIME)
    filled = Filled(new_name("predictions"), new_name("labels"), stream, 0, 0, 0, 0.0)
    rig.topics((filled.predictions, filled.labels))
    settings = rig.settings(filled, paced.partitions)
    with workers(rig, filled, settings, log, more=paced.settings) as contender:
        about = {"models": paced.models, "settings": dict(paced.settings)}
        return about | _watched(rig, filled, settings, contender, paced.rate)


def _watched(
    rig: Rig, filled: Filled, settings: config.Settings, contender: Contender, rate: int
) -> dict[str, Any]:
    _await_presence(rig, contender)
    feed, alarms = Feed(rig, filled, rate), Alarms(rig, settings.topics.alerts)
    busy = Busy(rig, contender, _WARM_SECONDS)
    began = time.time()
    alarms.thread.start()
    feed.thread.start()
    counts = _counts(rig, filled, feed, contender)
    busy_cores = busy.cores()
    feed.thread.join()
    alarms.end()
    latencies, warm = [], began + _WARM_SECONDS
    alerts = alarms.between(warm * 1_000, feed.last_ms)
    for model, sent in feed.labelled.items():
        for sent_at, took in zip(sent, overtaking(counts[model], sent), strict=True):
            if took is None:
                raise Failed(f"{model}: {len(sent)} labels, {counts[model][-1][1]} outcomes")
            if sent_at >= warm:
                latencies.append(took * 1_000)
    return {
        "pairs": filled.stream.pairs,
        "cores": busy_cores,
        "rate_per_s": per_second(2 * filled.stream.pairs, feed.seconds),
        "metric_ms": percentiles(latencies),
        "metric_samples": len(latencies),
        "alert_ms": percentiles(alerts),
        "alert_samples": len(alerts),
    }


def _counts(rig: Rig, filled: Filled, feed: Feed, contender: Contender) -> dict[str, list[tuple[float, int]]]:
    """Return for each model when its count of outcomes was seen to change, until all are there."""
    names = [f"m{number}" for number in range(filled.stream.models)]
    outcomes = _outcomes(rig, names)
    counts: dict[str, list[tuple[float, int]]] = {name: [(0.0, 0)] for name in names}
    until: float | None = None
    while True:
        found = outcomes()
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


def _outcomes(rig: Rig, names: Sequence[str]) -> Callable[[], list[Any]]:
    """Return what reads the published count of outcomes of each model.

    The commands are packed once: who looks takes from the cores of those whom it looks at.
    """
    connection, field = rig.redis.connection_pool.get_connection(), keys.metric_field("n", "7d")
    commands = connection.pack_commands([("HGET", keys.metrics_key(name, "v1"), field) for name in names])

    def read() -> list[Any]:
        connection.send_packed_command(commands)
        return [connection.read_response() for _ in names]

    return read


def _await_presence(rig: Rig, contender: Contender) -> None:
    until = time.monotonic() + 60
    while not rig.redis.exists(keys.WORKERS):
        if time.monotonic() > until or contender.processes[0].poll() is not None:
            raise Failed(f"the worker does not start:\n{tail(contender.log)}")
        time.sleep(0.1)
    say("  the worker is there; events are paced now")
