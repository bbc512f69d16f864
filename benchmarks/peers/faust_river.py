"""Faust: an agent for each topic, redis asyncio, river. `python -m benchmarks.peers.faust_river`."""

from __future__ import annotations

import json
from typing import Any

import faust
from redis import asyncio as redis

from benchmarks.peers.model import EXCHANGE, PUBLISH_SECONDS, Models, exchanged, place


def build() -> faust.App:
    """Return the application."""
    here = place()
    app = faust.App(
        here.group,
        broker=f"kafka://{here.broker}",
        value_serializer="json",
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
    )
    predictions, labels, alerts = map(app.topic, (here.predictions, here.labels, here.alerts))
    store: Any = redis.Redis.from_url(here.redis_url)
    exchange = store.register_script(EXCHANGE)
    models = Models()

    @app.agent(predictions)
    async def on_prediction(stream: Any) -> None:
        async for prediction in stream:
            label = await exchange(*exchanged("label", "prediction", prediction))
            if label and (alert := models.learn(prediction, json.loads(label))):
                await alerts.send(value=alert)

    @app.agent(labels)
    async def on_label(stream: Any) -> None:
        async for label in stream:
            prediction = await exchange(*exchanged("prediction", "label", label))
            if prediction and (alert := models.learn(json.loads(prediction), label)):
                await alerts.send(value=alert)

    @app.timer(PUBLISH_SECONDS)
    async def publish() -> None:
        for key, fields in models.states().items():
            await store.hset(key, mapping=fields)

    return app


if __name__ == "__main__":
    faust.Worker(build(), loglevel="warning").execute_from_commandline()
