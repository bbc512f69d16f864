import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tidegauge.block import Layout
from tidegauge.drift import reference
from tidegauge.drift.feature_shift import STEP as FEATURE_STEP
from tidegauge.drift.feature_shift import FeatureShift
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.joint_reference import Moments, learn
from tidegauge.drift.multivariate import WINDOW_STEPS, Multivariate
from tidegauge.drift.pair_shift import LEAST_REFERENCE, SCALES, STAKES, STEP, PairShift, bennett
from tidegauge.errors import SnapshotError

FEATURES = 6
NAMES = tuple("abcdef")
LAYOUT = Layout(NAMES, (False,) * FEATURES)
LEARNED = 5_000
PATIENCE = 1_000.0


def rows(rng, count, pair=0.6, lag=0.0):
    """Return normal rows [count, FEATURES] correlated by 0.3, `a` and `b` by `pair`, neighbours by `lag`."""
    law = np.full((FEATURES, FEATURES), 0.3) + 0.7 * np.eye(FEATURES)
    law[0, 1] = law[1, 0] = pair
    drawn = rng.multivariate_normal(np.zeros(FEATURES), law, count)
    for place in range(1, count if lag else 0):
        drawn[place] = lag * drawn[place - 1] + math.sqrt(1 - lag**2) * drawn[place]
    return drawn


def bins_of(values):
    columns = zip(NAMES, values.T, strict=True)
    return FeatureBins({name: reference.fit(column, [], 0, 10, 100) for name, column in columns})


def learned(seed=1, lag=0.0, patience=PATIENCE):
    rng = np.random.default_rng(seed)
    bins = bins_of(rows(rng, LEARNED))
    found = Multivariate(bins, FEATURES, LEARNED)
    found.add(bins.cells(LAYOUT, rows(rng, LEARNED, lag=lag)))
    found.pairs.patience = patience
    return found, bins, rng


def test_a_correlation_that_turns_round_is_named_although_no_feature_moves():
    found, bins, rng = learned()
    alone = FeatureShift(bins, PATIENCE)
    for pair, steps in ((0.6, 80), (-0.6, 40)):
        cells = bins.cells(LAYOUT, rows(rng, steps * STEP, pair=pair))
        assert alone.add(cells) == []
        found.add(cells)
        named = [one.features for one in found.moved()]
        assert named == ([] if pair > 0 else [("a", "b")])
    (moved,) = found.moved()
    assert (moved.reference, moved.correlation) == pytest.approx((0.6, -0.6), abs=0.15)


def test_a_small_change_is_found_by_what_adds_up_over_many_steps():
    found, bins, rng = learned()
    found.add(bins.cells(LAYOUT, rows(rng, 100 * STEP, pair=0.48)))
    assert [one.features for one in found.moved()] == [("a", "b")]
    assert found.pairs.moved[0].step > 2


def test_features_that_move_and_spread_do_not_make_a_pair_move():
    found, bins, rng = learned()
    for away, factor in ((0.3, 1.0), (0.0, 1.2), (-0.2, 0.85)):
        found.add(bins.cells(LAYOUT, away + factor * rows(rng, 60 * STEP)))
        assert found.moved() == []


@pytest.mark.parametrize("law", ["normal", "cauchy", "rare", "correlated neighbours"])
def test_healthy_pairs_are_named_no_more_often_than_is_promised(law):
    named = steps = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        values = rows(rng, 2 * LEARNED + 200 * STEP, lag=0.5 if law == "correlated neighbours" else 0.0)
        if law == "cauchy":
            values = rng.standard_cauchy(values.shape) + rng.standard_cauchy((len(values), 1))
        elif law == "rare":
            values = (values > 2.3).astype(np.float64)
        bins = bins_of(values[:LEARNED])
        found = Multivariate(bins, FEATURES, LEARNED)
        cells = bins.cells(LAYOUT, values)
        found.add(cells[LEARNED : 2 * LEARNED])
        found.pairs.patience = 100.0
        for start in range(2 * LEARNED, len(values), STEP):
            found.add(cells[start : start + STEP])
            steps += 1
            named += any(one.step == found.pairs.steps for one in found.pairs.moved.values())
    assert named <= stats.poisson.ppf(0.999, steps / 100.0)


def test_the_evidence_is_the_mean_of_all_bettors_capital():
    rng = np.random.default_rng(2)
    known = learn(rows(rng, LEARNED).T)
    shift = PairShift(known, np.full(FEATURES, 5.0))
    steps = [Moments.of(rows(rng, STEP, pair=0.5).T) for _ in range(5)]
    slope = shift._slope[0]
    contrast = [
        one.covariance[0, 1] - slope * (one.covariance[0, 0] + one.covariance[1, 1]) / 2 for one in steps
    ]
    for one in steps:
        shift.add(one)
    total = 0.0
    for begin in range(len(steps)):
        for side in (1, -1):
            for stake, cost in zip(shift._terms.stakes[:, 0], shift._terms.costs[:, 0], strict=False):
                won = sum(side * STEP * stake * one - cost for one in contrast[begin:])
                total += math.exp(won / known.inflation[2 * FEATURES]) / (2 * len(STAKES))
    assert shift.evidence[0] == pytest.approx(total)


