"""With `drift.guarantee = "once"` a version has at most one alarm on its error, until it is reset."""

from __future__ import annotations

from dataclasses import replace

from tests.monitor.streams import Observed, binary, blocks
from tidegauge.adapters import block_codec
from tidegauge.config import Drift, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.monitor import Monitor
from tidegauge.records import Alert, Control

SETTINGS = Settings(
    monitor=MonitorSettings(baseline_outcomes=200, inference_outcomes=20),
    drift=Drift(
        guarantee="once",
        calibration="none",
        separation="none",
        label_delay="none",
        features="none",
        reference_outcomes=500,
        every_outcomes=20,
        resolve_after=100,
    ),
    rules=(),
)
WRONG = [replace(one, labels=(not one.labels[0],)) for one in binary(300, seed=2, start_ms=60_000_000)]
HEALED = binary(4_000, seed=3, start_ms=90_000_000)
STREAM = [*binary(1_000, seed=1), *WRONG, *HEALED]


def watch(monitor: Monitor, stream: list[Observed]) -> list[Alert]:
    return [alert for block in blocks(stream, 50) for alert in monitor.observe(block)]


def test_an_alarm_is_not_resolved_by_what_comes_after() -> None:
    monitor = Monitor(SETTINGS)
    (alert,) = watch(monitor, STREAM)
    assert (alert.status, alert.drift_type) == ("firing", "concept_drift")
    assert monitor.report().writes["tg:drift:churn:v1"]["error.e_sr.changes"] == "1"


def test_a_reset_ends_it() -> None:
    monitor = Monitor(SETTINGS)
    watch(monitor, STREAM)
    (closed,) = monitor.control(Control(action="reset", model_id="churn", model_version="v1"))
    assert closed.status == "resolved"


def test_a_restored_monitor_goes_on_as_the_first() -> None:
    every = list(blocks(STREAM, 50))
    for cut in (5, 21, 60):
        through, first, again = Monitor(SETTINGS), Monitor(SETTINGS), Monitor(SETTINGS)
        found = [through.observe(block) for block in every]
        for block in every[:cut]:
            first.observe(block)
        again.restore(block_codec.unpack(block_codec.pack(first.state())))
        assert [again.observe(block) for block in every[cut:]] == found[cut:]
        assert again.report() == through.report()
