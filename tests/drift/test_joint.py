import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.decomposition import PCA

from tidegauge.drift import reference
from tidegauge.drift.joint_measures import JointRuler, joint_dump, joint_load, log_tail, most_of, sidak
from tidegauge.drift.joint_reference import (
    EXPLAINED,
    JointReference,
    Moments,
    contrasts,
    correlations,
    learn,
    pairs_of,
    slopes,
)
from tidegauge.drift.normal_scores import normal_scores
from tidegauge.drift.tails import f_tail, incomplete_beta
from tidegauge.errors import SnapshotError

FEATURES = 6


def rows(seed, count, pair=0.6):
    """Return normal rows [FEATURES, count] that are correlated by 0.3, the first two by `pair`."""
    law = np.full((FEATURES, FEATURES), 0.3) + 0.7 * np.eye(FEATURES)
    law[0, 1] = law[1, 0] = pair
    return np.random.default_rng(seed).multivariate_normal(np.zeros(FEATURES), law, count).T


def ruler(known):
    return JointRuler(known, np.full(FEATURES, 5.0))


@given(st.floats(1e-3, 50), st.integers(1, 200), st.integers(2, 20_000))
def test_the_tail_of_f_is_that_of_scipy(value, first, second):
    assert f_tail(value, first, second) == pytest.approx(
        stats.f.sf(value, first, second), rel=1e-6, abs=1e-12
    )


@given(st.floats(0, 1), st.floats(0.5, 500), st.floats(0.5, 500))
def test_the_incomplete_beta_function_is_that_of_scipy(x, a, b):
    assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-6, abs=1e-12)


