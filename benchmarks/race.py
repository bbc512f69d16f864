"""One contender over one recorded stream: its throughput, what each process used, and what it lost.

The clock runs from the first events that are in Redis to the last outcome in the contender's published
state, so neither its start nor its joining of the group counts.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import MILLION, Usage, per_second, ratio
from benchmarks.processes import usage
from benchmarks.progress import say
from benchmarks.rig import Filled, Rig
from tidegauge.errors import TidegaugeError

_LEAST = 0.1  # of the events, for a rate to say something
_POLL_SECONDS = 0.02
_SAY_SECONDS = 5.0
_START_SECONDS = 90.0
_STALL_SECONDS = 180.0  # without a further outcome: ten thousand models are told of once in a minute or two
_TAIL = 2_000


class Failed(TidegaugeError):
    """A case could not be run, or its counts are off."""


class Contender(NamedTuple):
    """Processes at work on a stream, and how many outcomes their published state has."""

    processes: Sequence[subprocess.Popen[bytes]]
    outcomes: Callable[[], int]
    log: Path
    may_lose: bool = False  # pairs; then it is done when nothing more comes for a while
    quiet_seconds: float = 30.0  # one topic may be read alone for so long
    first_keys: int = 0  # in Redis before its first event, at most
    begun: Callable[[], bool] | None = None  # when the clock starts, where keys do not tell
    taken: Callable[[], int] = lambda: 0  # events before that


class Course(NamedTuple):
    """From the first waiting pairs to the last outcome."""

    seconds: float
    outcomes: int
    before: dict[str, Usage]
    after: dict[str, Usage]
    each_cpu_s: list[float]  # of the contender's processes
    taken: int  # events before it


def measure(rig: Rig, contender: Contender, filled: Filled) -> dict[str, Any]:
    """Return the figures of a contender over what has been recorded. Raises Failed."""
    empty_bytes = rig.used_bytes()
    course = run(rig, contender, filled.stream.pairs)
    lost = filled.stream.pairs - course.outcomes
    if lost and not contender.may_lose:
        raise Failed(f"expected {filled.stream.pairs} outcomes, got {course.outcomes}")
    events, used = filled.events - course.taken, {}
    enough = events > _LEAST * filled.events  # else it was nearly over when all were at work
    for name, before in course.before.items():
        used[name] = course.after[name].cpu_s - before.cpu_s
    return {
        "pairs": filled.stream.pairs,
        "events": events,
        "outcomes": course.outcomes,
        "lost_pairs": lost,
        "seconds": course.seconds,
        "events_per_s": per_second(events, course.seconds) if enough else None,
        "cpu_s_per_million": {name: ratio(spent * MILLION, events) for name, spent in used.items()},
        "each_cpu_s_per_million": [ratio(spent * MILLION, events) for spent in course.each_cpu_s],
        "busy_cores": ratio(sum(used.values()), course.seconds),
        "resident_bytes": {name: after.resident_bytes for name, after in course.after.items()},
        "redis_bytes": rig.used_bytes() - empty_bytes,
    }


def run(rig: Rig, contender: Contender, wanted: int) -> Course:
    """Return the course of a contender that has just been started."""
    begun = contender.begun or (lambda: rig.redis.dbsize() > contender.first_keys)
    _await(begun, contender, _START_SECONDS, "took no event")
    started = changed = told = time.monotonic()
    taken = contender.taken()
    before, each = _usage(rig, contender), _each_cpu_s(contender)
    outcomes, after, spent = 0, before, [0.0 for _ in each]
    while outcomes < wanted:
        time.sleep(_POLL_SECONDS)
        now, found = time.monotonic(), contender.outcomes()
        if found != outcomes:
            outcomes, changed, after = found, now, _usage(rig, contender)
            spent = [now_s - then_s for now_s, then_s in zip(_each_cpu_s(contender), each, strict=True)]
        elif now - changed > (contender.quiet_seconds if contender.may_lose and found else _STALL_SECONDS):
            if not contender.may_lose:
                raise Failed(f"stands still at {found} of {wanted} outcomes:\n{tail(contender.log)}")
            break
        if now - told > _SAY_SECONDS:
            say(f"  {found} of {wanted} outcomes")
            told = now
        _require_alive(contender)
    return Course(changed - started, outcomes, before, after, spent, taken)


def tail(log: Path) -> str:
    """Return the end of a log."""
    return log.read_text(encoding="utf-8", errors="replace")[-_TAIL:] if log.exists() else "(no log)"


def stop(processes: Sequence[subprocess.Popen[bytes]], seconds: float = 30.0) -> None:
    """Ask processes to end, and kill those that do not."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _usage(rig: Rig, contender: Contender) -> dict[str, Usage]:
    return {"worker": usage(process.pid for process in contender.processes), **rig.servers_usage()}


def _each_cpu_s(contender: Contender) -> list[float]:
    return [usage([process.pid]).cpu_s for process in contender.processes]


def _await(what: Callable[[], bool], contender: Contender, seconds: float, failure: str) -> None:
    until = time.monotonic() + seconds
    while not what():
        _require_alive(contender)
        if time.monotonic() > until:
            raise Failed(f"{failure} in {seconds:.0f} s:\n{tail(contender.log)}")
        time.sleep(_POLL_SECONDS / 4)


def _require_alive(contender: Contender) -> None:
    for process in contender.processes:
        if process.poll() is not None:
            raise Failed(f"ended with exit code {process.returncode}:\n{tail(contender.log)}")
