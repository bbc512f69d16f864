import numpy as np
import pytest

from tidegauge.block import Layout
from tidegauge.drift.reference import fit
from tidegauge.drift.sample import ReferenceSample, prediction_matrix
from tidegauge.errors import SnapshotError

BOTH = Layout(("age", "plan"), (False, True))
AGE = Layout(("age",), (False,))


def filled():
    sample = ReferenceSample(6)
    sample.add(BOTH, np.array([[1.0, 0.0], [2.0, 0.0], [np.nan, -1.0]]), ["free"])
    sample.add(BOTH, np.array([[3.0, 1.0], [3.0, 1.0]]), ["free", "pro"])
    sample.add(AGE, np.array([[9.0]]))
    return sample


def test_rows_of_several_layouts_freeze_as_one_reference_and_absent_is_null():
    sample = filled()
    assert (sample.rows, sample.room) == (6, 0)
    bins = sample.freeze(10, 100)
    age = fit([1.0, 2.0, 3.0, 3.0, 9.0], [], 1, 10, 100)
    plan = fit([], ["free", "free", "pro", "pro"], 2, 10, 100)
    assert bins.names == ("age", "plan")
    assert bins.counts.tolist() == [*age.counts, *plan.counts]


def test_a_sample_that_was_dumped_and_loaded_goes_on_as_if_nothing_happened():
    sample = ReferenceSample(9)
    sample.add(BOTH, np.array([[1.0, 0.0], [2.0, 0.0]]), ["free"])
    again = ReferenceSample.load(sample.dump())
    for one in (sample, again):
        one.add(BOTH, np.array([[3.0, 1.0], [4.0, 1.0]]), ["x", "pro"])
    assert again.room == sample.room == 5
    assert again.freeze(10, 100).dump() == sample.freeze(10, 100).dump()


@pytest.mark.parametrize(
    "change", [{"version": 99}, {"needed": "x"}, {"numbers": []}, {"texts": {}}, {"numbers": {"age": b"odd"}}]
)
def test_a_foreign_state_is_refused(change):
    with pytest.raises(SnapshotError, match="reference sample"):
        ReferenceSample.load(filled().dump() | change)


NAN = np.full(2, np.nan)
NONE = np.full(2, -1.0)


def test_predictions_are_seen_by_score_then_number_then_class():
    score, number, code = np.array([0.1, np.nan]), np.array([0.0, 1.0]), np.array([0.0, 0.0])
    assert prediction_matrix(score, number, NONE)[0] == Layout(("score",), (False,))
    assert prediction_matrix(NAN, number, NONE)[0] == Layout(("number",), (False,))
    assert prediction_matrix(NAN, NAN, code)[0] == Layout(("class",), (True,))


def test_a_frozen_choice_stays_and_what_is_absent_is_null():
    layout, values = prediction_matrix(NAN, np.ones(2), NONE, like="score")
    assert layout.names == ("score",)
    assert np.isnan(values).all()
