"""Order metrics: exact ones equal scikit-learn, binned ones stay within their bound of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.metrics import oracle
from tests.metrics.streams import classified, histories, summed, taken
from tidegauge.metrics import scores
from tidegauge.metrics.classification import Classification
from tidegauge.metrics.order import areas, exact_order_metrics


@settings(max_examples=150, deadline=None)
@given(histories())
def test_exact_areas_equal_scikit_learn(history: tuple[int, int, int, bool]) -> None:
    seed, n, classes, weighted = history
    rows = classified(seed, n, classes, weighted)
    for positive in (0, 1, None) if classes == 2 else (None,):
        found = exact_order_metrics(rows.actual, rows.proba, rows.weight, positive, 0.95)
        for name, expected in oracle.areas(rows, classes, positive).items():
            assert found[name].n == n
            assert found[name].value == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_the_error_is_that_of_delong_for_all_pairs() -> None:
    rows = classified(3, 120, 2, weighted=False)
    hit = rows.actual == 1
    win = rows.proba[hit, 1][:, None] - rows.proba[~hit, 1]
    kernel = (win > 0) + 0.5 * (win == 0)
    variance = kernel.mean(axis=1).var(ddof=1) / hit.sum() + kernel.mean(axis=0).var(ddof=1) / (~hit).sum()
    found = areas(rows.proba[:, 1], hit, rows.weight)
    assert found.roc_error == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_rows_without_probability_do_not_count() -> None:
    rows = classified(4, 90, 2)
    rows.proba[::2] = np.nan
    found = exact_order_metrics(rows.actual, rows.proba, rows.weight, 1, 0.95)["roc_auc"]
    assert found.n == 45
    expected = oracle.areas(taken(rows, slice(1, None, 2)), 2, 1)["roc_auc"]
    assert found.value == pytest.approx(expected, abs=1e-9)


def test_perfect_separation_does_not_claim_certainty() -> None:
    actual = np.repeat([0, 1], 30).astype(np.int32)
    proba = np.column_stack((1 - actual, actual)).astype(float)
    for found in exact_order_metrics(actual, proba, np.ones(60), 1, 0.95).values():
        assert found.value == found.high == 1.0 and 0.8 < found.low < 0.95


def streams(n: int = 20_000) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return scores and labels of streams that are hard on bins."""
    rng = np.random.default_rng(11)
    usual = rng.normal(0, 1.5, n)
    fraud = rng.random(n) < 0.01
    sure = rng.normal(0, 10, n)
    leaves = np.sort(rng.beta(1, 4, 12))[rng.integers(0, 12, n)]
    narrow = rng.uniform(0.4, 0.6, n)

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    return {
        "logit-normal": (sigmoid(usual), rng.random(n) < sigmoid(usual)),
        "fraud": (sigmoid(np.where(fraud, rng.normal(-2.5, 1.5, n), rng.normal(-6, 1.2, n))), fraud),
        "fraud beta": (np.where(fraud, rng.beta(2, 5, n), rng.beta(0.5, 60, n)), fraud),
        "overconfident": (sigmoid(sure), rng.random(n) < sigmoid(sure / 4)),
        "leaves": (leaves, rng.random(n) < leaves),
        "narrow": (narrow, rng.random(n) < narrow),
    }


@pytest.mark.parametrize("name", sorted(streams(10)))
def test_binned_areas_keep_their_bound_and_come_close(name: str) -> None:
    score, hit = streams()[name]
    place = scores.bin_of(score, 200)
    own, other = (np.bincount(place, side.astype(float), 200) for side in (hit, ~hit))
    exact = areas(score, hit, np.ones(len(score)))
    area = scores.roc_auc(own, other)[0]
    bound = scores.roc_auc_bound(own, other)  # loose for leaves: tied rows count as if unknown
    assert abs(area - exact.roc_auc) <= bound <= (0.05 if name == "leaves" else 0.03)
    assert abs(area - exact.roc_auc) <= 5e-4
    low, high = scores.average_precision_range(own, other)
    assert low - 1e-12 <= exact.pr_auc <= high + 1e-12
    assert abs(scores.average_precision(own, other) - exact.pr_auc) <= (0.03 if name == "leaves" else 6e-3)


def test_bins_keep_the_order_and_mirror() -> None:
    rng = np.random.default_rng(0)
    score = np.sort(np.concatenate((rng.random(5000), rng.random(5000) ** 8, [0.0, 1.0, 1e-300])))
    for bins in (2, 7, 200):
        place = scores.bin_of(score, bins)
        assert (np.diff(place) >= 0).all() and place[0] == 0 and place[-1] == bins - 1
        inner = score[(score > 1e-3) & (score < 0.499)]
        assert (scores.bin_of(1 - inner, bins) == bins - 1 - scores.bin_of(inner, bins)).all()


def test_binned_and_exact_errors_agree() -> None:
    family, rows = Classification(2), classified(7, 3000, 2)
    binned = family.values(summed(family, *rows), ["0", "1"], 1)["roc_auc"]
    exact = exact_order_metrics(rows.actual, rows.proba, rows.weight, 1, 0.95)["roc_auc"]
    assert binned.high - binned.low == pytest.approx(exact.high - exact.low, rel=0.03)
