"""Estimates of the monitor: there before the labels, beside the realised values, and judged by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

from tests.monitor.streams import Observed, binary, blocks
from tidegauge.adapters import block_codec
from tidegauge.config import Drift, Estimates, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.metrics.scores import bin_of
from tidegauge.monitor import Monitor
from tidegauge.monitor.featured import MOST_PROFILES
from tidegauge.records import Control

ESTIMATES = Estimates(min_outcomes=200, reference_outcomes=1_000, live_outcomes=2_000, cells=0)
SETTINGS = Settings(
    monitor=MonitorSettings(count_windows=(50,), time_windows=("1h", "24h"), baseline_outcomes=100),
    rules=(),
    drift=Drift(reference_rows=200, window="24h", detectors=()),
    estimates=ESTIMATES,
)
KEY = "tg:estimates:churn:v1"


def watch(stream, settings=SETTINGS, size=50, late=500):
    monitor = Monitor(settings)
    for block in blocks(stream, size, late):
        if len(block.predictions.offset):  # until the last prediction: the last labels are still to come
            monitor.observe(block)
    return monitor


def estimates(monitor):
    return monitor.report().writes.get(KEY, {})


def test_the_estimate_is_that_of_all_predictions_under_the_isotonic_curve_of_the_labels_that_came():
    stream, late = binary(1_200, seed=1, step_ms=30_000), 400
    found = estimates(watch(stream, late=late))
    labelled = stream[:800]
    bins = [bin_of(np.array([one.proba for one in rows]), 200) for rows in (labelled, stream)]
    curve = IsotonicRegression(out_of_bounds="clip").fit(bins[0], [one.labels[0] for one in labelled])
    c = curve.predict(bins[1])
    said = np.tile([one.prediction for one in stream], 2)
    actual, weight = np.repeat([1, 0], len(stream)), np.concatenate((c, 1 - c))
    wanted = {
        "accuracy": sk.accuracy_score(actual, said, sample_weight=weight),
        "f1": sk.f1_score(actual, said, sample_weight=weight),
        "precision": sk.precision_score(actual, said, sample_weight=weight),
        "recall": sk.recall_score(actual, said, sample_weight=weight),
        "roc_auc": sk.roc_auc_score(actual, np.tile(bins[1], 2), sample_weight=weight),
    }
    for name, value in wanted.items():
        assert float(found[f"{name}@24h"]) == pytest.approx(value, abs=1e-9), name
        assert float(found[f"{name}@24h.lo"]) < value < float(found[f"{name}@24h.hi"]), name
        assert found[f"{name}@24h.n"] == "1200"


@pytest.mark.parametrize("size", [1, 25, 400])
def test_blocks_of_any_size_give_the_same_estimates_within_the_reference(size):
    stream = binary(800, seed=2, step_ms=10_000)
    found, wanted = (estimates(watch(stream, size=n, late=400)) for n in (size, 100))
    assert {name: text for name, text in found.items() if "@24h" in name} == {
        name: text for name, text in wanted.items() if "@24h" in name
    }


def test_a_window_without_a_single_label_has_an_estimate_and_no_realised_value():
    stream = binary(1_500, seed=3, step_ms=20_000)
    monitor = watch(stream, late=1_000)
    writes = monitor.report().writes
    assert writes["tg:metrics:churn:v1"]["accuracy@1h"] == "null"
    assert 0.6 < float(writes[KEY]["accuracy@1h"]) < 0.9


def test_nothing_is_estimated_before_there_are_labels_enough_or_where_it_is_switched_off():
    stream = binary(600, seed=4)
    assert estimates(watch(stream, late=450)) == {}
    off = replace_estimates(enabled=False)
    assert estimates(watch(stream, off, late=100)) == {}


def replace_estimates(**changes):
    fields = {name: getattr(ESTIMATES, name) for name in ESTIMATES.__struct_fields__} | changes
    parts = {name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__}
    return Settings(**(parts | {"estimates": Estimates(**fields)}))


def test_hours_are_judged_when_their_labels_have_come_and_a_good_estimate_holds():
    stream = binary(6_000, seed=5, step_ms=12_000)
    found = estimates(watch(stream, late=900))
    assert int(found["accuracy.error@1h.n"]) >= 10
    assert float(found["accuracy.error@1h"]) < 0.05
    assert abs(float(found["f1.bias@1h"])) < 0.03
    assert float(found["roc_auc.held@1h"]) >= 0.7  # of 13 or so


def test_concept_drift_leaves_the_estimate_where_it_was_and_shows_as_its_error():
    stream = binary(3_000, seed=6, step_ms=12_000)
    turned = [replace(one, labels=(not one.labels[0],)) for one in binary(3_000, 7, 36_000_000, 12_000)]
    fine, wrong = estimates(watch(stream, late=300)), estimates(watch(stream + turned, late=900))
    assert float(wrong["accuracy.bias@1h"]) > 0.15 > abs(float(fine["accuracy.bias@1h"]))
    assert float(wrong["accuracy.held@1h"]) < 0.7 < float(fine["accuracy.held@1h"])


def test_new_labels_refresh_the_calibration_and_the_reference_fades():
    """After the concept turned, every further label pulls the estimate to what is realised now."""
    turned = [replace(one, labels=(not one.labels[0],)) for one in binary(9_000, 9, 36_000_000, 3_000)]
    stream = binary(3_000, seed=8, step_ms=12_000) + turned
    found = [float(estimates(watch(stream[:n], late=100))["accuracy@1h"]) for n in (3_000, 5_000, 12_000)]
    realised = 0.25
    assert found[0] > 0.7
    assert abs(found[2] - realised) < abs(found[1] - realised) < abs(found[0] - realised)


def test_classes_by_name_are_estimated_against_the_rest():
    random = np.random.default_rng(10)
    classes = ["cat", "dog", "owl"]
    stream = []
    for i in range(3_000):
        proba = random.dirichlet(np.ones(3))
        label = classes[random.choice(3, p=proba)]
        named = dict(zip(classes, proba.tolist(), strict=True))
        stream.append(Observed(f"m{i}", i * 10_000, classes[int(proba.argmax())], (label,), named))
    monitor = watch(stream, late=1_000)
    found = estimates(monitor)
    part = [one for one in stream if one.at_ms >= 0]
    realised = np.mean([one.prediction == one.labels[0] for one in part])
    assert float(found["accuracy@24h.lo"]) < realised < float(found["accuracy@24h.hi"])
    assert {name.partition("@")[0] for name in found if name.endswith("@24h")} == {
        "accuracy", "precision_macro", "recall_macro", "f1_macro", "roc_auc",
    }  # fmt: skip


def test_a_snapshot_goes_on_as_if_nothing_had_happened():
    settings = replace_estimates(cells=40)
    stream = [
        replace(one, features={"age": i % 7, "plan": "ab"[i % 2]}) for i, one in enumerate(binary(4_000, 11))
    ]
    whole, half = Monitor(settings), Monitor(settings)
    for i, block in enumerate(blocks(stream, 100, 300)):
        whole.observe(block)
        if i == 30:
            packed = block_codec.pack(half.state())
            half = Monitor(settings)
            half.restore(block_codec.unpack(packed))
        half.observe(block)
    assert whole.report().writes[KEY] == pytest.approx(half.report().writes[KEY])


def test_a_reset_forgets_a_version():
    monitor = watch(binary(1_500, seed=12), late=200)
    assert estimates(monitor)
    monitor.control(Control(action="reset", model_id="churn", model_version="v1"))
    assert estimates(monitor) == {}


def regression(count, seed, old_share, start_ms=0):
    """Return cars whose price is harder to tell the older they are."""
    random = np.random.default_rng(seed)
    stream = []
    for i in range(count):
        old = bool(random.random() < old_share)
        price = float(random.normal(100, 20))
        error = float(random.normal(0, 8 if old else 2))
        features = {"age": float(random.uniform(8, 12) if old else random.uniform(0, 4)), "fuel": "gas"}
        at_ms = start_ms + i * 5_000
        stream.append(Observed(f"{seed}r{i}", at_ms, price, (price + error,), None, features=features))
    return stream


def test_a_regressions_loss_is_estimated_from_features_before_labels_come():
    settings = replace_estimates(cells=100)
    stream = regression(5_000, 13, 0.2) + regression(1_000, 14, 0.9, start_ms=5_000 * 5_000)
    monitor = watch(stream, settings, late=1_000)
    writes = monitor.report().writes
    found = writes[KEY]
    recent = [one for one in stream if one.at_ms >= stream[-1].at_ms // 300_000 * 300_000 - 11 * 300_000]
    errors = np.array([one.prediction - one.labels[0] for one in recent])
    assert writes["tg:metrics:churn:v1"]["mae@1h"] == "null" or int(found["mae@1h.n"]) > 0
    assert float(found["mae@1h"]) == pytest.approx(np.abs(errors).mean(), rel=0.12)
    assert float(found["rmse@1h"]) == pytest.approx(np.sqrt((errors**2).mean()), rel=0.12)
    assert float(found["mae@1h"]) > 2 * float(found["mae@24h"]) * 0.8
    assert int(found["mae@1h.n"]) == len(recent)


def test_a_regressions_hours_are_judged_too():
    found = estimates(watch(regression(6_000, 15, 0.3), replace_estimates(cells=100), late=800))
    assert int(found["mae.error@1h.n"]) >= 2
    assert float(found["mae.error@1h"]) < 0.5


def mixed(count, seed, share, start_ms=0):
    """Return a stream of two plans; scores of plan b promise twice what comes."""
    random = np.random.default_rng(seed)
    stream = []
    for i in range(count):
        score, plan = float(random.random()), "b" if random.random() < share else "a"
        label = bool(random.random() < score * (0.5 if plan == "b" else 1.0))
        at_ms = start_ms + i * 2_000
        features = {"plan": plan, "age": float(random.integers(0, 5))}
        stream.append(Observed(f"{seed}x{i}", at_ms, int(score > 0.5), (label,), score, features=features))
    return stream


def test_weighting_by_features_sees_a_change_of_the_mix_and_plain_scores_do_not():
    settings = replace_estimates(cells=40, reference_outcomes=4_000)
    stream = mixed(12_000, 16, 0.3) + mixed(2_000, 17, 0.7, start_ms=12_000 * 2_000)
    found = estimates(watch(stream, settings, size=250, late=2_000))
    recent = [one for one in stream if one.at_ms >= stream[-1].at_ms // 300_000 * 300_000 - 11 * 300_000]
    realised = np.mean([one.prediction == one.labels[0] for one in recent])
    assert abs(float(found["accuracy.weighted@1h"]) - realised) < 0.03
    assert abs(float(found["accuracy@1h"]) - realised) > 0.04
    assert 0.5 <= float(found["support@1h"]) < 0.95


def test_weighting_says_that_it_knows_nothing_where_no_label_is_like_the_data():
    settings = replace_estimates(cells=40, reference_outcomes=4_000)
    stream = mixed(8_000, 18, 0.02) + mixed(2_000, 19, 0.98, start_ms=8_000 * 2_000)
    found = estimates(watch(stream, settings, size=250, late=2_000))
    assert found["accuracy.weighted@1h"] == "null"
    assert float(found["support@1h"]) < 0.3


def test_models_of_features_are_for_a_bounded_number_of_versions():
    stream = [replace(one, version=f"v{i}") for i, one in enumerate(regression(70, 20, 0.5))]
    monitor = watch(stream, replace_estimates(cells=20), late=0)
    assert len(monitor.state()["estimates"]["featured"]) == MOST_PROFILES < 70
