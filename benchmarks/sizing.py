"""What to plan for, from the figures of a run. Pure; what a run lacks stays out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.figures import MILLION, number_text
from benchmarks.table import amount

FULL = 0.7  # of a core is what one is planned for; the rest is for peaks and for catching up
RATES = (20_000, 100_000)  # under such load costs are those of full speed
PACED = ("latency_trickle", "latency_gathered", "latency")  # what costs there is steps, not events
HORIZONS = (("1 h", 3_600), ("1 d", 86_400), ("7 d", 7 * 86_400), ("30 d", 30 * 86_400))
PREDICTIONS_PER_S = 100
_GIBIBYTE = 1 << 30

Case = Mapping[str, Any]


def cores(rate: float, cpu_s_per_million: float) -> float:
    """Return the cores that a rate of events needs.

    >>> round(cores(10_000, 35.0), 3)
    0.5
    """
    return rate * cpu_s_per_million / MILLION / FULL


def rates(one: Case, paced: Sequence[Case]) -> str:
    """Return cores by events a second; a worker is one process and uses a little more than one core."""
    cpu = one["cpu_s_per_million"]
    lines = ["| events/s | worker cores | workers | partitions, at least | broker cores | Redis cores |"]
    lines.append("|--:|--:|--:|--:|--:|--:|")
    for case in paced:
        worker, *servers = (f"{case['cores'][name]:.2f}" for name in ("worker", "broker", "redis"))
        more = ", ".join(f"{name} = {value}" for name, value in _said(case["settings"]))
        rate = amount(case["rate_per_s"]) + (f", {more}" if more else "")
        lines.append(f"| {rate} | {worker} | 1 | 4 | {' | '.join(servers)} |")
    for rate in RATES:
        needed = {name: cores(rate, cost) for name, cost in cpu.items()}
        workers = math.ceil(needed["worker"])
        each = " | ".join(f"{needed[name]:.2f}" for name in ("broker", "redis"))
        row = f"{needed['worker']:.2f} | {workers} | {max(workers, 4)} | {each}"
        lines.append(f"| {amount(rate)} | {row} |")
    return "\n".join(lines)


def _said(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the settings of an environment by their names in a file.

    >>> list(_said({"TIDEGAUGE_JOIN__GATHER_MS": "500"}))
    [('join.gather_ms', '500')]
    """
    for name, value in settings.items():
        yield name.removeprefix("TIDEGAUGE_").lower().replace("__", "."), value


def entry_bytes(one: Case) -> float:
    """Return what a matched pair takes in Redis; it stays for the horizon, for its corrections."""
    return float(one["redis_bytes"]) / int(one["pairs"])


def horizons(one: Case, waiting_bytes: float | None) -> str:
    """Return memory of Redis by horizon."""
    kinds = {"all matched": entry_bytes(one)}
    if waiting_bytes is not None:
        kinds["none labelled"] = waiting_bytes
    heads = " | ".join(f"{name}, {each:.0f} bytes each" for name, each in kinds.items())
    lines = [f"| horizon | {heads} |", "|---|" + "--:|" * len(kinds)]
    for name, seconds in HORIZONS:
        sizes = [PREDICTIONS_PER_S * seconds * each / _GIBIBYTE for each in kinds.values()]
        lines.append(f"| {name} | {' | '.join(f'{size:.2f} GiB' for size in sizes)} |")
    return "\n".join(lines)


def models(one: Case, many: Case) -> str:
    """Return what a further model takes."""
    more = many["models"] - one["models"]
    redis = (many["redis_bytes"] - many["pairs"] * entry_bytes(one)) / more
    worker = (many["resident_bytes"]["worker"] - one["resident_bytes"]["worker"]) / more
    return (
        f"A model with {many['features']} features and one version takes {redis / 1_024:.1f} KiB of Redis "
        f"and {worker / 1_024:.1f} KiB of its worker; each watched segment value is a series like a model."
    )


def text(run: Mapping[str, Any]) -> str:
    """Return the guide, or nothing where a run lacks the case of one model."""
    one, many = run["cases"].get("one", {}), run["cases"].get("models10k", {})
    if "cpu_s_per_million" not in one:
        return ""
    feature = run["ratios"].get("feature_ns")
    parts = [
        "Cores for events (predictions and labels together) of 10 features: at few events as measured, "
        f"beyond from the CPU of an event with {FULL:.0%} of each used.",
        rates(one, [run["cases"][name] for name in PACED if "cores" in run["cases"].get(name, {})]),
        f"A further feature value costs {number_text(feature)} ns of a worker." if feature else "",
        f"Memory of Redis for {PREDICTIONS_PER_S} predictions a second:",
        horizons(one, run["ratios"].get("bytes_per_waiting")),
        models(one, many) if "redis_bytes" in many else "",
    ]
    return "\n\n".join(part for part in parts if part)
