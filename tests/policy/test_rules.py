import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.config import Rule
from tidegauge.drift.baseline import Baseline
from tidegauge.drift.detectors import Detector
from tidegauge.drift.distances import FeatureDrift
from tidegauge.drift.error_baseline import Terms
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.drift.multivariate import PairMoved
from tidegauge.metrics.value import Value, undefined
from tidegauge.policy.rules import (
    PairsShifted,
    Shifted,
    falls,
    judge,
    judge_detector,
    judge_error,
    judge_pairs,
    judge_psi,
    judge_shift,
    rule_name,
    threshold,
)

SCORE = Rule(metric="f1", factor=0.9)
ERROR = Rule(metric="mae", factor=1.1)
R2 = Rule(metric="r2", factor=0.9)
BIAS = Rule(metric="bias", factor=1.5)
REVENUE = Rule(metric="kpi.revenue.mean", factor=0.8)
COST = Rule(metric="kpi.cost.mean", factor=1.2)


def verdict(rule, current, baseline):
    return judge(rule, Value(current, 1000, None, None), Baseline(baseline, "configured")).verdict


@pytest.mark.parametrize(
    ("rule", "current", "baseline", "expected"),
    [
        (SCORE, 0.80, 0.9, "breach"),
        (SCORE, 0.81, 0.9, "healthy"),  # the threshold itself is healthy
        (SCORE, 0.95, 0.9, "healthy"),
        (ERROR, 2.3, 2.0, "breach"),
        (ERROR, 2.2, 2.0, "healthy"),
        (ERROR, 1.0, 2.0, "healthy"),
        (R2, -0.54, -0.5, "healthy"),
        (R2, -0.56, -0.5, "breach"),
        (R2, -0.1, 0.0, "breach"),
        (R2, 0.0, 0.0, "healthy"),
        (BIAS, -2.9, 2.0, "healthy"),
        (BIAS, -3.1, 2.0, "breach"),
        (BIAS, 3.1, -2.0, "breach"),
        (REVENUE, 7.9, 10.0, "breach"),
        (REVENUE, 99.0, 10.0, "healthy"),
        (COST, 12.1, 10.0, "breach"),
    ],
)
def test_a_value_worse_than_its_threshold_is_a_breach(rule, current, baseline, expected):
    assert verdict(rule, current, baseline) == expected


@given(st.floats(-1e6, 1e6), st.floats(0.05, 1.0))
def test_the_baseline_itself_is_healthy_whatever_its_sign(baseline, factor):
    assert verdict(Rule(metric="r2", factor=factor), baseline, baseline) == "healthy"


@given(st.floats(-1e6, 1e6), st.floats(1.0, 5.0))
def test_a_positive_or_negative_baseline_leaves_the_same_room(baseline, factor):
    rule = Rule(metric="kpi.cost.mean", factor=factor if factor > 1 else 1.5)
    room = threshold(rule, baseline) - baseline
    assert room == pytest.approx(threshold(rule, -baseline) + baseline, abs=1e-6)
    assert room >= 0


@pytest.mark.parametrize(
    ("value", "baseline", "reason"),
    [
        (undefined(5000), Baseline(0.9, "configured"), "undefined"),
        (Value(0.1, 199, None, None), Baseline(0.9, "configured"), "few_samples"),
        (Value(0.1, 200, None, None), None, "no_baseline"),
    ],
)
def test_what_is_undefined_or_small_or_has_no_baseline_is_undecided(value, baseline, reason):
    judgement = judge(SCORE, value, baseline)
    assert (judgement.verdict, judgement.reason) == ("undecided", reason)


@pytest.mark.parametrize(("coverage", "reason"), [(None, "incomplete"), (0.89, "incomplete"), (0.9, None)])
def test_while_labels_are_missing_a_rule_that_asks_for_them_is_undecided(coverage, reason):
    rule = Rule(metric="f1", window="24h", min_complete=0.9)
    found = judge(rule, Value(0.1, 1000, None, None), Baseline(0.9, "configured"), coverage)
    assert found.reason == reason
    assert found.evidence.coverage == coverage
    assert (found.verdict == "breach") == (reason is None)


def test_a_baseline_of_zero_decides_what_should_not_fall_but_not_what_should_not_rise():
    zero = Baseline(0.0, "early_production")
    assert judge(ERROR, Value(3.0, 1000, None, None), zero).reason == "zero_baseline"
    assert judge(BIAS, Value(3.0, 1000, None, None), zero).reason == "zero_baseline"
    assert judge(SCORE, Value(0.0, 1000, None, None), zero).verdict == "healthy"


def test_the_evidence_is_all_that_the_judgement_rests_on():
    found = judge(SCORE, Value(0.71, 1000, 0.68, 0.74), Baseline(0.9, "configured"), coverage=0.93).evidence
    assert (found.metric, found.window, found.n, found.coverage) == ("f1", "1000", 1000, 0.93)
    assert (found.current, found.low, found.high, found.baseline) == (0.71, 0.68, 0.74, 0.9)
    assert found.threshold == pytest.approx(0.81)


