"""Runs a plan: each part once, in turn, and what came of it by name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import arithmetic, latency, waiting
from benchmarks.cases import Case, Plan
from benchmarks.contenders import PEERS, limit, peer
from benchmarks.environments import python, version
from benchmarks.events import Stream
from benchmarks.labels_first import measure_labels_first
from benchmarks.product import check, workers
from benchmarks.progress import say
from benchmarks.race import measure
from benchmarks.rig import Rig
from benchmarks.table import amount
from tidegauge.errors import TidegaugeError, Unavailable

Result = dict[str, Any]


class Part(NamedTuple):
    """What is measured in its turn; topics of a stream that no later part reads are given up."""

    name: str
    title: str
    measured: Callable[[], Result]
    stream: Stream | None = None
    optional: bool = False  # a peer may be absent: not every one installs everywhere


def parts(plan: Plan, rig: Rig, scratch: Path) -> list[Part]:
    """Return what is to be measured, in turn."""
    rows = arithmetic.columns(plan.rows)
    limits = {"consume": "consumed only", "decode": "consumed and decoded only"}
    return [
        *(
            Part(what, title, partial(_limit, rig, plan.limits, what, scratch), plan.limits)
            for what, title in limits.items()
        ),
        *(
            Part(case.name, case.title, partial(_case, rig, case, scratch), case.stream)
            for case in plan.cases
        ),
        *(
            Part(
                name,
                f"{PEERS[name][1]} {version('stream', PEERS[name][1])}",
                partial(_peer, rig, stream, name, scratch),
                stream,
                optional=True,
            )
            for name, stream in plan.peers.items()
        ),
        *(
            Part(name, paced.title, partial(_latency, rig, plan, paced, scratch))
            for name, paced in latency.CASES.items()
            if name in plan.paced
        ),
        *(
            Part(
                f"waiting_{count}",
                f"{amount(count)} predictions wait",
                partial(waiting.measure, rig.kind, count),
            )
            for count in plan.waiting
        ),
        *(
            Part(name, title, partial(arithmetic.product, rows, settings))
            for name, (title, settings) in arithmetic.PRODUCT.items()
        ),
        *(
            Part(f"rows_{name}", name, partial(arithmetic.peer, name, rows), optional=True)
            for name in plan.row_peers
        ),
    ]


def run(plan: Plan, rig: Rig, only: frozenset[str]) -> tuple[dict[str, Result], list[str]]:
    """Return the results by name, and the names of those that failed; an absent peer is no failure."""
    results: dict[str, Result] = {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="tidegauge-bench-") as scratch:
        turns = [part for part in parts(plan, rig, Path(scratch)) if not only or part.name in only]
        for number, part in enumerate(turns):
            say(f"{part.name}: {part.title} ({number + 1} of {len(turns)})")
            found, right = _measured(part, plan.repeats if part.name in plan.repeated else 1)
            results[part.name] = {"title": part.title} | found
            if not right:
                failed.append(part.name)
            say(f"  {_told(found)}")
            if part.stream is not None and part.stream not in [later.stream for later in turns[number + 1 :]]:
                rig.discard(part.stream)
    return results, failed


def _measured(part: Part, repeats: int) -> tuple[Result, bool]:
    """Return the fastest of the repeats, and whether there is nothing wrong with any."""
    try:
        found = [part.measured() for _ in range(repeats)]
    except Unavailable as error:
        return {"absent": str(error)}, part.optional
    except TidegaugeError as error:
        return {"failed": str(error)}, False
    best = max(found, key=lambda each: each.get("events_per_s") or 0.0)
    speeds = [each.get("events_per_s") for each in found]
    return best | ({"every_events_per_s": speeds} if repeats > 1 else {}), True


def _limit(rig: Rig, stream: Stream, what: str, scratch: Path) -> Result:
    return limit(rig, rig.fill(stream), what, scratch / f"{what}.log")


def _case(rig: Rig, case: Case, scratch: Path) -> Result:
    log = scratch / f"{case.name}.log"
    about = {
        "models": case.stream.models,
        "features": case.stream.features,
        "workers": len(case.workers),
        "settings": dict(case.settings),
    }
    if case.labels_first:
        return about | measure_labels_first(rig, case, log)
    filled = rig.fill(case.stream)
    rig.empty()
    with workers(rig, filled, rig.settings(filled), log, case.workers, case.settings) as contender:
        found = measure(rig, contender, filled)
        return about | found | {"message_bytes": filled.message_bytes, "counters": check(rig, filled)}


def _peer(rig: Rig, stream: Stream, name: str, scratch: Path) -> Result:
    python("stream")  # before the clock of anything starts
    filled = rig.fill(stream)
    rig.empty()
    with peer(rig, filled, name, scratch / f"{name}.log") as contender:
        return measure(rig, contender, filled)


def _latency(rig: Rig, plan: Plan, paced: latency.Paced, scratch: Path) -> Result:
    rig.empty()
    return latency.measure(rig, plan.latency_seconds, paced, scratch / "latency.log")


def _told(result: Result) -> str:
    wanted = ("absent", "failed", "events_per_s", "rows_per_s", "bytes_per_waiting", "metric_ms", "alert_ms")
    return ", ".join(f"{name} {result[name]}" for name in wanted if name in result)
