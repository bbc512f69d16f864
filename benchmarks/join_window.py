"""What decoding and the join window cost an event, and what an entry weighs.

`python -m benchmarks.join_window` runs on the embedded store; `--url redis://...` on another, whose keys
`bench:*` it fills and deletes again.
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
from statistics import median
from typing import Any

import redis

from tidegauge.adapters.redis_window import RedisWindow
from tidegauge.config import Join, Limits
from tidegauge.events import Decoder
from tidegauge.join import Arrival, Rules, Side, key_of, pack_labelled, pack_predicted
from tidegauge.servers import VALKEY, Server

START_MS = 1_357_000_000_000
PARTITIONS = 4
PREFIX = "bench"


def messages(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield predictions with one segment and four features, each with its label an hour later."""
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
            "features": {"distance": 1400.0, "hour": 8, "carrier": "UA", "dep_delay": 2.0},
            "segments": {"carrier": "UA"},
            "latency_ms": 3.2,
        }
        label = {"prediction_id": name, "label": True, "labelled_at": START_MS + number + 3_600_000}
        yield json.dumps(prediction).encode(), json.dumps(label).encode()


def timed(call: Callable[[Sequence[Any]], object], items: Sequence[Any], batch: int) -> float:
    """Return the median of us an item over the batches."""
    costs = []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        before = time.perf_counter()
        call(part)
        costs.append((time.perf_counter() - before) / len(part) * 1e6)
    return median(costs)


def arrivals(predictions: Sequence[bytes], labels: Sequence[bytes]) -> tuple[list[Arrival], list[Arrival]]:
    decoder = Decoder(Limits())
    came: tuple[list[Arrival], list[Arrival]] = ([], [])
    for number, (prediction, label) in enumerate(zip(predictions, labels, strict=True)):
        partition, offset = number % PARTITIONS, number // PARTITIONS
        event, truth = decoder.prediction(prediction, -1), decoder.label(label, -1)
        key, at_ms = key_of(event.prediction_id), event.predicted.predicted_at_ms
        payload = pack_predicted(event.predicted)
        came[0].append(Arrival(Side.PREDICTION, key, partition, offset, at_ms, payload))
        payload, name = pack_labelled(truth.labelled), truth.prediction_id
        came[1].append(Arrival(Side.LABEL, key, partition, offset, truth.labelled_at_ms, payload, name))
    return came


def used_bytes(client: Any) -> int:
    return int(client.info("memory")["used_memory"])


def empty(client: Any) -> None:
    for name in client.scan_iter(f"{PREFIX}:*", count=10_000):
        client.delete(name)


def measure_window(client: Any, url: str, came: tuple[list[Arrival], list[Arrival]], batch: int) -> None:
    join, (predictions, labels) = Join(), came
    rules = Rules(join.horizon_seconds * 1_000, join.lateness_seconds * 1_000)
    window = RedisWindow.connect(url, rules, join.shards, join.buckets, PREFIX)
    window.apply([], 0)
    before = used_bytes(client)
    cost = timed(lambda part: window.apply(part, 0), predictions, batch)
    weight = (used_bytes(client) - before) / len(predictions)
    print(f"window, predictions  {cost:6.2f} us/event  {weight:6.1f} bytes an entry that waits")
    cost = timed(lambda part: window.apply(part, 0), labels, batch)
    weight = (used_bytes(client) - before) / len(predictions)
    print(f"window, labels       {cost:6.2f} us/event  {weight:6.1f} bytes an entry that matched")
    cost = timed(lambda part: window.apply(part, 0), labels, batch)
    print(f"window, replays      {cost:6.2f} us/event")
    window.close()


def measure_baseline(client: Any, predictions: Sequence[Arrival], batch: int) -> None:
    before = used_bytes(client)

    def keep(part: Sequence[Arrival]) -> None:
        pipeline = client.pipeline(transaction=False)
        for arrival in part:
            pipeline.set(f"{PREFIX}:{arrival.key.hex()}", arrival.payload, ex=86_400)
        pipeline.execute()

    cost = timed(keep, predictions, batch)
    weight = (used_bytes(client) - before) / len(predictions)
    print(f"pipeline of SET EX   {cost:6.2f} us/event  {weight:6.1f} bytes an entry")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, help="predictions, and as many labels")
    parser.add_argument("--batch", type=int, default=Join().batch)
    parser.add_argument("--url", help="a Redis or Valkey; without it the embedded one is started")
    options = parser.parse_args()
    with ExitStack() as running:
        url = options.url or f"redis://{running.enter_context(Server(VALKEY)).address}/0"
        client = redis.Redis.from_url(url)
        predictions, labels = zip(*messages(options.events), strict=True)
        decoder = Decoder(Limits())
        for name, decode, values in (
            ("prediction", decoder.prediction, predictions),
            ("label", decoder.label, labels),
        ):
            cost = timed(lambda part, d=decode: [d(value, -1) for value in part], values, options.batch)
            print(f"decode a {name:<11} {cost:6.2f} us/event  {len(values[0]):6d} bytes of JSON")
        came = arrivals(predictions, labels)
        empty(client)
        measure_window(client, url, came, options.batch)
        empty(client)
        measure_baseline(client, came[0], options.batch)
        empty(client)
        client.close()


if __name__ == "__main__":
    main()
