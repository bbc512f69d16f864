"""Labels that break with their scores raise an alarm of their own; scores that move do not."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.monitor.streams import Observed, blocks
from tidegauge.adapters import block_codec
from tidegauge.config import Drift, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.drift.calibration_shift import CalibrationShift, CalibrationTerms
from tidegauge.monitor import Monitor
from tidegauge.records import Alert, Control

SETTINGS = Settings(
    monitor=MonitorSettings(baseline_outcomes=200, inference_outcomes=20),
    drift=Drift(detectors=(), features="none", reference_outcomes=500, every_outcomes=20, resolve_after=200),
    rules=(),
)
STEP_MS = 60_000
KEY = "tg:drift:churn:v1"


def scored(seed: int, count: int, shift: float = 0.0, centre: float = 0.0, start: int = 0) -> list[Observed]:
    """Return predictions whose labels come as their probabilities say, but for a shift of the logit."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(centre, 1.5, count)
    came = rng.random(count) < 1 / (1 + np.exp(-logits - shift))
    score = 1 / (1 + np.exp(-logits))
    return [
        Observed(f"{start + i}", (start + i) * STEP_MS, int(p > 0.5), (bool(y),), float(p))
        for i, (p, y) in enumerate(zip(score.tolist(), came.tolist(), strict=True))
    ]


def watch(
    stream: list[Observed], size: int = 16, settings: Settings = SETTINGS
) -> tuple[Monitor, list[Alert]]:
    monitor, alerts = Monitor(settings), []
    for block in blocks(stream, size):
        alerts += monitor.observe(block)
    return monitor, alerts


BROKEN = scored(1, 1_000) + scored(2, 600, shift=-1.5, start=1_000)


@pytest.mark.parametrize("size", [1, 16, 700])
def test_labels_that_break_with_their_scores_are_concept_drift(size: int) -> None:
    monitor, alerts = watch(BROKEN, size)
    first = alerts[0]
    assert (first.kind, first.drift_type, first.status) == ("drift", "concept_drift", "firing")
    assert first.message.startswith(
        "e_sr found that classes come less often than their probabilities have meant"
    )
    evidence = first.evidence
    assert (evidence.metric, evidence.detector) == ("calibration", "e_sr")
    assert evidence.current is not None
    assert evidence.baseline is not None
    assert evidence.current < evidence.baseline - 0.1
    assert monitor.report().writes[KEY]["calibration.e_sr.how"] == "fewer"


def test_scores_that_move_while_labels_keep_to_them_raise_nothing() -> None:
    assert watch(scored(3, 1_000) + scored(4, 2_000, centre=2.0, start=1_000))[1] == []


def test_it_is_over_when_labels_keep_to_their_scores_again() -> None:
    _, alerts = watch(BROKEN + scored(5, 4_000, start=1_600))
    assert [alert.status for alert in alerts] == ["firing", "resolved"]
    assert alerts[1].message.startswith("probabilities mean again what they meant (n=")


def test_the_detector_of_a_version_sees_the_first_labels_in_their_order() -> None:
    stream = [
        replace(one, labels=(one.labels[0], not one.labels[0])) if i % 7 == 0 else one
        for i, one in enumerate(scored(6, 700))
    ]
    stream = [replace(one, segments=(("city", "x"),), proba=None if i % 5 == 0 else one.proba)
              for i, one in enumerate(stream)]  # fmt: skip
    monitor, _ = watch(stream, 700)
    expected = CalibrationShift(CalibrationTerms(reference=500))
    rows = [(one.proba, float(one.labels[0])) for one in stream if one.proba is not None]
    expected.update(*np.array(rows).T)
    (found,) = monitor.state()["calibrated"]["kept"]
    assert found[3]["curve"] == expected.dump()["curve"]
    assert found[3]["seen"] == len(rows)


def test_of_many_classes_it_is_how_often_the_predicted_one_is_right() -> None:
    rng = np.random.default_rng(7)

    def one(number: int, right: float) -> Observed:
        top = float(rng.uniform(0.4, 0.95))
        classes = rng.permutation(["cat", "dog", "eel"]).tolist()
        proba = dict(zip(classes, (top, (1 - top) / 2, (1 - top) / 2), strict=True))
        label = classes[0] if rng.random() < top * right else classes[1 + rng.integers(2)]
        return Observed(f"m{number}", number * STEP_MS, classes[0], (label,), proba)

    stream = [one(number, 1.0) for number in range(1_500)] + [
        one(number, 0.6) for number in range(1_500, 1_900)
    ]
    _, alerts = watch(stream)
    assert len(alerts) == 1
    assert alerts[0].raised_at_ms > 1_500 * STEP_MS
    assert "less often" in alerts[0].message


def test_of_numbers_it_is_on_which_side_the_truth_lies() -> None:
    rng = np.random.default_rng(8)
    stream = [
        Observed(f"r{i}", i * STEP_MS, float(p), (float(p + rng.normal(0.0 if i < 1_000 else 1.0)),))
        for i, p in enumerate(rng.normal(10, 5, 1_300).tolist())
    ]
    _, alerts = watch(stream)
    assert alerts[0].message.startswith("e_sr found that the truth is above its prediction more often")
    assert alerts[0].evidence.metric == "residual_sign"


