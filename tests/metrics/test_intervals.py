"""A 95 % interval holds the population's value in about 95 % of samples (seeded simulation)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from tests.metrics.streams import Rows, classified, summed, taken
from tidegauge.metrics import value as of
from tidegauge.metrics.classification import Classification
from tidegauge.metrics.distribution import Distribution
from tidegauge.metrics.moments import Moments
from tidegauge.metrics.order import exact_order_metrics
from tidegauge.metrics.regression import Regression
from tidegauge.metrics.value import Value

TRIALS, POPULATION = 400, 20_000
BAND = (0.915, 0.985)  # 400 trials at 0.95 have a standard error of 0.011
CONSERVATIVE = {"ece", "pr_auc"}  # never too short; too long by construction, or for a good model


def coverage(values: Callable[[np.ndarray], dict[str, Value]], n: int) -> dict[str, float]:
    """Return for each metric the share of samples of n whose interval holds the population's value."""
    rng = np.random.default_rng(12)
    truth = {name: value.value for name, value in values(np.arange(POPULATION)).items()}
    hits: Counter[str] = Counter()
    for _ in range(TRIALS):
        for name, value in values(rng.integers(0, POPULATION, n)).items():
            hits[name] += value.low is not None and value.low <= truth[name] <= value.high
    return {name: hits[name] / TRIALS for name in truth}


def assert_in_band(found: dict[str, float], conservative: set[str] = CONSERVATIVE) -> None:
    for name, share in found.items():
        assert BAND[0] <= share, (name, share)
        assert share <= (1.0 if name in conservative else BAND[1]), (name, share)


def population(classes: int) -> Rows:
    rows = classified(1, POPULATION, classes, weighted=False)
    wrong = np.random.default_rng(2).random(POPULATION) < 0.3
    return rows._replace(actual=np.where(wrong, np.roll(rows.actual, 1), rows.actual))


@pytest.mark.parametrize("weighted", [False, True])
def test_binary(weighted: bool) -> None:
    family, rows = Classification(2), population(2)
    if weighted:  # weights that say nothing of the row
        rows = rows._replace(weight=np.random.default_rng(3).uniform(0.2, 2, POPULATION))
    found = coverage(lambda at: family.values(summed(family, *taken(rows, at)), ["0", "1"], 1), 250)
    assert_in_band(found)


def test_multiclass() -> None:
    family, rows = Classification(3, score_bins=50), population(3)
    found = coverage(lambda at: family.values(summed(family, *taken(rows, at)), list("abc")), 300)
    assert_in_band(found, CONSERVATIVE | {"roc_auc"})


def test_exact_areas() -> None:
    rows = population(2)

    def values(at: np.ndarray) -> dict[str, Value]:
        return exact_order_metrics(rows.actual[at], rows.proba[at], rows.weight[at], 1, 0.95)

    assert_in_band(coverage(values, 200))


def test_regression() -> None:
    rng = np.random.default_rng(4)
    actual = rng.gamma(4, 3, POPULATION) + 5
    prediction = actual + rng.normal(0.5, 2, POPULATION)
    family = Regression(pivot=15.0)
    weight = np.ones(POPULATION)
    found = coverage(lambda at: family.values(summed(family, prediction[at], actual[at], weight[at])), 300)
    assert_in_band(found)


def test_moments() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(3, 1, POPULATION)
    quality = x + rng.normal(0, 2, POPULATION)
    family = Moments(pivot=3.0)

    wanted = ["mean", "per_outcome", "correlation"]

    def values(at: np.ndarray) -> dict[str, Value]:
        return family.values(summed(family, x[at], quality[at]), len(at), only=wanted)

    assert_in_band(coverage(values, 200))


def test_quantiles() -> None:
    x = np.random.default_rng(6).lognormal(3, 1, POPULATION)
    family = Distribution(low=0.1, high=1e5)
    found = coverage(lambda at: family.values(summed(family, x[at]), {"p50": 0.5, "p90": 0.9}), 400)
    assert_in_band(found, {"p50", "p90"})  # whole buckets: a little too long


def test_a_window_without_errors_does_not_claim_certainty() -> None:
    family, rows = Classification(2), classified(1, 100, 2, weighted=False)
    sure = rows._replace(predicted=rows.actual)
    for name, value in family.values(summed(family, *sure), ["0", "1"], 1).items():
        if name in ("accuracy", "precision", "recall", "f1", "f1_macro", "balanced_accuracy", "mcc"):
            assert value.value == value.high == 1.0 and 0.85 < value.low < 0.98, name


def test_no_effective_row_no_interval() -> None:
    assert of.wilson(0.5, 1.0, 2.0) == of.roc_auc_interval(0.5, 0.1, 1.0, 2.0) == (None, None)
    assert of.pr_auc_interval(0.5, 1.0, 2.0) == of.fisher(0.5, 3, 2.0) == (None, None)
    assert of.effective(0.0, 0.0) == 0.0
    assert of.pr_auc_interval(1.0, 40.0, 1.96)[1] == 1.0


def test_unequal_weights_make_longer_intervals() -> None:
    rows = classified(1, 400, 2, weighted=False)
    uneven = rows._replace(weight=np.where(np.arange(400) < 40, 20.0, 0.5))
    family = Classification(2)
    even, odd = (family.values(summed(family, *r), ["0", "1"], 1)["accuracy"] for r in (rows, uneven))
    assert odd.high - odd.low > 2 * (even.high - even.low)
