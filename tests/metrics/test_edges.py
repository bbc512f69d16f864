"""At the edges of float64 a metric is a number or undefined; it never raises, as that would stop a worker."""

from __future__ import annotations

import numpy as np
import pytest

from tidegauge.metrics.classification import Classification
from tidegauge.metrics.regression import Regression

TINY, HUGE = 5e-324, 1.79e308


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize(
    "weights", [(TINY, 1.0), (TINY, TINY), (1e-160, 1e160), (1e154, 1e155), (HUGE, HUGE), (1e-200, 1.0)]
)
def test_mcc_of_extreme_weights_is_a_correlation_or_undefined(weights: tuple[float, float]) -> None:
    family, classes = Classification(2), np.array([0, 1], np.int32)
    probability = np.full((2, 2), np.nan)
    index, amount = family.cells(classes, classes, probability, np.array(weights))
    cells = np.bincount(index.reshape(-1), amount.reshape(-1), family.width)
    mcc = family.values(cells, ["0", "1"], 1)["mcc"].value
    assert mcc is None or np.isnan(mcc) or -1 - 1e-9 <= mcc <= 1 + 1e-9


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("size", [TINY, 1e-160, 1e-100, 1e100, 1e154, 1e160, HUGE])
def test_regression_metrics_of_extreme_numbers_do_not_raise(size: float) -> None:
    family = Regression()
    actual = np.array([0.0, 1.0, 2.0, 3.0]) * size if size < HUGE else np.array([-size, size, 0.0, size])
    _, amount = family.cells(actual * 0.5, actual, np.ones(4))
    found = family.values(amount.sum(axis=0))
    assert found["mae"].n == 4


def test_r2_of_numbers_of_any_usual_size_is_the_same() -> None:
    family, actual = Regression(), np.array([1.0, 2.0, 4.0, 8.0])
    for size in (1e-20, 1.0, 1e20):
        _, amount = family.cells(actual * size * 0.9, actual * size, np.ones(4))
        assert family.values(amount.sum(axis=0))["r2"].value == pytest.approx(0.97041, abs=1e-4)
