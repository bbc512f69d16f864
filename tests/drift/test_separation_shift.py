import itertools
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.drift.placement import Separation
from tidegauge.drift.separation_shift import (
    CLASS,
    LEAST_EACH,
    MOST_GROUP,
    SeparationShift,
    SeparationTerms,
    find_steps,
    side_by_side,
    step_earnings,
)
from tidegauge.errors import SnapshotError

TERMS = SeparationTerms(reference=400, run_length=1_000.0)
PROMISED = 2_000.0


def rows(seed, count, share=0.4, apart=1.5, centre=0.0):
    rng = np.random.default_rng(seed)
    came = rng.random(count) < share
    return np.round(rng.normal(centre + apart * came), 2).astype(np.float32), came.astype(np.float64)


def joined(*parts):
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


CHANGING = joined(rows(1, 700), rows(2, 300, apart=0.0), rows(3, 300, share=0.1, apart=0.0))


def group_size(count):
    return max(size for size in (1, 2, 4, MOST_GROUP) if size <= count // CLASS)


def by_definition(scores, came, reference, terms):
    """Every bettor that ever started, one an outcome, with products over each rotation of each step."""
    alarms, owned, start = [], [], 0
    while True:
        end = next(
            (
                e
                for e in range(start, len(came) + 1)
                if min(came[start:e].sum(), (1 - came[start:e]).sum()) >= CLASS
            ),
            None,
        )
        if end is None:
            return alarms
        up, down = (scores[start:end][came[start:end] == which] for which in (1, 0))
        few, many = (up, down) if len(up) <= len(down) else (down, up)
        size = group_size(len(many))
        groups = many[len(many) - CLASS * size :].reshape(CLASS, size)
        value = np.array([[np.mean((one > g) + (one == g) / 2) for g in groups] for one in few[-CLASS:]])
        value = value if len(up) <= len(down) else 1 - value
        gains = [
            np.mean([
                math.prod(1 + stake * (value[i, (i + turn) % CLASS] - reference.low) for i in range(CLASS))
                for turn in range(CLASS)
            ]) ** (1 / reference.inflation)
            for stake in reference.stakes
        ]  # fmt: skip
        owned = [
            [own * gain for own, gain in zip(one, gains, strict=True)]
            for one in [*owned, *[[1.0] * len(gains)] * (end - start)]
        ]
        if sum(map(sum, owned)) / len(gains) >= terms.run_length:
            alarms.append(end)
            owned = []
        start = end


def test_the_evidence_is_that_of_all_bettors_one_an_outcome():
    scores, came = CHANGING
    detector = SeparationShift(TERMS)
    found = [one.seen - TERMS.reference for one in detector.update(scores, came)]
    assert detector.reference is not None
    assert found == by_definition(scores[400:], came[400:], detector.reference, TERMS)
    assert found


@settings(deadline=None)
@given(st.lists(st.integers(0, 150), min_size=1, max_size=15))
def test_the_cut_into_updates_changes_nothing(cuts):
    scores, came = CHANGING
    whole, pieces = SeparationShift(TERMS), SeparationShift(TERMS)
    expected, found, place = whole.update(scores, came), [], 0
    for size in [*cuts, len(scores)]:
        found += pieces.update(scores[place : place + size], came[place : place + size])
        place += size
    assert found == expected
    assert pieces.dump() == whole.dump()


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([0.0, 0.02, 0.5, 0.97]), st.integers(0, 99), st.integers(1, 400))
def test_one_row_at_a_time_is_as_all_at_once_whatever_the_share_of_the_classes(share, seed, size):
    scores, came = rows(seed, 400, share)
    terms = SeparationTerms(reference=60, run_length=200.0)
    whole, pieces = SeparationShift(terms), SeparationShift(terms)
    expected = whole.update(scores, came)
    found = [pieces.update(scores[i : i + size], came[i : i + size]) for i in range(0, 400, size)]
    assert list(itertools.chain(*found)) == expected
    assert pieces.dump() == whole.dump()


def test_a_restored_detector_goes_on_as_the_first():
    scores, came = CHANGING
    for place in (0, 333, 400, 407, 1_000):
        first = SeparationShift(TERMS)
        first.update(scores[:place], came[:place])
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.dump()))
        second = SeparationShift.load(state, TERMS)
        assert second.update(scores[place:], came[place:]) == first.update(scores[place:], came[place:])
        assert second.dump() == first.dump()


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"version": 1},
        *(
            {**SeparationShift(TERMS).dump(), **part}
            for part in ({"version": 2}, {"owned": []}, {"held": b"1234"})
        ),
    ],
)
def test_a_foreign_state_is_refused(state):
    with pytest.raises(SnapshotError):
        SeparationShift.load(state, TERMS)