def test_a_bet_is_fair_for_every_bounded_law_with_the_mean_and_the_variance():
    for share in (0.001, 0.1, 0.5):
        values, weights = np.array([1 - share, -share]), np.array([share, 1 - share])
        variance = float(weights @ values**2)
        for stake in (0.01, 0.1, 0.5, 0.8):
            cost = bennett(np.array(stake), np.array(variance), np.array(1 - share))
            assert weights @ np.exp(stake * values) <= math.exp(cost) * (1 + 1e-12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3_000), max_size=8))
def test_the_cut_into_additions_changes_nothing(cuts):
    rng = np.random.default_rng(3)
    bins = bins_of(rows(rng, 1_000))
    cells = bins.cells(LAYOUT, rows(rng, LEAST_REFERENCE + 6 * STEP + 77))
    whole, pieces = Multivariate(bins, FEATURES), Multivariate(bins, FEATURES)
    whole.add(cells)
    place = 0
    for size in [*cuts, len(cells)]:
        pieces.add(cells[place : place + size])
        place += size
    np.testing.assert_array_equal(pieces.pairs.evidence, whole.pairs.evidence)
    assert pieces.joint == whole.joint
    assert pieces.rows == whole.rows == 6 * STEP


@pytest.mark.parametrize("count", [100, LEARNED - 1, LEARNED + 3, LEARNED + 6 * STEP + 77])
def test_a_restored_one_goes_on_as_the_first(count):
    rng = np.random.default_rng(4)
    bins = bins_of(rows(rng, LEARNED))
    first, second = (Multivariate(bins, FEATURES, LEARNED) for _ in range(2))
    first.add(bins.cells(LAYOUT, rows(rng, count)))
    assert second.restore(first.dump())
    rest = bins.cells(LAYOUT, rows(rng, LEARNED + 6 * STEP, pair=-0.6))
    for one in (first, second):
        one.add(rest[:LEARNED])
        one.pairs.patience = 10.0
        one.add(rest[LEARNED:])
    np.testing.assert_array_equal(second.pairs.evidence, first.pairs.evidence)
    assert second.pairs.moved == first.pairs.moved
    assert second.joint == first.joint


def test_a_state_of_other_features_is_left_and_a_foreign_one_refused():
    found, bins, _ = learned()
    other = Multivariate(bins, 3, LEARNED)
    assert not other.restore(found.dump())
    assert other.pairs is None
    state = found.dump()
    for wrong in (
        {"version": 9},
        {"held": np.zeros((2, 1))},
        {"pairs": {"version": 9}},
        {"window": [1, [], []]},
    ):
        with pytest.raises(SnapshotError):
            Multivariate(bins, FEATURES, LEARNED).restore(state | wrong)


def test_only_so_many_features_are_looked_at_and_none_that_never_varies():
    rng = np.random.default_rng(5)
    values = rows(rng, 1_000)
    values[:, 0] = 7.0
    assert Multivariate(bins_of(values), 3).names == ("b", "c", "d")
    lonely = Multivariate(bins_of(values), 1)
    lonely.add(bins_of(values).cells(LAYOUT, values))
    assert lonely.pairs is None


def test_copies_of_a_feature_are_watched_too():
    rng = np.random.default_rng(6)
    values = rows(rng, 2 * LEARNED + 20 * STEP)
    values[:, 1] = values[:, 0]
    values[-10 * STEP :, 1] += rng.normal(0, 0.5, 10 * STEP)
    bins = bins_of(values[:LEARNED])
    found = Multivariate(bins, FEATURES, LEARNED)
    cells = bins.cells(LAYOUT, values)
    found.add(cells[LEARNED : 2 * LEARNED])
    found.pairs.patience = PATIENCE
    found.add(cells[2 * LEARNED : -10 * STEP])
    assert found.moved() == []
    found.add(cells[-10 * STEP :])
    assert ("a", "b") in [one.features for one in found.moved()]


def test_a_pair_that_comes_back_moves_no_more():
    found, bins, rng = learned()
    found.add(bins.cells(LAYOUT, rows(rng, 4 * STEP, pair=-0.6)))
    assert found.moved()
    found.add(bins.cells(LAYOUT, rows(rng, 40 * STEP)))
    assert not found.moved()


def test_dependence_of_steps_slows_the_evidence_down():
    rng = np.random.default_rng(7)
    values = np.repeat(rows(rng, 400), 50, axis=0)
    bins = bins_of(values)
    found = Multivariate(bins, FEATURES, LEARNED)
    found.add(bins.cells(LAYOUT, values))
    assert (found.pairs._inflation.value() > 5).all()
    assert len(found.pairs._inflation.dump()["sums"][0]) == SCALES


def test_a_window_is_measured_when_it_is_whole():
    found, bins, rng = learned()
    cells = bins.cells(LAYOUT, rows(rng, WINDOW_STEPS * STEP))
    found.add(cells[:-1])
    assert found.joint is None
    found.add(cells[-1:])
    assert found.joint.rows == WINDOW_STEPS * STEP
    assert FEATURE_STEP < STEP
