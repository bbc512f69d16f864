"""confluent-kafka as in its README: poll, handle, poll. `python -m benchmarks.peers.plain_loop`."""

from __future__ import annotations

import json

import redis
from confluent_kafka import Consumer, Producer

from benchmarks.peers.model import Join, Models, place


def main() -> None:
    """Run the loop until it is ended."""
    here = place()
    consumer = Consumer(
        {"bootstrap.servers": here.broker, "group.id": here.group, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([here.predictions, here.labels])
    producer = Producer({"bootstrap.servers": here.broker})
    client, models = redis.Redis.from_url(here.redis_url), Models()
    join = Join(client, models)
    models.publish_all_the_time(client)
    handlers = {here.predictions: join.prediction, here.labels: join.label}
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        alert = handlers[message.topic()](json.loads(message.value()))
        if alert is not None:
            producer.produce(here.alerts, json.dumps(alert))
            producer.poll(0)


if __name__ == "__main__":
    main()
