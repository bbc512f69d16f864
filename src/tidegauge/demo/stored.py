"""Everything that stands under the public keys, read once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

Hash = dict[str, str]


class Series(NamedTuple):
    """A version of a model, or one segment of it."""

    model: str
    version: str
    segment: tuple[str, str] | None = None

    def __str__(self) -> str:
        name = f"{self.model} {self.version}"
        return f"{name} {'='.join(self.segment)}" if self.segment else name


@dataclass(slots=True)
class Stored:
    """The public state as Redis holds it: texts, not yet believed."""

    join: Hash = field(default_factory=dict)
    models: dict[str, Hash] = field(default_factory=dict)
    metrics: dict[Series, Hash] = field(default_factory=dict)
    baselines: dict[Series, Hash] = field(default_factory=dict)
    active: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)  # newest first

    def counter(self, name: str) -> int:
        """Return a counter of the join, 0 where it is absent."""
        return int(self.join.get(name, 0))


def fetch(redis: Any) -> Stored:
    """Return the public state; `redis` is a client with `decode_responses`."""
    stored = Stored(join=redis.hgetall("tg:join"))
    for model in redis.smembers("tg:models"):
        stored.models[model] = {}
    for key in sorted(redis.scan_iter("tg:model:*", count=1_000)):
        stored.models[unquote(key.removeprefix("tg:model:"))] = redis.hgetall(key)
    for key in sorted(redis.scan_iter("tg:metrics:*", count=1_000)):
        stored.metrics[_series(key)] = redis.hgetall(key)
    for key in sorted(redis.scan_iter("tg:baseline:*", count=1_000)):
        stored.baselines[_series(key)] = redis.hgetall(key)
    active: Hash = redis.hgetall("tg:alerts:active")
    stored.active = {incident: json.loads(alert) for incident, alert in active.items()}
    stored.log = [json.loads(alert) for alert in redis.lrange("tg:alerts:log", 0, -1)]
    return stored


def _series(key: str) -> Series:
    model, version, *segment = key.split(":")[2:]
    pair = tuple(unquote(part) for part in segment[0].split("=")) if segment else None
    return Series(unquote(model), unquote(version), (pair[0], pair[1]) if pair else None)


def fields(metrics: Hash) -> Iterator[tuple[str, str, str, str]]:
    """Yield (metric, window, part, text) of a metrics hash; part is "" for the value itself."""
    for name, text in metrics.items():
        metric, at, rest = name.rpartition("@")
        if at:
            window, _, part = rest.partition(".")
            yield metric, window, part, text
