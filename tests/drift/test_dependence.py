import numpy as np
import pytest
from scipy.stats import pearsonr

from tidegauge.drift.dependence import SCALES, RunningInflation, lag_one, variance_inflation
from tidegauge.errors import SnapshotError


def chain(seed, count, mean, correlation):
    draws = np.random.default_rng(seed).random(count)
    values, last = np.empty(count), 0.0
    for place, drawn in enumerate(draws):
        last = values[place] = float(drawn < mean + correlation * (last - mean))
    return values


def test_the_correlation_of_neighbours_is_about_pearsons():
    values = chain(1, 5_000, 0.2, 0.4)
    assert lag_one(values) == pytest.approx(pearsonr(values[1:], values[:-1]).statistic, abs=1e-3)


@pytest.mark.parametrize(("correlation", "inflation"), [(0.0, 1.0), (0.2, 1.5), (0.5, 3.0)])
def test_the_inflation_of_a_markov_chain_is_found(correlation, inflation):
    found = variance_inflation(chain(2, 20_000, 0.1, correlation))
    assert found == pytest.approx(inflation, rel=0.12)


def test_slow_waves_that_neighbours_hardly_show_inflate_too():
    waves = np.repeat(np.random.default_rng(3).random(100), 100)
    values = (np.random.default_rng(4).random(10_000) < 0.2 * waves).astype(np.float64)
    neighbours = (1 + lag_one(values)) / (1 - lag_one(values))
    assert variance_inflation(values) > 1.5 * neighbours


def test_one_step_of_the_level_is_no_dependence():
    rng = np.random.default_rng(5)
    steps = rng.standard_normal(1_000) + np.repeat([0.0, 1.0], 500)
    found = RunningInflation(1)
    for step in steps:
        found.add(np.array([step]))
    assert found.value()[0] < 1.5


@pytest.mark.parametrize("values", [np.empty(0), np.zeros(1), np.zeros(100)])
def test_nothing_that_varies_has_no_inflation(values):
    assert variance_inflation(values) == 1.0
    assert lag_one(values) == 0.0


def by_definition(steps):
    """Allan's variance of the means of each scale, without its greatest term, less its doubt."""
    found = 1.0
    for scale in range(SCALES):
        size = 1 << scale
        count = len(steps) // size
        means = steps[: count * size].reshape(count, size).mean(axis=1)
        squares = np.sort(size * np.diff(means) ** 2 / 2)
        if count - 1 >= 16:
            found = max(found, squares[:-1].sum() / (count - 2) / (1 + 2 * np.sqrt(3 / (count - 1))))
    return found


@pytest.mark.parametrize("count", [5, 40, 333, 2_000])
def test_the_running_inflation_is_that_of_all_steps(count):
    rng = np.random.default_rng(6)
    steps = np.stack((rng.standard_normal(count), np.cumsum(rng.standard_normal(count)) / 10))
    found = RunningInflation(2)
    for step in steps.T:
        found.add(step)
    np.testing.assert_allclose(found.value(), [by_definition(row) for row in steps], rtol=1e-9)


def test_a_restored_inflation_goes_on_as_the_first():
    first = RunningInflation(3)
    steps = np.random.default_rng(7).standard_normal((200, 3))
    for step in steps[:77]:
        first.add(step)
    second = RunningInflation.load(first.dump())
    for step in steps[77:]:
        first.add(step)
        second.add(step)
    np.testing.assert_array_equal(first.value(), second.value())


def test_arrays_that_do_not_fit_are_refused():
    state = RunningInflation(3).dump()
    with pytest.raises(SnapshotError):
        RunningInflation.load({**state, "sums": state["sums"][:2]})
