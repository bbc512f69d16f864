import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.drift import reference
from tidegauge.drift.reference import fit, load, quantile_edges
from tidegauge.errors import SnapshotError

finite = st.floats(-1e6, 1e6)
columns = st.lists(finite | st.sampled_from([0.0, 1.0, 1.5]), min_size=1, max_size=80)


def of(numbers=(), texts=(), nulls=0, bins=10, max_categories=100):
    return fit(numbers, texts, nulls, bins, max_categories)


def cell_name(bins, value):
    return bins.names()[bins.cells(np.array([value]))[0]]


def test_distinct_numbers_fill_quantile_bins_equally():
    bins = of(np.random.default_rng(1).permutation(1000.0 + np.arange(1000)))
    assert bins.counts.tolist() == [0, *[100] * 10, 0, 0, 0]


@given(columns, st.integers(2, 20))
def test_the_reference_itself_is_never_out_of_range(values, bins):
    counts = of(values, bins=bins).counts
    assert counts.sum() == len(values)
    assert counts[0] == counts[-1] == counts[-2] == counts[-3] == 0


@given(columns, columns, st.integers(2, 20))
def test_a_cell_holds_the_values_between_its_edges(values, others, bins):
    found = of(values, bins=bins)
    expected = [sum(edge <= value for edge in found.edges.tolist()) for value in others]
    assert found.cells(np.array(others)).tolist() == expected


@given(columns, st.integers(2, 20))
def test_no_cell_holds_much_more_than_its_share_unless_it_is_one_value(values, bins):
    found = of(values, bins=bins)
    cells = found.cells(np.array(values))
    for cell in set(cells.tolist()):
        inside = {value for value, its in zip(values, cells.tolist(), strict=True) if its == cell}
        assert len(inside) == 1 or found.counts[cell] <= 2.5 * len(values) / bins + 1


@given(columns, st.integers(2, 20))
def test_the_number_of_edges_is_bounded_by_the_number_of_bins(values, bins):
    edges = quantile_edges(np.array(values), bins)
    assert len(edges) <= 4 * bins + 2
    assert (np.diff(edges) > 0).all()


def test_values_below_above_missing_and_mistyped_have_cells_of_their_own():
    bins = of(np.arange(100.0))
    assert cell_name(bins, -0.1) == "< 0"
    assert cell_name(bins, 99.1) == "> 99"
    assert cell_name(bins, 99.0) not in ("> 99", "null")
    assert cell_name(bins, np.nan) == "null"
    assert cell_name(bins, np.inf) == "> 99"
    assert bins.cells(np.array([0.0, -1.0]), ["text"]).tolist() == [bins.changed, bins.null]


def test_few_distinct_values_are_cells_and_what_lies_between_them_is_not_one_of_them():
    bins = of([0.0] * 70 + [1.0] * 30)
    assert bins.names() == ("< 0", "0", "0 to 1", "1", "> 1", "null", "changed type")
    assert bins.counts.tolist() == [0, 70, 0, 30, 0, 0, 0]
    assert cell_name(bins, 0.5) == "0 to 1"


def test_a_constant_feature_has_one_cell_and_both_sides_of_it():
    bins = of([3.0] * 50)
    assert bins.names() == ("< 3", "3", "> 3", "null", "changed type")
    assert [cell_name(bins, value) for value in (2.9, 3.0, 3.1)] == ["< 3", "3", "> 3"]


def test_a_value_that_fills_a_bin_alone_is_apart_from_its_neighbours():
    rng = np.random.default_rng(2)
    bins = of(np.concatenate([np.zeros(6000), rng.exponential(size=4000)]))
    inside = bins.counts[bins.counts > 0]
    assert cell_name(bins, 0.0) == "0"
    assert bins.counts.max() == 6000
    assert sorted(inside.tolist())[:-1] == [1000] * 4


def test_a_feature_without_numbers_still_tells_numbers_from_nulls():
    bins = of(nulls=10)
    assert bins.names() == ("any number", "null", "changed type")
    assert bins.cells(np.array([1.0, np.nan])).tolist() == [0, 1]


def test_infinite_reference_values_make_no_edges():
    bins = of([np.inf, -np.inf, 1.0, 2.0])
    assert np.isfinite(bins.edges).all()
    assert bins.counts.tolist() == [1, 1, 0, 1, 1, 0, 0]


def test_levels_beyond_the_most_frequent_are_other_and_so_is_a_new_one():
    bins = of(texts=["a"] * 5 + ["b"] * 4 + ["c"] * 3, max_categories=2)
    assert bins.levels == ("a", "b")
    assert dict(zip(bins.names(), bins.counts, strict=True))["other"] == 3
    assert bins.names()[bins.cells(np.array([0.0]), ["new"])[0]] == "other"


def test_a_new_level_is_unseen_where_the_reference_knew_all_of_its_own():
    bins = of(texts=["a", "a", "b", "b"])
    codes = np.array([0.0, 1.0, 2.0, -1.0, np.nan])
    assert [bins.names()[cell] for cell in bins.cells(codes, ["b", "a", "new"])] == [
        "b", "a", "unseen", "null", "null",
    ]  # fmt: skip


def test_numbers_in_a_categorical_feature_have_changed_type():
    bins = of(numbers=[1.0], texts=["a"] * 4, nulls=2)
    assert bins.counts.tolist() == [4, 0, 0, 2, 1]
    assert bins.cells(np.array([7.0, np.nan])).tolist() == [bins.changed, bins.null]


def test_levels_of_equal_frequency_are_taken_in_sort_order():
    texts = ["b", "a", "c"] * 2
    assert (
        of(texts=texts, max_categories=2).levels
        == of(texts=texts[::-1], max_categories=2).levels
        == ("a", "b")
    )


@given(columns, st.lists(st.sampled_from("abcd")), st.integers(0, 3), columns)
def test_a_reference_that_was_dumped_and_loaded_has_the_same_cells(numbers, texts, nulls, others):
    bins = of(numbers, texts, nulls)
    again = load(bins.dump())
    assert again.names() == bins.names()
    assert again.counts.tolist() == bins.counts.tolist()
    assert again.cells(np.array(others)).tolist() == bins.cells(np.array(others)).tolist()
    codes = np.arange(5.0)
    assert again.cells(codes, "abcde").tolist() == bins.cells(codes, "abcde").tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 99},
        {"edges": [2.0, 1.0]},
        {"counts": [1.0]},
        {"counts": "text"},
        {"levels": None},
    ],
)
def test_a_state_that_does_not_fit_together_is_refused(change):
    state = of([1.0, 2.0]).dump() | change
    with pytest.raises(SnapshotError, match="reference bins"):
        load(state)


def test_a_state_that_lacks_a_part_is_refused():
    with pytest.raises(SnapshotError, match="edges"):
        load({"version": reference.VERSION})
