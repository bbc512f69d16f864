"""Calibration against scikit-learn's isotonic regression."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from tidegauge.estimate.calibration import blend, labelled_cells, monotone
from tidegauge.metrics.scores import bin_of

BINS = 50


def labelled(scores, came, weight=None):
    weight = np.ones(len(scores)) if weight is None else weight
    index, amount = labelled_cells(bin_of(scores, BINS), came, weight, BINS)
    return np.bincount(index.ravel(), amount.ravel(), 3 * BINS).reshape(3, BINS)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.booleans(), st.floats(0.1, 10)),
        min_size=1,
        max_size=80,
    )
)
def test_the_curve_is_isotonic_regression_over_the_bins(rows):
    scores, came, weight = (np.array(column) for column in zip(*rows, strict=True))
    bins = bin_of(scores, BINS)
    oracle = IsotonicRegression(out_of_bounds="clip").fit(bins, came, sample_weight=weight)
    curve = monotone(labelled(scores, came, weight))
    assert curve.probability[bins] == pytest.approx(oracle.predict(bins), abs=1e-9)
    assert curve.probability == pytest.approx(oracle.predict(np.arange(BINS)), abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60), st.integers(1, 59))
def test_labelled_rows_add_in_any_split(rows, split):
    scores, came = (np.array(column) for column in zip(*rows, strict=True))
    whole = labelled(scores, came)
    parts = labelled(scores[:split], came[:split]) + labelled(scores[split:], came[split:])
    assert np.array_equal(whole, parts)


def test_bins_of_a_block_share_a_probability_and_blocks_rise():
    random = np.random.default_rng(1)
    scores = random.random(2_000)
    curve = monotone(labelled(scores, random.random(2_000) < scores))
    assert (np.diff(curve.probability) >= 0).all()
    assert (np.diff(curve.block) >= 0).all()
    assert curve.block.max() == len(curve.variance) - 1


def test_a_block_is_less_certain_the_fewer_rows_it_has_and_never_certain():
    few = monotone(np.array([[4.0], [4.0], [4.0]]))
    many = monotone(np.array([[400.0], [400.0], [400.0]]))
    assert few.variance[0] > many.variance[0] > 0


def test_rows_that_count_more_make_no_more_rows():
    light = monotone(np.array([[10.0], [5.0], [10.0]]))
    heavy = monotone(np.array([[30.0], [15.0], [90.0]]))
    assert heavy.variance == pytest.approx(light.variance)


def test_without_a_labelled_row_there_is_no_curve():
    assert monotone(np.zeros((3, BINS))) is None


def test_bins_beyond_the_labelled_ones_are_known_as_such():
    cells = np.zeros((3, 5))
    cells[:, 2:4] = 1.0
    curve = monotone(cells)
    assert (curve.first, curve.last) == (2, 3)


def test_a_correction_that_outlives_its_row_makes_no_bin_negative():
    cells = np.array([[3.0, -1.0], [1.0, -1.0], [3.0, -1.0]])
    assert monotone(cells).probability.tolist() == [1 / 3, 1 / 3]


def test_the_reference_counts_whole_until_labels_come_and_then_ever_less():
    reference, one = np.full((3, 1), 100.0), np.full((3, 1), 1.0)
    assert blend(reference, 0 * one, 50.0).tolist() == reference.tolist()
    shares = [float((blend(reference, rows * one, 50.0)[0, 0] - rows) / 100) for rows in (25, 50, 500)]
    assert shares == pytest.approx([2 / 3, 1 / 2, 1 / 11])
