"""The delta method's gradients are the derivatives of the metrics."""

from __future__ import annotations

import numpy as np
import pytest

from tidegauge.metrics import confusion


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_gradients_equal_finite_differences(classes: int) -> None:
    matrix = np.random.default_rng(classes).uniform(1, 50, (classes, classes))

    def metrics(of: np.ndarray) -> np.ndarray:
        return confusion._points(*margins(of), every)[0]

    def margins(of: np.ndarray) -> tuple[np.ndarray, ...]:
        return of.diagonal()[None], of.sum(axis=1)[None], of.sum(axis=0)[None]

    every = np.ones((1, classes), np.bool_)
    (centres,), *slopes = confusion._gradients(*margins(matrix), every, every)
    np.testing.assert_allclose(centres, metrics(matrix))
    by_hit, by_actual, by_predicted = (slope[0] for slope in slopes)
    for i in range(classes):
        for j in range(classes):
            step = np.zeros_like(matrix)
            step[i, j] = 1e-5
            numeric = (metrics(matrix + step) - metrics(matrix - step)) / 2e-5
            analytic = (i == j) * by_hit[:, i] + by_actual[:, i] + by_predicted[:, j]
            np.testing.assert_allclose(analytic, numeric, atol=1e-8)
