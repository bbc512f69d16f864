import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.block import Layout
from tidegauge.drift import features
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.reference import fit
from tidegauge.errors import SnapshotError

STRINGS = ("free", "pro", "new")


def bins_of(rng, wide=0):
    references = {
        "age": fit(rng.normal(40, 10, 500), [], 0, 10, 100),
        "plan": fit([], ["free"] * 300 + ["pro"] * 200, 0, 10, 100),
        "clicks": fit(rng.poisson(2, 500).astype(float), [], 7, 10, 100),
        "exact": fit(rng.normal(size=3000), [], 0, 200, 100),
        "flag": fit([0.0, 1.0] * 50, [], 0, 10, 100),
    }
    references |= {f"x{i}": fit(rng.normal(size=200), [], 0, 10, 100) for i in range(wide)}
    return FeatureBins(references)


@given(
    st.permutations(["age", "plan", "clicks", "exact", "flag", "unknown"]),
    st.integers(0, 6),
    st.integers(1, 40),
    st.integers(0, 2**32),
)
def test_every_layout_gives_the_cells_of_each_feature_alone(names, width, rows, seed):
    rng = np.random.default_rng(seed)
    bins = bins_of(np.random.default_rng(1))
    names = tuple(names[:width])
    text = tuple(name == "plan" or bool(rng.random() < 0.1) for name in names)
    values = rng.normal(20, 30, (rows, width))
    for column, is_text in enumerate(text):
        if is_text:
            values[:, column] = rng.integers(-1, len(STRINGS), rows)
    values[rng.random(values.shape) < 0.1] = np.nan
    cells = bins.cells(Layout(names, text), values, STRINGS)
    assert cells.shape == (rows, len(bins.names))
    for feature, (name, alone) in enumerate(zip(bins.names, bins.references, strict=True)):
        expected = np.full(rows, alone.null)
        if name in names:
            column = names.index(name)
            expected = alone.cells(values[:, column], STRINGS if text[column] else None)
        assert (cells[:, feature] - bins.starts[feature]).tolist() == expected.tolist()


def test_a_matrix_larger_than_a_chunk_has_the_same_cells_as_its_parts():
    rng = np.random.default_rng(4)
    bins = bins_of(rng, wide=20)
    layout = Layout(bins.names, tuple(name == "plan" for name in bins.names))
    values = rng.normal(0, 2, (5_000, len(bins.names)))
    values[:, bins.names.index("plan")] = 1
    parts = [bins.cells(layout, values[i : i + 100], STRINGS) for i in range(0, 5_000, 100)]
    assert (bins.cells(layout, values, STRINGS) == np.concatenate(parts)).all()


def test_the_histogram_of_the_reference_is_its_counts():
    rng = np.random.default_rng(5)
    column = rng.normal(size=(400, 1))
    bins = FeatureBins({"x": fit(column[:, 0], [], 0, 10, 100)})
    cells = bins.cells(Layout(("x",), (False,)), column)
    assert np.bincount(cells.ravel(), minlength=bins.width).tolist() == bins.counts.tolist()


def test_no_rows_and_no_features_give_no_cells():
    bins = bins_of(np.random.default_rng(6))
    assert bins.cells(Layout(("age",), (False,)), np.empty((0, 1))).shape == (0, 5)
    assert FeatureBins({}).cells(Layout(("age",), (False,)), np.ones((3, 1))).shape == (3, 0)
    assert FeatureBins({}).width == 0


def test_more_layouts_than_are_remembered_do_not_change_the_cells():
    bins = bins_of(np.random.default_rng(7))
    value = np.array([[41.0, 0.0]])
    first = bins.cells(Layout(("age", "other"), (False, False)), value)
    for i in range(features.MOST_PLANS + 1):
        bins.cells(Layout(("age", f"name {i}"), (False, False)), value)
    assert (bins.cells(Layout(("age", "other"), (False, False)), value) == first).all()


def test_bins_that_were_dumped_and_loaded_have_the_same_cells():
    rng = np.random.default_rng(8)
    bins = bins_of(rng)
    again = FeatureBins.load(bins.dump())
    layout = Layout(("age", "plan"), (False, True))
    values = np.column_stack([rng.normal(40, 20, 50), rng.integers(-1, 3, 50)])
    assert again.names == bins.names
    assert (again.cells(layout, values, STRINGS) == bins.cells(layout, values, STRINGS)).all()


@pytest.mark.parametrize("state", [{}, {"version": 99, "features": {}}, {"version": 1, "features": []}])
def test_a_foreign_state_is_refused(state):
    with pytest.raises(SnapshotError, match="feature bins"):
        FeatureBins.load(state)
