"""Classification agrees with scikit-learn on every stream, and says None where nothing is defined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import oracle
from tests.metrics.streams import Rows, classified, histories, summed, taken
from tidegauge.metrics.classification import Classification
from tidegauge.metrics.widen import widen


def named(classes: int) -> list[str]:
    return [str(k) for k in range(classes)]


def compare(found: dict, expected: dict) -> None:
    for name, value in expected.items():
        wanted = None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
        assert found[name].value == wanted, name


def check(cells: np.ndarray, rows: Rows, family: Classification, positive: int | None) -> None:
    """The cells must give what scikit-learn gives for the rows."""
    classes = family.classes
    found = family.values(cells, named(classes), positive)
    assert set(found) == set(family.names(named(classes), positive))
    expected = oracle.thresholded(rows, classes, positive)
    expected |= oracle.losses(rows, classes, family.calibration_bins)
    compare(found, expected)
    areas, bounds = oracle.areas(rows, classes, positive), family.bounds(cells, positive)
    for name, area in areas.items():
        if area is None:
            assert found[name].value is None and not bounds
        else:
            assert abs(found[name].value - area) <= bounds[name] + 1e-9, name
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (rows.actual, rows.predicted), 1)
    np.testing.assert_array_equal(family.confusion(cells), confusion)
    for name, value in found.items():
        if value.low is not None:
            assert value.low <= value.value + 1e-12 and value.value <= value.high + 1e-12, name
            assert np.isfinite(value.low), name


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("rare", [True, False])
@pytest.mark.parametrize(("classes", "positive"), [(2, 1), (2, 0), (2, None), (3, None), (7, None)])
def test_agrees_with_scikit_learn(classes: int, positive: int | None, rare: bool, weighted: bool) -> None:
    family = Classification(classes)
    for seed in range(3):
        rows = classified(seed, 800, classes, weighted, rare)
        check(summed(family, *rows), rows, family, positive)


@settings(max_examples=80, deadline=None)
@given(histories(), st.integers(1, 6), st.data())
def test_corrections_and_panes_leave_the_final_rows(
    history: tuple[int, int, int, bool], panes: int, data: st.DataObject
) -> None:
    """Rows that are taken back leave nothing behind, in whatever panes all of them were added."""
    seed, n, classes, weighted = history
    first = classified(seed, n, classes, weighted)
    final = classified(seed + 1, n, classes, weighted)
    corrected = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    kept = Rows(*(old.copy() for old in first))
    for column, new in zip(kept, final, strict=True):
        column[corrected] = new[corrected]
    pane = np.random.default_rng(seed).integers(0, panes, n)
    family = Classification(classes, score_bins=20)
    cells = np.zeros((panes, family.width))
    for p in range(panes):
        cells[p] += summed(family, *taken(first, pane == p))
        cells[p] += summed(family, *taken(first, (pane == p) & corrected), sign=-1.0)
        cells[p] += summed(family, *taken(final, (pane == p) & corrected))
    check(cells.sum(axis=0), kept, family, 1 if classes == 2 else None)


@pytest.mark.parametrize(("classes", "positive"), [(2, 1), (2, None), (4, None), (40, None)])
def test_without_rows_everything_is_undefined(classes: int, positive: int | None) -> None:
    family = Classification(classes)
    nothing = classified(0, 0, classes)
    for cells in (np.zeros(family.width), summed(family, *nothing)):
        found = family.values(cells, named(classes), positive)
        assert set(found.values()) == {(None, 0, None, None)}


def test_rows_taken_back_leave_no_rounding_that_is_taken_for_data() -> None:
    family, rows = Classification(2), classified(5, 300, 2)
    cells = summed(family, *rows) + summed(family, *taken(rows, np.arange(300)[::-1]), sign=-1.0)
    assert {value.value for value in family.values(cells, ["0", "1"], 1).values()} == {None}
    assert family.bounds(cells, 1) == {}


def test_one_row_has_values_and_no_interval() -> None:
    family = Classification(2)
    one = Rows(np.array([1], np.int32), np.array([1], np.int32), np.array([[0.3, 0.7]]), np.ones(1))
    found = family.values(summed(family, *one), ["0", "1"], 1)
    assert found["accuracy"].value == found["f1"].value == 1.0
    assert found["mcc"].value is found["roc_auc"].value is found["pr_auc"].value is None
    assert {(value.low, value.high) for value in found.values()} == {(None, None)}


@pytest.mark.parametrize("only_class", [0, 1])
def test_a_single_class_has_no_areas(only_class: int) -> None:
    family, rows = Classification(2), classified(1, 100, 2)
    rows = taken(rows, rows.actual == only_class)
    check(summed(family, *rows), rows, family, 1)
    found = family.values(summed(family, *rows), ["0", "1"], 1)
    assert found["roc_auc"].value is None and found["roc_auc"].n == len(rows.actual)
    assert (found["recall"].value is None) == (only_class == 0)


def test_rows_without_probability_count_for_the_confusion_alone() -> None:
    family, rows = Classification(3), classified(2, 400, 3)
    absent = np.arange(400) % 3 == 0
    rows.proba[absent] = np.nan
    found = family.values(summed(family, *rows), named(3))
    compare(found, oracle.thresholded(rows, 3, None))
    compare(found, oracle.losses(taken(rows, ~absent), 3, 15))
    assert found["accuracy"].n == 400 and found["log_loss"].n == np.count_nonzero(~absent)


def test_a_class_the_model_left_out_had_probability_zero() -> None:
    family = Classification(3)
    codes = np.array([2], np.int32)
    found = family.values(summed(family, codes, codes, np.array([[0.4, 0.6, np.nan]]), np.ones(1)), named(3))
    assert found["log_loss"].value == pytest.approx(-np.log(np.finfo(float).eps))
    assert found["brier"].value == pytest.approx(0.4**2 + 0.6**2 + 1)


def test_extreme_probabilities_are_clipped_as_scikit_learn_does() -> None:
    rows = Rows(
        np.array([1, 0, 1, 0], np.int32),
        np.array([0, 1, 1, 0], np.int32),
        np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1e-300, 1.0]]),
        np.ones(4),
    )
    family = Classification(2)
    check(summed(family, *rows), rows, family, 1)


def test_only_asks_for_some_and_gets_the_same() -> None:
    for classes, positive in ((2, 1), (3, None)):
        family, rows = Classification(classes), classified(3, 500, classes)
        cells = summed(family, *rows)
        every = family.values(cells, named(classes), positive)
        for name in every:
            assert family.values(cells, named(classes), positive, only=[name]) == {name: every[name]}
        assert family.values(cells, named(classes), positive, only=["nothing"]) == {}


def test_a_positive_class_may_be_asked_for_among_more() -> None:
    family, rows = Classification(4), classified(3, 500, 4)
    cells = summed(family, *rows)
    found, bounds = family.values(cells, named(4), 2), family.bounds(cells, 2)
    compare(found, oracle.thresholded(rows, 4, 2))
    for name, area in oracle.areas(rows, 4, 2).items():
        assert abs(found[name].value - area) <= bounds[name]


def test_many_classes_are_exact_without_histograms_or_matrix() -> None:
    rows = classified(4, 3000, 40)
    family = Classification(40)
    found = family.values(summed(family, *rows), named(40))
    compare(found, oracle.thresholded(rows, 40, None) | oracle.losses(rows, 40, 15))
    assert "roc_auc" not in found and family.bounds(summed(family, *rows)) == {}
    assert found["accuracy"].low is not None and found["f1[3]"].low is not None
    assert found["f1_macro"].low is None
    with pytest.raises(ValueError, match="at most 32 classes"):
        family.confusion(summed(family, *rows))


@pytest.mark.parametrize(
    ("old", "new", "mapping"),
    [
        (2, 3, [0, 1]),
        (2, 4, [3, 1]),
        (3, 5, [4, 0, 2]),
        (2, 2, [1, 0]),
        (9, 12, list(range(9))),
        (30, 35, list(range(30))),
        (35, 36, list(range(1, 36))),
    ],
)
def test_widened_cells_are_those_of_a_family_that_knew_all_classes(
    old: int, new: int, mapping: list[int]
) -> None:
    narrow, wide = Classification(old, 50), Classification(new, 50)
    rows = classified(6, 500, old)
    rows.proba[:, :] = np.where(rows.proba == 0.5, 0.47, rows.proba)  # the bin of 1/2 is not exact
    rows.proba[:, 0] = 1 - rows.proba[:, 1:].sum(axis=1)
    rows = Rows(rows.predicted, rows.actual, np.abs(rows.proba), rows.weight)
    codes = np.array(mapping, np.int32)
    proba = np.zeros((500, new))
    proba[:, codes] = rows.proba
    known = Rows(codes[rows.predicted], codes[rows.actual], proba, rows.weight)
    widened = widen(summed(narrow, *rows), narrow, wide, mapping)
    direct = summed(wide, *known)
    found, expected = (wide.values(cells, named(new)) for cells in (widened, direct))
    inexact = {"ece"} if old == 2 else set()
    for name in set(expected) - inexact:
        if name in ("roc_auc", "pr_auc") and narrow.histograms == 0:
            continue
        for mine, theirs in zip(found[name], expected[name], strict=True):
            assert mine == (None if theirs is None else pytest.approx(theirs, rel=1e-9, abs=1e-9)), name


def test_widening_from_two_classes_keeps_the_calibration_error_but_for_the_middle_bin() -> None:
    narrow, wide, rows = Classification(2), Classification(3), classified(8, 4000, 2)
    middle = (rows.proba[:, 1] > 7 / 15 - 1e-9) & (rows.proba[:, 1] < 8 / 15 + 1e-9)
    edge = np.abs(rows.proba[:, 1] * 15 - np.round(rows.proba[:, 1] * 15)) < 1e-9
    rows = taken(rows, ~middle & (~edge | (rows.proba[:, 1] % 1 == 0)))
    found = wide.values(widen(summed(narrow, *rows), narrow, wide, [0, 1]), named(3))["ece"]
    known = rows._replace(proba=np.column_stack((rows.proba, np.zeros(len(rows.actual)))))
    assert found.value == pytest.approx(wide.values(summed(wide, *known), named(3))["ece"].value, abs=1e-9)


def test_widening_demands_the_same_bins_and_no_fewer_classes() -> None:
    three = Classification(3)
    for other in (Classification(2), Classification(4, score_bins=10)):
        with pytest.raises(ValueError, match="the same bins"):
            widen(np.zeros(three.width), three, other, [0, 1, 2])


def test_two_classes_are_the_least() -> None:
    with pytest.raises(ValueError, match="two classes"):
        Classification(1)


def test_reliability_shows_claims_and_what_came() -> None:
    family, rows = Classification(2, calibration_bins=4), classified(9, 200, 2, weighted=False)
    table = family.reliability(summed(family, *rows))
    inside = (rows.proba[:, 1] >= 0.25) & (rows.proba[:, 1] < 0.5)
    assert table[1, 0] == inside.sum()
    assert table[1, 1] == pytest.approx(rows.proba[inside, 1].mean())
    assert table[1, 2] == pytest.approx(rows.actual[inside].mean())
