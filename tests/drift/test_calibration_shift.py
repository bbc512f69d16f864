import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.drift.calibration_curve import Lines, expect
from tidegauge.drift.calibration_shift import (
    BLOCK,
    ODDS,
    WAYS,
    CalibrationShift,
    CalibrationTerms,
    step_earnings,
)
from tidegauge.errors import SnapshotError

TERMS = CalibrationTerms(reference=600, run_length=1_000.0)
PROMISED = 2_000.0


def logit(p):
    return np.log(p / (1 - p))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rows(seed, count, law=lambda p: p, centre=0.0):
    """Return scores about a centre, and labels whose probability is a law of the score."""
    rng = np.random.default_rng(seed)
    scores = sigmoid(rng.normal(centre, 1.5, count))
    return scores, (rng.random(count) < law(scores)).astype(np.float64)


def joined(*parts):
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


CHANGING = joined(rows(1, 900), rows(2, 400, lambda p: sigmoid(logit(p) - 1.5)))


def by_definition(scores, came, curve, terms):
    """Every bettor that ever started, each with its own product of likelihood ratios, at each step."""
    found = expect(curve, scores, terms.probability, terms.tolerance)

    def factor(row, way, odds):
        upwards = {"more": True, "fewer": False, "flatter": not found.upper[row], "sharper": found.upper[row]}
        o, p = (odds, found.high[row]) if upwards[way] else (1 / odds, found.low[row])
        q = o * p / (1 - p + o * p)
        return (q / p if came[row] else (1 - q) / (1 - p)) if found.known[row] else 1.0

    table = [[[factor(row, way, odds) for odds in ODDS] for way in WAYS] for row in range(len(scores))]
    alarms, start = [], 0
    for end in range(BLOCK, len(scores) // BLOCK * BLOCK + 1, BLOCK):
        total = 0.0
        for begin in range(start, end, BLOCK):
            capital = np.prod(table[begin:end], axis=0) ** (1 / curve.inflation)
            total += capital.sum()
        if total / capital.size >= terms.run_length / BLOCK:
            alarms.append(end)
            start = end
    return alarms


@pytest.mark.parametrize("terms", [TERMS, TERMS._replace(tolerance=0.005)])
def test_the_evidence_is_the_sum_of_all_bettors_likelihood_ratios(terms):
    scores, came = CHANGING
    detector = CalibrationShift(terms)
    found = [one.seen - terms.reference for one in detector.update(scores, came)]
    assert detector.curve is not None
    assert found == by_definition(scores[terms.reference :], came[terms.reference :], detector.curve, terms)
    assert found


@settings(deadline=None)
@given(st.lists(st.integers(0, 150), min_size=1, max_size=15))
def test_the_cut_into_updates_changes_nothing(cuts):
    scores, came = CHANGING
    whole, pieces = CalibrationShift(TERMS), CalibrationShift(TERMS)
    expected, found, place = whole.update(scores, came), [], 0
    for size in [*cuts, len(scores)]:
        found += pieces.update(scores[place : place + size], came[place : place + size])
        place += size
    assert found == expected
    assert pieces.dump() == whole.dump()


def test_a_restored_detector_goes_on_as_the_first():
    scores, came = CHANGING
    for place in (0, 333, 600, 607, 1_000):
        first = CalibrationShift(TERMS)
        first.update(scores[:place], came[:place])
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.dump()))
        second = CalibrationShift.load(state, TERMS)
        assert second.update(scores[place:], came[place:]) == first.update(scores[place:], came[place:])
        assert second.dump() == first.dump()


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"version": 1},
        *(
            {**CalibrationShift(TERMS).dump(), **part}
            for part in ({"version": 2}, {"owned": []}, {"held": b"1234"})
        ),
    ],
)
def test_a_foreign_state_is_refused(state):
    with pytest.raises(SnapshotError):
        CalibrationShift.load(state, TERMS)


@pytest.mark.parametrize(
    ("how", "law"),
    [
        ("more", lambda p: sigmoid(logit(p) + 1)),
        ("fewer", lambda p: sigmoid(logit(p) - 1)),
        ("flatter", lambda p: sigmoid(logit(p) / 3)),
        ("sharper", lambda p: sigmoid(logit(p) * 3)),
    ],
)
def test_labels_that_break_with_their_scores_are_found_and_named(how, law):
    detector = CalibrationShift(CalibrationTerms(run_length=10_000.0))
    first = detector.update(*joined(rows(3, 4_000), rows(4, 2_000, law)))[0]
    assert first.how == how
    assert 4_000 < first.seen < 4_600
    assert first.came is not None
    assert first.expected is not None
    assert (first.came > first.expected) == (how in ("more", "sharper"))
    assert 0 < detector.took < 3_000


