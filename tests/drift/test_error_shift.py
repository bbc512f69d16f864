import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.drift import bets
from tidegauge.drift.error_baseline import AGREED, Sums, Terms, agree, bound, learn, step_earnings
from tidegauge.drift.error_shift import BLOCK, ErrorShift, newcomers
from tidegauge.errors import SnapshotError

KNOWN = Terms(reference=0, mean=0.1, run_length=2_000.0)
LEARNED = Terms(reference=200, run_length=2_000.0)
BOTH = LEARNED._replace(direction="both")


def errors(seed, count, rate):
    return (np.random.default_rng(seed).random(count) < rate).astype(np.float64)


def losses(seed, count, scale):
    return np.minimum(np.random.default_rng(seed).exponential(scale, count), 1.0)


def by_definition(values, baseline, run_length):
    """Every bettor that ever started, each with its own product, summed up at each step."""
    found, start = [], 0
    for end in range(BLOCK, len(values) // BLOCK * BLOCK + 1, BLOCK):
        total = 0.0
        for begin in range(start, end, BLOCK):
            for mean, stake in zip(baseline.means, baseline.stakes, strict=True):
                capital = math.prod(1 + stake * (value - mean) for value in values[begin:end])
                total += capital ** (1 / baseline.inflation)
        if total / len(baseline.stakes) >= run_length / BLOCK:
            found.append(end)
            start = end
    return found


@pytest.mark.parametrize("terms", [KNOWN, LEARNED, BOTH])
@pytest.mark.parametrize(
    "healthy,ill", [(errors(1, 300, 0.1), errors(2, 300, 0.4)), (losses(3, 300, 0.1), losses(4, 300, 0.3))]
)
def test_the_evidence_is_the_sum_of_all_bettors_capital(terms, healthy, ill):
    values = np.concatenate((healthy, ill))
    detector = ErrorShift(terms)
    found = [change.seen - terms.reference for change in detector.update(values)]
    assert detector.baseline is not None
    assert found == by_definition(values[terms.reference :], detector.baseline, terms.run_length)
    assert found


@given(
    st.lists(st.integers(0, 90), min_size=1, max_size=20),
    st.sampled_from([LEARNED, BOTH, LEARNED._replace(ever=0.1)]),
)
def test_the_cut_into_updates_changes_nothing(cuts, terms):
    values = np.concatenate((losses(5, 400, 0.1), losses(6, 300, 0.3)))
    whole, pieces = ErrorShift(terms), ErrorShift(terms)
    expected = [change.seen for change in whole.update(values)]
    found, place = [], 0
    for size in [*cuts, len(values)]:
        found += [change.seen for change in pieces.update(values[place : place + size])]
        place += size
    assert found == expected
    states = pieces.dump(), whole.dump()
    for state in states:
        state["last"] = state["last"] and state["last"][1:]  # but for its place in an update
    assert states[0] == states[1]


def test_a_restored_detector_goes_on_as_the_first():
    values = np.concatenate((errors(7, 333, 0.1), errors(8, 300, 0.3)))
    for place in (0, 100, 203, 450):
        first = ErrorShift(LEARNED)
        first.update(values[:place])
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.dump()))
        second = ErrorShift.load(state, LEARNED)
        assert second.update(values[place:]) == first.update(values[place:])
        assert second.dump() == first.dump()


@pytest.mark.parametrize("state", [{}, {"version": 1}, {**ErrorShift(KNOWN).dump(), "version": 3}])
def test_a_foreign_state_is_refused(state):
    with pytest.raises(SnapshotError):
        ErrorShift.load(state, KNOWN)


def test_a_rise_says_its_size_and_how_long_it_took():
    values = np.concatenate((errors(9, 3_000, 0.1), errors(10, 1_000, 0.4)))
    detector = ErrorShift(Terms(run_length=10_000.0))
    first = detector.update(values)[0]
    assert first.worse
    assert 3_000 < first.seen < 3_100
    assert first.before == pytest.approx(0.1, abs=0.03)
    assert first.after is not None
    assert first.after > 1.5 * first.before


def test_a_fall_is_found_where_both_directions_are_asked_for():
    values = np.concatenate((errors(11, 3_000, 0.3), errors(12, 1_000, 0.1)))
    assert not ErrorShift(Terms(run_length=10_000.0)).update(values)
    changes = ErrorShift(Terms(run_length=10_000.0, direction="both")).update(values)
    assert changes
    assert not any(change.worse for change in changes)


def test_a_rise_within_the_tolerance_is_nobodys_business():
    values = np.concatenate((errors(13, 1_000, 0.1), errors(14, 20_000, 0.14)))
    strict, lenient = (ErrorShift(Terms(run_length=10_000.0, tolerance=t)) for t in (0.0, 0.05))
    assert strict.update(values)
    assert not lenient.update(values)


