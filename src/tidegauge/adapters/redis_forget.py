"""Takes away what workers keep in Redis for themselves; running ones notice, and build it again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import redis

from tidegauge.adapters import redis_client
from tidegauge.config import Redis
from tidegauge.errors import Unavailable

Kept = Literal["window", "snapshots"]

# Not all that begins so: the versions seen and the incidents resolved are in no topic.
_PATTERNS: dict[Kept, str] = {"window": "tgw:{*", "snapshots": "tgs:{*"}
_AT_ONCE = 1_000


def forget(settings: Redis, kept: Iterable[Kept]) -> dict[Kept, int]:
    """Return how many keys of each kind are gone. Raises Unavailable where Redis does not answer.

    Without its filling the window has another name, so workers give it again what was committed; without
    their epoch monitors take their partitions anew, and without a snapshot read them from the start.
    """
    client: Any = redis_client.connect(settings.url, settings.timeout_seconds)
    try:
        with client:
            return {kind: _forget(client, _PATTERNS[kind]) for kind in kept}
    except redis.RedisError as error:
        raise Unavailable(f"Redis: {error}") from error


def _forget(client: Any, pattern: str) -> int:
    names = list(client.scan_iter(match=pattern, count=_AT_ONCE))
    for name in names:  # each alone: those of a cluster lie in many slots
        client.unlink(name)
    return len(names)