NULL = {
    "calibrated": (0.0, 0.0, lambda p: p),
    "rare": (-3.0, -3.0, lambda p: p),
    "over-confident from the beginning": (0.0, 0.0, lambda p: sigmoid(logit(p) / 2)),
    "scores rise": (0.0, 2.0, lambda p: p),
    "scores fall": (2.0, -2.0, lambda p: p),
    "scores of an over-confident model rise": (-2.0, 1.0, lambda p: sigmoid(logit(p) / 2)),
}


@pytest.mark.parametrize("name", NULL)
def test_without_a_break_the_promised_run_length_is_kept_whatever_the_scores_do(name):
    before, after, law = NULL[name]
    terms, alarms, outcomes = CalibrationTerms(run_length=PROMISED), 0, 4_000
    for seed in range(20):
        detector = CalibrationShift(terms)
        detector.update(*rows(seed, terms.reference, law, before))
        alarms += len(detector.update(*rows(1_000 + seed, outcomes, law, after)))
    assert alarms <= 20 * outcomes / PROMISED


def numbers(seed, count, bias=0.0, centre=0.0):
    """Return predictions, and whether the truth was greater: the noise grows with the prediction."""
    rng = np.random.default_rng(seed)
    predicted = rng.normal(centre, 100.0, count)
    truth = predicted + (1 + np.abs(predicted) / 50) * (rng.standard_t(2, count) + bias)
    return predicted, (truth > predicted).astype(np.float64)


def test_of_numbers_a_bias_is_found_and_a_move_of_the_predictions_is_not():
    terms = CalibrationTerms(probability=False, run_length=PROMISED)
    detector = CalibrationShift(terms)
    found = detector.update(*joined(numbers(5, 2_000), numbers(6, 1_000, bias=0.5)))
    assert found[0].how == "more"
    assert found[0].seen < 2_400
    alarms = sum(
        len(
            CalibrationShift(terms).update(
                *joined(numbers(seed, 1_000), numbers(99 + seed, 4_000, 0.0, 80.0))
            )
        )
        for seed in range(20)
    )
    assert alarms <= 20 * 4_000 / PROMISED


def test_labels_that_come_in_runs_slow_the_evidence_down():
    rng = np.random.default_rng(7)
    scores, came = rows(8, 1_000)
    noise = np.repeat(rng.random(100), 10)
    detector, independent = CalibrationShift(CalibrationTerms()), CalibrationShift(CalibrationTerms())
    detector.update(scores, (noise < scores).astype(np.float64))
    independent.update(scores, came)
    assert detector.curve is not None
    assert independent.curve is not None
    assert detector.curve.inflation > 2 * independent.curve.inflation


def test_scores_that_the_reference_never_had_earn_nothing():
    scores, came = rows(9, 1_000, centre=-2.0)
    detector = CalibrationShift(CalibrationTerms(run_length=10_000.0))
    detector.update(scores, came)
    assert detector.update(np.full(500, 0.999), np.zeros(500)) == []


def test_a_difference_within_the_tolerance_is_nobodys_business():
    stream = joined(rows(10, 1_000), rows(11, 15_000, lambda p: np.minimum(p + 0.04, 1.0)))
    strict, lenient = (
        CalibrationShift(CalibrationTerms(run_length=10_000.0, tolerance=t)).update(*stream)
        for t in (0.0, 0.08)
    )
    assert strict
    assert not lenient


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_no_bet_can_lose_all_and_none_is_better_than_fair(score, half):
    scores, came = rows(12, 400)
    detector = CalibrationShift(CalibrationTerms(reference=400))
    detector.update(scores, came)
    assert detector.curve is not None
    same = np.full(BLOCK, score)
    lost, won, drawn = (
        step_earnings(Lines(detector.curve), same, np.full(BLOCK, x), TERMS)[0][0] for x in (0.0, 1.0, half)
    )
    mean = expect(detector.curve, same[:1], probability=True).mean[0]
    assert all((one > 0).all() for one in (lost, won, drawn))
    one = 1 / BLOCK / (1 / detector.curve.inflation)
    assert ((1 - mean) * lost**one + mean * won**one <= 1 + 1e-9).all()


def test_without_a_run_length_only_overwhelming_evidence_counts():
    detector = CalibrationShift(CalibrationTerms(reference=200))
    detector.update(*rows(13, 200))
    assert not detector.update(np.full(100, 0.5), np.ones(100))
    assert detector.update(np.full(20_000, 0.5), np.ones(20_000))
    assert math.isfinite(sum(detector.dump()["owned"]))
