"""Versions that go by a baseline file instead of their own first rows."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.monitor.streams import Observed, binary, blocks
from tidegauge.adapters import block_codec
from tidegauge.baseline.fit import About, Roles, fit
from tidegauge.baseline.tables import Column, Table
from tidegauge.baseline_file import BaselineFile
from tidegauge.config import Drift, Model, Rule, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.drift import distances
from tidegauge.errors import Rejected
from tidegauge.events import read
from tidegauge.monitor import Monitor
from tidegauge.records import Alert, Control

SETTINGS = Settings(
    monitor=MonitorSettings(count_windows=(50,), time_windows=("1h", "24h"), baseline_outcomes=100),
    rules=(Rule(metric="accuracy", window="50", min_samples=20, consecutive=2, every_outcomes=10),),
    drift=Drift(reference_rows=2_000, min_samples=100, window="24h", consecutive=2, features="psi"),
)
DRIFT, BASELINE, ESTIMATES = ("tg:drift:churn:v1", "tg:baseline:churn:v1", "tg:estimates:churn:v1")


def numbers(values: object) -> Column:
    found = np.array(values, np.float64)
    return Column(found, np.full(len(found), -1), [])


def table(stream: list[Observed]) -> Table:
    return Table(
        len(stream),
        {
            "age": numbers([one.features["age"] for one in stream]),
            "score": numbers([one.proba for one in stream]),
            "said": numbers([one.prediction for one in stream]),
            "true": numbers([one.labels[0] for one in stream]),
        },
    )


def aged(stream: list[Observed], shift: float = 0.0) -> list[Observed]:
    ages = np.random.default_rng(len(stream)).normal(40 + shift, 5, len(stream))
    return [replace(one, features={"age": float(age)}) for one, age in zip(stream, ages, strict=True)]


def fitted(seed: int = 1, version: str | None = "v1", name: str = "training") -> BaselineFile:
    rows = table(aged(binary(6_000, seed)))
    return fit(
        rows, Roles("said", "true", {"": "score"}), About("churn", version, name, "2026-01-01"), SETTINGS
    )


FILE = fitted()


def run(monitor: Monitor, stream: list[Observed], size: int = 100) -> list[Alert]:
    """Return the alerts of a stream in blocks of so many rows that none of them waits."""
    return [alert for block in blocks(stream, size) for alert in monitor.observe(block)]


def written(monitor: Monitor) -> dict[str, dict[str, str]]:
    return monitor.report().writes


def again(monitor: Monitor, baselines: dict[str, BaselineFile]) -> Monitor:
    """Return a monitor that has read what another stored."""
    found = Monitor(SETTINGS, baselines)
    found.restore(block_codec.unpack(block_codec.pack(monitor.state())))
    return found


def test_rows_are_compared_with_the_bins_of_the_file_from_the_first_on():
    stream = aged(binary(300, seed=2))
    monitor = Monitor(SETTINGS, {"churn": FILE})
    run(monitor, stream)
    fields = written(monitor)[DRIFT]
    own = FILE.features["age"]
    ages = np.array([one.features["age"] for one in stream])
    cells = np.searchsorted(np.array(own.edges), ages, side="right")
    counts = np.bincount(cells, minlength=len(own.counts)).astype(np.float64)
    expected = distances.psi(np.array(own.counts, np.float64), counts)
    assert float(fields["age.psi"]) == pytest.approx(expected, rel=1e-12)
    assert (fields["age.psi.n"], fields["age.psi.verdict"]) == ("300", "stable")
    assert fields["prediction.psi.n"] == "300"


def test_measures_of_every_feature_stand_beside_psi():
    monitor = Monitor(SETTINGS, {"churn": FILE})
    late = [replace(one, features={"other": 1.0}) for one in aged(binary(300, seed=21))[:60]]
    run(monitor, [*aged(binary(240, seed=22), shift=10), *late])
    fields = written(monitor)[DRIFT]
    age, prediction = (json.loads(fields[f"{name}.measures"]) for name in ("age", "prediction"))
    assert age["n"] == prediction["n"] == 300
    for name in ("jensen_shannon", "total_variation", "hellinger", "ks", "wasserstein", "chi_squared"):
        assert (age[name]["beyond"], prediction[name]["beyond"]) == (True, False)
        assert age[name]["value"] > age[name]["chance"]
    assert age["wasserstein"]["value"] == pytest.approx(10, abs=2)
    assert (age["null"]["value"], age["null"]["reference"], age["null"]["beyond"]) == (0.2, 0.0, True)
    assert age["changed_type"] == {"value": 0.0, "reference": 0.0, "p": 1.0, "beyond": False}


def test_a_shift_against_the_training_data_raises_an_alert_although_production_was_always_so():
    monitor = Monitor(SETTINGS, {"churn": FILE})
    alerts = run(monitor, aged(binary(600, seed=3, step_ms=600_000), shift=10))
    assert [(alert.drift_type, alert.evidence.feature) for alert in alerts] == [("data_drift", "age")]
    assert run(Monitor(SETTINGS), aged(binary(600, seed=3, step_ms=600_000), shift=10)) == []


def test_reference_metrics_are_the_baseline_of_the_rules():
    bad = [replace(one, prediction=1 - one.prediction) for one in aged(binary(90, seed=4))]
    monitor = Monitor(SETTINGS, {"churn": FILE})
    alerts = [alert for alert in run(monitor, bad, size=20) if alert.kind == "performance"]
    assert alerts[0].evidence.baseline == FILE.metrics["accuracy"].value
    assert "from the baseline file" in alerts[0].message
    fields = written(monitor)[BASELINE]
    assert float(fields["f1"]) == FILE.metrics["f1"].value
    assert (fields["file.id"], fields["file.name"]) == (FILE.identity, "training")
    assert (fields["file.made_at"], fields["file.rows"]) == ("2026-01-01", "6000")


def test_a_configured_value_wins_over_a_configured_file_and_a_file_set_at_run_time_over_both():
    settings = msgspec.structs.replace(SETTINGS, models={"churn": Model(baseline={"accuracy": 0.5})})
    monitor = Monitor(settings, {"churn": FILE})
    run(monitor, aged(binary(20, seed=5)))
    assert written(monitor)[BASELINE]["accuracy"] == "0.5"
    monitor.control(asked(FILE))
    assert float(written(monitor)[BASELINE]["accuracy"]) == FILE.metrics["accuracy"].value


def test_estimates_stand_before_the_first_label():
    stream = aged(binary(400, seed=6))
    monitor = Monitor(SETTINGS, {"churn": FILE})
    run(monitor, [replace(one, labels=()) for one in stream])
    fields = written(monitor)[ESTIMATES]
    said = np.array([one.prediction for one in stream[-720:]])
    score = np.array([one.proba for one in stream[-720:]])
    expected = np.where(said == 1, score, 1 - score).mean()  # the scores are calibrated
    assert float(fields["accuracy@24h"]) == pytest.approx(expected, abs=0.02)
    assert fields["accuracy@24h.n"] == "400"


@pytest.mark.parametrize(
    ("model", "task"),
    [
        (Model(), "binary"),
        (Model(positive_class="0"), "binary"),
        (Model(task="regression"), "undecided"),
        (Model(positive_class="yes"), "undecided"),
    ],
)
def test_the_task_is_that_of_the_file_unless_the_settings_say_another(model, task):
    monitor = Monitor(msgspec.structs.replace(SETTINGS, models={"churn": model}), {"churn": FILE})
    run(monitor, [replace(one, labels=()) for one in aged(binary(20, seed=23))])
    fields = written(monitor)["tg:model:churn"]
    assert fields["task"] == task
    assert fields["positive_class"] == ((model.positive_class or "1") if task == "binary" else "")


def test_a_file_of_one_version_leaves_the_others_alone_and_one_of_no_version_is_of_all():
    other = [replace(one, version="v2") for one in aged(binary(100, seed=7))]
    monitor = Monitor(SETTINGS, {"churn": FILE})
    run(monitor, other)
    assert "age.psi" not in written(monitor)["tg:drift:churn:v2"]
    monitor = Monitor(SETTINGS, {"churn": fitted(version=None)})
    run(monitor, other)
    assert "age.psi" in written(monitor)["tg:drift:churn:v2"]


def asked(file: BaselineFile, version: str = "v1") -> Control:
    """Return the request as it comes through a topic."""
    request = Control(action="set_baseline", model_id="churn", model_version=version, baseline=file)
    return read(msgspec.json.encode(request), Control)


def test_a_file_set_at_run_time_replaces_what_was_learned_and_starts_the_windows_anew():
    monitor = Monitor(SETTINGS)
    run(monitor, aged(binary(2_100, seed=8)))
    assert written(monitor)[DRIFT]["age.psi.n"] == "100"
    monitor.control(asked(FILE))
    fields = written(monitor)
    assert fields[BASELINE]["file.id"] == FILE.identity
    assert fields[DRIFT]["age.psi.n"] == "0"


def test_a_file_may_be_set_before_the_version_is_seen():
    monitor = Monitor(SETTINGS)
    assert monitor.control(asked(FILE)) == []
    run(monitor, aged(binary(60, seed=9)))
    assert written(monitor)[BASELINE]["file.id"] == FILE.identity


def test_a_file_that_does_not_fit_the_settings_is_refused():
    wrong = BaselineFile(tidegauge_baseline=1, model_id="churn", scores={"score:1": (1,)})
    with pytest.raises(Rejected, match=r"out_of_range at \$\.baseline: \$\.scores: expected 200 bins"):
        Monitor(SETTINGS).control(asked(wrong))


@pytest.mark.parametrize("baselines", [{}, {"churn": FILE}])
def test_a_restart_goes_on_as_if_there_had_been_none(baselines):
    first, second = aged(binary(300, seed=10)), aged(binary(900, seed=10))[300:]
    through = Monitor(SETTINGS, baselines)
    through.control(asked(fitted(seed=11, name="set")))
    run(through, first)
    stopped = again(through, baselines)
    for monitor in (through, stopped):
        monitor._applied.clear()  # both streams begin at offset 0
        run(monitor, second)
    assert written(stopped)[DRIFT] == written(through)[DRIFT]
    assert written(again(stopped, baselines))[BASELINE]["file.name"] == "set"


def test_another_file_in_the_settings_is_taken_over_after_a_restart():
    monitor = Monitor(SETTINGS, {"churn": FILE})
    run(monitor, aged(binary(200, seed=12)))
    newer = fitted(seed=13, name="newer")
    changed = again(monitor, {"churn": newer})
    changed._applied.clear()
    run(changed, aged(binary(100, seed=14)))
    fields = written(changed)
    assert fields[BASELINE]["file.id"] == newer.identity
    assert fields[DRIFT]["age.psi.n"] == "100"
    same = again(monitor, {"churn": FILE})
    same._applied.clear()
    run(same, aged(binary(100, seed=14)))
    assert written(same)[DRIFT]["age.psi.n"] == "300"


def test_reset_forgets_a_file_set_at_run_time_and_takes_the_configured_one_again():
    monitor = Monitor(SETTINGS, {"churn": FILE})
    monitor.control(asked(fitted(seed=15, name="set")))
    run(monitor, aged(binary(100, seed=16)))
    assert written(monitor)[BASELINE]["file.name"] == "set"
    monitor.control(Control(action="reset", model_id="churn", model_version="v1"))
    monitor._applied.clear()
    run(monitor, aged(binary(100, seed=17)))
    fields = written(monitor)
    assert fields[BASELINE]["file.name"] == "training"
    assert fields[DRIFT]["age.psi.n"] == "100"
