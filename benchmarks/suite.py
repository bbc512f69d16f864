"""Runs a plan: each part in turn, some of them again, and what came of it by name."""

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
from benchmarks.figures import fastest
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
    """Return the results by name, and the names of those that failed; an absent peer is no failure.

    What is repeated is measured again after all the others, at another minute; the fastest counts.
    """
    results: dict[str, Result] = {}
    failed = set()
    with tempfile.TemporaryDirectory(prefix="tidegauge-bench-") as scratch:
        once = [part for part in parts(plan, rig, Path(scratch)) if not only or part.name in only]
        turns = [*once, *([part for part in once if part.name in plan.repeated] * (plan.repeats - 1))]
        for number, part in enumerate(turns):
            say(f"{part.name}: {part.title} ({number + 1} of {len(turns)})")
            found, right = _measured(part)
            results[part.name] = fastest(results.get(part.name), {"title": part.title} | found)
            if not right:
                failed.add(part.name)
            say(f"  {_told(found)}")
            if part.stream is not None and part.stream not in [later.stream for later in turns[number + 1 :]]:
                rig.discard(part.stream)
    return results, sorted(failed)


def _measured(part: Part) -> tuple[Result, bool]:
    """Return what was measured, and whether nothing is wrong with it."""
    try:
        return part.measured(), True
    except Unavailable as error:
        return {"absent": str(error)}, part.optional
    except TidegaugeError as error:
        return {"failed": str(error)}, False


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
