"""Moments agree with numpy, at large offsets too."""

from __future__ import annotations

import numpy as np
import pytest

from tests.metrics.streams import summed
from tidegauge.metrics.moments import Moments


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_agrees_with_numpy(offset: float) -> None:
    rng = np.random.default_rng(1)
    correct = (rng.random(500) < 0.7).astype(float)
    x = offset + correct + rng.normal(0, 1, 500)
    quality = np.where(rng.random(500) < 0.2, np.nan, correct)
    family, known = Moments(pivot=float(x[0])), ~np.isnan(quality)
    found = family.values(summed(family, x, quality), outcomes=700)
    assert found["sum"].value == pytest.approx(x.sum(), rel=1e-12)
    assert found["mean"].value == pytest.approx(x.mean(), rel=1e-12)
    assert found["per_outcome"].value == pytest.approx(x.sum() / 700, rel=1e-12)
    assert found["correlation"].value == pytest.approx(np.corrcoef(x[known], correct[known])[0, 1], rel=1e-9)
    assert found["correlation"].n == known.sum() and found["per_outcome"].n == 700
    half = 1.96 * x.std(ddof=1) / np.sqrt(500)
    assert found["mean"].high - found["mean"].value == pytest.approx(half, rel=1e-4)
    padded = np.append(x, np.zeros(200))
    half = 1.96 * padded.std(ddof=1) / np.sqrt(700)
    assert found["per_outcome"].high - found["per_outcome"].value == pytest.approx(half, rel=1e-4)


def test_what_is_taken_back_leaves_nothing() -> None:
    family, x = Moments(pivot=5.0), np.array([1.5, 7.25, 0.1])
    cells = summed(family, x, x) + summed(family, x[::-1], x[::-1], sign=-1.0)
    assert {value.value for value in family.values(cells, outcomes=0).values()} == {None}


def test_a_constant_has_no_correlation() -> None:
    family, x = Moments(), np.full(1000, 0.1)
    for columns in ((x, np.arange(1000.0)), (np.arange(1000.0), x)):
        found = family.values(summed(family, *columns))["correlation"]
        assert found == (None, 1000, None, None)


def test_without_quality_there_is_no_correlation_and_missing_values_do_not_count() -> None:
    family = Moments()
    found = family.values(summed(family, np.array([2.0, np.nan, 4.0])), only=["mean", "correlation"])
    assert found["mean"][:2] == (3.0, 2) and found["correlation"] == (None, 0, None, None)
    assert family.values(np.zeros(family.width))["mean"] == (None, 0, None, None)


def test_a_perfect_correlation_is_one() -> None:
    family, x = Moments(), np.arange(10.0)
    assert family.values(summed(family, x, 2 * x))["correlation"] == (1.0, 10, 1.0, 1.0)