def test_moments_of_parts_add_up_to_those_of_numpy():
    values = rows(1, 500)
    parts = Moments.of(values[:, :123]) + Moments.of(values[:, 123:])
    np.testing.assert_allclose(parts.mean, values.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(parts.covariance, np.cov(values), atol=1e-12)


def test_correlations_are_those_of_numpy_and_zero_where_nothing_varies():
    values = rows(1, 500)
    values[2] = 7.0
    found = correlations(Moments.of(values).covariance)
    first, second = pairs_of(FEATURES)
    for one, i, j in zip(found, first, second, strict=True):
        assert one == (0.0 if 2 in (i, j) else pytest.approx(np.corrcoef(values[i], values[j])[0, 1]))


def test_a_contrast_is_zero_in_the_reference_and_where_scores_move_or_spread_together():
    values = rows(2, 3_000)
    usual = Moments.of(values).covariance
    for moved in (values, values + 3.0, 1.5 * values, values * 1.5 - 2.0):
        np.testing.assert_allclose(contrasts(slopes(usual), Moments.of(moved).covariance), 0.0, atol=1e-12)


def test_a_contrast_moves_by_as_much_as_the_correlation():
    usual, turned = np.array([[1.0, 0.6], [0.6, 1.0]]), np.array([[1.0, -0.1], [-0.1, 1.0]])
    assert contrasts(slopes(usual), turned).tolist() == pytest.approx([-0.7])


def test_the_variance_of_every_statistic_is_that_of_its_rows():
    values = rows(3, 2_000)
    known = learn(values)
    x = values - values.mean(axis=1)[:, None]
    r = slopes(np.cov(values))
    every = [*x, *(one**2 - (one**2).mean() for one in x)]
    for pair, (i, j) in enumerate(zip(*pairs_of(FEATURES), strict=True)):
        every.append(x[i] * x[j] - r[pair] * (x[i] ** 2 + x[j] ** 2) / 2)
    np.testing.assert_allclose(known.variance, [(one**2).mean() for one in every], rtol=1e-9)
    lag = np.clip([float(one[1:] @ one[:-1]) / float(one @ one) + 0.5 / 2_000**0.5 for one in every], 0, 0.98)
    np.testing.assert_allclose(known.inflation, (1 + lag) / (1 - lag), rtol=1e-9)


def test_t_squared_is_hotellings_with_the_law_of_f():
    usual, window = rows(4, 4_000), rows(5, 500)
    found = ruler(learn(usual)._replace(inflation=np.ones(27))).measure(Moments.of(window)).hotelling
    away = window.mean(axis=1) - usual.mean(axis=1)
    squared = away @ np.linalg.inv(np.cov(usual)) @ away / (1 / 500 + 1 / 4_000)
    assert found.value == pytest.approx(squared)
    freedom = 4_000 - FEATURES
    assert found.p == pytest.approx(stats.f.sf(squared * freedom / (FEATURES * 3_999), FEATURES, freedom))


def test_t_squared_leaves_out_what_is_collinear():
    usual, window = rows(4, 4_000), rows(5, 500)
    double = [np.concatenate((one, one[:1] + one[1:2])) for one in (usual, window)]
    alone = ruler(learn(usual)).measure(Moments.of(window)).hotelling
    found = JointRuler(learn(double[0]), np.full(FEATURES + 1, 5.0)).measure(Moments.of(double[1])).hotelling
    assert found.value == pytest.approx(alone.value)


def test_the_reconstruction_error_is_that_of_rows_rebuilt_by_scikit_learn():
    usual, window = rows(6, 4_000), rows(7, 1_000, pair=-0.6)
    fitted = PCA().fit(usual[:, :2_000].T)
    kept = int(np.searchsorted(np.cumsum(fitted.explained_variance_ratio_), EXPLAINED)) + 1
    pca = PCA(n_components=kept).fit(usual[:, :2_000].T)
    pca.mean_ = usual.mean(axis=1)  # all of the reference's rows tell the mean
    known = learn(usual)
    found = ruler(known).measure(Moments.of(window))

    def distance(values):
        return float(((values.T - pca.inverse_transform(pca.transform(values.T))) ** 2).sum(axis=1).mean())

    assert found.reconstruction.value == pytest.approx(distance(window))
    assert found.reconstruction_reference == pytest.approx(distance(usual[:, 2_000:]))
    assert found.reconstruction.beyond


@pytest.mark.parametrize(
    ("change", "of", "features"),
    [("mean", "mean", (2,)), ("spread", "spread", (3,)), ("correlation", "correlation", (0, 1))],
)
def test_the_statistic_that_moved_most_is_named(change, of, features):
    known = learn(rows(8, 5_000))
    window = rows(9, 1_000, pair=-0.2 if change == "correlation" else 0.6)
    if change == "mean":
        window[2] += 0.4
    elif change == "spread":
        window[3] *= 1.6
    extreme = ruler(known).measure(Moments.of(window)).extreme
    assert (extreme.of, extreme.features) == (of, features)
    assert extreme.test.beyond
    if change == "correlation":
        assert (extreme.value, extreme.reference) == pytest.approx(
            (np.corrcoef(window)[0, 1], np.corrcoef(rows(8, 5_000))[0, 1])
        )


def test_healthy_windows_are_beyond_chance_no_more_often_than_is_told():
    beyond = np.zeros(3)
    for seed in range(20):
        known = ruler(learn(rows(100 + seed, 5_000)))
        for window in range(25):
            found = known.measure(Moments.of(rows(1_000 + 25 * seed + window, 500)))
            beyond += [found.extreme.test.beyond, found.hotelling.beyond, found.reconstruction.beyond]
    assert (beyond <= stats.binom.ppf(0.999, 500, 0.01)).all()


def test_bennetts_tail_is_above_that_of_a_skewed_law():
    share, count = 0.01, 1_000
    most = np.array([1 - share])
    for away in (0.005, 0.01, 0.02, 0.05):
        bound = log_tail(np.array([away]), np.array([share * (1 - share)]), most, np.array([float(count)]))
        assert math.exp(bound[0]) >= stats.binom.sf(math.ceil(count * (share + away)) - 1, count, share)


def test_the_greatest_parts_of_the_statistics_are_reached_by_no_row():
    known = learn(rows(10, 1_000))
    scores = np.random.default_rng(11).uniform(-2, 2, (FEATURES, 5_000))
    first, second = pairs_of(FEATURES)
    slope = slopes(known.covariance)
    parts = scores[first] * scores[second] - slope[:, None] * (scores[first] ** 2 + scores[second] ** 2) / 2
    most = most_of(slope, np.full(FEATURES, 2.0))
    assert (np.abs(parts).max(axis=1) <= most[2 * FEATURES :]).all()


def test_sidak_is_the_chance_of_one_among_many():
    assert sidak(math.log(1e-12), 1_000) == pytest.approx(1e-9)
    assert sidak(0.0, 5) == 1.0


def test_scores_are_standard_and_bounded_whatever_the_values_are():
    values = np.random.default_rng(12).standard_cauchy(5_000)
    bins = reference.fit(values, [], 500, bins=10, max_categories=9)
    scores = normal_scores(bins)
    counts = bins.counts / bins.counts.sum()
    assert counts @ scores == pytest.approx(0.0, abs=1e-12)
    assert counts @ scores**2 == pytest.approx(1.0)
    assert np.abs(scores).max() < 3
    assert scores[bins.null] == scores[bins.changed] == 0.0
    cells = bins.cells(np.array([-1e300, 1e300, np.nan]))
    assert scores[cells].tolist() == [scores[: bins.null].min(), scores[: bins.null].max(), 0.0]


def test_scores_of_fine_bins_are_those_of_ranks():
    values = np.random.default_rng(13).exponential(size=5_000)
    bins = reference.fit(values, [], 0, bins=200, max_categories=9)
    ranks = stats.norm.ppf((stats.rankdata(values) - 0.5) / 5_000)
    assert np.corrcoef(normal_scores(bins)[bins.cells(values)], ranks)[0, 1] > 0.999


def test_texts_score_by_their_frequency_and_new_ones_in_the_middle():
    bins = reference.fit([], ["a"] * 50 + ["b"] * 30 + ["c"] * 20, 0, bins=10, max_categories=9)
    scores = dict(zip(bins.names(), normal_scores(bins).tolist(), strict=True))
    assert scores["a"] < scores["b"] < scores["c"]
    assert scores["unseen"] == scores["null"] == scores["changed type"] == 0.0


def test_what_never_varies_has_no_score():
    assert not normal_scores(reference.fit([], ["a"] * 50, 3, bins=10, max_categories=9)).any()


def test_a_reference_and_a_result_survive_as_plain_data():
    known = learn(rows(14, 1_000))
    again = JointReference.load(known.dump())
    window = Moments.of(rows(15, 300))
    found = ruler(known).measure(window)
    assert ruler(again).measure(window) == found
    assert joint_load(joint_dump(found)) == found


@pytest.mark.parametrize("wrong", [{"version": 9}, {"mean": np.zeros(2)}, {"variance": np.zeros(3)}])
def test_a_foreign_reference_is_refused(wrong):
    with pytest.raises(SnapshotError):
        JointReference.load(learn(rows(14, 1_000)).dump() | wrong)
