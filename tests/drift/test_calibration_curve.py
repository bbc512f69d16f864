import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from tidegauge.drift.calibration_curve import MOST_LOGIT, PER_BIN, expect, learn

LAWS = {
    "as they say": lambda p: p,
    "over-confident": lambda p: 1 / (1 + ((1 - p) / p) ** 0.5),
    "too low": lambda p: 1 / (1 + (1 - p) / p / 3),
    "bent": lambda p: p**2,
}


def rows(seed, count, law):
    rng = np.random.default_rng(seed)
    scores = rng.beta(0.8, 1.2, count)
    return scores, (rng.random(count) < law(scores)).astype(np.float64)


@pytest.mark.parametrize("name", LAWS)
def test_what_scores_mean_is_learned_between_the_bins_too(name):
    curve = learn(*rows(1, 50_000, LAWS[name]), probability=True)
    scores = np.linspace(0.02, 0.98, 200)
    found = expect(curve, scores, probability=True)
    assert np.abs(found.mean - LAWS[name](scores)).max() < 0.03
    assert (found.low < found.mean).all()
    assert (found.mean < found.high).all()


def test_of_one_bin_it_is_the_line_of_a_logistic_regression():
    scores, came = rows(2, PER_BIN, LAWS["over-confident"])
    curve = learn(scores, came, probability=True)
    logits = np.clip(np.log(scores / (1 - scores)), -MOST_LOGIT, MOST_LOGIT)[:, None]
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(logits, came)
    assert curve.line == pytest.approx((fitted.intercept_[0], fitted.coef_[0, 0]), abs=0.03)
    mean = expect(curve, scores, probability=True).mean
    assert mean == pytest.approx(fitted.predict_proba(logits)[:, 1], abs=0.01)


@pytest.mark.parametrize("probability", [True, False])
def test_in_each_bin_as_many_labels_are_expected_as_came(probability):
    scores, came = rows(3, 2_000, LAWS["bent"])
    found = expect(learn(scores, came, probability), scores, probability)
    assert found.mean.sum() == pytest.approx(came.sum(), rel=0.02)


def test_more_reference_rows_leave_less_open():
    widths = []
    for count in (500, 5_000):
        found = expect(learn(*rows(4, count, LAWS["bent"]), True), np.array([0.5]), True)
        widths.append(found.high[0] - found.low[0])
    assert widths[1] < widths[0]


def test_half_of_what_labels_tell_lies_above_the_pivot():
    scores, came = rows(5, 5_000, LAWS["as they say"])
    curve = learn(scores, came, probability=True)
    found = expect(curve, scores, probability=True)
    told = found.mean * (1 - found.mean)
    assert told[found.upper].sum() == pytest.approx(told.sum() / 2, rel=0.02)


SCORES = st.sampled_from([0.0, 1.0, 0.5, 1e-300]) | st.floats(0, 1)


@settings(deadline=None)
@given(
    st.lists(st.tuples(SCORES, st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=30),
    st.booleans(),
    st.floats(-1e60, 1e60),
)
def test_any_rows_have_a_curve_of_probabilities(pairs, probability, stretch):
    scores, came = (np.array(column) for column in zip(*pairs, strict=True))
    scores = scores if probability else scores * stretch
    found = expect(learn(scores, came, probability), scores, probability, tolerance=0.1)
    for one in (found.low, found.mean, found.high):
        assert ((one >= 0) & (one <= 1)).all()
