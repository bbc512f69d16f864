import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.block import Layout
from tidegauge.drift import feature_bets, reference
from tidegauge.drift.feature_bets import cell_bets, rank_bets
from tidegauge.drift.feature_shift import QUIET_STEPS, STEP, FeatureShift, Pace, e_bh
from tidegauge.drift.features import FeatureBins
from tidegauge.errors import SnapshotError

NUMBERS = Layout(("a", "b", "c"), (False, False, False))
MIXED = Layout(("age", "plan"), (False, True))
PLANS = ("basic", "free", "pro", "new")


def numeric(rows=20_000):
    columns = np.random.default_rng(1).random((3, rows))
    return FeatureBins(
        {name: reference.fit(column, [], 0, 10, 100) for name, column in zip("abc", columns, strict=True)}
    )


def mixed(nulls=0):
    ages = np.random.default_rng(2).normal(40, 10, 5_000)
    plans = np.random.default_rng(3).choice(PLANS[:3], 5_000, p=[0.6, 0.3, 0.1]).tolist()
    return FeatureBins(
        {
            "age": reference.fit(ages, [], nulls, 10, 100),
            "plan": reference.fit([], plans, 0, 10, 100),
        }
    )


def by_definition(bins, cells, steps, inflation):
    """Each feature's evidence: every bet of every bettor that ever started, row by row."""
    found = []
    for feature, (name, start) in enumerate(zip(bins.names, bins.starts.tolist(), strict=True)):
        own = bins.references[bins.names.index(name)]
        table = rank_bets(own)
        total = 0.0
        ranked, on = bool(table.any()), feature_bets._bet_on(own)
        for begin in range(steps):
            rows = cells[begin * STEP : steps * STEP, feature] - start
            if ranked:
                total += (1 - feature_bets.OF_CELLS) * np.exp(table[rows].sum(axis=0)).mean()
            of_cells = []
            for cell in on:
                won, lost = cell_bets(*[(own.counts[cell], own.counts.sum())] * 2)
                of_cells += [
                    math.exp(sum(won[k] if row == cell else lost[k] for row in rows)) for k in range(len(won))
                ]
            total += (feature_bets.OF_CELLS if ranked else 1.0) * float(np.mean(of_cells))
        found.append(total)
    assert inflation == 1.0
    return found


def test_the_evidence_is_the_sum_of_all_bettors_capital():
    bins = mixed()
    rng = np.random.default_rng(4)
    values = np.stack((rng.normal(43, 10, 8 * STEP), rng.integers(0, 3, 8 * STEP)), axis=1)
    cells = bins.cells(MIXED, values, PLANS)
    shift = FeatureShift(bins)
    shift.add(cells)
    np.testing.assert_allclose(shift.evidence, by_definition(bins, cells, 8, 1.0), rtol=1e-9)


@given(st.lists(st.integers(0, 250), min_size=1, max_size=8))
def test_the_cut_into_additions_changes_nothing(cuts):
    bins = numeric(2_000)
    rng = np.random.default_rng(5)
    cells = bins.cells(NUMBERS, rng.random((2_350, 3)) ** [1.0, 1.5, 1.0])
    whole, pieces = FeatureShift(bins, 50.0), FeatureShift(bins, 50.0)
    expected = whole.add(cells)
    found, place = [], 0
    for size in [*cuts, len(cells)]:
        found += pieces.add(cells[place : place + size])
        place += size
    assert found == expected
    np.testing.assert_array_equal(pieces.evidence, whole.evidence)
    for name, value in whole.dump()["learning"].items():
        np.testing.assert_array_equal(pieces.dump()["learning"][name], value)


def test_what_moved_is_named_and_what_did_not_is_not():
    bins = numeric()
    shift = FeatureShift(bins, 1_000.0)
    rng = np.random.default_rng(6)
    assert shift.add(bins.cells(NUMBERS, rng.random((200 * STEP, 3)))) == []
    named = shift.add(bins.cells(NUMBERS, rng.random((50 * STEP, 3)) ** [1.0, 1.3, 1.0]))
    assert set(named) == {1}
    assert [one.feature for one in shift.moving()] == [1]


@pytest.mark.parametrize("change", ["level", "unseen", "null", "changed", "over", "spread"])
def test_every_way_to_move_is_seen(change):
    bins = mixed(nulls=5)
    shift = FeatureShift(bins, 1_000.0)
    rng = np.random.default_rng(7)
    rows = 40 * STEP
    age, plan = rng.normal(40, 10, rows), rng.choice(3, rows, p=[0.6, 0.3, 0.1]).astype(np.float64)
    some = rng.random(rows) < 0.05
    if change == "level":
        plan[rng.random(rows) < 0.1] = 2
    elif change == "unseen":
        plan[some] = 3
    elif change == "null":
        age[some] = np.nan
    elif change == "over":
        age[some] = 1_000.0
    elif change == "spread":
        age = (age - 40) * 1.5 + 40
    if change == "changed":
        cells = bins.cells(MIXED, np.stack((age, plan), axis=1), PLANS)
        cells[some, 0] = bins.references[0].changed
    else:
        cells = bins.cells(MIXED, np.stack((age, plan), axis=1), PLANS)
    assert set(shift.add(cells)) == {1 if change in ("level", "unseen") else 0}


def test_a_feature_that_comes_back_moves_no_more():
    bins = numeric()
    shift = FeatureShift(bins, 1_000.0)
    rng = np.random.default_rng(8)
    shift.add(bins.cells(NUMBERS, rng.random((30 * STEP, 3)) ** [1.0, 2.0, 1.0]))
    assert shift.moving()
    shift.add(bins.cells(NUMBERS, rng.random((5 * QUIET_STEPS * STEP, 3))))
    assert not shift.moving()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.floats(1, 1e4))
