"""The window itself with 1, 5 and 10 million predictions in it: what one weighs, what an event costs.

On a store of its own without a file: what is weighed is memory. The window is laid out for the number that
waits, as docs/configuration.md says: 64 to a bucket.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import redis

from benchmarks.events import START_MS, STEP_MS
from benchmarks.figures import MILLION
from benchmarks.processes import usage
from benchmarks.progress import say
from benchmarks.race import Failed
from tidegauge.adapters.redis_window import RedisWindow
from tidegauge.config import Join, Limits
from tidegauge.events import Decoder
from tidegauge.join import Arrival, Rules, Side, key_of, pack_labelled, pack_predicted
from tidegauge.servers import KINDS, Kind, Server

_IN_A_BUCKET = 64
_PARTITIONS = 4
_PROBE = 100_000  # events of each side that are timed when all wait
_PREDICTION = (
    b'{"prediction_id":"%s","model_id":"m0","model_version":"v1","prediction":1,"prediction_proba":0.8125,'
    b'"features":{"f0":0.5}}'
)


def measure(kind: Kind, waiting: int) -> dict[str, Any]:
    """Return the figures of a window in which so many predictions wait."""
    with Server(KINDS[kind][1], settings={"appendonly": "no"}) as store:
        client = redis.Redis.from_url(f"redis://{store.address}/0")
        window = _window(f"redis://{store.address}/0", waiting)
        window.apply([], 0)
        empty = _used_bytes(client)
        fill = _fill(window, waiting, store.pid)
        weight = (_used_bytes(client) - empty) / waiting
        probe = min(_PROBE, waiting // 10)
        late = _timed(window, list(_predictions(waiting, waiting + probe)), store.pid)
        label = _timed(window, list(_labels(probe)), store.pid)
        counters = window.counters()
        window.close()
        client.close()
    wanted = {"predictions.received": waiting + probe, "predictions.matched": probe}
    if any(counters[name] != count for name, count in wanted.items()):
        raise Failed(f"expected {wanted}, got {counters}")
    return {
        "waiting": waiting,
        "bytes_per_waiting": weight,
        "redis_bytes": weight * waiting,
        "fill_us": fill,
        "prediction_us": late,
        "label_us": label,
    }


def _window(url: str, waiting: int) -> RedisWindow:
    join = Join()
    buckets = max(1, waiting // (join.shards * _IN_A_BUCKET))
    rules = Rules(join.horizon_seconds * 1_000, join.lateness_seconds * 1_000)
    return RedisWindow.connect(url, rules, join.shards, buckets, timeout_seconds=30.0)


def _fill(window: RedisWindow, waiting: int, pid: int) -> dict[str, float]:
    """Return us an event by process while the window fills."""
    total: dict[str, float] = {}
    for start in range(0, waiting, _PROBE):
        arrivals = list(_predictions(start, min(start + _PROBE, waiting)))
        for name, cost in _timed(window, arrivals, pid).items():
            total[name] = total.get(name, 0.0) + cost * len(arrivals) / waiting
        if (start + len(arrivals)) % MILLION == 0 and waiting > MILLION:
            say(f"  {start + len(arrivals)} of {waiting} wait")
    return total


def _timed(window: RedisWindow, arrivals: list[Arrival], pid: int) -> dict[str, float]:
    """Return us an event: elapsed, and the CPU of this process and of the store."""
    batch = Join().batch
    store, cpu, wall = usage([pid]).cpu_s, time.process_time(), time.perf_counter()
    for start in range(0, len(arrivals), batch):
        window.apply(arrivals[start : start + batch], 0)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    spent = {"elapsed": wall, "worker": cpu, "redis": usage([pid]).cpu_s - store}
    return {name: seconds / len(arrivals) * 1e6 for name, seconds in spent.items()}


def _predictions(first: int, end: int) -> Iterator[Arrival]:
    event = Decoder(Limits()).prediction(_PREDICTION % b"x", START_MS)
    payload = pack_predicted(event.predicted)
    for number in range(first, end):
        place = divmod(number, _PARTITIONS)
        yield Arrival(Side.PREDICTION, _key(number), place[1], place[0], START_MS + number * STEP_MS, payload)


def _labels(count: int) -> Iterator[Arrival]:
    event = Decoder(Limits()).label(b'{"prediction_id":"x","label":1}', START_MS)
    payload = pack_labelled(event.labelled)
    numbers = np.random.default_rng(7).permutation(count * 5)[:count].tolist()
    for place, number in enumerate(numbers):
        partition, offset = place % _PARTITIONS, place // _PARTITIONS
        at_ms = START_MS + number * STEP_MS
        yield Arrival(Side.LABEL, _key(number), partition, offset, at_ms, payload, f"p{number}")


def _key(number: int) -> bytes:
    return key_of(f"p{number}")


def _used_bytes(client: Any) -> int:
    return int(client.info("memory")["used_memory"])
