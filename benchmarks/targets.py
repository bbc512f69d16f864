"""What is to be reached, and what a run says about it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from benchmarks.figures import MILLION, number_text, ratio

Cases = Mapping[str, Mapping[str, Any]]


class Target(NamedTuple):
    """A figure with its bound: at least `least`, or at most `most`."""

    what: str
    found: Callable[[Mapping[str, Any]], float | None]
    least: float | None = None
    most: float | None = None


def verdict(target: Target, value: float | None) -> str:
    """Return `yes`, `no`, or `not measured`.

    >>> verdict(Target("x", lambda run: None, least=2.0), 1.5), verdict(Target("x", lambda run: None), None)
    ('no', 'not measured')
    """
    if value is None:
        return "not measured"
    low = target.least is not None and value < target.least
    high = target.most is not None and value > target.most
    return "no" if low or high else "yes"


def of_line(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    """Return what reads a figure of the last line."""
    return lambda run: run["ratios"].get(name)


def of_case(name: str, *path: str) -> Callable[[Mapping[str, Any]], float | None]:
    """Return what reads a figure of a case."""

    def found(run: Mapping[str, Any]) -> float | None:
        value: Any = run["cases"].get(name, {})
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    return found


def against(name: str, other: str, figure: str) -> Callable[[Mapping[str, Any]], float | None]:
    """Return what reads how many times a case's figure is another's."""
    return lambda run: ratio(of_case(name, figure)(run), of_case(other, figure)(run))


def flatness(run: Mapping[str, Any]) -> float | None:
    """Return the cost of an event with the most waiting over that with the fewest, server and client."""
    sizes = sorted((case["waiting"], case) for case in run["cases"].values() if "bytes_per_waiting" in case)
    costs = [case["prediction_us"]["worker"] + case["prediction_us"]["redis"] for _, case in sizes]
    return ratio(costs[-1], costs[0]) if len(costs) > 1 else None


TWO_WORKERS = against("workers2", "workers1", "events_per_s")
TARGETS = (
    Target("times the events/s of Faust with river", of_line("faust"), least=40),
    Target("times the events/s of Quix Streams", of_line("quix"), least=14),
    Target("of the events/s of consuming and decoding only", of_line("decode"), least=0.4),
    Target("events/s, 1 model, 10 features", of_line("events_per_s"), least=100_000),
    Target("of the throughput of one model, with 10 000 models", of_line("models10k"), least=0.5),
    Target("ns of CPU for a further feature value", of_line("feature_ns"), most=250),
    Target("ms from label to metric, p50", of_line("p50_ms"), most=100),
    Target("ms from label to metric, p99", of_line("p99_ms"), most=300),
    Target("ms to an alert, p50", of_case("latency", "alert_ms", "p50"), most=100),
    Target("ms to an alert, p99", of_case("latency", "alert_ms", "p99"), most=300),
    Target("bytes of Redis a waiting prediction, at a million", of_line("bytes_per_waiting"), most=72),
    Target("times the cost of an event, from the fewest to the most waiting", flatness, most=1.25),
    Target(
        "times the throughput, with 2 workers", against("workers2", "workers1", "events_per_s"), least=1.6
    ),
    Target("times the rows/s of Evidently", against("rows", "rows_evidently", "rows_per_s"), least=10),
    Target("times the rows/s of NannyML", against("rows", "rows_nannyml", "rows_per_s"), least=10),
    Target("times the rows/s of whylogs", against("rows", "rows_whylogs", "rows_per_s"), least=1),
)


def table(run: Mapping[str, Any]) -> str:
    """Return every target with what was found."""
    lines = ["| found | what | wanted | reached |", "|--:|---|--:|---|"]
    for target in TARGETS:
        value = target.found(run)
        bound = f"≥ {target.least:g}" if target.least is not None else f"≤ {target.most:g}"
        lines.append(f"| {number_text(value)} | {target.what} | {bound} | {verdict(target, value)} |")
    return "\n".join(lines)


def bounds(run: Mapping[str, Any]) -> str:
    """Return where the CPU of an event goes, and what that bounds, from the figures of one model."""
    case = run["cases"].get("one", {})
    cpu = case.get("cpu_s_per_million")
    if not cpu:
        return ""
    total, cores = sum(cpu.values()), run["machine"]["cores"]
    shares = ", ".join(f"{name} {number_text(spent)}" for name, spent in cpu.items())
    workers = MILLION / cpu["worker"] if cpu["worker"] else None
    lines = [
        f"With one model a million events cost {number_text(total)} s of CPU ({shares}). So {cores} cores "
        f"that broker, Redis and worker share can do {number_text(MILLION * cores / total)} events/s and no "
        f"more, and what one core gives a worker {number_text(workers)}; measured were "
        f"{number_text(case['events_per_s'])}, with {number_text(case['busy_cores'])} of {cores} cores busy."
    ]
    stages = run["cases"].get("stages", {})
    if stages.get("each_cpu_s_per_million"):
        join, monitor = map(number_text, stages["each_cpu_s_per_million"])
        lines.append(
            f"In processes of their own JOIN takes {join} s of a million events and MONITOR {monitor}, and "
            f"both together do {number_text(stages['events_per_s'])} events/s: what one worker loses by "
            "running both under one interpreter lock is the difference."
        )
    shared = run["cases"].get("workers1", {})
    if shared.get("busy_cores"):
        room = cores / shared["busy_cores"]
        lines.append(
            f"One worker with 16 models kept {number_text(shared['busy_cores'])} cores busy, broker and "
            f"Redis included: more workers on this machine can be at most {number_text(room)} times as fast, "
            "however well they share."
        )
    return "\n\n".join(lines)
