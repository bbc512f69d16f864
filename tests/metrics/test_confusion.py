"""The delta method's gradients are the derivatives of the metrics."""

from __future__ import annotations

import numpy as np
import pytest

from tidegauge.metrics import confusion


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_gradients_equal_finite_differences(classes: int) -> None:
    matrix = np.random.default_rng(classes).uniform(1, 50, (classes, classes))

    def metrics(of: np.ndarray) -> np.ndarray:
        points = confusion._points(of.diagonal(), of.sum(axis=1), of.sum(axis=0))
        return np.array([points[name] for name in confusion.AVERAGES])

    margins = matrix.diagonal().tolist(), matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist()
    centres, slopes = confusion._gradients(*margins, [True] * classes)
    np.testing.assert_allclose(centres, metrics(matrix))
    by_hit, by_actual, by_predicted = np.array(slopes).transpose(1, 2, 0)
    for i in range(classes):
        for j in range(classes):
            step = np.zeros_like(matrix)
            step[i, j] = 1e-5
            numeric = (metrics(matrix + step) - metrics(matrix - step)) / 2e-5
            analytic = (i == j) * by_hit[:, i] + by_actual[:, i] + by_predicted[:, j]
            np.testing.assert_allclose(analytic, numeric, atol=1e-8)
