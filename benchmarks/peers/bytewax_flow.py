"""Bytewax: two Kafka inputs, the join in Redis, state by model. `python -m benchmarks.peers.bytewax_flow`."""

from __future__ import annotations

import json
from typing import Any

import redis
from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main

from benchmarks.peers.model import Join, Models, place


def build() -> Dataflow:
    """Return the dataflow."""
    here = place()
    client, models = redis.Redis.from_url(here.redis_url), Models()
    join = Join(client, models)
    models.publish_all_the_time(client)
    flow = Dataflow("monitor")
    alerts = []
    for name, topic, apply in (
        ("predictions", here.predictions, join.prediction),
        ("labels", here.labels, join.label),
    ):
        source = kafka.input(f"{name}-in", flow, brokers=[here.broker], topics=[topic], batch_size=1_000)
        decoded = op.map(f"{name}-decode", source.oks, _decoded)
        alerts.append(op.filter_map(f"{name}-join", decoded, apply))
    messages = op.map("encode", op.merge("alerts", *alerts), _encoded)
    kafka.output("alerts-out", messages, brokers=[here.broker], topic=here.alerts)
    return flow


def _decoded(message: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(message.value)
    return value


def _encoded(alert: dict[str, Any]) -> KafkaSinkMessage[None, bytes]:
    return KafkaSinkMessage(None, json.dumps(alert).encode())


if __name__ == "__main__":
    cluster_main(build(), [], 0)
