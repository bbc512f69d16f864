"""Runs a plan: each part once, in turn, and what came of it by name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import arithmetic, latency, waiting
from benchmarks.cases import Case, Plan
from benchmarks.contenders import PEERS, limit, peer
from benchmarks.environments import python, version
from benchmarks.figures import MILLION
from benchmarks.labels_first import measure_labels_first
from benchmarks.product import check, workers
from benchmarks.progress import say
from benchmarks.race import measure
from benchmarks.rig import Rig
from tidegauge.errors import TidegaugeError, Unavailable

Result = dict[str, Any]
Part = tuple[str, str, Callable[[], Result]]  # name, title, what measures it


def parts(plan: Plan, rig: Rig, scratch: Path) -> Iterator[Part]:
    """Yield what is to be measured, in the order in which topics can be given up soonest."""
    for what in ("consume", "decode"):
        title = {"consume": "consumed only", "decode": "consumed and decoded only"}[what]
        yield what, title, lambda what=what: limit(rig, rig.fill(plan.limits), what, scratch / f"{what}.log")
    for case in plan.cases:
        yield case.name, case.title, lambda case=case: _case(rig, case, scratch / f"{case.name}.log")
    for name, stream in plan.peers.items():
        title = f"{PEERS[name][1]} {version('stream', PEERS[name][1])}"
        yield name, title, lambda name=name, stream=stream: _peer(rig, stream, name, scratch)
    title = f"{latency.RATE} events/s, paced"
    yield "latency", title, lambda: _latency(rig, plan.latency_seconds, scratch / "latency.log")
    for count in plan.waiting:
        name = f"waiting{count / MILLION:g}".zfill(2)
        yield name, f"{count} predictions wait", lambda count=count: waiting.measure(rig.kind, count)
    rows = arithmetic.columns(plan.rows)
    yield "rows", "tidegauge.monitor", lambda: arithmetic.product(rows)
    for name in plan.row_peers:
        yield f"rows_{name}", name, lambda name=name: arithmetic.peer(name, rows)


def run(plan: Plan, rig: Rig, only: frozenset[str]) -> tuple[dict[str, Result], list[str]]:
    """Return the results by name, and the names of those that failed; an absent peer is no failure."""
    results: dict[str, Result] = {}
    failed = []
    with _scratch() as scratch:
        for name, title, measured in parts(plan, rig, scratch):
            if only and name not in only:
                continue
            say(f"{name}: {title}")
            try:
                results[name] = {"title": title} | measured()
            except Unavailable as error:
                results[name] = {"title": title, "absent": str(error)}
                if name not in (*plan.peers, *(f"rows_{peer}" for peer in plan.row_peers)):
                    failed.append(name)
            except TidegaugeError as error:
                results[name] = {"title": title, "failed": str(error)}
                failed.append(name)
            say(f"  {_told(results[name])}")
    return results, failed


def _case(rig: Rig, case: Case, log: Path) -> Result:
    filled = rig.fill(case.stream)
    rig.empty()
    settings = rig.settings(filled)
    about = {
        "models": case.stream.models,
        "features": case.stream.features,
        "workers": case.workers,
        "message_bytes": filled.message_bytes,
        "settings": dict(case.settings),
    }
    if case.labels_first:
        return about | measure_labels_first(rig, case, log)
    with workers(rig, filled, settings, log, case.workers, case.settings) as contender:
        found = measure(rig, contender, filled)
        return about | found | {"counters": check(rig, filled)}


def _peer(rig: Rig, stream: Any, name: str, scratch: Path) -> Result:
    python("stream")
    filled = rig.fill(stream)
    rig.empty()
    with peer(rig, filled, name, scratch / f"{name}.log") as contender:
        return measure(rig, contender, filled)


def _latency(rig: Rig, seconds: float, log: Path) -> Result:
    rig.empty()
    return latency.measure(rig, seconds, log)


def _told(result: Result) -> str:
    wanted = ("absent", "failed", "events_per_s", "rows_per_s", "bytes_per_waiting", "metric_ms", "alert_ms")
    return ", ".join(f"{name} {result[name]}" for name in wanted if name in result)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tidegauge-bench-") as path:
        yield Path(path)
