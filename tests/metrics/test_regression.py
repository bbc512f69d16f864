"""Regression agrees with scikit-learn, at large offsets too, and skips what has no percentage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tests.metrics.streams import summed
from tidegauge.metrics.regression import NAMES, Regression


def rows(seed: int, n: int, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    actual = np.where(rng.random(n) < 0.1, 0.0, rng.normal(0, 10, n)) + offset
    return actual + rng.normal(1, 3, n) * (rng.random(n) < 0.9), actual, rng.uniform(0.1, 3, n)


def expected(prediction: np.ndarray, actual: np.ndarray, weight: np.ndarray) -> dict[str, float | None]:
    if not len(actual):
        return dict.fromkeys(NAMES)
    some, size = actual != 0, np.abs(prediction) + np.abs(actual)
    either = size > 0
    share = 2 * np.abs(prediction - actual)[either] / size[either]
    percent = {"y_true": actual[some], "y_pred": prediction[some], "sample_weight": weight[some]}
    varies = len(set(actual.tolist())) > 1
    return {
        "mae": sk.mean_absolute_error(actual, prediction, sample_weight=weight),
        "rmse": sk.root_mean_squared_error(actual, prediction, sample_weight=weight),
        "mape": sk.mean_absolute_percentage_error(**percent) if some.any() else None,
        "smape": np.average(share, weights=weight[either]) if either.any() else None,
        "bias": np.average(prediction - actual, weights=weight),
        "r2": sk.r2_score(actual, prediction, sample_weight=weight) if varies else None,
    }


def _of_r2(actual: np.ndarray, weight: np.ndarray) -> float:
    """What rounding may change of it: as much more as squares are greater than the variance it divides by."""
    variance = np.average((actual - np.average(actual, weights=weight)) ** 2, weights=weight)
    return max(1e-9, 1e-15 * np.average(actual**2, weights=weight) / variance)


def compare(family: Regression, cells: np.ndarray, columns: tuple[np.ndarray, ...]) -> None:
    found, (_, actual, weight) = family.values(cells), columns
    for name, value in expected(*columns).items():
        rel = _of_r2(actual, weight) if name == "r2" and value is not None else 1e-9
        wanted = None if value is None else pytest.approx(value, rel=rel, abs=1e-9)
        assert found[name].value == wanted, name
        if found[name].low is not None:
            assert found[name].low <= found[name].value <= found[name].high, name


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, -1e6])
def test_agrees_with_scikit_learn_at_any_offset_from_the_pivot(offset: float) -> None:
    columns = rows(1, 2000, offset)
    family = Regression(pivot=float(columns[1][0]))
    compare(family, summed(family, *columns), columns)


def test_each_series_of_one_call_may_have_its_own_pivot() -> None:
    family, low, high = Regression(), rows(1, 200), rows(2, 200, 1e6)
    both = tuple(np.concatenate(pair) for pair in zip(low, high, strict=True))
    index, amount = family.cells(*both, pivot=np.repeat([0.0, 1e6], 200))
    for columns, part in ((low, slice(None, 200)), (high, slice(200, None))):
        compare(family, np.bincount(index[part].ravel(), amount[part].ravel(), family.width), columns)


def test_without_a_pivot_a_large_offset_costs_digits_of_r2() -> None:
    columns = rows(1, 2000, 1e6)
    found = Regression().values(summed(Regression(), *columns))["r2"].value
    assert found == pytest.approx(expected(*columns)["r2"], rel=1e-3)
    assert found != pytest.approx(expected(*columns)["r2"], rel=1e-9)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.floats(0, 1))
def test_corrections_leave_the_final_rows(seed: int, n: int, share: float) -> None:
    first, final = rows(seed, n), rows(seed + 1, n)
    wrong = np.random.default_rng(seed).random(n) < share
    family = Regression(pivot=3.0)
    cells = summed(family, *first) + summed(family, *(c[wrong] for c in final))
    cells += summed(family, *(c[wrong] for c in first), sign=-1.0)
    kept = tuple(np.where(wrong, b, a) for a, b in zip(first, final, strict=True))
    compare(family, cells, kept)


def test_percentages_count_only_the_rows_that_have_one() -> None:
    family = Regression()
    found = family.values(summed(family, np.array([1.0, 3.0, 0.0]), np.array([0.0, 2.0, 0.0]), np.ones(3)))
    assert found["mape"][:2] == (0.5, 1) and found["smape"][:2] == ((2 + 0.4) / 2, 2)
    nothing = family.values(summed(family, np.zeros(2), np.zeros(2), np.ones(2)))
    assert nothing["mape"].value is nothing["smape"].value is nothing["r2"].value is None
    assert nothing["mae"].value == 0.0


def test_a_row_that_is_not_finite_adds_nothing() -> None:
    family, columns = Regression(), rows(2, 50)
    spoilt = tuple(np.append(c, [1.0, bad]) for c, bad in zip(columns, (1.0, np.inf, 1.0), strict=True))
    spoilt[0][-2] = np.nan
    np.testing.assert_allclose(summed(family, *spoilt), summed(family, *columns))


def test_giant_numbers_leave_every_cell_finite() -> None:
    family = Regression()
    cells = summed(family, np.array([1e308, 1e-308]), np.array([-1e308, 1e308]), np.ones(2))
    assert np.isfinite(cells).all()
    assert all(v.value is None or np.isfinite(v.value) for v in family.values(cells).values())


def test_a_perfect_regression_has_no_interval_of_its_error() -> None:
    family, actual = Regression(), np.arange(20.0)
    found = family.values(summed(family, actual, actual, np.ones(20)))
    assert found["r2"][:2] == (1.0, 20) and found["rmse"].value == 0.0
    assert found["r2"].low is None and found["rmse"].low is None


def test_only_asks_for_some() -> None:
    family = Regression()
    cells = summed(family, *rows(3, 100))
    assert family.values(cells, only=["r2", "mae"]) == {n: family.values(cells)[n] for n in ("mae", "r2")}
