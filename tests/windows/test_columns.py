"""Numbers by series against numpy's own words for them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.windows.columns import Runs, distinct, grown, smallest

KEYS = st.lists(st.one_of(st.integers(0, 9), st.integers(0, 2**40)), max_size=50)


@given(KEYS)
def test_distinct_keys_are_those_of_numpy(keys: list[int]) -> None:
    column = np.array(keys, np.int64)
    first, place = distinct(column)
    expected, index, inverse = np.unique(column, return_index=True, return_inverse=True)
    assert column[first].tolist() == expected.tolist()
    assert first.tolist() == index.tolist()
    assert place.tolist() == inverse.tolist()


@given(st.lists(st.integers(0, 5), max_size=40))
def test_a_rank_is_how_many_rows_of_the_series_came_before(series: list[int]) -> None:
    runs = Runs(np.array(series, np.int64))
    assert runs.series[runs.place].tolist() == series
    assert runs.rank.tolist() == [series[:i].count(number) for i, number in enumerate(series)]
    assert runs.sizes.tolist() == [series.count(number) for number in runs.series.tolist()]


@pytest.mark.parametrize("empty", [0, -1])
def test_a_column_that_grows_keeps_its_rows_and_the_new_ones_are_empty(empty: int) -> None:
    column = np.full((2, 3), 7)
    for size in range(3, 5_000, 97):
        column = grown(column, size, empty)
        assert len(column) >= size
        assert (column[:2] == 7).all()
        assert (column[2:] == empty).all()


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, 255.0, 256.0, 65_536.0, 0.5, -1.0, np.inf, np.nan])))
def test_the_smallest_type_holds_the_same_bits(numbers: list[float]) -> None:
    column = np.array(numbers, np.float64)
    assert smallest(column).astype(np.float64).tobytes() == column.tobytes()