def test_a_fall_is_found_dated_and_measured():
    detector = SeparationShift(SeparationTerms(run_length=10_000.0))
    first = detector.update(*joined(rows(3, 4_000), rows(4, 1_000, apart=0.5)))[0]
    assert 4_000 < first.seen < 4_300
    assert first.before == pytest.approx(0.856, abs=0.03)
    assert first.after is not None
    assert 0.4 < first.after < 0.75
    assert 0 < detector.took < 1_000


NULL = {
    "even": ({}, {}),
    "rare": ({"share": 0.03}, {"share": 0.03}),
    "the many are positive": ({"share": 0.95}, {"share": 0.95}),
    "the share moves": ({"share": 0.5}, {"share": 0.1}),
    "the rare become frequent": ({"share": 0.03}, {"share": 0.3}),
    "scores move": ({}, {"centre": 3.0}),
    "no better than chance": ({"apart": 0.0}, {"apart": 0.0}),
}


@pytest.mark.parametrize("name", NULL)
def test_while_the_area_stays_the_promise_is_kept_whatever_classes_and_scores_do(name):
    before, after = NULL[name]
    terms, alarms, outcomes = SeparationTerms(run_length=PROMISED), 0, 4_000
    for seed in range(20):
        detector = SeparationShift(terms)
        detector.update(*rows(seed, terms.reference, **before))
        alarms += len(detector.update(*rows(1_000 + seed, outcomes, **after)))
    assert alarms <= 20 * outcomes / PROMISED


def test_an_increasing_function_of_the_scores_changes_nothing():
    scores, came = CHANGING
    plain, cubed = SeparationShift(TERMS), SeparationShift(TERMS)
    assert plain.update(scores, came) == cubed.update(scores.astype(np.float64) ** 3, came)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.floats(-1.0, -0.1))
def test_under_any_law_of_the_same_area_the_mean_earned_is_1(seed, low, stake):
    """Of both rows of a step exchanged at random, as where scores tell nothing: the area is a half."""
    rng = np.random.default_rng(seed)
    came = rng.random(3_000) < low
    scores = rng.integers(0, 5, 3_000).astype(np.float32)
    steps = find_steps(came)
    beside = side_by_side(np.stack((scores, came.astype(np.float32))), steps)
    earned = step_earnings(beside, Separation(0.5, 0.5, 1.0, (stake,)))
    assert earned.mean() < 1 + 5 * earned.std() / math.sqrt(max(len(earned), 1)) + 1e-9


def test_a_reference_waits_for_both_classes_and_stays_small():
    detector = SeparationShift(SeparationTerms(reference=100))
    detector.update(np.zeros(5_000), np.zeros(5_000))
    assert detector.reference is None
    assert len(detector.dump()["held"]) == 2 * 4 * 100
    detector.update(np.arange(float(LEAST_EACH)), np.ones(LEAST_EACH))
    assert detector.reference is not None


def test_what_waits_for_the_other_class_stays_small():
    detector = SeparationShift(SeparationTerms(reference=100))
    detector.update(*rows(5, 200))
    detector.update(np.zeros(10_000), np.zeros(10_000))
    assert len(detector.dump()["held"]) <= 2 * 4 * (CLASS * MOST_GROUP + CLASS)


def test_rows_that_come_in_runs_slow_the_evidence_down():
    scores, came = rows(8, 1_000)
    detector, independent = SeparationShift(SeparationTerms()), SeparationShift(SeparationTerms())
    detector.update(np.repeat(scores[:100], 10), np.repeat(came[:100], 10))
    independent.update(scores, came)
    assert detector.reference is not None
    assert independent.reference is not None
    assert detector.reference.inflation > 2 * independent.reference.inflation


def test_a_fall_within_the_tolerance_is_nobodys_business():
    stream = joined(rows(10, 2_000), rows(11, 8_000, apart=1.1))
    strict, lenient = (
        SeparationShift(SeparationTerms(run_length=10_000.0, tolerance=t)).update(*stream)
        for t in (0.0, 0.15)
    )
    assert strict
    assert not lenient


def test_without_a_run_length_only_overwhelming_evidence_counts():
    detector = SeparationShift(SeparationTerms(reference=200))
    detector.update(*rows(13, 200))
    wrong = rows(14, 20_000, apart=-2.0)
    assert not detector.update(wrong[0][:100], wrong[1][:100])
    assert detector.update(*wrong)
    assert math.isfinite(sum(detector.dump()["owned"]))
