"""The peers and the limit as contenders: started on the same topics, told apart by their published state."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT, environment, python
from benchmarks.figures import cpu_per_million, per_second
from benchmarks.processes import usage
from benchmarks.race import Contender, Failed, stop, tail
from benchmarks.rig import Filled, Rig, new_name

PEERS = {
    "faust": ("faust_river", "faust-streaming"),
    "quix": ("quix", "quixstreams"),
    "bytewax": ("bytewax_flow", "bytewax"),
    "plain": ("plain_loop", "confluent-kafka"),
}


@contextmanager
def peer(rig: Rig, filled: Filled, name: str, log: Path) -> Iterator[Contender]:
    """Run a peer; it is gone afterwards. Raises Unavailable where it does not install."""
    alerts = new_name("alerts")
    rig.topics([alerts], 1)
    place = {
        "broker": rig.broker.address,
        "redis_url": rig.redis_url,
        "predictions": filled.predictions,
        "labels": filled.labels,
        "alerts": alerts,
        "group": new_name(name),
    }
    variables = {f"BENCH_{key.upper()}": value for key, value in place.items()}
    command = [str(python("stream")), "-m", f"benchmarks.peers.{PEERS[name][0]}"]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, env=environment() | variables, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent
        )
    try:
        yield Contender([process], lambda: _outcomes(rig, filled), log, may_lose=True)
    finally:
        stop([process], 10.0)


def limit(rig: Rig, filled: Filled, what: str, log: Path) -> dict[str, Any]:
    """Return the figures of reading the events only (`consume`) or of decoding them too (`decode`)."""
    topics = [f"{filled.predictions}:predictions", f"{filled.labels}:labels"]
    command = [sys.executable, "-m", "benchmarks.limits", what, rig.broker.address, str(filled.events)]
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            [*command, *topics], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT
        ) as process,
    ):
        marks = []
        for word in (b"first", b"last"):
            said = process.stdout.readline().strip() if process.stdout else b""
            if said != word:
                process.kill()
                raise Failed(f"{what}: expected {word!r}, got {said!r}:\n{tail(log)}")
            marks.append((time.monotonic(), {"worker": usage([process.pid]), **rig.servers_usage()}))
        process.communicate()
    (started, before), (ended, after) = marks
    return {
        "pairs": filled.stream.pairs,
        "events": filled.events,
        "seconds": ended - started,
        "events_per_s": per_second(filled.events, ended - started),
        "cpu_s_per_million": {
            name: cpu_per_million(before[name], after[name], filled.events) for name in before
        },
        "resident_bytes": {name: used.resident_bytes for name, used in after.items()},
    }


def _outcomes(rig: Rig, filled: Filled) -> int:
    pipeline = rig.redis.pipeline(transaction=False)
    for number in range(filled.stream.models):
        pipeline.hget(f"metrics:m{number}", "n")
    found: list[Any] = pipeline.execute()
    return sum(int(text) for text in found if text)
