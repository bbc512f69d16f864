"""The monitor against scikit-learn on the rows that each window should hold."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from sklearn import metrics as sk

from tests.monitor.streams import HOUR_MS, Observed, binary, blocks, corrected
from tidegauge import keys
from tidegauge.adapters import block_codec
from tidegauge.config import Drift, Limits, Model, Rule, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.errors import SnapshotError
from tidegauge.monitor import Monitor
from tidegauge.records import Alert, Control

SETTINGS = Settings(
    monitor=MonitorSettings(count_windows=(50,), time_windows=("1h", "24h"), baseline_outcomes=100),
    rules=(Rule(metric="accuracy", window="50", min_samples=20, consecutive=2, every_outcomes=10),),
    models={"churn": Model(segments=("country",))},
    drift=Drift(reference_rows=200, min_samples=100, window="24h", consecutive=2),
)


def watch(
    settings: Settings, stream: list[Observed], size: int = 16, late: int = 0
) -> tuple[Monitor, list[Alert]]:
    monitor, alerts = Monitor(settings), []
    for block in blocks(stream, size, late):
        alerts += monitor.observe(block)
    return monitor, alerts


def written(monitor: Monitor, key: str) -> dict[str, str]:
    return monitor.report().writes[key]


def close(text: str, expected: float) -> bool:
    return float(text) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def assert_binary(fields: dict[str, str], window: str, rows: list[Observed], exact_order: bool) -> None:
    actual = [int(one.labels[-1]) for one in rows]
    predicted, score = [one.prediction for one in rows], [one.proba for one in rows]
    weight = [one.weight for one in rows]
    expected = {
        "accuracy": sk.accuracy_score(actual, predicted, sample_weight=weight),
        "f1": sk.f1_score(actual, predicted, sample_weight=weight),
        "precision": sk.precision_score(actual, predicted, sample_weight=weight),
        "recall": sk.recall_score(actual, predicted, sample_weight=weight),
        "log_loss": sk.log_loss(actual, score, sample_weight=weight),
        "brier": sk.brier_score_loss(actual, score, sample_weight=weight),
        "mcc": sk.matthews_corrcoef(actual, predicted, sample_weight=weight),
    }
    if exact_order:
        expected["roc_auc"] = sk.roc_auc_score(actual, score, sample_weight=weight)
        expected["pr_auc"] = sk.average_precision_score(actual, score, sample_weight=weight)
    for name, value in expected.items():
        assert close(fields[f"{name}@{window}"], value), (name, window)
    assert fields[f"n@{window}"] == str(float(len(rows)))
    counts = sk.confusion_matrix(actual, predicted, labels=[0, 1]).tolist()
    assert json.loads(fields[f"confusion@{window}"]) == {"classes": ["0", "1"], "counts": counts}


@pytest.mark.parametrize("size", [1, 7, 64, 1_000])
def test_every_window_equals_scikit_learn_whatever_the_blocks(size):
    stream = binary(600, seed=1, step_ms=120_000)
    monitor, _ = watch(SETTINGS, stream, size, late=5)
    fields = written(monitor, "tg:metrics:churn:v1")
    newest = stream[-1].at_ms
    for window, pane_ms in (("1h", HOUR_MS // 12), ("24h", 2 * HOUR_MS)):
        start = (newest // pane_ms - 11) * pane_ms
        assert_binary(fields, window, [one for one in stream if one.at_ms >= start], exact_order=False)
    assert_binary(fields, "50", stream[-50:], exact_order=True)


def test_corrections_subtract_before_they_add_in_every_window():
    stream = corrected(binary(300, seed=2, step_ms=60_000), every=7)
    monitor, _ = watch(SETTINGS, stream, 10, late=30)
    fields = written(monitor, "tg:metrics:churn:v1")
    assert_binary(fields, "24h", stream, exact_order=False)
    assert_binary(fields, "50", stream[-50:], exact_order=True)


def test_a_correction_of_an_outcome_that_has_left_the_ring_changes_only_the_panes():
    stream = binary(200, seed=3)
    late = replace(stream[0], labels=(stream[0].labels[0], not stream[0].labels[0]))
    monitor = Monitor(SETTINGS)
    first, *rest = blocks([late, *stream[1:]], 1)
    taken_back = np.flatnonzero(first.outcomes.offset > 0)
    kept = np.flatnonzero(first.outcomes.offset == 0)
    for block in (first.select(None, kept), *rest):
        monitor.observe(block)
    monitor._applied.clear()  # the correction's trigger would count as known: its offset is a low one here
    monitor.observe(first.select(np.empty(0, np.int64), taken_back))
    fields = written(monitor, "tg:metrics:churn:v1")
    assert_binary(fields, "24h", [late, *stream[1:]], exact_order=False)
    assert_binary(fields, "50", stream[-50:], exact_order=True)


def test_segments_are_watched_apart_and_the_version_holds_them_all():
    stream = [
        replace(one, segments=(("country", "de" if i % 3 else "fr"), ("device", "x")))
        for i, one in enumerate(binary(240, seed=4))
    ]
    monitor, _ = watch(SETTINGS, stream)
    writes = monitor.report().writes
    assert_binary(writes["tg:metrics:churn:v1"], "24h", stream, exact_order=False)
    for country in ("de", "fr"):
        own = [one for one in stream if one.segments[0][1] == country]
        assert_binary(writes[f"tg:metrics:churn:v1:country={country}"], "24h", own, exact_order=False)
        assert_binary(writes[f"tg:metrics:churn:v1:country={country}"], "50", own[-50:], exact_order=True)
    assert not any("device" in key for key in writes)


def test_segment_values_past_the_limit_are_watched_together():
    settings = replace_settings(SETTINGS, limits=Limits(segment_values=2))
    stream = [replace(one, segments=(("country", f"c{i % 5}"),)) for i, one in enumerate(binary(50, seed=5))]
    monitor, _ = watch(settings, stream)
    found = [key for key in monitor.report().writes if "country=" in key]
    assert found == [f"tg:metrics:churn:v1:country={keys.encoded(v)}" for v in ("c0", "c1", "(other)")]


def test_regression_equals_scikit_learn():
    random = np.random.default_rng(6)
    actual = random.normal(100, 20, 300)
    predicted = actual + random.normal(1, 5, 300)
    stream = [
        Observed(f"r{i}", i * 60_000, float(p), (float(a),), model="price")
        for i, (p, a) in enumerate(zip(predicted, actual, strict=True))
    ]
    monitor, _ = watch(SETTINGS, stream)
    fields = written(monitor, "tg:metrics:price:v1")
    for window, rows in (("24h", slice(None)), ("50", slice(-50, None))):
        a, p = actual[rows], predicted[rows]
        assert close(fields[f"mae@{window}"], sk.mean_absolute_error(a, p))
        assert close(fields[f"rmse@{window}"], sk.root_mean_squared_error(a, p))
        assert close(fields[f"mape@{window}"], sk.mean_absolute_percentage_error(a, p))
        assert close(fields[f"bias@{window}"], float(np.mean(p - a)))
        assert float(fields[f"r2@{window}"]) == pytest.approx(sk.r2_score(a, p), rel=1e-9)


def test_a_class_that_appears_later_joins_the_matrix_without_loss():
    random = np.random.default_rng(7)
    names = ["cat", "dog", "eel", "fox"]
    stream = [
        Observed(
            f"m{i}", i * 60_000, names[random.integers(2 + i // 60)], (names[random.integers(2 + i // 60)],)
        )
        for i in range(120)
    ]
    monitor, _ = watch(SETTINGS, stream)
    fields = written(monitor, "tg:metrics:churn:v1")
    actual, predicted = [one.labels[0] for one in stream], [one.prediction for one in stream]
    for window, rows in (("24h", slice(None)), ("50", slice(-50, None))):
        a, p = actual[rows], predicted[rows]
        matrix = json.loads(fields[f"confusion@{window}"])
        assert matrix["counts"] == sk.confusion_matrix(a, p, labels=matrix["classes"]).tolist()
        assert close(fields[f"f1_macro@{window}"], sk.f1_score(a, p, average="macro"))
        assert close(fields[f"accuracy@{window}"], sk.accuracy_score(a, p))


def test_weights_count_in_metrics_and_not_in_n():
    random = np.random.default_rng(8)
    stream = [replace(one, weight=float(random.integers(1, 5))) for one in binary(200, seed=8)]
    fields = written(watch(SETTINGS, stream)[0], "tg:metrics:churn:v1")
    assert_binary(fields, "24h", stream, exact_order=False)
    assert_binary(fields, "50", stream[-50:], exact_order=True)


def test_outcomes_wait_for_the_task_and_then_all_count():
    stream = [replace(one, proba=None) for one in binary(150, seed=9)]
    monitor, _ = watch(SETTINGS, stream[:90])
    assert written(monitor, "tg:model:churn")["task"] == "undecided"
    monitor, _ = watch(SETTINGS, stream)
    writes = monitor.report().writes
    assert writes["tg:model:churn"]["task"] == "binary"
    assert writes["tg:metrics:churn:v1"]["n@24h"] == "150.0"
    hits = sum(one.prediction == one.labels[0] for one in stream)
    assert close(writes["tg:metrics:churn:v1"]["accuracy@24h"], hits / 150)


def test_traffic_counts_predictions_coverage_latency_delay_and_kpis():
    random = np.random.default_rng(10)
    latency = random.lognormal(3, 1, 100)
    stream = [
        replace(
            one,
            latency_ms=float(latency[i]),
            labels=one.labels if i % 4 else (),
            kpis={"revenue": float(i)},
            delay_ms=i * 1_000,
        )
        for i, one in enumerate(binary(100, seed=10))
    ]
    fields = written(watch(SETTINGS, stream)[0], "tg:metrics:churn:v1")
    labelled = [one for one in stream if one.labels]
    assert fields["predictions@24h"] == "100.0"
    assert float(fields["coverage@24h"]) == 0.75
    assert close(fields["throughput_per_s@24h"], 100 / 86_400)
    for p in (50, 90, 95, 99):
        exact = np.quantile(latency, p / 100, method="inverted_cdf")
        assert float(fields[f"latency_p{p}_ms@24h"]) == pytest.approx(exact, rel=0.01)
        delays = [one.delay_ms / 1_000 for one in labelled]
        exact = np.quantile(delays, p / 100, method="inverted_cdf")
        assert float(fields[f"label_delay_p{p}_s@24h"]) == pytest.approx(exact, rel=0.01)
    revenue = np.array([one.kpis["revenue"] for one in labelled])
    right = np.array([one.prediction == one.labels[0] for one in labelled], float)
    assert close(fields["kpi.revenue.sum@24h"], revenue.sum())
    assert close(fields["kpi.revenue.mean@24h"], revenue.mean())
    correlation = np.corrcoef(revenue, right)[0, 1]
    assert float(fields["kpi.revenue.correlation@24h"]) == pytest.approx(correlation, rel=1e-6)


def test_what_is_undefined_is_null_and_never_zero():
    stream = [Observed(f"u{i}", i * 60_000, 0, (False,), 0.1) for i in range(20)]
    fields = written(watch(SETTINGS, stream)[0], "tg:metrics:churn:v1")
    assert fields["roc_auc@50"] == fields["precision@50"] == fields["latency_p50_ms@24h"] == keys.UNDEFINED
    assert fields["accuracy@50"] == "1.0"


def failing(count: int, seed: int, start_ms: int) -> list[Observed]:
    return [replace(one, prediction=1 - one.prediction) for one in binary(count, seed, start_ms)]


def incident() -> list[Observed]:
    """200 healthy outcomes, 100 of a model turned upside down, 200 healthy ones."""
    minute = 60_000
    return [*binary(200, 11), *failing(100, 12, 200 * minute), *binary(200, 13, 300 * minute)]


def test_a_rule_fires_once_and_resolves_once_with_its_evidence():
    _, alerts = watch(SETTINGS, incident(), 10)
    fired, resolved = [alert for alert in alerts if alert.kind == "performance"]
    assert (fired.status, resolved.status) == ("firing", "resolved")
    assert fired.incident_id == resolved.incident_id
    assert fired.alert_id != resolved.alert_id
    found = fired.evidence
    assert (found.metric, found.window, found.n, found.coverage) == ("accuracy", "50", 50, 1.0)
    assert found.threshold == pytest.approx(0.9 * found.baseline)
    assert found.current < found.threshold
    assert found.low < found.current < found.high


def test_the_same_blocks_raise_the_same_alerts():
    assert watch(SETTINGS, incident(), 10)[1] == watch(SETTINGS, incident(), 10)[1]


def test_the_baseline_is_that_of_the_first_outcomes_exactly():
    stream = binary(300, seed=14)
    fields = written(watch(SETTINGS, stream, 64)[0], "tg:baseline:churn:v1")
    first = stream[:100]
    assert close(fields["accuracy"], sum(one.prediction == one.labels[0] for one in first) / 100)


def test_a_configured_baseline_wins_and_a_control_message_over_it():
    settings = replace_settings(SETTINGS, models={"churn": Model(baseline={"accuracy": 0.99})})
    monitor, alerts = watch(settings, binary(200, seed=15), 10)
    assert written(monitor, "tg:baseline:churn:v1")["accuracy"] == "0.99"
    assert [alert.status for alert in alerts if alert.kind == "performance"] == ["firing"]
    monitor.control(
        Control(action="set_baseline", model_id="churn", model_version="v1", metrics={"accuracy": 0.5})
    )
    assert written(monitor, "tg:baseline:churn:v1")["accuracy"] == "0.5"


def test_a_silenced_version_raises_nothing_until_its_time():
    stream = incident()
    monitor = Monitor(SETTINGS)
    monitor.control(
        Control(action="silence", model_id="churn", model_version="v1", until_ms=stream[-1].at_ms + 1)
    )
    assert [alert for block in blocks(stream, 10) for alert in monitor.observe(block)] == []


def test_a_reset_version_resolves_its_incidents_and_starts_again():
    monitor, alerts = watch(SETTINGS, incident()[:290], 10)
    firing = {alert.incident_id for alert in alerts if alert.status == "firing"}
    gone = monitor.control(Control(action="reset", model_id="churn", model_version="v1"))
    assert firing
    assert {alert.incident_id for alert in gone} == firing
    later = binary(30, 16, 290 * 60_000)
    for block in blocks([replace(one, version="v1") for one in later], 10):
        monitor._applied.clear()  # this stream's offsets begin again
        monitor.observe(block)
    assert written(monitor, "tg:metrics:churn:v1")["n@24h"] == "30.0"


def test_rows_that_a_replay_emits_again_are_not_counted_twice():
    stream = corrected(binary(120, seed=17), every=5)
    monitor = Monitor(SETTINGS)
    every = list(blocks(stream, 8, late=3))
    for block in [*every[:9], *every[5:9], *every[5:]]:
        monitor.observe(block)
    assert_binary(written(monitor, "tg:metrics:churn:v1"), "24h", stream, exact_order=False)


@pytest.mark.parametrize("cut", [1, 13, 30])
def test_a_restored_monitor_goes_on_as_if_nothing_had_happened(cut):
    stream = [
        replace(
            one, features={"age": float(i % 7), "plan": "ab"[i % 2]}, kpis={"revenue": 1.0}, latency_ms=3.0
        )
        for i, one in enumerate(corrected(incident(), every=9))
    ]
    every = list(blocks(stream, 10, late=4))
    through, alerts = Monitor(SETTINGS), []
    for block in every:
        alerts += through.observe(block)
    first, again = Monitor(SETTINGS), Monitor(SETTINGS)
    found = [alert for block in every[:cut] for alert in first.observe(block)]
    again.restore(block_codec.unpack(block_codec.pack(first.state())))
    found += [alert for block in every[cut:] for alert in again.observe(block)]
    assert found == alerts
    assert again.report() == through.report()


def test_an_undecided_model_survives_a_restore():
    stream = [replace(one, proba=None) for one in binary(150, seed=18)]
    every = list(blocks(stream, 10))
    first, again = Monitor(SETTINGS), Monitor(SETTINGS)
    for block in every[:4]:
        first.observe(block)
    again.restore(block_codec.unpack(block_codec.pack(first.state())))
    for block in every[4:]:
        again.observe(block)
    assert written(again, "tg:metrics:churn:v1")["n@24h"] == "150.0"


def test_a_state_of_another_version_is_refused():
    with pytest.raises(SnapshotError):
        Monitor(SETTINGS).restore({"version": 0})


def test_a_feature_that_moves_is_a_data_drift_and_one_that_stays_is_none():
    random = np.random.default_rng(19)
    stream = [
        replace(one, features={"age": random.normal(0 if i < 2_000 else 2), "income": random.normal()})
        for i, one in enumerate(binary(4_000, seed=19))
    ]
    monitor, alerts = watch(SETTINGS, stream, 50)
    drifted = [alert for alert in alerts if alert.drift_type == "data_drift"]
    assert {alert.evidence.feature for alert in drifted} == {"age"}
    fields = written(monitor, "tg:drift:churn:v1")
    assert (fields["age.psi.verdict"], fields["income.psi.verdict"]) == ("drift", "stable")
    assert json.loads(fields["shift.moved"]) == ["age"]


def test_evidence_against_features_survives_a_restart():
    random = np.random.default_rng(25)
    stream = [
        replace(one, features={"age": random.normal(0 if i < 700 else 0.6), "plan": "ab"[random.integers(2)]})
        for i, one in enumerate(binary(2_000, seed=25))
    ]
    first, second = Monitor(SETTINGS), Monitor(SETTINGS)
    parts = list(blocks(stream, 64))
    for block in parts[:12]:
        first.observe(block)
    second.restore(block_codec.unpack(block_codec.pack(first.state())))
    told = [[alert for block in parts[12:] for alert in one.observe(block)] for one in (first, second)]
    assert told[0] == told[1]
    assert "age" in {alert.evidence.feature for alert in told[0]}


@pytest.mark.parametrize("features", ["psi", "none"])
def test_what_raises_alarms_on_features_can_be_chosen(features):
    random = np.random.default_rng(19)
    stream = [
        replace(one, features={"age": random.normal(0 if i < 2_000 else 2)})
        for i, one in enumerate(binary(4_000, seed=19))
    ]
    settings = msgspec.structs.replace(
        SETTINGS, drift=msgspec.structs.replace(SETTINGS.drift, features=features)
    )
    monitor, alerts = watch(settings, stream, 50)
    rules = {alert.rule for alert in alerts if alert.drift_type == "data_drift"}
    assert rules == ({"psi@24h"} if features == "psi" else set())
    assert "shift.moved" not in written(monitor, "tg:drift:churn:v1")


def test_a_detector_of_river_stands_beside_the_e_detector():
    minute = 60_000
    stream = [*binary(1_500, 20), *failing(500, 21, 1_500 * minute)]
    drift = msgspec.structs.replace(SETTINGS.drift, detectors=("e_sr", "adwin"))
    settings = msgspec.structs.replace(SETTINGS, drift=drift)
    monitor, _ = watch(settings, stream, 50)
    again = Monitor(settings)
    again.restore(block_codec.unpack(block_codec.pack(monitor.state())))
    for kept in (monitor, again):
        fields = written(kept, "tg:drift:churn:v1")
        assert int(fields["error.e_sr.changes"]) >= 1
        assert int(fields["error.adwin.changes"]) >= 1


def test_a_version_shares_its_promise_among_its_segments():
    stream = binary(300, 24)
    monitor, _ = watch(SETTINGS, stream, 50)
    shares = [monitor._standards.watched(n).share for n in range(len(monitor._roster.series))]
    again = Monitor(SETTINGS)
    again.restore(monitor.state())
    assert [again._standards.watched(n).share for n in range(len(monitor._roster.series))] == shares
    assert len(set(shares)) == len(shares)
    assert sum(shares) <= 0.5


def test_an_error_that_rises_is_a_concept_drift():
    minute = 60_000
    stream = [*binary(1_000, 20), *failing(500, 21, 1_000 * minute)]
    monitor, alerts = watch(SETTINGS, stream, 20)
    assert [alert.status for alert in alerts if alert.drift_type == "concept_drift"] == ["firing"]
    assert int(written(monitor, "tg:drift:churn:v1")["error.e_sr.changes"]) >= 1


def test_history_has_an_entry_for_each_hour_and_a_late_label_fills_its_own():
    stream = binary(180, seed=22)
    monitor, _ = watch(SETTINGS, stream, 10, late=90)
    entries = written(monitor, "tg:series:churn:v1:19700101")
    for hour in range(3):
        own = stream[hour * 60 : hour * 60 + 60]
        entry = json.loads(entries[str(hour * HOUR_MS)])
        assert entry["n"] == 60
        assert entry["accuracy"] == pytest.approx(sum(o.prediction == o.labels[0] for o in own) / 60)


def test_versions_do_not_mix():
    stream = [replace(one, version=f"v{i % 2}") for i, one in enumerate(binary(100, seed=23))]
    writes = watch(SETTINGS, stream)[0].report().writes
    for version in ("v0", "v1"):
        own = [one for one in stream if one.version == version]
        assert_binary(writes[f"tg:metrics:churn:{version}"], "24h", own, exact_order=False)
    assert json.loads(writes["tg:model:churn"]["versions"]) == ["v0", "v1"]


def replace_settings(settings: Settings, **sections: object) -> Settings:
    fields = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return Settings(**fields | sections)
