import msgspec
import numpy as np
import pytest
from msgspec import structs

from tidegauge.config import Rule
from tidegauge.drift.baseline import Baseline
from tidegauge.drift.detectors import Detector
from tidegauge.drift.distances import FeatureDrift
from tidegauge.metrics.value import Value
from tidegauge.policy.alerts import build_alert, closing_alert
from tidegauge.policy.incidents import IncidentKey, Incidents
from tidegauge.policy.rules import Shifted, judge, judge_detector, judge_psi, judge_shift, rule_name
from tidegauge.records import Alert, Attribution, Carrier


def alerts(test, judgement, rule="f1@1000 < 0.9*baseline", subject="f1", segment=None):
    """Return the firing and the resolving alert of one incident, both with this judgement as evidence."""
    key = IncidentKey("churn", "v1", segment, test, rule, subject)
    incidents = Incidents()
    fired = incidents.step(key, "breach", 1_000, 1)
    resolved = incidents.step(key, "healthy", 2_000, 1)
    return build_alert(key, fired, judgement, 1_000), build_alert(key, resolved, judgement, 2_000)


def of_rule(rule, current, baseline, source="configured", low=None, high=None):
    found = judge(rule, Value(current, 1000, low, high), Baseline(baseline, source), coverage=0.93)
    return alerts("rule", found, rule_name(rule), rule.metric)


def test_a_score_below_its_threshold_reads_like_a_sentence():
    fired, resolved = of_rule(Rule(metric="f1"), 0.71, 0.9, low=0.68, high=0.74)
    assert fired.message == (
        "f1 over the last 1000 outcomes is 0.71 [0.68, 0.74], below 0.81 = 0.9 x baseline 0.9 "
        "from the configuration (n=1000, coverage 0.93)"
    )
    assert resolved.message.startswith(
        "f1 over the last 1000 outcomes is back to 0.71 [0.68, 0.74], no longer below 0.81"
    )


@pytest.mark.parametrize(
    ("rule", "current", "baseline", "words"),
    [
        (
            Rule(metric="mae", window="24h", factor=1.1),
            2.5,
            2.0,
            "mae over the last 24h is 2.5, above 2.2 = 1.1 x",
        ),
        (Rule(metric="r2"), -0.6, -0.5, "below -0.55 = 10% worse than baseline -0.5"),
        (Rule(metric="bias", factor=1.5), -4.0, -2.0, "further from 0 than 3 = 1.5 x baseline -2"),
    ],
)
def test_errors_negative_baselines_and_bias_say_which_side_is_worse(rule, current, baseline, words):
    assert words in of_rule(rule, current, baseline)[0].message


@pytest.mark.parametrize(
    ("source", "words"),
    [("early_production", "from early production"), ("control", "from a control message")],
)
def test_the_message_says_where_the_baseline_came_from(source, words):
    assert words in of_rule(Rule(metric="f1"), 0.1, 0.9, source)[0].message


def test_an_alert_is_identified_placed_in_time_and_carries_its_evidence():
    fired, resolved = of_rule(Rule(metric="f1"), 0.71, 0.9)
    assert (fired.status, fired.kind, fired.drift_type) == ("firing", "performance", None)
    assert (resolved.raised_at_ms, resolved.opened_at_ms) == (2_000, 1_000)
    assert fired.incident_id == resolved.incident_id and fired.alert_id != resolved.alert_id
    assert fired.evidence.current == 0.71
    assert msgspec.json.decode(msgspec.json.encode(fired), type=Alert) == fired


def test_a_drifting_feature_is_data_drift_and_says_where_it_moved():
    found = judge_psi(FeatureDrift(0.412, 0.2, 900, True, 3), "24h", "age", "null")
    fired, resolved = alerts("feature_psi", found, "psi@24h", "age")
    assert fired.drift_type == "data_drift" and fired.kind == "drift"
    assert fired.message == (
        "PSI of feature age over the last 24h is 0.412, above 0.2, most of it in 'null' (n=900)"
    )
    assert "is back to 0.412, no longer above 0.2 (n=900)" in resolved.message


