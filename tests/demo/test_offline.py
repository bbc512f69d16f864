import numpy as np
import pytest

from tidegauge.demo.expected import Expected, about_quantile, exactly
from tidegauge.demo.offline import (
    Bins,
    Classes,
    Rows,
    classification,
    confusion,
    order,
    regression,
    score_bin,
)

BINARY = Classes(["0", "1"], "1")
EXACT = Bins(None, 10)


def rows(predicted, actual, proba=None, weight=None) -> Rows:
    return Rows(predicted, actual, proba or [None] * len(actual), np.array(weight or [1.0] * len(actual)))


def test_a_hand_counted_window():
    found = classification(rows(list("1100"), list("1001"), [0.9, 0.6, 0.2, 0.4]), BINARY, EXACT)
    assert {name: found[name].low for name in ("accuracy", "precision", "recall", "f1", "mcc")} == {
        "accuracy": 0.5,
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "mcc": 0.0,
    }
    assert found["roc_auc"].holds(0.75)
    assert found["brier"].holds((0.1**2 + 0.6**2 + 0.2**2 + 0.6**2) / 4)
    assert found["ece"].holds((0.1 + 0.6 + 0.2 + 0.6) / 4)


def test_weights_count():
    found = classification(rows(list("10"), list("11"), weight=[3.0, 1.0]), BINARY, EXACT)
    assert found["accuracy"].holds(0.75)
    assert found["recall"].holds(0.75)


def test_what_is_undefined_is_none_and_not_zero():
    found = classification(rows(list("00"), list("00"), [0.1, 0.2]), BINARY, EXACT)
    assert all(
        not found[name].holds(0.0) and found[name].holds(None) for name in ("f1", "mcc", "roc_auc", "pr_auc")
    )
    assert all(expected.holds(None) for expected in classification(rows([], []), BINARY, EXACT).values())
    assert all(expected.holds(None) for expected in regression(rows([], [])).values())


def test_a_constant_truth_has_no_r2_and_zeros_no_percentage():
    found = regression(rows([1.0, 3.0], [0.0, 0.0]))
    assert found["r2"].holds(None)
    assert found["mape"].holds(None)
    assert found["mae"].holds(2.0)
    assert found["bias"].holds(2.0)
    assert found["smape"].holds(2.0)


def test_multiclass_averages_over_the_classes_that_occur():
    classes = Classes(["a", "b", "c"], None)
    found = classification(rows(list("abba"), list("abab")), classes, EXACT)
    assert found["f1"].holds(0.5)
    assert found["f1[c]"].holds(None)
    assert confusion(rows(list("abba"), list("abab")), ["b", "a"]) == [[1, 1], [1, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_binning_moves_order_metrics_no_further_than_the_bound(seed: int):
    random = np.random.default_rng(seed)
    score = random.beta(0.5, 2, 500)
    hit, weight = random.random(500) < score, random.uniform(0.5, 2, 500)
    exact, binned = order(hit, score, weight, None), order(hit, score, weight, 20)
    middle = order(hit, score_bin(score, 20).astype(float), weight, None)
    for at in (0, 1):
        assert binned[at].holds(exact[at].low)
    assert binned[0].holds(middle[0].low)
    assert 0 < binned[0].high - binned[0].low < 0.1


def test_a_value_beyond_the_tolerance_does_not_hold():
    assert exactly(1e6).holds(1e6 + 1e-4)
    assert not exactly(1e6).holds(1e6 + 1e-2)
    assert not exactly(0.0).holds(1e-11)
    assert not Expected(0.5, 0.6).holds(None)
    assert not exactly(None).holds(0.0)


def test_a_quantile_may_be_off_by_the_error_of_the_sketch():
    expected = about_quantile(np.arange(1.0, 101.0), 0.9, 0.01)
    assert expected.holds(90.8)
    assert not expected.holds(91.0)