def test_the_rule_names_the_most_features_that_their_evidence_allows(evidence, patience):
    found = e_bh(np.array(evidence), patience).tolist()
    ranked = sorted(evidence, reverse=True)
    allowed = [k for k in range(1, len(ranked) + 1) if ranked[k - 1] * k >= patience * len(ranked)]
    assert len(found) == max(allowed, default=0)
    assert sorted((evidence[f] for f in found), reverse=True) == ranked[: len(found)]


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=30), st.floats(1, 1e4), st.integers(1, 3))
def test_what_was_named_before_counts_among_the_named(evidence, patience, standing):
    found = e_bh(np.array(evidence), patience, range(standing)).tolist()
    full = np.array(evidence)
    full[:standing] = np.inf
    count = len(e_bh(full, patience))
    assert set(found) == {
        place for place, one in enumerate(evidence) if one * count >= patience * len(evidence)
    }


def test_what_is_healthy_is_learned_on_within_what_the_reference_allows():
    bins = numeric(2_000)
    rng = np.random.default_rng(13)
    shift, first = FeatureShift(bins, 1e9), feature_bets.build(bins)
    for rows in (2_000, 4_000, 8_000, 16_000):
        shift.add(bins.cells(NUMBERS, rng.random((rows, 3)) ** [1.0, 3.0, 1.0]))
    counts = np.add.reduceat(shift.dump()["learning"]["counts"], bins.starts)
    assert counts.tolist() == [32_000, 2_000, 32_000]
    of_first, of_second = (slice(start, start + bins.references[0].width) for start in bins.starts[:2])
    assert (shift._bets.ranks[of_first] >= first.ranks[of_first] - 1e-12).all()
    np.testing.assert_array_equal(shift._bets.ranks[of_second], first.ranks[of_second])
    assert (shift._bets.ranks[of_first] > first.ranks[of_first]).any()


def test_a_state_of_the_first_version_learns_no_more():
    bins = numeric(2_000)
    rng = np.random.default_rng(15)
    first = FeatureShift(bins, 50.0)
    first.add(bins.cells(NUMBERS, rng.random((1_950, 3))))
    state = {**first.dump(), "version": 1}
    del state["learning"]
    second = FeatureShift.load(state, bins)
    second.add(bins.cells(NUMBERS, rng.random((9_000, 3))))
    np.testing.assert_array_equal(second._bets.ranks, feature_bets.build(bins).ranks)
    np.testing.assert_array_equal(second.dump()["learning"]["counts"], bins.counts)


def test_a_bet_wins_nothing_from_the_reference_itself():
    for bins in (numeric(), mixed(nulls=50)):
        for own in bins.references:
            shares = own.counts / own.counts.sum()
            assert (shares @ np.exp(rank_bets(own)) <= 1 + 1e-12).all()
            for share in shares:
                won, lost = cell_bets(*[(share * own.counts.sum(), own.counts.sum())] * 2)
                assert (share * np.exp(won) + (1 - share) * np.exp(lost) <= 1 + 1e-12).all()


def test_dependent_rows_slow_the_evidence_down():
    bins = numeric()
    shift = FeatureShift(bins, 1e9)
    rng = np.random.default_rng(9)
    drawn = np.repeat(rng.random((200, 3)), 50, axis=0)
    shift.add(bins.cells(NUMBERS, np.concatenate([drawn] * 2)))
    assert (shift._inflation.value() > 10).all()


def test_while_it_is_warm_dependence_is_learned_and_nothing_is_named():
    bins = numeric()
    shift = FeatureShift(bins, 1_000.0, Pace(warm_steps=60))
    rng = np.random.default_rng(11)
    moved = bins.cells(NUMBERS, np.repeat(rng.random((300, 3)), 20, axis=0) ** [1.0, 2.0, 1.0])
    assert shift.add(moved) == []
    assert (shift._inflation.value() > 5).all()
    assert set(shift.add(bins.cells(NUMBERS, rng.random((200 * STEP, 3)) ** [1.0, 2.0, 1.0]))) == {1}


def test_a_restored_shift_goes_on_as_the_first():
    bins = numeric(2_000)
    rng = np.random.default_rng(10)
    first = FeatureShift(bins, 50.0)
    first.add(bins.cells(NUMBERS, rng.random((2_345, 3)) ** [1.0, 1.5, 1.0]))
    second = FeatureShift.load(first.dump(), bins)
    second.patience = first.patience
    rest = bins.cells(NUMBERS, rng.random((1_234, 3)) ** [1.0, 1.5, 1.0])
    assert second.add(rest) == first.add(rest)
    np.testing.assert_array_equal(second.evidence, first.evidence)
    assert second.moved == first.moved


def test_a_foreign_state_is_refused():
    state = FeatureShift(numeric(200)).dump()
    for wrong, bins in (({**state, "version": 9}, numeric(200)), (state, mixed())):
        with pytest.raises(SnapshotError):
            FeatureShift.load(wrong, bins)


def test_bins_without_features_have_no_evidence():
    shift = FeatureShift(FeatureBins({}), 10.0)
    assert shift.add(np.empty((5, 0), np.int32)) == []


def test_capital_that_nobody_takes_stays_a_number():
    bins = numeric(2_000)
    shift = FeatureShift(bins)
    rng = np.random.default_rng(12)
    shift.add(bins.cells(NUMBERS, rng.random((100 * STEP, 3)) ** 20.0))
    assert np.isfinite(shift.evidence).all()
