import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from tidegauge.block import Layout
from tidegauge.drift.distances import (
    chi_squared_quantile,
    chi_squared_tail,
    judge_psi,
    psi,
    psi_all,
    psi_null_threshold,
)
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.reference import fit

counts = st.lists(st.integers(0, 500), min_size=2, max_size=12)
pairs = st.integers(2, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 500), min_size=n, max_size=n)] * 2)
).filter(lambda pair: sum(pair[0]) and sum(pair[1]))  # fmt: skip


def plain_psi(reference, current):
    cells = [(r + 0.5, c + 0.5) for r, c in zip(reference, current, strict=True) if r or c]
    total_r, total_c = sum(r for r, _ in cells), sum(c for _, c in cells)
    return sum((c / total_c - r / total_r) * math.log((c / total_c) / (r / total_r)) for r, c in cells)


def floats(values):
    return np.array(values, np.float64)


@given(pairs)
def test_psi_is_the_plain_formula_on_smoothed_shares(pair):
    assert psi(*map(floats, pair)) == pytest.approx(plain_psi(*pair), rel=1e-9, abs=1e-12)


@given(pairs)
def test_psi_is_symmetric_and_never_negative(pair):
    reference, current = map(floats, pair)
    assert psi(reference, current) == pytest.approx(psi(current, reference), abs=1e-12)
    assert psi(reference, current) >= -1e-12


@given(pairs, st.randoms())
def test_the_order_of_the_cells_does_not_matter(pair, random):
    order = list(range(len(pair[0])))
    random.shuffle(order)
    reference, current = map(floats, pair)
    assert psi(reference[order], current[order]) == pytest.approx(psi(reference, current), abs=1e-12)


@given(counts.filter(any))
def test_equal_counts_are_at_distance_zero(values):
    assert psi(floats(values), floats(values)) == 0


@given(pairs.filter(lambda pair: all(pair[0]) and all(pair[1])))
def test_scaling_both_sides_up_leads_to_the_index_without_smoothing(pair):
    reference, current = map(floats, pair)
    p, q = current / current.sum(), reference / reference.sum()
    bare = ((p - q) * np.log(p / q)).sum()
    assert psi(reference * 1e6, current * 1e6) == pytest.approx(bare, rel=1e-3, abs=1e-6)


@given(pairs)
def test_cells_empty_on_both_sides_say_nothing(pair):
    reference, current = map(floats, pair)
    wider = psi(np.append(reference, 0), np.append(current, 0))
    assert wider == pytest.approx(psi(reference, current), abs=1e-12)


def test_an_empty_side_leaves_the_index_undefined():
    assert psi(np.zeros(3), np.ones(3)) is None
    assert psi(np.ones(3), np.zeros(3)) is None


@given(st.lists(pairs, min_size=1, max_size=6))
def test_all_features_at_once_are_each_feature_alone(features):
    starts = np.cumsum([0] + [len(reference) for reference, _ in features[:-1]])
    reference, current = (floats([c for pair in features for c in pair[side]]) for side in (0, 1))
    found = psi_all(reference, current, starts)
    assert found.psi.tolist() == pytest.approx([plain_psi(*pair) for pair in features], rel=1e-9, abs=1e-12)
    assert found.n.tolist() == [sum(pair[1]) for pair in features]


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 10, 50, 203, 604])
@pytest.mark.parametrize("alpha", [0.9, 0.5, 0.05, 0.01, 5e-5, 1e-10])
def test_the_chi_squared_quantile_is_that_of_scipy(degrees, alpha):
    x = chi_squared_quantile(degrees, alpha)
    assert x == pytest.approx(chi2.isf(alpha, degrees), rel=1e-9)
    assert chi_squared_tail(degrees, x) == pytest.approx(alpha, rel=1e-8)


def test_a_feature_of_one_cell_cannot_drift():
    assert chi_squared_quantile(0, 0.01) == 0
    assert psi(np.array([5.0]), np.array([500.0])) == 0


def test_the_chance_threshold_falls_with_both_sample_sizes():
    sizes = [(100, 100), (100, 1_000), (1_000, 1_000), (100_000, 100_000)]
    thresholds = [psi_null_threshold(10, m, n, 0.01) for m, n in sizes]
    assert thresholds == sorted(thresholds, reverse=True)


@pytest.mark.parametrize(("m", "n"), [(5_000, 500), (5_000, 5_000), (1_000, 300)])
def test_without_drift_the_share_of_false_verdicts_is_alpha(m, n):
    rng = np.random.default_rng(11)
    layout, alpha, windows = Layout(("x",), (False,)), 0.05, 1_500
    verdicts = []
    for _ in range(5):
        bins = FeatureBins({"x": fit(rng.lognormal(size=m), [], 0, 10, 100)})
        for _ in range(windows // 5):
            cells = bins.cells(layout, rng.lognormal(size=(n, 1)))
            current = np.bincount(cells.ravel(), minlength=bins.width).astype(float)
            found = psi_all(bins.counts, current, bins.starts)
            verdicts.append(judge_psi(found, 1e-9, min_samples=100, alpha=alpha)[0].drift)
    assert np.mean(verdicts) == pytest.approx(alpha, abs=0.03)


def judged(reference, current, threshold=0.2, min_samples=500):
    found = psi_all(floats(reference), floats(current), np.zeros(1, np.int64))
    return judge_psi(found, threshold, min_samples)[0]


def test_below_the_minimum_of_samples_on_either_side_there_is_no_verdict():
    assert judged([500, 500], [499, 0]).drift is None
    assert judged([499, 0], [500, 500]).drift is None
    assert judged([500, 500], [500, 0]).drift is True


def test_an_undefined_index_has_neither_value_nor_verdict():
    assert judged([500, 500], [0, 0])[:4] == (None, None, 0, None)


def test_drift_is_above_the_configured_threshold_and_above_chance():
    found = judged([5_000] * 10, [600, *[500] * 9])
    assert found.psi < 0.2 and found.drift is False and found.threshold == 0.2
    assert judged([5_000] * 10, [600, *[500] * 9], threshold=0.001).drift is False
    assert judged([5_000_000] * 10, [60_000, *[50_000] * 9], threshold=0.001).drift is True
    small = judged([30] * 20, [30] * 10 + [10] * 10, threshold=0.05, min_samples=100)
    assert small.psi > 0.05 and small.threshold > 0.05


def test_the_cell_that_moved_most_is_named():
    assert judged([400, 400, 200], [400, 300, 1_000]).cell == 2


def test_a_shift_of_one_feature_is_found_among_two_hundred():
    rng = np.random.default_rng(12)
    names = tuple(f"f{i}" for i in range(200))
    bins = FeatureBins({name: fit(rng.normal(size=5_000), [], 0, 10, 100) for name in names})
    values = rng.normal(size=(1_000, 200))
    values[:, 17] += 0.6
    cells = bins.cells(Layout(names, (False,) * 200), values)
    current = np.bincount(cells.ravel(), minlength=bins.width).astype(float)
    verdicts = judge_psi(psi_all(bins.counts, current, bins.starts), 0.2, 500)
    assert [name for name, found in zip(names, verdicts, strict=True) if found.drift] == ["f17"]