def test_drifting_predictions_are_prediction_drift():
    found = judge_psi(FeatureDrift(0.4, 0.2, 900, True, 3), "24h", None)
    fired, _ = alerts("prediction_psi", found, "psi@24h", "prediction")
    assert fired.drift_type == "prediction_drift"
    assert fired.message.startswith("PSI of the predictions over the last 24h is 0.4")


@pytest.mark.parametrize(("name", "has_means"), [("adwin", True), ("ddm", False)])
def test_a_detectors_change_is_concept_drift_with_the_means_it_knows(name, has_means):
    detector = Detector(name)
    rng = np.random.default_rng(1)
    detector.update(np.append(rng.random(1_000) < 0.1, rng.random(500) < 0.6).astype(float))
    fired, resolved = alerts("detector", judge_detector(detector, 500, 1_500), name, "error")
    assert fired.drift_type == "concept_drift"
    assert fired.message.startswith(f"{name} found that the error rose")
    assert ("last change: from 0." in fired.message) == has_means
    assert resolved.message.startswith(f"{name} finds no further rise of the error")


def test_features_that_moved_are_one_alert_that_names_the_surest():
    found = judge_shift(Shifted(tuple("abcdefg"), 9e4, 6e4), 5_000, prediction=False)
    fired, resolved = alerts("feature_shift", found, "e_d_bh", "features")
    assert fired.drift_type == "data_drift"
    assert fired.message == (
        "features a, b, c, d, e and 2 more moved from the reference: "
        "evidence 9e+04, 6e+04 is enough for one (n=5000)"
    )
    assert resolved.message.endswith("look like the reference again (n=5000)")


def test_predictions_that_moved_are_prediction_drift():
    found = judge_shift(Shifted(("score",), 9e4, 6e4), 5_000, prediction=True)
    fired, _ = alerts("prediction_shift", found, "e_d_bh", "prediction")
    assert fired.drift_type == "prediction_drift"
    assert fired.message.startswith("the predictions moved from the reference: evidence 9e+04")


@pytest.mark.parametrize(
    "test", ["rule", "feature_psi", "prediction_psi", "detector", "feature_shift", "prediction_shift"]
)
def test_a_reset_resolves_without_numbers(test):
    key = IncidentKey("churn", "v1", None, test, "rule", "f1")
    incidents = Incidents()
    incidents.step(key, "breach", 1_000, 1)
    [(_, step)] = incidents.forget("churn", "v1")
    alert = closing_alert(key, step, 3_000)
    assert (alert.status, alert.raised_at_ms, alert.evidence.current) == ("resolved", 3_000, None)
    assert "the version was reset" in alert.message


def test_a_baseline_that_moves_is_named_and_what_stands_in_for_it_too():
    rule = Rule(metric="f1", window="24h", baseline="seasonal")
    fired, _ = of_rule(rule, 0.71, 0.9, source="seasonal")
    assert fired.rule == "f1@24h < 0.9*seasonal baseline"
    assert "baseline 0.9 from the same hours of the weeks before (n=" in fired.message
    assert fired.evidence.baseline_source == "seasonal"
    early, _ = of_rule(rule, 0.71, 0.9, source="early_production")
    assert "from early production, too little for the seasonal one (n=" in early.message


def test_the_first_carrier_of_a_change_ends_the_message_with_its_part():
    found = judge(Rule(metric="f1"), Value(0.7, 1000, None, None), Baseline(0.9, "configured"))
    carrier = Carrier(where={"city": "b", "plan": "free"}, part=0.15, n=90, before=0.1, after=0.6, p=0.001)
    told = Attribution(loss="error", before=0.1, after=0.3, n_before=500, n=500, carriers=(carrier,))
    fired, _ = alerts("rule", found._replace(evidence=structs.replace(found.evidence, attribution=told)))
    assert fired.message.endswith("; 75% of the change of the error lies in city=b and plan=free (n=90)")
    other = structs.replace(told, after=0.05)
    fired, _ = alerts("rule", found._replace(evidence=structs.replace(found.evidence, attribution=other)))
    assert fired.message.endswith("; worst in city=b and plan=free (n=90)")