def test_rules_that_differ_have_names_that_differ():
    rules = [SCORE, ERROR, R2, BIAS, Rule(metric="f1", window="24h"), Rule(metric="f1", factor=0.8)]
    assert len({rule_name(rule) for rule in rules}) == len(rules)
    assert [falls(rule) for rule in (SCORE, ERROR, BIAS, REVENUE, COST)] == [True, False, False, True, False]


def test_drift_on_bins_is_a_breach_and_no_verdict_is_undecided():
    drift = judge_psi(FeatureDrift(0.4, 0.2, 900, True, 1), "24h", "age", "null")
    assert (drift.verdict, drift.note, drift.evidence.feature) == ("breach", "null", "age")
    assert judge_psi(FeatureDrift(0.1, 0.2, 900, False, 1), "24h", "age").verdict == "healthy"
    assert judge_psi(FeatureDrift(0.4, 0.2, 9, None, 1), "24h", "age").reason == "few_samples"
    assert judge_psi(FeatureDrift(None, None, 0, None, None), "24h", None).reason == "undefined"
    assert judge_psi(FeatureDrift(0.1, 0.2, 900, False, 1), "24h", None).evidence.metric == "prediction.psi"


def level(detector, rate, n=1_000):
    rng = np.random.default_rng(int(rate * 100))
    detector.update((rng.random(n) < rate).astype(np.float64))
    return judge_detector(detector, min_samples=500, resolve_after=1_500)


def test_a_detector_breaches_from_a_change_for_the_worse_until_it_is_long_past():
    detector = Detector("adwin")
    assert level(detector, 0.1, 400).reason == "few_samples"
    assert level(detector, 0.1).verdict == "healthy"
    changed = level(detector, 0.5, 500)
    assert changed.verdict == "breach"
    assert changed.evidence.baseline < changed.evidence.current
    assert level(detector, 0.5, 500).verdict == "breach"
    assert level(detector, 0.5, 1_500).verdict == "healthy"


def test_a_change_for_the_better_ends_the_breach_at_once():
    detector = Detector("adwin")
    level(detector, 0.1)
    assert level(detector, 0.6, 500).verdict == "breach"
    assert level(detector, 0.1, 600).verdict == "healthy"
    assert detector.last is not None and not detector.last.worse


def shown(detector, rate, n):
    rng = np.random.default_rng(int(rate * 100))
    detector.update((rng.random(n) < rate).astype(np.float64))
    return judge_error(detector, resolve_after=500)


def test_the_e_detector_breaches_while_the_error_is_up_and_is_undecided_while_it_learns():
    detector = ErrorShift(Terms(reference=1_000, run_length=1e6))
    assert shown(detector, 0.1, 900).reason == "few_samples"
    assert shown(detector, 0.1, 3_000).verdict == "healthy"
    changed = shown(detector, 0.3, 300)
    assert changed.verdict == "breach"
    assert changed.evidence.baseline == pytest.approx(0.1, abs=0.03)
    assert changed.evidence.baseline < changed.evidence.current
    assert shown(detector, 0.3, 5_000).verdict == "breach"
    assert shown(detector, 0.1, 5_000).verdict == "healthy"


def test_a_change_that_took_long_to_find_is_not_over_after_a_short_quiet():
    detector = ErrorShift(Terms(reference=0, mean=0.1, run_length=1e6))
    while not detector.changes:
        detector.update(np.tile([1.0, *[0.0] * 5], 10))
    took = detector.took
    assert took > 100
    healthy = np.tile([1.0, *[0.0] * 9], took // 10)
    for expected in ("breach", "breach", "healthy", "healthy"):
        detector.update(healthy)
        assert judge_error(detector, resolve_after=10).verdict == expected


def test_features_that_were_named_are_a_breach_and_no_row_is_undecided():
    found = judge_shift(Shifted(("age", "plan"), 9e4, 6e4), 5_000, prediction=False)
    assert (found.verdict, found.note, found.evidence.feature) == ("breach", "age, plan", "age")
    assert (found.evidence.current, found.evidence.threshold) == (9e4, 6e4)
    assert judge_shift(Shifted((), None, 6e4), 5_000, prediction=True).verdict == "healthy"
    assert judge_shift(Shifted((), None, None), 0, prediction=True).reason == "few_samples"


def test_pairs_that_were_named_are_a_breach_and_no_row_is_undecided():
    moved = PairMoved(("age", "plan"), 9e4, -0.5, 0.6)
    found = judge_pairs(PairsShifted((moved,), 6e4, 5_000))
    assert (found.verdict, found.note) == ("breach", "age and plan (0.60 to -0.50)")
    assert (found.evidence.current, found.evidence.threshold) == (9e4, 6e4)
    assert judge_pairs(PairsShifted((), 6e4, 5_000)).verdict == "healthy"
    assert judge_pairs(PairsShifted((), None, 0)).reason == "few_samples"


def test_a_final_alarm_stands():
    detector = ErrorShift(Terms(reference=0, mean=0.1, ever=0.05))
    assert shown(detector, 0.4, 300).verdict == "breach"
    assert shown(detector, 0.1, 20_000).verdict == "breach"
    assert detector.changes == 1
