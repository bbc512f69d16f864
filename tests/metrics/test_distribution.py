"""Quantiles keep their relative error; what lies outside the range is counted, not lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.streams import summed
from tidegauge.metrics.distribution import Distribution

FAMILY = Distribution(low=0.1, high=1e5, relative_error=0.01)
QUANTILES = {"least": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0.1, 1e5), min_size=1, max_size=60))
def test_quantiles_are_within_one_percent_of_numpy(x: list[float]) -> None:
    found = FAMILY.values(summed(FAMILY, np.array(x)), QUANTILES)
    for name, q in QUANTILES.items():
        exact = np.quantile(x, q, method="inverted_cdf")
        assert found[name].value == pytest.approx(exact, rel=0.01 + 1e-9), name
        assert found[name].n == len(x)


@pytest.mark.parametrize("shape", [(0, 1), (3, 0.2), (5, 2)])
def test_large_samples(shape: tuple[float, float]) -> None:
    x = np.random.default_rng(1).lognormal(*shape, 50_000)
    found = FAMILY.values(summed(FAMILY, x), QUANTILES)
    for name in ("p50", "p90", "p99"):
        exact = np.quantile(x, QUANTILES[name], method="inverted_cdf")
        assert found[name].value == pytest.approx(exact, rel=0.01 + 1e-9)
        assert found[name].low <= exact <= found[name].high
    assert FAMILY.mean(summed(FAMILY, x)).value == pytest.approx(x.mean())


def test_zero_small_and_giant_values_are_counted() -> None:
    x = np.array([-5.0, 0.0, 0.05, 1.0, 2e5, np.inf, np.nan])
    cells = summed(FAMILY, x)
    steps = {"zero": 1 / 6, "small": 0.5, "one": 4 / 6, "giant": 1.0}
    found = {name: value.value for name, value in FAMILY.values(cells, steps).items()}
    assert found == {"zero": 0.0, "small": 0.1, "one": pytest.approx(1.0, rel=0.01), "giant": 1e5}
    assert FAMILY.values(cells, {"p50": 0.5})["p50"].n == 6
    giant = FAMILY.values(np.where(np.arange(FAMILY.width) == FAMILY.width - 2, 1e4, 0.0), {"p50": 0.5})
    assert giant["p50"] == (1e5, 10_000, 1e5, None)


def test_subtraction_returns_to_the_same_values() -> None:
    rng = np.random.default_rng(2)
    kept, gone = rng.lognormal(2, 1, 300), rng.lognormal(5, 1, 300)
    cells = summed(FAMILY, np.append(kept, gone)) + summed(FAMILY, gone, sign=-1.0)
    assert FAMILY.values(cells, QUANTILES) == FAMILY.values(summed(FAMILY, kept), QUANTILES)
    none = cells + summed(FAMILY, kept, sign=-1.0)
    assert FAMILY.values(none, QUANTILES, only=["p50"]) == {"p50": (None, 0, None, None)}
    assert FAMILY.mean(none).value is None


def test_a_quantile_of_few_rows_has_an_open_interval() -> None:
    found = FAMILY.values(summed(FAMILY, np.arange(1.0, 6.0)), {"p50": 0.5, "p99": 0.99})
    assert found["p99"].high is None and found["p99"].value == pytest.approx(5, rel=0.01)


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="0 < low < high"):
        Distribution(low=5, high=1)


def test_the_quantiles_of_many_rows_are_those_of_each_alone() -> None:
    random = np.random.default_rng(3)
    sizes = [0, 1, 7, 400, 0, 30_000]
    cells = np.stack([summed(FAMILY, random.lognormal(at, 1 + at / 3, n)) for at, n in enumerate(sizes)])
    together = FAMILY.columns(cells, QUANTILES)
    for row, own in enumerate(cells):
        below = np.rint(own[:-1]).cumsum()
        for name, q in QUANTILES.items():
            found = together.values(row)[name]
            assert found == FAMILY.values(own, QUANTILES)[name]
            if sizes[row]:
                rank = max(np.ceil(q * sizes[row] - 1e-9), 1)
                assert found.value == FAMILY._points[np.searchsorted(below, rank)]
