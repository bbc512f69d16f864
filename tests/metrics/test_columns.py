"""Many series read at once have the values, to the last digit, that each has alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.metrics.streams import classified, summed
from tidegauge.estimate.calibration import monotone, monotones
from tidegauge.estimate.classification import binaries, binary
from tidegauge.metrics import columns as of
from tidegauge.metrics import value
from tidegauge.metrics.classification import Classification
from tidegauge.metrics.distribution import Distribution
from tidegauge.metrics.order import areas, exact_order, exact_order_metrics

SIZES = (0, 1, 2, 7, 40, 300)


@pytest.mark.parametrize(
    ("classes", "positive"), [(2, 1), (2, 0), (2, None), (3, None), (3, 2), (9, None), (40, None)]
)
def test_classification(classes: int, positive: int | None) -> None:
    family, names = Classification(classes, score_bins=50), [f"c{k}" for k in range(classes)]
    cells = np.array([summed(family, *classified(seed, n, classes)) for seed, n in enumerate(SIZES)])
    for only in (None, {"f1", "roc_auc"}, {"accuracy"}, {"ece"}):
        found = family.columns(cells, names, positive, only=only)
        for row, own in enumerate(cells):
            assert found.values(row) == family.values(own, names, positive, only=only)


@pytest.mark.parametrize("positive", [1, None])
def test_exact_areas(positive: int | None) -> None:
    every = [classified(seed, 64, 3 if positive is None else 2) for seed in range(5)]
    stacks = [
        np.stack(column) for column in zip(*((r.actual, r.proba, r.weight) for r in every), strict=True)
    ]
    found = exact_order(*stacks, positive, 0.95)
    for row, rows in enumerate(every):
        alone = exact_order_metrics(rows.actual, rows.proba, rows.weight, positive, 0.95)
        assert found.values(row) == alone


def test_a_row_of_weight_zero_is_no_row() -> None:
    rows = classified(3, 50, 2)
    hit = rows.actual == 1
    with of.quiet():
        alone = areas(rows.proba[:, 1], hit, rows.weight)
        score, more = np.append(rows.proba[:, 1], [0.0, 0.5]), np.append(hit, [False, True])
        filled = areas(score, more, np.append(rows.weight, [0.0, 0.0]))
    for mine, theirs in zip(filled, alone, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-12)


def test_distribution() -> None:
    family, quantiles = Distribution(low=1.0, high=1000.0), {"p50": 0.5, "p99": 0.99}
    random = np.random.default_rng(5)
    cells = np.array([summed(family, random.lognormal(3, 2, n)) for n in SIZES])
    found = family.columns(cells, quantiles)
    for row, own in enumerate(cells):
        assert found.values(row) == family.values(own, quantiles)


def test_estimates_and_their_calibrations() -> None:
    random = np.random.default_rng(8)
    rows = random.integers(0, 20, (7, 60)).astype(float) * (random.random((7, 60)) < 0.5)
    rows[3] = 0.0
    labelled = np.stack((rows, random.binomial(rows.astype(int), 0.4), rows), axis=1).astype(float)
    curves = monotones(labelled)
    assert curves[3] is None
    own, other = random.integers(0, 9, (2, 7, 60)).astype(float)
    found = binaries(own, other, curves, 1.96)
    for row in range(7):
        assert found.values(row) == binary(own[row], other[row], monotone(labelled[row]), 1.96)


def test_intervals_are_those_of_single_values() -> None:
    shares, rows = np.array([0.0, 0.2, 1.0, 0.7]), np.array([5.0, 40.0, 12.0, 0.5])
    errors = np.array([0.1, 0.05, 0.0, 0.1])
    with of.quiet():
        pairs = [
            (
                of.wilson(shares, rows, 1.96),
                [value.wilson(*one, 1.96) for one in zip(shares, rows, strict=True)],
            ),
            (
                of.area_interval(shares, errors, rows, 1.96),
                [value.roc_auc_interval(*one, 1.96) for one in zip(shares, errors, rows, strict=True)],
            ),
        ]
    for (low, high), wanted in pairs:
        for row, (least, most) in enumerate(wanted):
            assert low[row] == pytest.approx(np.nan if least is None else least, nan_ok=True)
            assert high[row] == pytest.approx(np.nan if most is None else most, nan_ok=True)
