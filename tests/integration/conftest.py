"""What one test needs on the shared servers so that it meets nothing of another."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import pytest
import redis
from confluent_kafka.admin import AdminClient, NewTopic

from tidegauge import config
from tidegauge.servers import Servers

_CREATE_SECONDS = 15


@pytest.fixture
def store(servers: Servers) -> Iterator[redis.Redis]:
    """A client of the store, which is empty."""
    client = redis.Redis.from_url(servers.redis_url)
    client.flushall()
    client.script_flush()
    yield client
    client.close()


@pytest.fixture
def new_topic(servers: Servers) -> Callable[..., str]:
    """Creates a topic of a name that no test had before: `new_topic(partitions=4, stem="labels")`."""
    admin = AdminClient({"bootstrap.servers": servers.bootstrap_servers})

    def create(partitions: int = 1, stem: str = "topic") -> str:
        name = f"{stem}.{uuid.uuid4().hex[:12]}"
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(_CREATE_SECONDS)
        until = time.monotonic() + _CREATE_SECONDS
        while name not in admin.list_topics(timeout=_CREATE_SECONDS).topics and time.monotonic() < until:
            time.sleep(0.05)  # the controller has it, the broker not yet
        return name

    return create


@pytest.fixture
def settings(servers: Servers, store: redis.Redis, new_topic: Callable[..., str]) -> config.Settings:
    """Settings with topics (created) and consumer groups of this test's own, and an empty store."""
    wide = config.Topics().partitions
    names = config.Topics(
        predictions=new_topic(wide, "predictions"),
        labels=new_topic(wide, "labels"),
        observations=new_topic(wide, "observations"),
        deadletter=new_topic(1, "deadletter"),
        control=new_topic(1, "control"),
        alerts=new_topic(1, "alerts"),
    )
    return config.Settings(
        kafka=config.Kafka(
            bootstrap_servers=servers.bootstrap_servers,
            group=f"tidegauge.{uuid.uuid4().hex[:12]}",
            session_timeout_ms=6_000,  # the embedded broker's group join takes half of it
        ),
        topics=names,
        redis=config.Redis(url=servers.redis_url),
        web=config.Web(port=0),
    )
