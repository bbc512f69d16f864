"""A worker as a process of its own, as a user runs it, and what goes in and comes out of it."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from confluent_kafka import Producer

from tidegauge.config import Settings
from tidegauge.demo import topics

WAIT_SECONDS = 60


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment under which a command has these settings."""
    sections = {
        "KAFKA": ("bootstrap_servers", "group", "session_timeout_ms"),
        "TOPICS": ("predictions", "labels", "observations", "deadletter", "control", "alerts"),
        "REDIS": ("url",),
        "WEB": ("port",),
        "JOIN": ("horizon_seconds", "lateness_seconds", "shards", "buckets", "batch"),
        "MONITOR": ("snapshot_seconds", "publish_seconds", "baseline_outcomes"),
    }
    values = {
        f"TIDEGAUGE_{section}__{key.upper()}": str(getattr(getattr(settings, section.lower()), key))
        for section, keys in sections.items()
        for key in keys
    }
    return {**os.environ, **values}


@contextmanager
def worker(
    settings: Settings, log: Path, *arguments: str, module: str = "tidegauge.cli"
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker; it is killed at the end if it still runs."""
    command = [sys.executable, "-m", module, "worker", *arguments]
    with log.open("ab") as out:
        process = subprocess.Popen(command, env=environment(settings), stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask a worker to stop; return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(30)


def produce(settings: Settings, events: Iterable[tuple[str, Any]]) -> None:
    """Send (topic's role, event) in order; an event is bytes or a JSON object."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers, "linger.ms": 5})
    for role, event in events:
        value = event if isinstance(event, bytes) else json.dumps(event).encode()
        key = None if isinstance(event, bytes) else str(event.get("prediction_id"))
        producer.produce(getattr(settings.topics, role), value, key)
        producer.poll(0)
    assert producer.flush(30) == 0


def everything(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """Return every JSON message of a topic."""
    return [json.loads(value) for value in topics.values(settings, topic)]


def original(letter: dict[str, Any]) -> bytes:
    """Return the bytes that a dead letter carries."""
    return base64.b64decode(letter["value_base64"])


def wait_for(what: Callable[[], bool], log: Path, seconds: float = WAIT_SECONDS) -> None:
    """Return when a condition holds; fails with the worker's log after `seconds`."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, log.read_text()[-3_000:]
        time.sleep(0.1)


def counters(store: redis.Redis) -> dict[str, int]:
    """Return what `tg:join` says."""
    return {name.decode(): int(count) for name, count in store.hgetall("tg:join").items()}


def metrics(store: redis.Redis, key: str) -> dict[str, str]:
    """Return a metrics hash."""
    return {name.decode(): text.decode() for name, text in store.hgetall(key).items()}
