"""Weighted calibration against the same computation row by row."""

from __future__ import annotations

import numpy as np
import pytest

from tidegauge.drift import reference
from tidegauge.drift.features import FeatureBins
from tidegauge.estimate.calibration import monotone
from tidegauge.estimate.classification import binary
from tidegauge.estimate.design import Design
from tidegauge.estimate.ridge import Learned
from tidegauge.estimate.weighted import PENALTY, score_targets, weighted

BINS = 10
Z = 1.959963984540054


def groups():
    """Return a design of two groups of rows, g = 0 and g = 1."""
    return Design(FeatureBins({"g": reference.fit([0.0, 1.0], [], 0, bins=4, max_categories=9)}), pairs=False)


def rows_of(random, rows, share):
    """Return group, score bin, label: the scores of group 1 promise too much."""
    group = (random.random(rows) < share).astype(np.int32)
    score = random.integers(0, BINS, rows)
    probability = (score + 0.5) / BINS * np.where(group == 1, 0.5, 1.0)
    return group, score, random.random(rows) < probability


def learn(group, score, came):
    learned = Learned.empty(2, 2 * BINS)
    learned.add(group[:, None], score_targets(score, came, BINS), np.ones(len(group)))
    return learned


def test_two_groups_are_two_cells():
    assert groups().width == 2


def test_the_weighted_cells_are_the_sums_of_row_weights():
    random = np.random.default_rng(1)
    group, score, came = rows_of(random, 4_000, 0.2)
    now = np.bincount(rows_of(random, 1_000, 0.6)[0], minlength=2).astype(float)
    found = weighted(learn(group, score, came), now, 1_000.0)
    one_hot = np.eye(2)[group]
    theta = np.linalg.solve(one_hot.T @ one_hot + PENALTY * np.eye(2), now / 1_000 * 4_000)
    weight = one_hot @ theta
    assert found.cells[0] == pytest.approx(np.bincount(score, weight, BINS))
    assert found.cells[1] == pytest.approx(np.bincount(score, weight * came, BINS))
    assert found.effective == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert found.share == pytest.approx(found.effective / 4_000)


def test_weighting_repairs_what_a_change_of_the_mix_does_to_the_calibration():
    random = np.random.default_rng(2)
    group, score, came = rows_of(random, 40_000, 0.3)
    mix, scores, labels = rows_of(random, 20_000, 0.6)
    own, other = (
        np.bincount(scores[part], minlength=BINS).astype(float) for part in (scores >= 5, scores < 5)
    )
    realised = float(((scores >= 5) == labels).mean())
    found = weighted(learn(group, score, came), np.bincount(mix, minlength=2).astype(float), 20_000.0)
    rows = np.bincount(score, minlength=BINS).astype(float)
    plain = monotone(np.stack((rows, np.bincount(score, came, BINS), rows)))
    unweighted = binary(own, other, plain, Z)["accuracy"]
    estimate = binary(own, other, monotone(found.cells), Z)["accuracy"]
    assert found.supported
    assert abs(unweighted.value - realised) > 0.02
    assert estimate.low <= realised <= estimate.high
    assert abs(estimate.value - realised) < 0.01


def test_rows_unlike_the_labelled_ones_are_said_to_be_off_support():
    random = np.random.default_rng(3)
    group, score, came = rows_of(random, 4_000, 0.02)
    found = weighted(learn(group, score, came), np.array([10.0, 990.0]), 1_000.0)
    assert found.share < 0.1
    assert not found.supported


def test_unmoved_data_leaves_nearly_every_labelled_row():
    random = np.random.default_rng(4)
    group, score, came = rows_of(random, 4_000, 0.3)
    found = weighted(learn(group, score, came), np.bincount(group).astype(float), 4_000.0)
    assert found.share > 0.99
    assert found.cells[0].sum() == pytest.approx(4_000, rel=0.05)


def test_nothing_to_weight_is_none():
    assert weighted(Learned.empty(2, 2 * BINS), np.ones(2), 2.0) is None
    assert weighted(learn(*rows_of(np.random.default_rng(5), 100, 0.5)), np.ones(2), 0.0) is None
