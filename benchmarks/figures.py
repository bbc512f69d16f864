"""The arithmetic of the figures, and the line that `make bench` ends with. Pure; undefined is None."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

MILLION = 1_000_000


class Usage(NamedTuple):
    """CPU seconds and resident bytes of a process, or of several together."""

    cpu_s: float
    resident_bytes: int

    def __add__(self, other: object) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(self.cpu_s + other.cpu_s, self.resident_bytes + other.resident_bytes)


def per_second(count: float, seconds: float) -> float | None:
    """Return a rate, None where no time passed."""
    return count / seconds if seconds > 0 else None


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """Return ours / theirs, None where either is not known.

    >>> ratio(3.0, 2.0), ratio(3.0, None), ratio(3.0, 0.0)
    (1.5, None, None)
    """
    return ours / theirs if ours is not None and theirs else None


def percentiles(values: Iterable[float], wanted: Sequence[int] = (50, 95, 99)) -> dict[str, float | None]:
    """Return `p50` and so on by the nearest rank; None where there are no values.

    >>> percentiles([3.0, 1.0, 2.0], [50, 99])
    {'p50': 2.0, 'p99': 3.0}
    """
    ranked = sorted(values)
    ranks = {f"p{each}": math.ceil(len(ranked) * each / 100) - 1 for each in wanted}
    return {name: ranked[rank] if ranked else None for name, rank in ranks.items()}


def cpu_per_million(before: Usage, after: Usage, events: int) -> float | None:
    """Return CPU seconds for a million events."""
    return (after.cpu_s - before.cpu_s) / events * MILLION if events else None


def overtaking(counts: Sequence[tuple[float, int]], sent: Sequence[float]) -> list[float | None]:
    """Return for the k-th sent thing how long it took until k + 1 were counted; None if never.

    `counts` are (time, count so far) in order of time, `sent` the times of sending in order. Where things
    overtake one another the k-th is the one that stands in for it, so the distribution is right.

    >>> overtaking([(1.0, 0), (2.0, 2), (3.0, 3)], [0.5, 1.5, 1.75, 1.8])
    [1.5, 0.5, 1.25, None]
    """
    latencies: list[float | None] = []
    at = 0
    for place, sent_at in enumerate(sent):
        while at < len(counts) and counts[at][1] <= place:
            at += 1
        latencies.append(counts[at][0] - sent_at if at < len(counts) else None)
    return latencies


def fastest(before: Mapping[str, Any] | None, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the faster of two measurements, with the speeds of all; one that went wrong counts first.

    >>> fastest(fastest(None, {"events_per_s": 2.0}), {"events_per_s": 3.0})
    {'events_per_s': 3.0, 'every_events_per_s': [2.0, 3.0]}
    >>> fastest({"events_per_s": 2.0}, {"failed": "it ended"})
    {'failed': 'it ended'}
    """
    if before is None or "events_per_s" not in found:
        return dict(found)
    if "events_per_s" not in before:
        return dict(before)
    speeds = [*before.get("every_events_per_s", [before["events_per_s"]]), found["events_per_s"]]
    best = max(before, found, key=lambda each: each["events_per_s"] or 0.0)
    return {**best, "every_events_per_s": speeds}


def per_feature_ns(few: Mapping[str, Any], many: Mapping[str, Any]) -> float | None:
    """Return the worker's CPU for each further feature value, in ns, from two cases of as many labels.

    >>> few = {"features": 10, "pairs": 10, "events": 20, "cpu_s_per_million": {"worker": 10.0}}
    >>> many = {"features": 200, "pairs": 10, "events": 20, "cpu_s_per_million": {"worker": 29.0}}
    >>> round(per_feature_ns(few, many), 6)
    200.0
    """
    costs = []
    for case in (few, many):
        cost = case.get("cpu_s_per_million", {}).get("worker")
        if cost is None:
            return None
        costs.append(cost * case["events"] / case["pairs"])  # us a pair
    values = many["features"] - few["features"]
    return (costs[1] - costs[0]) * 1_000 / values if values else None


def number_text(value: float | None) -> str:
    """Return a figure as the last line has it: three digits, `none` where it is undefined.

    >>> [number_text(value) for value in (64.51, 0.4242, 123_456.7, None)]
    ['64.5', '0.424', '123457', 'none']
    """
    if value is None:
        return "none"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


RATIO_NAMES = (
    "faust", "quix", "decode", "consume", "events_per_s", "models10k", "feature_ns", "bytes_per_waiting",
    "p50_ms", "p99_ms",
)  # fmt: skip


def ratios(cases: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the figures of the last line from the results by case."""
    speed = {name: case.get("events_per_s") for name, case in cases.items()}
    ours = speed.get("one")
    latency = cases.get("latency", {}).get("metric_ms", {})
    waiting = sorted((case for case in cases.values() if "bytes_per_waiting" in case), key=_waiting)
    return {
        "faust": ratio(ours, speed.get("faust")),
        "quix": ratio(ours, speed.get("quix")),
        "decode": ratio(ours, speed.get("decode")),
        "consume": ratio(ours, speed.get("consume")),
        "events_per_s": ours,
        "models10k": ratio(speed.get("models10k"), ours),
        "feature_ns": per_feature_ns(cases.get("one", {}), cases.get("features200", {})),
        "bytes_per_waiting": waiting[0]["bytes_per_waiting"] if waiting else None,
        "p50_ms": latency.get("p50"),
        "p99_ms": latency.get("p99"),
    }


def _waiting(case: Mapping[str, Any]) -> int:
    return int(case["waiting"])


def line(found: Mapping[str, float | None]) -> str:
    """Return the last line of a run."""
    return "ratios: " + " ".join(f"{name}={number_text(found.get(name))}" for name in RATIO_NAMES)
