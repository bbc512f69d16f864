"""Whatever the decoder lets through is monitored, reported, stored and read again without a failure."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.monitor.streams import Observed, blocks
from tidegauge.config import Drift, Estimates, Model, Rule, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.monitor import Monitor

Draw = Callable[[random.Random], Any]

SETTINGS = Settings(
    monitor=MonitorSettings(
        count_windows=(20,),
        time_windows=("1h", "24h"),
        baseline_outcomes=10,
        inference_outcomes=5,
        classes=3,
    ),
    rules=(
        Rule(metric="accuracy", window="20", min_samples=5, every_outcomes=5),
        Rule(metric="mae", window="1h", factor=1.1, min_samples=5, every_outcomes=5, baseline="seasonal"),
        Rule(metric="f1", window="24h", min_samples=5, every_outcomes=5, baseline="rolling"),
    ),
    drift=Drift(
        reference_outcomes=20,
        reference_rows=20,
        min_samples=10,
        every_outcomes=5,
        max_categories=3,
        attribution="features",
        baseline="rolling",
        attribution_outcomes=100,
    ),
    models={"churn": Model(segments=("city",))},
    estimates=Estimates(min_outcomes=10, reference_outcomes=20, live_outcomes=20, cells=10, cohorts=3),
)

ITEMS = ["i1", "i2", "i3", "i4", "i5"]

PREDICTIONS: dict[str, Draw] = {
    "boolean": lambda draw: draw.random() < 0.5,
    "zero or one": lambda draw: draw.randrange(2),
    "class of two": lambda draw: draw.choice(["no", "yes"]),
    "class of many": lambda draw: draw.choice(["a", "b", "c", "d", "e", ""]),
    "constant": lambda draw: "a",
    "number": lambda draw: draw.gauss(0, 1),
    "huge number": lambda draw: draw.choice([1e60, -1e60, 0.0]),
    "list": lambda draw: draw.sample(ITEMS, draw.randrange(len(ITEMS))),
}
LABELS = PREDICTIONS | {"gains": lambda draw: {item: draw.random() for item in draw.sample(ITEMS, 2)}}
PROBABILITIES: dict[str, Draw] = {
    "none": lambda draw: None,
    "score": lambda draw: draw.choice([0.0, 1.0, draw.random()]),
    "map": lambda draw: {name: draw.random() for name in draw.sample(["no", "yes", "a", "b", "c", "d"], 3)},
    "empty map": lambda draw: {},
}
FEATURES: dict[str, Draw] = {
    "none": lambda draw: {},
    "plain": lambda draw: {"age": draw.gauss(40, 10), "plan": draw.choice(["free", "paid"])},
    "changing": lambda draw: {draw.choice("xyz"): draw.choice([1.5, True, "text", None])},
    "huge": lambda draw: {"age": draw.choice([1e60, -1e60])},
}


def stream_of(draw: random.Random) -> list[Observed]:
    """Return rows whose fields are each of one or two kinds."""
    tables = (PREDICTIONS, LABELS, PROBABILITIES, FEATURES)
    kinds = [draw.sample(sorted(table), draw.randint(1, 2)) for table in tables]
    step_ms = draw.choice([0, 1_000, 600_000, 7_200_000])

    def value(place: int) -> Any:
        return tables[place][draw.choice(kinds[place])](draw)

    return [
        Observed(
            f"p{number}",
            1_700_000_000_000 + number * step_ms,
            value(0),
            (value(1), value(1)) if draw.random() < 0.1 else (value(1),),
            value(2),
            segments=(("city", draw.choice("abc")),) if draw.random() < 0.5 else (),
            weight=draw.choice([1.0, 1e-6, 1e6]) if draw.random() < 0.05 else 1.0,
            kpis={"revenue": draw.gauss(0, 1)} if draw.random() < 0.5 else {},
            features=value(3),
            latency_ms=draw.random() if draw.random() < 0.5 else None,
        )
        for number in range(100)
    ]


@pytest.mark.parametrize("seed", range(100))
def test_any_stream_is_monitored_and_reported_and_its_state_is_taken_over(seed: int) -> None:
    draw = random.Random(seed)
    every = list(blocks(stream_of(draw), draw.choice([3, 7, 40]), draw.choice([0, 30])))
    half = len(every) // 2
    monitor, other = Monitor(SETTINGS), Monitor(SETTINGS)
    for block in every[:half]:
        monitor.observe(block)
        monitor.report()
    other.restore(monitor.state())
    other.report()
    for block in every[half:]:
        said, wanted = other.observe(block), monitor.observe(block)
        assert [alert.message for alert in said] == [alert.message for alert in wanted]
        report = monitor.report()
        assert report.writes
        assert other.report() == report
