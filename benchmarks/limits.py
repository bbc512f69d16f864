"""The limit: the same bytes consumed only, or consumed and decoded only.

`python -m benchmarks.limits consume|decode BROKER COUNT TOPIC:KIND ...` writes `first` when the first
messages are there and `last` after the last, and waits for its input to end, so that it can be looked at.
"""

from __future__ import annotations

import sys
import uuid
from typing import Any

import msgspec
from confluent_kafka import Consumer

_BATCH = 4_000  # as join.batch


class Prediction(msgspec.Struct):
    """A prediction's fields with their types, and nothing checked beyond them."""

    prediction_id: str
    model_id: str
    model_version: str
    prediction: int | float | str
    predicted_at: int | str | None = None
    prediction_proba: float | None = None
    features: dict[str, float | str | None] = {}
    segments: dict[str, str] = {}
    entity_id: str | None = None
    latency_ms: float | None = None
    resources: dict[str, float] = {}
    value: float | None = None


class Label(msgspec.Struct):
    """A label's fields with their types."""

    prediction_id: str
    label: int | float | str
    labelled_at: int | str | None = None
    kpis: dict[str, float] = {}
    weight: float = 1.0


def run(what: str, broker: str, count: int, topics: dict[str, str]) -> None:
    """Consume `count` messages of the topics, and decode them where that is asked for."""
    kinds: dict[str, Any] = {"predictions": Prediction, "labels": Label}
    decoders = {topic: msgspec.json.Decoder(kinds[kind]) for topic, kind in topics.items()}
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": f"limit.{uuid.uuid4().hex[:8]}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 20,
            "fetch.wait.max.ms": 50,
        },
        logger=None,
    )
    consumer.subscribe(list(topics))
    seen = 0
    while seen < count:
        messages = consumer.consume(_BATCH, 0.05)
        if messages and not seen:
            print("first", flush=True)
        for message in messages:
            value = message.value()
            if what == "decode":
                decoders[message.topic()].decode(value)
        seen += len(messages)
    print("last", flush=True)
    sys.stdin.read()
    consumer.close()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), dict(pair.split(":") for pair in sys.argv[4:]))
