"""Tidegauge as a contender: `tidegauge worker` processes, and what they published."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.race import Contender, Failed, stop
from benchmarks.rig import Filled, Rig
from tidegauge import config, keys
from tidegauge.adapters.redis_window import RedisWindow
from tidegauge.join import Rules

_WINDOW = "7d"  # the streams are shorter, so it counts every outcome
_SAMPLE = 50
_OWN_KEYS = 64  # layout, epochs, marks, workers: fewer; a batch fills more buckets than that
_JOIN_SECONDS = 5.0  # the counters of the join are published once a second
_NAMED = ("kafka", "topics", "redis", "web")


def environment(settings: config.Settings, more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment under which a worker has these settings, all others at their defaults."""
    values = {}
    for section in _NAMED:
        table, default = getattr(settings, section), getattr(config.Settings(), section)
        for name in table.__struct_fields__:
            value = getattr(table, name)
            if value != getattr(default, name):
                values[f"TIDEGAUGE_{section}__{name}".upper()] = str(value)
    return {**os.environ, **values, **more}


@contextmanager
def workers(
    rig: Rig,
    filled: Filled,
    settings: config.Settings,
    log: Path,
    each: Sequence[tuple[str, ...]] = ((),),
    more: Mapping[str, str] = {},
) -> Iterator[Contender]:
    """Run a worker process with each of these arguments; they are gone afterwards."""
    running: list[subprocess.Popen[bytes]] = []
    with ExitStack() as undo:
        out = undo.enter_context(log.open("ab"))
        undo.callback(lambda: stop(running))
        for arguments in each:
            command = [sys.executable, "-m", "tidegauge.cli", "worker", *arguments]
            process = subprocess.Popen(
                command, env=environment(settings, more), stdout=out, stderr=subprocess.STDOUT
            )
            running.append(process)
        one = Contender(running, lambda: outcomes(rig, filled), log, first_keys=_OWN_KEYS)
        if len(running) == 1:
            yield one
            return
        window = window_of(settings)
        undo.callback(window.close)
        yield one._replace(
            begun=lambda: at_work(rig) == len(running) or 2 * one.outcomes() > filled.stream.pairs,
            taken=lambda: received(window),
        )


def at_work(rig: Rig) -> int:
    """Return how many workers have taken something, as they say of themselves."""
    cards: Any = rig.redis.hvals(keys.WORKERS)
    return sum(any(json.loads(card)["processed"].values()) for card in cards)


def window_of(settings: config.Settings) -> RedisWindow:
    """Return the window of the workers with these settings, to look at its counters."""
    join = settings.join
    rules = Rules(join.horizon_seconds * 1_000, join.lateness_seconds * 1_000, settings.limits.revisions)
    return RedisWindow.connect(settings.redis.url, rules, join.shards, join.buckets)


def received(window: RedisWindow) -> int:
    """Return how many events the window has taken in, as of now."""
    counters = window.counters()
    return counters["predictions.received"] + counters["labels.received"]


def outcomes(rig: Rig, filled: Filled) -> int:
    """Return how many outcomes are in the published metrics.

    Of many models a sample is asked until it is complete: reading ten thousand hashes all the time would
    be a load of its own. Until then the count is an estimate below the whole.
    """
    stream = filled.stream
    sample = range(0, stream.models, max(stream.models // _SAMPLE, 1))
    found = _counted(rig, sample)
    if len(sample) == stream.models:
        return found
    share = sum(-(-(stream.pairs - number) // stream.models) for number in sample)
    if found < share:
        return min(found * stream.pairs // share, stream.pairs - 1)
    return _counted(rig, range(stream.models))


def _counted(rig: Rig, models: Iterable[int]) -> int:
    pipeline = rig.redis.pipeline(transaction=False)
    for number in models:
        pipeline.hget(keys.metrics_key(f"m{number}", "v1"), keys.metric_field("n", _WINDOW))
    found: list[Any] = pipeline.execute()
    return int(sum(float(text) for text in found if text and text != keys.UNDEFINED))


def check(rig: Rig, filled: Filled) -> dict[str, int]:
    """Return the counters of the join; raises Failed where what was published is not what was sent."""
    stream = filled.stream
    wanted = {
        "predictions.received": stream.pairs,
        "predictions.matched": stream.pairs,
        "labels.received": stream.pairs + filled.corrections,
    }
    until = time.monotonic() + _JOIN_SECONDS
    while any((counters := _join(rig)).get(name) != count for name, count in wanted.items()):
        if time.monotonic() > until:
            raise Failed(f"expected {wanted}, got {counters}")
        time.sleep(0.1)
    if stream.models == 1:
        found = rig.redis.hget(keys.metrics_key("m0", "v1"), keys.metric_field("accuracy", _WINDOW))
        accuracy = float(str(found))
        if abs(accuracy - filled.right / stream.pairs) > 1e-9:
            raise Failed(f"expected an accuracy of {filled.right / stream.pairs}, got {accuracy}")
    return counters


def _join(rig: Rig) -> dict[str, int]:
    found: Any = rig.redis.hgetall(keys.JOIN)
    return {name: int(count) for name, count in found.items()}