def test_a_third_class_makes_scores_speak_of_something_else_so_the_reference_starts_anew() -> None:
    stream = [
        *scored(9, 600),
        Observed("c", 600 * STEP_MS, "other", ("other",), {"0": 0.2, "1": 0.2, "other": 0.6}),
    ]
    monitor, _ = watch(stream, 1)
    (kept,) = monitor.state()["calibrated"]["kept"]
    assert kept[1] == "binary"
    more = [replace(stream[-1], name=f"x{i}", at_ms=(601 + i) * STEP_MS) for i in range(70)]
    monitor, _ = watch(stream + more, 1)
    (kept,) = monitor.state()["calibrated"]["kept"]
    assert kept[1] == "multiclass"
    assert kept[3]["curve"] is None


@pytest.mark.parametrize("cut", [5, 40, 70])
def test_a_restored_monitor_goes_on_as_the_first(cut: int) -> None:
    through, first, again = Monitor(SETTINGS), Monitor(SETTINGS), Monitor(SETTINGS)
    every = list(blocks(BROKEN, 16))
    found = [through.observe(block) for block in every]
    for block in every[:cut]:
        first.observe(block)
    again.restore(block_codec.unpack(block_codec.pack(first.state())))
    assert [again.observe(block) for block in every[cut:]] == found[cut:]
    assert again.report() == through.report()


def test_a_reset_learns_a_new_reference_and_resolves_what_was_open() -> None:
    monitor, alerts = watch(BROKEN)
    assert alerts
    closed = monitor.control(Control(action="reset", model_id="churn", model_version="v1"))
    assert [alert.message for alert in closed] == [
        "probabilities: the version was reset, nothing is known of it now"
    ]
    assert monitor.state()["calibrated"]["kept"] == []


SEPARATION = msgspec.structs.replace(
    SETTINGS, drift=msgspec.structs.replace(SETTINGS.drift, calibration="none", tolerance=0.02)
)


def faded(seed: int, count: int, apart: float, start: int = 0) -> list[Observed]:
    """Return predictions of two classes whose scores lie so far apart."""
    rng = np.random.default_rng(seed)
    came = rng.random(count) < 0.3
    score = 1 / (1 + np.exp(-rng.normal(apart * came)))
    return [
        Observed(f"{start + i}", (start + i) * STEP_MS, int(p > 0.5), (bool(y),), float(p))
        for i, (p, y) in enumerate(zip(score.tolist(), came.tolist(), strict=True))
    ]


FADING = faded(1, 1_000, 2.0) + faded(2, 400, 0.0, start=1_000)


@pytest.mark.parametrize("size", [16, 700])
def test_scores_that_tell_classes_apart_less_are_concept_drift(size: int) -> None:
    monitor, alerts = watch(FADING, size, SEPARATION)
    (first,) = alerts
    assert (first.kind, first.drift_type, first.status) == ("drift", "concept_drift", "firing")
    assert first.message.startswith(
        "e_sr found that scores tell the two classes apart less: ROC AUC from 0.8992"
    )
    assert first.raised_at_ms > 1_000 * STEP_MS
    assert (first.evidence.metric, first.evidence.detector) == ("roc_auc", "e_sr")
    assert first.diagnosis is not None
    assert first.diagnosis.moved.realised == "moved"
    fields = monitor.report().writes[KEY]
    assert float(fields["separation.e_sr.before"]) > 0.85
    assert float(fields["separation.e_sr.after"]) < 0.8


def test_when_they_tell_them_apart_again_it_is_over() -> None:
    _, alerts = watch(FADING + faded(5, 4_000, 2.0, start=1_400), settings=SEPARATION)
    assert [alert.status for alert in alerts] == ["firing", "resolved"]
    assert alerts[1].message.startswith("scores tell the two classes apart as they did (n=")


def test_a_restored_monitor_goes_on_with_the_separation_too() -> None:
    through, first, again = Monitor(SEPARATION), Monitor(SEPARATION), Monitor(SEPARATION)
    every = list(blocks(FADING, 16))
    found = [through.observe(block) for block in every]
    for block in every[:70]:
        first.observe(block)
    again.restore(block_codec.unpack(block_codec.pack(first.state())))
    assert [again.observe(block) for block in every[70:]] == found[70:]
    assert again.report() == through.report()


def test_a_snapshot_from_before_there_was_separation_begins_to_learn_it() -> None:
    first, again = Monitor(SETTINGS), Monitor(SETTINGS)
    every = list(blocks(BROKEN, 16))
    for block in every[:50]:
        first.observe(block)
    state = block_codec.unpack(block_codec.pack(first.state()))
    del state["calibrated"]["separation"]
    again.restore(state)
    for block in every[50:60]:
        again.observe(block)
    fields = again.report().writes[KEY]
    assert int(fields["separation.e_sr.n"]) <= 160
    assert int(fields["calibration.e_sr.n"]) > 600


def test_of_three_classes_and_of_numbers_there_is_no_separation() -> None:
    numbers = [Observed(f"n{i}", i * STEP_MS, i / 7, (i / 7 + i % 3,)) for i in range(100)]
    monitor, _ = watch(numbers)
    assert not any(field.startswith("separation") for field in monitor.report().writes[KEY])


def test_where_it_is_not_asked_for_nothing_is_kept() -> None:
    drift = msgspec.structs.replace(SETTINGS.drift, calibration="none", separation="none")
    monitor, alerts = watch(BROKEN, settings=msgspec.structs.replace(SETTINGS, drift=drift))
    assert alerts == []
    assert not any("calibration" in field for field in monitor.report().writes[KEY])
