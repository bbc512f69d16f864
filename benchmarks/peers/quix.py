"""Quix Streams: a streaming dataframe for each topic, Redis, river. `python -m benchmarks.peers.quix`."""

from __future__ import annotations

import redis
from quixstreams import Application

from benchmarks.peers.model import Join, Models, place


def main() -> None:
    """Run the application until it is ended."""
    here = place()
    app = Application(
        broker_address=here.broker,
        consumer_group=here.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel="WARNING",
    )
    predictions = app.topic(here.predictions, value_deserializer="json")
    labels = app.topic(here.labels, value_deserializer="json")
    alerts = app.topic(here.alerts, value_serializer="json")
    client, models = redis.Redis.from_url(here.redis_url), Models()
    join = Join(client, models)
    models.publish_all_the_time(client)
    for topic, apply in ((predictions, join.prediction), (labels, join.label)):
        frame = app.dataframe(topic).apply(apply)
        frame.filter(lambda alert: alert is not None).to_topic(alerts)
    app.run()


if __name__ == "__main__":
    main()
