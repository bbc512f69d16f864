"""Panes against a plain dictionary of what was added."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.errors import SnapshotError
from tidegauge.windows import PaneTable

PANE_MS, PANES = 100, 3
ROWS = st.lists(
    st.tuples(
        st.integers(0, 30), st.integers(0, 1_500), st.integers(0, 1), st.sampled_from([1.0, -1.0, 2.5])
    ),
    max_size=60,
)


def filled(
    rows: list[tuple[int, int, int, float]], batches: int, read: bool = False
) -> tuple[PaneTable, dict[int, int]]:
    """Return a table that took the rows in batches, each with its series' watermark of the time.

    With `read` somebody reads every window after each batch.
    """
    table, watermark = PaneTable(2, PANE_MS, PANES), defaultdict(int)
    for batch in np.array_split(np.arange(len(rows)), batches):
        mine = [rows[i] for i in batch.tolist()]
        for series, at_ms, _, _ in mine:
            watermark[series] = max(watermark[series], at_ms)
        columns = np.array([(s, a, watermark[s], c) for s, a, c, _ in mine], np.int64).reshape(-1, 4)
        amount = np.array([[amount] for *_, amount in mine]).reshape(-1, 1)
        table.add(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3:], amount)
        for series, at_ms in watermark.items() if read else ():
            table.window(series, at_ms)
    return table, watermark


@given(ROWS, st.integers(0, 300))
def test_windows_read_together_are_those_read_one_by_one(rows, later):
    alone, watermark = filled(rows, 1)
    together, _ = filled(rows, 1)
    series = np.arange(32)
    at_ms = np.array([watermark[one] + later for one in series.tolist()])
    expected = [alone.window(*pair) for pair in zip(series.tolist(), at_ms.tolist(), strict=True)]
    assert together.windows(series, at_ms).tolist() == np.array(expected).tolist()
    assert together.windows(series[:2], at_ms[:2]).tolist() == np.array(expected[:2]).tolist()
    assert together.state()["keys"].tolist() == alone.state()["keys"].tolist()  # what left is dropped


@given(ROWS, st.integers(1, 5))
def test_a_window_is_the_sum_of_what_lies_in_it_however_it_was_batched(rows, batches):
    table, watermark = filled(rows, batches)
    for series, at_ms in watermark.items():
        start = (at_ms // PANE_MS - PANES + 1) * PANE_MS
        expected = [
            sum(a for s, t, c, a in rows if s == series and c == cell and t >= start) for cell in (0, 1)
        ]
        np.testing.assert_allclose(table.window(series, at_ms), expected, atol=1e-9)


@given(ROWS, st.integers(1, 9))
def test_reading_in_between_changes_nothing(rows, batches):
    unread, watermark = filled(rows, batches)
    read, _ = filled(rows, batches, read=True)
    for series, at_ms in watermark.items():
        assert unread.window(series, at_ms).tolist() == read.window(series, at_ms).tolist()


@given(ROWS, st.integers(0, 15), st.integers(0, 4))
def test_a_span_is_the_sum_of_the_panes_that_begin_in_it_and_are_kept(rows, first, count):
    table, watermark = filled(rows, 3)
    for series, at_ms in watermark.items():
        kept = range(max(first, at_ms // PANE_MS - PANES + 1), first + count)
        expected = [
            sum(a for s, t, c, a in rows if s == series and c == cell and t // PANE_MS in kept)
            for cell in (0, 1)
        ]
        table.window(series, at_ms)  # which drops what has left the window
        found = table.span(series, first * PANE_MS, (first + count) * PANE_MS)
        np.testing.assert_allclose(found, expected, atol=1e-9)
    assert table.span(31, 0, 10_000).tolist() == [0.0, 0.0]


@given(ROWS)
def test_a_restored_table_has_the_same_windows(rows):
    table, watermark = filled(rows, 2)
    restored = PaneTable(2, PANE_MS, PANES)
    restored.restore(table.state())
    for series, at_ms in watermark.items():
        assert restored.window(series, at_ms).tolist() == table.window(series, at_ms).tolist()


@given(ROWS, st.integers(1, PANES))
def test_a_table_of_a_shorter_window_takes_over_the_panes_in_it(rows, panes):
    table, watermark = filled(rows, 2)
    shorter = PaneTable(2, PANE_MS, panes)
    shorter.restore(table.state())
    for series, at_ms in watermark.items():
        start = (at_ms // PANE_MS - panes + 1) * PANE_MS
        expected = [
            sum(a for s, t, c, a in rows if s == series and c == cell and t >= start) for cell in (0, 1)
        ]
        np.testing.assert_allclose(shorter.window(series, at_ms), expected, atol=1e-9)


def test_a_state_of_other_panes_or_cells_is_refused():
    table, _ = filled([(0, 10, 0, 1.0)], 1)
    for other in (PaneTable(2, 2 * PANE_MS, PANES), PaneTable(70, PANE_MS, PANES)):
        with pytest.raises((SnapshotError, ValueError)):
            other.restore(table.state())


def test_a_wide_table_of_large_and_broken_numbers_survives_a_restore():
    width = 100
    table, restored = PaneTable(width, PANE_MS, PANES), PaneTable(width, PANE_MS, PANES)
    random = np.random.default_rng(1)
    for size in (1.0, 300.0, 70_000.0, -1.0, 0.5):
        cells = random.integers(0, width, (5, 3))
        at_ms = random.integers(0, 250, 5)
        series = random.integers(0, 4, 5)
        table.add(series, at_ms, np.full(5, 250), cells, np.full((5, 3), size))
    restored.restore(table.state())
    for series in range(4):
        assert restored.window(series, 250).tolist() == table.window(series, 250).tolist()


def test_a_row_older_than_the_window_adds_nothing_and_a_late_one_fills_its_pane():
    table = PaneTable(1, PANE_MS, PANES)
    series, cell, one = np.zeros(2, np.int64), np.zeros((2, 1), np.int64), np.ones((2, 1))
    table.add(series, np.array([650, 399]), np.array([650, 650]), cell, one)
    assert table.window(0, 650).tolist() == [1.0]
    table.add(series[:1], np.array([450]), np.array([650]), cell[:1], one[:1])
    assert table.window(0, 650).tolist() == [2.0]
    pane = table.pane(0, 499)
    assert pane is not None
    assert pane.tolist() == [1.0]


def test_a_pane_that_left_the_window_gives_its_place_back_empty():
    table = PaneTable(1, PANE_MS, PANES)
    one = np.ones(1, np.int64)
    for at_ms in range(0, 100_000, PANE_MS):
        table.add(one, one * at_ms, one * at_ms, one[:, None] * 0, np.ones((1, 1)))
        assert table.window(1, at_ms).tolist() == [min(PANES, at_ms // PANE_MS + 1)]
    assert len(table.state()["keys"]) == PANES


def test_a_table_that_nobody_reads_keeps_a_bounded_number_of_panes():
    table = PaneTable(1, PANE_MS, PANES)
    one = np.ones(1, np.int64)
    for at_ms in range(0, 100_000, PANE_MS):
        table.add(one, one * at_ms, one * at_ms, one[:, None] * 0, np.ones((1, 1)))
    assert len(table.state()["keys"]) <= 2 * PANES
    assert table.window(1, at_ms).tolist() == [PANES]


def test_a_forgotten_series_is_empty_and_leaves_the_others_alone():
    table, _ = filled([(0, 10, 0, 1.0), (1, 10, 0, 2.5)], 1)
    table.forget(0)
    assert table.window(0, 10).tolist() == [0.0, 0.0]
    assert table.window(1, 10).tolist() == [2.5, 0.0]


def test_a_table_grows_as_it_is_restored_and_as_series_move_in():
    rows = [(series, 10, 0, 1.0) for series in range(100)]
    table, _ = filled(rows, 1)
    restored, wider = PaneTable(2, PANE_MS, PANES), PaneTable(2, PANE_MS, PANES)
    restored.restore(table.state())
    for series in range(100):
        assert restored.window(series, 10).tolist() == [1.0, 0.0]
        table.move(series, wider, lambda cells: cells * 2)
        assert wider.window(series, 10).tolist() == [2.0, 0.0]


def test_a_moved_series_keeps_its_panes_in_the_wider_table():
    table, _ = filled([(0, 10, 0, 1.0), (0, 110, 1, 2.5), (1, 10, 0, 1.0)], 1)
    wider = PaneTable(3, PANE_MS, PANES)
    table.move(0, wider, lambda cells: np.append(cells, 7.0))
    assert wider.window(0, 110).tolist() == [1.0, 2.5, 14.0]
    assert table.window(0, 110).tolist() == [0.0, 0.0]
    assert table.window(1, 10).tolist() == [1.0, 0.0]
