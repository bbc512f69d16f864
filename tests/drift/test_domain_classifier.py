import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from tidegauge.block import Layout
from tidegauge.drift import reference
from tidegauge.drift.domain_classifier import DomainClassifier, auc
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.multivariate import WINDOW_STEPS, Multivariate
from tidegauge.drift.pair_shift import LEAST_REFERENCE, STEP
from tidegauge.errors import SnapshotError

FEATURES = 8


def rows(rng, count):
    return 0.5 * rng.normal(size=count) + rng.normal(size=(FEATURES, count))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20)
)
def test_the_area_is_that_of_scikit_learn(negative, positive):
    truth = [0] * len(negative) + [1] * len(positive)
    expected = roc_auc_score(truth, negative + positive)
    assert auc(np.array(negative, float), np.array(positive, float)) == pytest.approx(expected)


def test_rows_of_the_reference_are_beyond_chance_no_more_often_than_is_told():
    beyond = 0
    for seed in range(200):  # windows of one reference have its rows in common
        rng = np.random.default_rng(seed)
        classifier = DomainClassifier(rows(rng, 2_000))
        for _ in range(3):
            classifier.close()
            for _ in range(WINDOW_STEPS):
                classifier.add(rows(rng, STEP))
        beyond += classifier.close().p < 0.05
    assert beyond <= stats.binom.ppf(0.999, 200, 0.05)


@pytest.mark.parametrize(("away", "factor"), [(0.25, 1.0), (0.0, 1.3)])
def test_means_and_spreads_that_move_a_little_everywhere_are_seen(away, factor):
    rng = np.random.default_rng(1)
    classifier = DomainClassifier(rows(rng, 2_000))
    for _ in range(2 * WINDOW_STEPS):
        classifier.add(away + factor * rows(rng, STEP))
    found = classifier.close()
    assert found.value > 0.55
    assert found.p < 1e-6


def test_what_is_judged_was_not_learned_from():
    rng = np.random.default_rng(2)
    classifier = DomainClassifier(rows(rng, 2_000))
    classifier.add(5.0 + rows(rng, STEP))
    assert classifier.close().value == 0.5  # no weights yet


def test_no_step_has_no_area():
    assert DomainClassifier(rows(np.random.default_rng(3), 500)).close().p == 1.0


def test_it_stands_beside_the_pairs_and_survives_with_them():
    rng = np.random.default_rng(4)
    names = tuple("abcdefgh")
    layout = Layout(names, (False,) * FEATURES)
    columns = zip(names, rows(rng, 2_000), strict=True)
    bins = FeatureBins({name: reference.fit(column, [], 0, 10, 100) for name, column in columns})
    first, second = (Multivariate(bins, FEATURES, classify=True) for _ in range(2))
    first.add(bins.cells(layout, rows(rng, LEAST_REFERENCE + 2 * STEP + 10).T))
    assert second.restore(first.dump())
    later = bins.cells(layout, 0.3 + rows(rng, 6 * STEP).T)
    for one in (first, second):
        one.add(later)
    assert second.domain == first.domain
    assert first.domain.beyond
    third = Multivariate(bins, FEATURES)
    assert third.restore(first.dump())
    assert third.domain is None


@pytest.mark.parametrize("wrong", [{"version": 9}, {"weights": np.zeros(2)}, {"sums": np.zeros(1)}])
def test_a_foreign_state_is_refused(wrong):
    classifier = DomainClassifier(rows(np.random.default_rng(5), 500))
    with pytest.raises(SnapshotError):
        classifier.restore(classifier.dump() | wrong)
