"""Ranking against scikit-learn, and against every definition written out row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from tidegauge.metrics.ranking import Items, Ranking
from tidegauge.metrics.value import Value

FAMILY = Ranking(cutoffs=(3, 5))
ROWS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 12), unique=True, max_size=8),
        st.dictionaries(st.integers(0, 12), st.floats(1e-3, 1e3), max_size=6),
    ),
    max_size=8,
)


def flat(lists: list[list[int]]) -> Items:
    sizes = [len(one) for one in lists]
    return Items(
        np.repeat(np.arange(len(lists)), sizes), np.array([i for one in lists for i in one], np.int32)
    )


def judged(rows: list[tuple[list[int], dict[int, float]]], family: Ranking = FAMILY) -> np.ndarray:
    gains = np.array([gain for _, label in rows for gain in label.values()], np.float64)
    relevant = flat([list(label) for _, label in rows])
    return family.judged(np.ones(len(rows), bool), flat([shown for shown, _ in rows]), relevant, gains)


def written_out(shown: list[int], label: dict[int, float], cutoffs: tuple[int, ...]) -> list[float]:
    nan = math.nan
    found = []
    for k in cutoffs:
        hits = sum(item in label for item in shown[:k])
        gained = sum(label.get(item, 0.0) / math.log2(rank + 2) for rank, item in enumerate(shown[:k]))
        ideal = sorted(label.values(), reverse=True)[:k]
        most = sum(gain / math.log2(rank + 2) for rank, gain in enumerate(ideal))
        found += [hits / k, hits / len(label) if label else nan, gained / most if label else nan, hits > 0]
    at = [rank for rank, item in enumerate(shown, 1) if item in label]
    precision = sum(number / rank for number, rank in enumerate(at, 1))
    return [*found, precision / len(label) if label else nan, 1 / at[0] if at else 0.0]


@given(ROWS)
def test_every_metric_of_a_row_is_its_definition_written_out(rows):
    expected = [written_out(shown, label, FAMILY.cutoffs) for shown, label in rows]
    assert judged(rows) == pytest.approx(
        np.array(expected).reshape(len(rows), len(FAMILY.names)), nan_ok=True
    )


def test_ndcg_and_average_precision_of_complete_lists_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    scores = random.random((200, 12))
    gains = np.where(random.random((200, 12)) < 0.3, random.integers(1, 5, (200, 12)), 0)
    gains[:, 0] += gains.sum(1) == 0
    orders = np.argsort(-scores, axis=1)
    rows = [
        (order.tolist(), {item: float(gain) for item, gain in enumerate(row) if gain})
        for order, row in zip(orders, gains, strict=True)
    ]
    found = dict(zip(FAMILY.names, judged(rows).T, strict=True))
    for k in FAMILY.cutoffs:
        each = [ndcg_score(row[None], score[None], k=k) for row, score in zip(gains, scores, strict=True)]
        assert found[f"ndcg@{k}"] == pytest.approx(each)
    assert found["map"].mean() == pytest.approx(label_ranking_average_precision_score(gains > 0, scores))


def test_a_row_without_a_list_or_a_label_defines_nothing() -> None:
    none = Items(np.zeros(0, np.int64), np.zeros(0, np.int32))
    values = FAMILY.judged(np.array([False, True]), none, none, np.zeros(0))
    assert np.isnan(values[0]).all()
    cells = FAMILY.cells(values, np.ones(2))[1].sum(axis=0)
    found = FAMILY.values(cells)
    assert found["precision@3"][:2] == (0.0, 1)
    assert found["ndcg@5"] == Value(None, 0, None, None)


def test_gains_of_any_size_give_ndcg_between_0_and_1() -> None:
    rows = [([1, 2, 3], {1: 1e-300, 2: 1.7e308, 3: 1.7e308}), ([1], {1: 5e-324})]
    values = judged(rows)
    assert np.isfinite(values).all()
    assert ((values >= 0) & (values <= 1)).all()
    assert values[1].tolist() == [1 / 3, 1, 1, 1, 1 / 5, 1, 1, 1, 1, 1]


@given(ROWS, st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=8, max_size=8))
def test_values_are_weighted_means_over_the_rows_that_define_them(rows, weights):
    weight = np.array(weights[: len(rows)])
    values = judged(rows)
    found = FAMILY.values(FAMILY.cells(values, weight)[1].sum(axis=0))
    for column, name in enumerate(FAMILY.names):
        there = ~np.isnan(values[:, column]) if len(rows) else np.zeros(0, bool)
        assert found[name].n == there.sum()
        if there.any():
            expected = np.average(values[there, column], weights=weight[there])
            assert found[name].value == pytest.approx(expected, abs=1e-12)


def test_a_correction_takes_the_amounts_of_the_old_row_out() -> None:
    old, new = judged([([1, 2, 3], {3: 1.0}), ([1, 2, 3], {1: 2.0, 9: 1.0})])[:, None]
    one = np.ones(1)
    amounts = [FAMILY.cells(values, one)[1][0] for values in (old, new)]
    corrected = amounts[0] - amounts[0] + amounts[1]
    assert FAMILY.values(corrected) == FAMILY.values(amounts[1])


@pytest.mark.parametrize("name", ["ndcg@5", "recall@3", "map", "mrr", "precision@5", "hit_rate@3"])
def test_intervals_hold_the_true_mean_as_often_as_they_say(name) -> None:
    random = np.random.default_rng(11)
    items = np.arange(30)

    def sample(count: int) -> np.ndarray:
        shown = random.permuted(np.tile(items, (count, 1)), axis=1)[:, :8]
        return judged([(row.tolist(), {0: 3.0, 1: 1.0, 2: 1.0}) for row in shown])

    column = FAMILY.names.index(name)
    truth = sample(20_000)[:, column].mean()
    held = 0
    for _ in range(300):
        cells = FAMILY.cells(sample(150), np.ones(150))[1].sum(axis=0)
        found = FAMILY.values(cells, only={name})[name]
        held += found.low <= truth <= found.high
    assert 0.91 <= held / 300 <= 0.99