def test_values_beyond_zero_and_one_are_refused():
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="from 0 to 1"):
            ErrorShift(KNOWN).update(np.array([0.5, wrong]))


def test_without_a_run_length_only_overwhelming_evidence_counts():
    detector = ErrorShift(KNOWN._replace(run_length=None))
    assert not detector.update(np.ones(100))
    assert detector.update(np.ones(5_000))


@given(st.floats(0.0, 1.0), st.sampled_from(["worse", "both"]))
def test_no_bet_can_lose_all_and_each_is_fair(mean, direction):
    baseline = learn(np.empty(0), Terms(reference=0, mean=mean, direction=direction))
    means, stakes = np.array(baseline.means), np.array(baseline.stakes)
    lost, won = (step_earnings(np.full((1, 1), x), means, stakes, 1.0)[0] for x in (0.0, 1.0))
    assert (lost > 0).all()
    assert (won > 0).all()
    np.testing.assert_allclose((1 - means) * lost + means * won, 1.0)


def test_many_streams_at_once_step_as_each_alone():
    blocks = np.stack([errors(seed, BLOCK, 0.3) for seed in range(8)])
    learned = [learn(errors(20 + seed, 200, 0.2), BOTH) for seed in range(8)]
    means, stakes = (np.array([getattr(one, name) for one in learned]) for name in ("means", "stakes"))
    together = step_earnings(blocks, means, stakes, np.array([[one.inflation] for one in learned]))
    alone = [
        step_earnings(block[None], np.array(one.means), np.array(one.stakes), one.inflation)[0]
        for block, one in zip(blocks, learned, strict=True)
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@given(st.integers(0, 400), st.integers(1, 400), st.floats(0.01, 0.4))
def test_the_bound_is_wilsons(wrong, right, missed):
    from scipy.stats import binomtest

    n = wrong + right
    interval = binomtest(wrong, n).proportion_ci(1 - 2 * missed, method="wilson")
    p = wrong / n
    assert bound(p, p * (1 - p), n, 1.0, missed) == pytest.approx(interval.high, abs=1e-9)
    assert bound(p, p * (1 - p), n, -1.0, missed) == pytest.approx(interval.low, abs=1e-9)


def test_less_variance_narrows_the_bound():
    assert bound(0.3, 0.01, 1_000, 1.0) < bound(0.3, 0.21, 1_000, 1.0)


def test_stakes_are_the_first_order_optimum():
    for mean in (0.02, 0.1, 0.5):
        for stake, odds in zip(bets.stakes_up(mean), bets.ODDS, strict=True):
            risen = odds * mean / (1 - mean) / (1 + odds * mean / (1 - mean))
            if stake < bets.MOST_STAKED / mean * 0.999:
                lost, won = math.log(1 - stake * mean), math.log(1 + stake * (1 - mean))
                assert (1 - risen) * lost + risen * won > 0


ONCE = LEARNED._replace(run_length=None, ever=0.1)


def by_definition_once(values, baseline, ever):
    """The first step at which what all who ever started own, with the little that each had, is enough."""
    left = [1 / (1 + math.log2(step)) for step in range(1, len(values) // BLOCK + 2)]
    owned = np.zeros((0, len(baseline.stakes)))
    for step in range(len(values) // BLOCK):
        owned = np.concatenate((owned, np.full((1, len(baseline.stakes)), left[step] - left[step + 1])))
        for value in values[step * BLOCK : (step + 1) * BLOCK]:
            factor = (1 + np.array(baseline.stakes) * (value - np.array(baseline.means))) ** (
                1 / baseline.inflation
            )
            owned *= factor
        if np.sum(owned) / len(baseline.stakes) >= 2 / ever:
            return (step + 1) * BLOCK
    return None


@pytest.mark.parametrize("healthy", [50, 2_000])
def test_with_a_probability_there_is_one_alarm_that_ends_it(healthy):
    values = np.concatenate((errors(21, 200 + healthy, 0.1), errors(2, 1_000, 0.4)))
    detector = ErrorShift(ONCE)
    (change,) = detector.update(values)
    assert detector.final
    detector.update(np.ones(10_000))
    assert detector.dump()["owned"] == [0.0] * len(detector.dump()["owned"])
    assert detector.baseline is not None
    assert change.seen - 200 == by_definition_once(values[200:], detector.baseline, 0.1)
    assert healthy < change.seen - 200 < healthy + 200


@pytest.mark.parametrize(
    ("before", "after"), [(LEARNED, ONCE), (ONCE, LEARNED), (ONCE, ONCE._replace(ever=0.2))]
)
def test_evidence_for_one_promise_is_none_for_another(before, after):
    detector = ErrorShift(before)
    detector.update(errors(3, 1_000, 0.1))
    with pytest.raises(SnapshotError):
        ErrorShift.load(detector.dump(), after)
    assert ErrorShift.load(detector.dump(), before).seen == 1_000


def test_newcomers_have_1_in_all_however_they_are_cut():
    every = newcomers(0, 10_000, ONCE)
    assert every.sum() == pytest.approx(1 - 1 / (1 + math.log2(10_001)))
    assert np.concatenate((newcomers(0, 17, ONCE), newcomers(17, 83, ONCE))).tolist() == every[:100].tolist()
    assert newcomers(3, 2, KNOWN).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("terms", [KNOWN._replace(run_length=None, ever=0.1), ONCE._replace(reference=1_000)])
def test_streams_without_a_shift_that_ever_raise_an_alarm_are_as_few_as_promised(terms):
    alarms = sum(
        ErrorShift(terms).update(errors(seed, terms.reference + 3_000, 0.1)) != [] for seed in range(100)
    )
    assert alarms <= 10


def test_a_baseline_has_half_of_the_probability_and_the_evidence_the_other_half():
    values = errors(9, 1_000, 0.1)
    once = learn(values, ONCE)
    mean, variance = float(values.mean()), float(values.var())
    assert once.means[0] == pytest.approx(bound(mean, variance, 1_000 / once.inflation, 1.0, 0.05))
    assert (ONCE.evidence, KNOWN._replace(ever=0.1).evidence, KNOWN.evidence) == (20, 10, None)


def test_learning_goes_on_with_batches_that_agree_with_the_reference():
    detector = ErrorShift(Terms(reference=200, run_length=1e9))
    detector.update(errors(30, 200, 0.1))
    first = detector.baseline
    detector.update(errors(31, 20_000, 0.1))
    assert detector.baseline.mean == pytest.approx(0.1, abs=0.012)
    assert detector.baseline.means[0] - detector.baseline.mean < (first.means[0] - first.mean) / 3
    taught = detector.baseline
    detector.update(errors(32, 5_000, 0.5))
    assert detector.baseline == taught


def test_a_batch_that_disagrees_teaches_nothing():
    reference, batch = errors(33, 200, 0.1), errors(34, 200, 0.3)
    detector = ErrorShift(Terms(reference=200, run_length=1e9))
    detector.update(reference)
    first = detector.baseline
    detector.update(batch)
    assert detector.baseline == first
    more = errors(35, 400, 0.1)
    detector.update(more)
    assert detector.baseline.mean == pytest.approx((reference.sum() + more.sum()) / 600)


def test_agreement_is_a_test_of_two_means_with_their_pooled_variance():
    from scipy.stats import chi2_contingency

    for wrong in (50, 90, 120, 140, 144, 145, 170):
        table = [[100, 900], [wrong, 1_000 - wrong]]
        z = math.sqrt(chi2_contingency(table, correction=False).statistic)
        assert agree(Sums(1_000, 100, 100), Sums(1_000, wrong, wrong), 1.0) == (z <= AGREED)


def test_a_slow_decline_is_found_and_not_learned():
    rate = np.linspace(0.1, 0.2, 100_000)
    values = (np.random.default_rng(36).random(100_000) < rate).astype(np.float64)
    detector = ErrorShift(Terms(run_length=1e6))
    assert detector.update(values)[0].seen < 60_000
    mean = values[:1_000].mean()
    assert detector.baseline.means[0] <= bound(mean, mean * (1 - mean), 1_000, 1.0, 0.05) * 1.05


def test_many_streams_sharpen_as_each_alone():
    from benchmarks.detection.errors import Bettors

    terms = Terms(reference=100, run_length=300.0)
    values = np.stack([errors(seed, 3_000, 0.2) for seed in range(4)])
    together = Bettors(values[:, :100], terms)
    blocks = np.split(values[:, 100:], 580, axis=1)
    found = np.array([together.step(block) for block in blocks])
    for stream, row in enumerate(values):
        alone = [change.seen for change in ErrorShift(terms).update(row)]
        assert (100 + BLOCK * (np.flatnonzero(found[:, stream]) + 1)).tolist() == alone


def test_a_state_of_the_first_version_keeps_its_baseline():
    detector = ErrorShift(LEARNED)
    detector.update(errors(37, 203, 0.1))
    state = {**detector.dump(), "version": 1}
    del state["learning"]
    again = ErrorShift.load(state, LEARNED)
    before = again.baseline
    again.update(errors(38, 5_000, 0.1))
    assert before is not None
    assert again.baseline == before
    assert again.dump()["version"] == 2
