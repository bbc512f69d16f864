"""Loss regression against scikit-learn's ridge, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tidegauge.drift import reference
from tidegauge.drift.features import FeatureBins
from tidegauge.estimate.design import ELSEWHERE, Design, dense
from tidegauge.estimate.ridge import Learned, estimate, fit, loss_targets, losses

Z = 1.959963984540054


def design(pairs, seed=1, rows=4_000):
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 2))
    bins = FeatureBins(
        {
            "a": reference.fit(numbers[:, 0], [], 0, bins=5, max_categories=9),
            "b": reference.fit(numbers[:, 1], [], 0, bins=4, max_categories=9),
            "c": reference.fit([], ["x", "y", "z"] * 9, 0, bins=4, max_categories=9),
        }
    )
    return bins, Design(bins, pairs)


def rows_of(bins, random, rows, shift=0.0):
    numbers = random.normal(shift, 1.0, size=(rows, 2))
    texts = random.integers(0, 3, rows)
    cells = np.stack(
        (
            bins.references[0].cells(numbers[:, 0]) + bins.starts[0],
            bins.references[1].cells(numbers[:, 1]) + bins.starts[1],
            bins.references[2].cells(texts.astype(float), ["x", "y", "z"]) + bins.starts[2],
        ),
        axis=1,
    ).astype(np.int32)
    spread = 0.5 + np.abs(numbers[:, 0]) * (numbers[:, 1] > 0) + (texts == 2)
    return cells, random.normal(0.3, 1.0, rows) * spread


def ones(cells, width):
    matrix = np.zeros((len(cells), width))
    row, column = np.nonzero(cells != ELSEWHERE)
    matrix[row, cells[row, column]] = 1.0
    return matrix


@pytest.mark.parametrize("pairs", [False, True])
def test_the_estimate_is_the_mean_prediction_of_a_ridge_regression_with_intercept(pairs):
    bins, made = design(pairs)
    random = np.random.default_rng(2)
    cells, error = rows_of(bins, random, 3_000)
    past, now = made.cells(cells), made.cells(rows_of(bins, random, 500, shift=0.5)[0])
    targets = loss_targets(error)
    learned = Learned.empty(made.width, 3)
    for start in range(0, 3_000, 700):
        part = slice(start, start + 700)
        learned.add(past[part], targets[part], np.ones(len(past[part])))
    histogram = ones(now, made.width).sum(0)
    oracle = Ridge(alpha=30.0).fit(ones(past, made.width), targets)
    found = estimate(fit(learned), histogram, 500.0)
    assert found.mean == pytest.approx(oracle.predict(ones(now, made.width)).mean(0), rel=1e-8)
    values = losses(fit(learned), histogram, 500.0, Z)
    assert values["rmse"].value == pytest.approx(np.sqrt(found.mean[1]))
    assert [value.n for value in values.values()] == [500] * 3


def test_pairs_see_what_two_features_do_together():
    """The error is large where both signs agree; later they always do, and no feature alone is changed."""
    gaps = {}
    for pairs in (False, True):
        random = np.random.default_rng(3)
        signs = random.choice([-1.0, 1.0], size=(40_000, 2))
        signs[20_000:, 1] = signs[20_000:, 0]
        error = random.normal(0.0, np.where(signs[:, 0] == signs[:, 1], 3.0, 1.0))
        sign = reference.fit([-1.0, 1.0], [], 0, bins=4, max_categories=9)
        bins = FeatureBins({"a": sign, "b": sign})
        cells = np.stack((sign.cells(signs[:, 0]), sign.cells(signs[:, 1]) + bins.starts[1]), axis=1)
        made = Design(bins, pairs)
        rows = made.cells(cells.astype(np.int32))
        learned = Learned.empty(made.width, 3)
        learned.add(rows[:20_000], loss_targets(error[:20_000]), np.ones(20_000))
        found = losses(fit(learned), ones(rows[20_000:], made.width).sum(0), 20_000.0, Z)["rmse"].value
        gaps[pairs] = abs(found - np.sqrt((error[20_000:] ** 2).mean()))
    assert gaps[False] > 0.5
    assert gaps[True] < 0.05


def test_the_interval_holds_about_as_often_as_it_says():
    bins, made = design(pairs=True)
    random = np.random.default_rng(5)
    held = []
    for _ in range(120):
        learned = Learned.empty(made.width, 3)
        cells, error = rows_of(bins, random, 1_000)
        learned.add(made.cells(cells), loss_targets(error), np.ones(1_000))
        cells, error = rows_of(bins, random, 400)
        found = losses(fit(learned), ones(made.cells(cells), made.width).sum(0), 400.0, Z)
        held.append(found["mae"].low <= np.abs(error).mean() <= found["mae"].high)
    assert 0.88 <= np.mean(held) <= 1.0


def test_parts_merge_and_a_row_can_be_taken_out():
    bins, made = design(pairs=True)
    cells, error = rows_of(bins, np.random.default_rng(6), 300)
    cells, targets = made.cells(cells), loss_targets(error)
    whole, left, right = (Learned.empty(made.width, 3) for _ in range(3))
    whole.add(cells[:250], targets[:250], np.ones(250))
    left.add(cells[:100], targets[:100], np.ones(100))
    right.add(cells[100:], targets[100:], np.ones(200))
    right.add(cells[250:], targets[250:], -np.ones(50))
    left.merge(right)
    for name, array in whole.state().items():
        assert left.state()[name] == pytest.approx(array, abs=1e-9), name
    again = Learned.restore(left.state())
    histogram = np.ones(made.width)
    means = [estimate(fit(one), histogram, 9.0).mean for one in (again, left)]
    assert means[0] == pytest.approx(means[1], rel=1e-12)


def test_older_rows_that_fade_leave_the_estimate_to_the_newer():
    learned = Learned.empty(1, 3)
    one = np.zeros((100, 1), np.int32)
    learned.add(one, loss_targets(np.full(100, 9.0)), np.ones(100))
    learned.fade(0.01)
    learned.add(one[:99], loss_targets(np.full(99, 1.0)), np.ones(99))
    assert losses(fit(learned), np.array([5.0]), 5.0, Z)["mae"].value == pytest.approx(1.08)


def test_nothing_learned_or_nothing_to_estimate_is_undefined():
    assert losses(fit(Learned.empty(2, 3)), np.ones(2), 2.0, Z)["mae"].value is None
    learned = Learned.empty(1, 3)
    learned.add(np.zeros((9, 1), np.int32), loss_targets(np.ones(9)), np.ones(9))
    assert losses(fit(learned), np.zeros(1), 0.0, Z)["rmse"].value is None


def test_a_value_out_of_range_counts_with_the_outermost_bin_and_a_new_level_with_the_rare_ones():
    numbers = reference.fit(np.arange(100.0), [], 0, bins=4, max_categories=9)
    table = dense(numbers)
    assert table[numbers.cells(np.array([-5.0, 0.0]))].tolist() == [0, 0]
    assert table[numbers.cells(np.array([99.0, 1e9]))].tolist() == [3, 3]
    assert table[numbers.cells(np.array([np.nan]))].tolist() == [ELSEWHERE]
    rare = reference.fit([], ["x", "x", "y", "y", "z"], 1, bins=4, max_categories=9)
    codes = rare.cells(np.array([0.0, 1.0, 2.0, -1.0]), ["x", "z", "new"])
    assert dense(rare)[codes].tolist() == [0, 2, 2, 3]
