"""Measures of drift from binned counts against scipy, and their bounds on healthy windows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from tidegauge.drift import reference
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.measures import SHARES, Measures, Ruler, measure, rise_probability


def bins_of(random: np.random.Generator, rows: int, dirty: int = 1) -> FeatureBins:
    texts = random.choice(list("abcd"), rows).tolist()
    return FeatureBins(
        {
            "grid": reference.fit(random.integers(0, 4, rows).astype(float), [], 5 * dirty, 10, 100),
            "plan": reference.fit([], texts, nulls=3 * dirty, bins=10, max_categories=100),
            "x": reference.fit(random.normal(size=rows), ["stray"] * dirty, 2 * dirty, 10, 100),
        }
    )


def counted(bins: FeatureBins, cells: np.ndarray) -> np.ndarray:
    return np.bincount(cells.ravel(), minlength=bins.width).astype(np.float64)


def window(bins: FeatureBins, random: np.random.Generator, rows: int, shift: float) -> np.ndarray:
    """Return the counts of rows: each feature's cells drawn from shares near the reference's."""
    counts = np.zeros(bins.width)
    for start, one in zip(bins.starts, bins.references, strict=True):
        shares = one.counts / one.counts.sum()
        shares = (1 - shift) * shares + shift * random.dirichlet(np.ones(one.width))
        counts[start : start + one.width] = random.multinomial(rows, shares)
    return counts


def parts(bins: FeatureBins, counts: np.ndarray) -> list[np.ndarray]:
    return np.split(counts, bins.starts[1:])


@pytest.fixture(params=range(5))
def case(request):
    random = np.random.default_rng(request.param)
    bins = bins_of(random, 2_000)
    counts = window(bins, random, 700, shift=0.2 * request.param)
    return bins, counts, measure(Ruler(bins), counts, min_samples=500)


def test_distances_of_cells_are_those_of_scipy(case):
    bins, counts, found = case
    for one, now, before in zip(found, parts(bins, counts), parts(bins, bins.counts), strict=True):
        variation = distance.cityblock(now / now.sum(), before / before.sum()) / 2
        assert one.distances["total_variation"].value == pytest.approx(variation, abs=1e-12)
        used = now + before > 0
        p, q = now[used] + 0.5, before[used] + 0.5
        shannon = distance.jensenshannon(p, q) ** 2
        assert one.distances["jensen_shannon"].value == pytest.approx(shannon, abs=1e-12)
        hellinger = distance.euclidean(np.sqrt(p / p.sum()), np.sqrt(q / q.sum())) / np.sqrt(2)
        assert one.distances["hellinger"].value == pytest.approx(hellinger, abs=1e-12)


def test_chi_squared_is_the_test_of_homogeneity_on_the_cells_in_use(case):
    bins, counts, found = case
    for one, now, before in zip(found, parts(bins, counts), parts(bins, bins.counts), strict=True):
        used = now + before > 0
        expected = stats.chi2_contingency(np.stack((now[used], before[used])), correction=False)
        assert one.distances["chi_squared"].value == pytest.approx(expected.statistic, rel=1e-9)
        assert one.distances["chi_squared"].p == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)


def test_ks_and_wasserstein_are_those_of_values_at_the_places_of_their_cells(case):
    bins, counts, found = case
    for one, feature, now, before in zip(
        found, bins.references, parts(bins, counts), parts(bins, bins.counts), strict=True
    ):
        if feature.kind == "categorical":
            assert not {"ks", "wasserstein"} & set(one.distances)
            continue
        edges = feature.edges
        places = np.array([edges[0], *(edges[:-1] + edges[1:]) / 2, edges[-1]])
        rows, rows_before = now[: len(places)].astype(int), before[: len(places)].astype(int)
        expected = stats.wasserstein_distance(places, places, rows, rows_before)
        assert one.distances["wasserstein"].value == pytest.approx(expected, rel=1e-9)
        order = np.arange(len(places))
        ks = stats.ks_2samp(np.repeat(order, rows), np.repeat(order, rows_before), method="asymp")
        assert one.distances["ks"].value == pytest.approx(ks.statistic, abs=1e-12)


def test_shares_are_counts_of_their_cells(case):
    bins, counts, found = case
    grid, plan, x = parts(bins, counts)
    assert set(found[0].shares) == set(SHARES)
    assert found[0].shares["null"].value == grid[-2] / 700
    assert found[1].shares["unseen"].value == plan[len(bins.references[1].levels) + 1] / 700
    edges = len(bins.references[2].edges)
    assert found[2].shares["out_of_range"].value == (x[0] + x[edges]) / 700
    assert found[2].shares["changed_type"].value == x[-1] / 700
    assert found[2].shares["changed_type"].reference == 1 / 2_003


@pytest.mark.parametrize(("n", "m"), [(50, 70), (1_000, 5_000), (200_000, 5_000)])
def test_a_rise_is_as_probable_as_fisher_says(n, m):
    random = np.random.default_rng(n)
    for _ in range(50):
        now, before = int(random.integers(0, n // 2)), int(random.integers(0, m // 2))
        expected = stats.hypergeom.sf(now - 1, n + m, now + before, n) if now / n > before / m else 1.0
        assert rise_probability(now, before, n, m) == pytest.approx(expected, rel=1e-6, abs=1e-280)


def test_values_beyond_the_greatest_healthy_one_are_as_frequent_as_the_probability_says():
    random = np.random.default_rng(7)
    n, m, trials = 40, 60, 20_000
    draws = random.random((trials, n + m))
    beyond = (draws[:, :n] > draws[:, n:].max(axis=1, keepdims=True)).sum(axis=1)
    for count in (1, 2, 4):
        p = rise_probability(count, 0, n, m)
        assert (beyond >= count).mean() == pytest.approx(p, abs=4 * np.sqrt(p / trials))


def healthy(trials: int, n: int, m: int) -> list[list[Measures]]:
    random = np.random.default_rng(n)
    found = []
    for _ in range(trials):
        bins = bins_of(random, m, dirty=0)
        counts = np.zeros(bins.width)
        grid = bins.references[0].cells(random.integers(0, 4, n).astype(float))
        plan = bins.references[1].cells(random.integers(0, 4, n).astype(float), list("abcd"))
        x = bins.references[2].cells(random.normal(size=n))
        for start, cells in zip(bins.starts, (grid, plan, x), strict=True):
            counts += np.bincount(cells + start, minlength=bins.width)
        found.append(measure(Ruler(bins), counts, min_samples=100, alpha=0.05))
    return found


@pytest.mark.parametrize(("n", "m"), [(300, 300), (2_000, 600)])
def test_healthy_windows_are_seldom_beyond_chance_whatever_their_size(n, m):
    trials = 300
    found = healthy(trials, n, m)
    most = 0.05 + 4 * np.sqrt(0.05 * 0.95 / trials)
    for name in ("jensen_shannon", "total_variation", "hellinger", "chi_squared", "ks", "wasserstein"):
        for feature in range(3):
            beyond = [
                bool(one[feature].distances[name].beyond) for one in found if name in one[feature].distances
            ]
            assert not beyond or np.mean(beyond) <= most, (name, feature)
    for name in SHARES:
        beyond = [bool(features[2].shares[name].beyond) for features in found]
        assert np.mean(beyond) <= 2 * most, name  # both ends of a range


def test_a_shift_is_beyond_chance_by_every_distance():
    random = np.random.default_rng(1)
    bins = FeatureBins({"x": reference.fit(random.normal(size=5_000), [], 0, 10, 100)})
    counts = counted(bins, bins.references[0].cells(random.normal(0.5, 1, 2_000)))
    (found,) = measure(Ruler(bins), counts, min_samples=500)
    assert len(found.distances) == 6
    assert all(one.beyond for one in found.distances.values())


def test_few_rows_decide_nothing_and_no_rows_measure_nothing():
    bins = FeatureBins({"x": reference.fit(np.arange(1_000.0), [], 0, 10, 100)})
    (few,) = measure(Ruler(bins), counted(bins, bins.references[0].cells(np.full(50, 5.0))), min_samples=500)
    assert {one.beyond for one in [*few.distances.values(), *few.shares.values()]} == {None}
    assert few.distances["ks"].value >= 0.9
    assert measure(Ruler(bins), np.zeros(bins.width), min_samples=500) == [Measures(0, {}, {})]
