"""An alert says what moved, and so whether rows, labels or a pipeline are to blame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pytest

from tests.monitor.streams import Observed, blocks
from tidegauge.adapters import block_codec
from tidegauge.config import Drift, Estimates, Model, Rule, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.monitor import Monitor
from tidegauge.records import Alert, Control, Diagnosis

STEP_MS = 10_000
SETTINGS = Settings(
    monitor=MonitorSettings(
        count_windows=(500,), time_windows=("1h", "24h"), baseline_outcomes=500, inference_outcomes=20
    ),
    drift=Drift(
        days_per_false_alarm=1,
        reference_outcomes=1_000,
        reference_rows=1_000,
        every_outcomes=50,
        min_samples=200,
        window="1h",
    ),
    estimates=Estimates(min_outcomes=500, mature_share=0.8),
    rules=(Rule(metric="accuracy", window="500", every_outcomes=50),),
)


@dataclass(frozen=True)
class World:
    """A feature that the label depends on, by odds that a model knows, or knew."""

    centre: float = 0.0
    spread: float = 2.0
    odds: float = 1.0  # times what the model thinks
    nulls: float = 0.0


def world(seed: int, count: int, now: World, start: int = 0, labelled: float = 1.0) -> list[Observed]:
    rng = np.random.default_rng(seed)
    x = rng.normal(now.centre, now.spread, count)
    score = 1 / (1 + np.exp(-x))
    came = rng.random(count) < 1 / (1 + np.exp(-x) / now.odds)
    missing, has = rng.random(count) < now.nulls, rng.random(count) < labelled
    return [
        Observed(
            f"{start + i}",
            (start + i) * STEP_MS,
            int(score[i] > 0.5),
            (bool(came[i]),) if has[i] else (),
            float(score[i]),
            features={"x": None if missing[i] else float(x[i]), "y": float(i % 7)},
            segments=(("city", "ab"[i % 2]),),
        )
        for i in range(count)
    ]


def watch(stream: list[Observed], settings: Settings = SETTINGS) -> list[Alert]:
    monitor = Monitor(settings)
    return [alert for block in blocks(stream, 50) for alert in monitor.observe(block)]


def last_diagnosis(after: World, labelled: float = 1.0) -> Diagnosis:
    stream = world(1, 4_000, World()) + world(2, 2_000, after, start=4_000, labelled=labelled)
    alerts = watch(stream)
    assert all(alert.raised_at_ms >= 4_000 * STEP_MS for alert in alerts)
    found = [alert.diagnosis for alert in alerts if alert.status == "firing"][-1]
    assert found is not None
    return found


def test_labels_that_follow_another_law_while_rows_stand_still_are_concept_drift() -> None:
    found = last_diagnosis(World(odds=8.0))
    assert found.verdict == "concept_drift"
    assert (found.moved.data, found.moved.calibration, found.moved.realised) == ("still", "moved", "moved")
    assert found.moved.estimate == "still"


def test_rows_that_become_harder_are_a_harmful_covariate_shift() -> None:
    found = last_diagnosis(World(spread=0.3))
    assert found.verdict == "harmful_covariate_shift"
    assert (found.moved.data, found.moved.estimate, found.moved.realised) == ("moved", "moved", "moved")
    assert found.moved.calibration == "still"


def test_rows_that_move_where_the_model_is_as_good_are_benign_drift() -> None:
    found = last_diagnosis(World(centre=1.5))
    assert found.verdict == "benign_drift"
    assert (found.moved.data, found.moved.realised, found.moved.calibration) == ("moved", "still", "still")


def test_nulls_are_looked_at_before_anything_else() -> None:
    found = last_diagnosis(World(nulls=0.3, odds=8.0))
    assert found.verdict == "data_quality"
    assert found.moved.quality == "moved"


def test_while_labels_are_missing_the_realised_performance_is_not_taken_for_still() -> None:
    found = last_diagnosis(World(centre=1.5), labelled=0.2)
    assert found.completeness is not None
    assert found.completeness < 0.8
    assert found.moved.realised == "still"
    assert found.verdict == "benign_drift"  # by the estimate


def test_the_alert_of_a_segment_speaks_of_its_own_labels_and_of_its_versions_rows() -> None:
    settings = msgspec.structs.replace(SETTINGS, models={"churn": Model(segments=("city",))})
    stream = [
        one if one.segments[0][1] == "a" else replace(one, labels=(not one.prediction,)) if i > 4_000 else one
        for i, one in enumerate(world(3, 5_000, World()))
    ]
    alerts = [alert for alert in watch(stream, settings) if alert.segment == "city=b"]
    assert alerts
    assert alerts[0].diagnosis is not None
    assert alerts[0].diagnosis.moved.realised == "moved"
    assert alerts[0].diagnosis.moved.data == "still"


@pytest.mark.parametrize("cut", [30, 84])
def test_a_restored_monitor_comes_to_the_same_diagnoses(cut: int) -> None:
    stream = world(1, 4_000, World()) + world(2, 1_000, World(odds=8.0), start=4_000)
    every = list(blocks(stream, 50))
    through, first, again = Monitor(SETTINGS), Monitor(SETTINGS), Monitor(SETTINGS)
    found = [through.observe(block) for block in every]
    for block in every[:cut]:
        first.observe(block)
        first.report()
    again.restore(block_codec.unpack(block_codec.pack(first.state())))
    assert [again.observe(block) for block in every[cut:]] == found[cut:]
    assert any(found)


def test_after_a_reset_nothing_is_known() -> None:
    monitor = Monitor(SETTINGS)
    for block in blocks(world(1, 4_000, World()) + world(2, 1_000, World(odds=8.0), start=4_000), 25):
        monitor.observe(block)
    closed = monitor.control(Control(action="reset", model_id="churn", model_version="v1"))
    assert closed
    assert all(alert.diagnosis is None for alert in closed)
    assert monitor.state()["watch"]["signs"] == []


def test_a_rule_that_asks_for_complete_labels_waits_for_them() -> None:
    """Wrong answers are labelled at once, right ones two hours later."""
    rng = np.random.default_rng(5)
    stream = [
        replace(one, labels=(bool(one.prediction) != bool(rng.random() < 0.2),), proba=None)
        for one in world(4, 3_000, World())
    ]
    early = [
        replace(one, labels=()) if one.labels[0] == bool(one.prediction) else one for one in stream[1_500:]
    ]

    def fired(least: float) -> list[Alert]:
        rule = Rule(metric="accuracy", window="1h", min_samples=50, every_outcomes=20, min_complete=least)
        quiet = Drift(detectors=(), features="none", calibration="none")
        return watch(
            stream[:1_500] + early,
            msgspec.structs.replace(SETTINGS, rules=(rule,), drift=quiet, estimates=Estimates(enabled=False)),
        )

    assert fired(0.0)
    assert not fired(0.9)
    coverage = fired(0.0)[-1].evidence.coverage
    assert coverage is not None
    assert coverage < 0.9
