from __future__ import annotations

import pytest

from tidegauge.estimate.track import Judged, errors, judge
from tidegauge.metrics.value import Value, undefined


def test_only_metrics_with_estimate_interval_and_realised_value_are_judged():
    said = {"f1": Value(0.5, 9, 0.4, 0.6), "recall": undefined(9), "roc_auc": Value(0.9, 9, None, None)}
    realised = {"f1": Value(0.55, 9, None, None), "recall": Value(0.5, 9, None, None), "brier": undefined()}
    assert judge(said, realised) == {"f1": Judged(0.5, 0.4, 0.6, 0.55)}


def test_errors_tell_distance_bias_and_how_often_the_interval_held():
    cohorts = [Judged(0.9, 0.85, 0.95, realised) for realised in (0.9, 0.8, 0.7, 0.6)]
    found = errors("f1", cohorts, 1.96)
    assert found["f1.error"].value == pytest.approx(0.15)
    assert found["f1.bias"].value == pytest.approx(0.15)
    assert found["f1.held"].value == 0.25
    assert {value.n for value in found.values()} == {4}
    assert found["f1.error"].low < 0.15 < found["f1.error"].high


def test_one_cohort_has_no_interval_and_none_has_no_error():
    assert errors("f1", [Judged(0.9, 0.8, 1.0, 0.5)], 1.96)["f1.error"].low is None
    assert errors("f1", [], 1.96) == {}
