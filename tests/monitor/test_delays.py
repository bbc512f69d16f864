"""Labels that come late, or not at all, raise an alarm of their own."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.monitor.streams import HOUR_MS, Observed, binary
from tests.monitor.test_cohorts import in_time
from tidegauge.adapters import block_codec
from tidegauge.config import Drift, Model, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.drift import budget
from tidegauge.monitor import Monitor
from tidegauge.monitor.delays import labels_watched
from tidegauge.records import Alert, Control

SETTINGS = Settings(
    monitor=MonitorSettings(count_windows=(50,), time_windows=("24h",), inference_outcomes=20),
    drift=Drift(
        detectors=(), features="none", calibration="none", separation="none", label_delay="e_sr",
        window="24h", reference_outcomes=200, label_grace_seconds=7_200, days_per_false_alarm=10,
    ),
    models={"churn": Model(segments=("city",))},
    rules=(),
)  # fmt: skip
KEY = "tg:drift:churn:v1"
STEP_MS = 600_000
SLOW_FROM = 1_700


def late(count: int, seed: int, slow_from: int = SLOW_FROM, stop: bool = False) -> list[Observed]:
    """Return rows ten minutes apart, labelled in about an hour; later in four hours, or not at all."""
    rng = np.random.default_rng(seed)
    found = []
    for number, one in enumerate(binary(count, seed, step_ms=STEP_MS)):
        slow = number >= slow_from
        hours = rng.uniform(0.5, 1.5) * (4 if slow else 1) + (10**6 if slow and stop else 0)
        found.append(replace(one, delay_ms=int(hours * HOUR_MS), segments=(("city", "ab"[number % 2]),)))
    return found


def watched(
    rows: list[Observed], sizes: tuple[int, ...] = (50,), settings: Settings = SETTINGS
) -> tuple[Monitor, list[Alert]]:
    monitor, alerts = Monitor(settings), []
    for block in in_time(rows, sizes):
        alerts += monitor.observe(block)
    return monitor, alerts


def first_of(alerts: list[Alert]) -> Alert:
    return next(alert for alert in alerts if alert.drift_type == "label_delay")


@pytest.mark.parametrize("sizes", [(50,), (7, 300)])
def test_labels_that_come_later_are_told_and_metrics_are_not_blamed(sizes: tuple[int, ...]) -> None:
    monitor, alerts = watched(late(2_200, seed=1), sizes)
    alert = first_of(alerts)
    assert (alert.status, alert.kind, alert.rule, alert.segment) == ("firing", "drift", "e_sr", None)
    assert alert.message.startswith("e_sr found that labels come later, or not at all: a share of ")
    assert alert.evidence.metric == "label_delay"
    assert alert.evidence.baseline is not None and alert.evidence.current is not None
    assert alert.evidence.baseline > 0.8 > alert.evidence.current
    assert {one.drift_type for one in alerts} == {"label_delay"}
    assert alert.diagnosis is not None and alert.diagnosis.moved.realised == "unknown"
    fields = monitor.report().writes[KEY]
    assert float(fields["label_delay.age_s"]) == pytest.approx(1.4 * 3_600, rel=0.05)
    assert int(fields["label_delay.e_sr.rises"]) >= 1


def test_blocks_of_any_size_come_to_the_same() -> None:
    rows, found = late(2_200, seed=1), []
    for sizes in ((20,), (7, 300), (5_000,)):
        fields = watched(rows, sizes)[0].report().writes[KEY]
        found.append({name: text for name, text in fields.items() if name.startswith("label_delay")})
    assert int(found[0]["label_delay.e_sr.rises"]) > 0
    assert all(one == found[0] for one in found)


def test_labels_that_stop_are_told_though_no_outcome_comes_any_more() -> None:
    rows = late(2_200, seed=2, stop=True)
    monitor = Monitor(SETTINGS)
    found = []
    for block in in_time(rows, (50,)):
        if len(block.predictions.offset):  # what comes after the last prediction never comes
            found += monitor.observe(block)
    assert first_of(found).status == "firing"


def test_nothing_is_told_while_labels_come_as_they_did() -> None:
    monitor, alerts = watched(late(2_200, seed=3, slow_from=9_999))
    assert alerts == []
    assert int(monitor.report().writes[KEY]["label_delay.e_sr.n"]) > 200


def test_an_incident_is_over_when_labels_have_come_as_they_did_for_some_time() -> None:
    rows = [
        replace(one, delay_ms=HOUR_MS) if number >= 1_800 else one
        for number, one in enumerate(late(3_400, seed=4))
    ]
    alerts = watched(rows)[1]
    assert [alert.status for alert in alerts] == ["firing", "resolved"]
    assert alerts[1].message.startswith("labels come as soon as they did again")


def test_a_restored_monitor_goes_on() -> None:
    every = list(in_time(late(2_100, seed=1), (50,)))
    through, first, again = Monitor(SETTINGS), Monitor(SETTINGS), Monitor(SETTINGS)
    found = [through.observe(block) for block in every]
    for block in every[:70]:
        first.observe(block)
    again.restore(block_codec.unpack(block_codec.pack(first.state())))
    assert [again.observe(block) for block in every[70:]] == found[70:]
    assert again.report() == through.report()


def test_a_snapshot_from_before_there_was_a_detector_begins_to_learn() -> None:
    first, again = Monitor(SETTINGS), Monitor(SETTINGS)
    every = list(in_time(late(300, seed=1), (50,)))
    for block in every[:8]:
        first.observe(block)
    state = block_codec.unpack(block_codec.pack(first.state()))
    del state["delays"]
    again.restore(state)
    for block in every[8:]:
        again.observe(block)
    assert again.report().writes[KEY]["label_delay.age_s"] == "null"


def test_a_reset_forgets_what_was_learned() -> None:
    monitor, _ = watched(late(1_800, seed=1))
    monitor.control(Control(action="reset", model_id="churn", model_version="v1"))
    for block in in_time(late(100, seed=5), (50,)):
        monitor.observe(block)
    assert "label_delay.e_sr.n" not in monitor.report().writes[KEY]


def test_where_it_is_not_asked_for_nothing_is_kept() -> None:
    drift = msgspec.structs.replace(SETTINGS.drift, label_delay="none")
    monitor, alerts = watched(late(2_200, seed=1), settings=msgspec.structs.replace(SETTINGS, drift=drift))
    assert alerts == []
    assert not any(field.startswith("label_delay") for field in monitor.report().writes[KEY])


def test_a_label_age_of_the_model_is_that_of_its_panes() -> None:
    models = {"churn": Model(label_age_seconds=3_600)}
    monitor, _ = watched(late(300, seed=1), settings=msgspec.structs.replace(SETTINGS, models=models))
    assert monitor.report().writes[KEY]["label_delay.age_s"] == "3600.0"


def test_detectors_of_labels_share_one_fifth_of_the_promise() -> None:
    drifts = (
        Drift(label_delay="e_sr"),
        Drift(),
        Drift(label_delay="e_sr", calibration="none", separation="none"),
    )
    counts = [labels_watched(Settings(drift=drift)) for drift in drifts]
    assert counts == [3, 2, 1]
    assert all(count * budget.scores_share(count) <= budget.SHARES["calibration"] + 1e-12 for count in counts)
