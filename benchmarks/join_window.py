"""What each part of the join costs an event in CPU time, and what an entry weighs.

`python -m benchmarks.join_window` runs on the embedded store; `--url redis://...` on another, whose keys
`bench:*` it fills and deletes again. Columns are us of CPU an event: of this process, and of the store.
The baseline is the window as it is usually written: a pipeline of `SET key value EX seconds`.
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from random import Random
from typing import Any

import numpy as np
import redis

from tidegauge.adapters import block_codec
from tidegauge.adapters.redis_window import RedisWindow
from tidegauge.config import Join, Limits
from tidegauge.events import Decoder
from tidegauge.join import Resolutions, Rules, Side
from tidegauge.ports import Record
from tidegauge.servers import VALKEY, Server
from tidegauge.stages.batch import Batch, Contexts, decoded
from tidegauge.stages.rows import Resolved, Rows

START_MS = 1_357_000_000_000
PARTITIONS = 4
PREFIX = "bench"
SIDES = {"predictions": Side.PREDICTION, "labels": Side.LABEL}


def messages(count: int, features: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield predictions of one model, each with its label an hour later."""
    random = Random(7)
    for number in range(count):
        name = str(uuid.UUID(int=random.getrandbits(128)))
        prediction = {
            "prediction_id": name,
            "model_id": "flights-late",
            "model_version": "v1",
            "predicted_at": START_MS + number,
            "prediction": random.random() < 0.2,
            "prediction_proba": random.random(),
            "features": {f"feature_{each}": random.random() for each in range(features)},
            "segments": {"carrier": "UA"},
            "latency_ms": 3.2,
        }
        label = {"prediction_id": name, "label": True, "labelled_at": START_MS + number + 3_600_000}
        yield json.dumps(prediction).encode(), json.dumps(label).encode()


def records(topic: str, values: Sequence[bytes], batch: int) -> Iterator[list[Record]]:
    """Yield batches of the records of a topic."""
    for start in range(0, len(values), batch):
        numbers = range(start, min(start + batch, len(values)))
        yield [Record(topic, at % PARTITIONS, at // PARTITIONS, -1, None, values[at]) for at in numbers]


class Store:
    """The store under measurement."""

    def __init__(self, url: str) -> None:
        self.client: Any = redis.Redis.from_url(url)
        self.url = url

    def cpu_seconds(self) -> float:
        cpu = self.client.info("cpu")
        return float(cpu["used_cpu_sys"] + cpu["used_cpu_user"])

    def used_bytes(self) -> int:
        return int(self.client.info("memory")["used_memory"])

    def empty(self) -> None:
        for name in self.client.scan_iter(f"{PREFIX}:*", count=10_000):
            self.client.delete(name)


def measured(name: str, store: Store, events: int, calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Return what the calls return, and print what they cost an event: of this process, the least of all."""
    costs, found, before = [], [], store.cpu_seconds()
    for call in calls:
        started = time.process_time()
        found.append(call())
        costs.append(time.process_time() - started)
    spent = (store.cpu_seconds() - before) / events * 1e6
    print(f"{name:24} {min(costs) * len(calls) / events * 1e6:7.2f} {spent:7.2f}", flush=True)
    return found


def decode(store: Store, topic: str, values: Sequence[bytes], contexts: Contexts, batch: int) -> list[Batch]:
    decoder = Decoder(Limits())
    calls = [
        lambda part=part: decoded(part, SIDES, decoder, contexts) for part in records(topic, values, batch)
    ]
    return measured(f"decode {topic}", store, len(values), calls)


def join(store: Store, window: RedisWindow, name: str, batches: Sequence[Batch], contexts: Contexts) -> None:
    events = sum(len(batch.arrivals) for batch in batches)
    found: list[Resolutions] = measured(
        f"window {name}",
        store,
        events,
        [lambda part=part: window.apply(part.arrivals, 0) for part in batches],
    )

    def blocks(batch: Batch, resolutions: Resolutions) -> int:
        resolved = Resolved(batch, resolutions, np.zeros(len(resolutions), np.bool_))
        return sum(
            len(block_codec.encode(block)) for _, block in Rows(resolved, contexts, PARTITIONS).blocks()
        )

    pairs = zip(batches, found, strict=True)
    sizes = measured(f"blocks {name}", store, events, [lambda pair=pair: blocks(*pair) for pair in pairs])
    print(f"{'':24} {sum(sizes) / events:7.0f} bytes of block an event")


def baseline(store: Store, batches: Sequence[Batch]) -> None:
    def keep(part: Batch) -> None:
        pipeline = store.client.pipeline(transaction=False)
        for arrival in part.arrivals:
            pipeline.set(f"{PREFIX}:{arrival.key.hex()}", arrival.payload, ex=86_400)
        pipeline.execute()

    before, events = store.used_bytes(), sum(len(batch.arrivals) for batch in batches)
    measured("pipeline of SET EX", store, events, [lambda part=part: keep(part) for part in batches])
    print(f"{'':24} {(store.used_bytes() - before) / events:7.1f} bytes an entry")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, help="predictions, and as many labels")
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--batch", type=int, default=Join().batch)
    parser.add_argument("--url", help="a Redis or Valkey; without it the embedded one is started")
    options = parser.parse_args()
    with ExitStack() as running:
        url = options.url or f"redis://{running.enter_context(Server(VALKEY)).address}/0"
        store = Store(url)
        store.empty()
        values = zip(*messages(options.events, options.features), strict=True)
        contexts = Contexts(lambda model_id, version: None)
        print(f"{'us of CPU an event':24} {'Python':>7} {'store':>7}")
        predictions, labels = (
            decode(store, topic, each, contexts, options.batch)
            for topic, each in zip(SIDES, values, strict=True)
        )
        settings = Join()
        rules = Rules(settings.horizon_seconds * 1_000, settings.lateness_seconds * 1_000)
        window = RedisWindow.connect(url, rules, settings.shards, settings.buckets, PREFIX)
        window.apply([], 0)
        before = store.used_bytes()
        join(store, window, "predictions", predictions, contexts)
        print(f"{'':24} {(store.used_bytes() - before) / options.events:7.1f} bytes an entry that waits")
        join(store, window, "labels", labels, contexts)
        print(f"{'':24} {(store.used_bytes() - before) / options.events:7.1f} bytes an entry that matched")
        measured("sweep a pass", store, options.events, [lambda: window.sweep(0, settings.buckets)])
        window.close()
        store.empty()
        baseline(store, predictions)
        store.empty()


if __name__ == "__main__":
    main()
