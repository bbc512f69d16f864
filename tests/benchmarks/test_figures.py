"""Figures, tables and the last line say what was found, and that it was not where it was not."""

from __future__ import annotations

import doctest
import importlib
from typing import Any

import numpy as np
import pytest

from benchmarks import sizing, targets
from benchmarks.cases import full, quick
from benchmarks.figures import RATIO_NAMES, Usage, cpu_per_million, line, overtaking, percentiles, ratios
from benchmarks.report import PAGE, markdown, replaced
from benchmarks.table import tables

PURE = ("events", "figures", "table", "targets", "sizing", "arithmetic", "report")


@pytest.mark.parametrize("name", PURE)
def test_the_examples_are_right(name: str) -> None:
    tried = doctest.testmod(importlib.import_module(f"benchmarks.{name}"))
    assert tried.attempted
    assert not tried.failed


def case(events_per_s: float, worker: float = 10.0, features: int = 10, **more: Any) -> dict[str, Any]:
    cpu = {"worker": worker, "broker": 1.0, "redis": 2.0}
    about = {"title": "x", "features": features, "models": 1, "pairs": 100, "events": 200, "busy_cores": 1.5}
    about |= {"redis_bytes": 20_000, "resident_bytes": {"worker": 1 << 20}}
    return about | {"events_per_s": events_per_s, "cpu_s_per_million": cpu} | more


def found() -> dict[str, Any]:
    cases = {
        "one": case(80_000.0),
        "models10k": case(40_000.0) | {"models": 1_025, "resident_bytes": {"worker": 5 << 20}},
        "features200": case(20_000.0, worker=29.0, features=200),
        "faust": case(1_600.0),
        "quix": {"title": "quixstreams", "absent": "no wheel\nfor this Python"},
        "decode": case(400_000.0),
        "latency": {"title": "paced", "metric_ms": {"p50": 40.0, "p95": 60.0, "p99": None}},
        "latency_gathered": {
            "title": "paced",
            "rate_per_s": 200.0,
            "cores": {"worker": 0.5, "broker": 0.2, "redis": 0.05},
            "settings": {"TIDEGAUGE_JOIN__GATHER_MS": "500"},
        },
        "waiting_5000000": {"title": "5", "waiting": 5_000_000, "bytes_per_waiting": 60.0},
        "waiting_1000000": {"title": "1", "waiting": 1_000_000, "bytes_per_waiting": 55.5},
    }
    for name in ("waiting_5000000", "waiting_1000000"):
        cases[name]["prediction_us"] = {"worker": 1.0, "redis": float(name[8])}
    machine = {"cpu": "a CPU", "cores": 2, "system": "s", "python": "3", "packages": {}, "made_at": "now"}
    run = {"machine": machine | {"broker": "a broker", "store": "a store"}, "cases": cases}
    return run | {"ratios": ratios(cases)}


def test_the_line_has_every_figure_in_its_order() -> None:
    text = line(found()["ratios"])
    assert text == (
        "ratios: faust=50 quix=none decode=0.2 consume=none events_per_s=80000 models10k=0.5 feature_ns=200 "
        "bytes_per_waiting=55.5 p50_ms=40 p99_ms=none"
    )
    assert [part.partition("=")[0] for part in text.split()[1:]] == list(RATIO_NAMES)


def test_a_run_without_any_case_still_has_its_line() -> None:
    assert set(ratios({}).values()) == {None}
    assert line({}).count("none") == len(RATIO_NAMES)


def test_what_is_absent_says_why_in_its_row() -> None:
    text = tables(found())
    assert "| `quix` | quixstreams: no wheel |" in text
    assert "None" not in text
    assert [head for head in text.splitlines() if head.startswith("###")] == [
        "### Throughput",
        "### Latency",
        "### Waiting predictions",
    ]


def test_a_target_is_reached_missed_or_not_measured() -> None:
    rows = {
        row.split("|")[2].strip(): row.split("|")[4].strip() for row in targets.table(found()).splitlines()
    }
    assert rows["times the events/s of Faust with river"] == "yes"
    assert rows["times the events/s of Quix Streams"] == "not measured"
    assert rows["of the events/s of consuming and decoding only"] == "no"
    assert rows["times the cost of an event, from the fewest to the most waiting"] == "no"


def test_the_bounds_follow_from_the_cpu_of_a_million_events() -> None:
    assert "a million events cost 13 s of CPU" in targets.bounds(found())
    assert "can do 153846 events/s" in targets.bounds(found())
    run = found()
    run["cases"]["stages"] = case(90_000.0, each_cpu_s_per_million=[7.5, 3.5])
    assert "JOIN takes 7.5 s of a million events and MONITOR 3.5" in targets.bounds(run)
    assert targets.bounds({"cases": {}, "machine": {"cores": 2}}) == ""


def test_the_page_is_given_the_figures_of_a_run_and_keeps_the_rest() -> None:
    page = "# P\n<!-- figures -->\nold\n<!-- /figures -->\nend\n"
    new = replaced(page, markdown(found()))
    assert "ratios: faust=50" in new
    assert "old" not in new
    assert new.startswith("# P\n")
    assert new.endswith("<!-- /figures -->\nend\n")
    assert replaced(new, markdown(found())) == new


def test_the_sizing_guide_follows_from_the_figures() -> None:
    text = sizing.text(found())
    assert "| 100 000 | 1.43 | 2 | 4 | 0.14 | 0.29 |" in text
    assert "| 200, join.gather_ms = 500 | 0.50 | 1 | 4 | 0.20 | 0.05 |" in text
    assert "all matched, 200 bytes each | none labelled, 56 bytes each" in text
    assert "| 7 d | 11.27 GiB | 3.13 GiB |" in text
    assert "0.0 KiB of Redis and 4.0 KiB of its worker" in text
    assert sizing.text({"cases": {}, "ratios": {}}) == ""


def test_the_page_has_one_place_for_figures() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert replaced(page, "figures of a run\n").count("figures of a run\n") == 1


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    values = np.random.default_rng(1).permutation(1_000).astype(float)
    expected = np.percentile(values, [50, 95, 99], method="inverted_cdf")
    assert list(percentiles(values).values()) == expected.tolist()
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None}


def test_latencies_of_things_that_come_in_order_are_exact() -> None:
    sent = [0.0, 1.0, 2.0, 3.0]
    counts = [(0.0, 0), (0.5, 1), (2.25, 3), (9.0, 4)]
    assert overtaking(counts, sent) == [0.5, 1.25, 0.25, 6.0]
    assert overtaking([(0.0, 0)], sent) == [None] * 4


def test_cpu_is_counted_for_a_million_events() -> None:
    assert cpu_per_million(Usage(1.0, 5), Usage(3.0, 9), 500_000) == 4.0
    assert cpu_per_million(Usage(1.0, 5), Usage(3.0, 9), 0) is None


@pytest.mark.parametrize("plan", [full(), quick()])
def test_every_part_of_a_plan_has_a_name_of_its_own_and_models_are_decided(plan: Any) -> None:
    names = [each.name for each in plan.cases]
    assert len({*names, *plan.peers}) == len(names) + len(plan.peers)
    for each in plan.cases:
        needed = int(each.settings.get("TIDEGAUGE_MONITOR__INFERENCE_OUTCOMES", 100))
        assert each.stream.pairs // each.stream.models >= needed
