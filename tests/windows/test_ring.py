"""Rings against a deque of each series."""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.windows import RingTable

CAPACITY = 4
SERIES = st.lists(st.integers(0, 9), max_size=80)


def filled(series: list[int], batches: int) -> tuple[RingTable, dict[int, deque[float]]]:
    ring, oracle = RingTable(CAPACITY, 2), defaultdict(lambda: deque(maxlen=CAPACITY))
    for batch in np.array_split(np.arange(len(series)), batches):
        rows = np.stack((batch, -batch), axis=1).astype(float)
        ring.append(np.array([series[i] for i in batch.tolist()], np.int64), batch.astype(np.uint64), rows)
        for number in batch.tolist():
            oracle[series[number]].append(float(number))
    return ring, oracle


@given(SERIES, st.integers(1, 4))
def test_a_ring_holds_the_last_rows_of_its_series_however_they_were_batched(series, batches):
    ring, oracle = filled(series, batches)
    for number in range(10):
        rows = ring.rows(number)
        assert sorted(rows[:, 0].tolist()) == sorted(oracle.get(number, []))
        assert (rows[:, 1] == -rows[:, 0]).all()


@given(SERIES)
def test_rows_read_together_are_those_read_one_by_one(series):
    ring, _ = filled(series, 1)
    numbers, found = np.arange(12), {}
    for which, rows, inside in ring.alike(numbers):
        for at, own, mine in zip(which.tolist(), rows, inside, strict=True):
            found[at] = own[mine].tolist()
    assert found == {at: ring.rows(at).tolist() for at in range(12) if ring.size(at)}
    assert ring.sizes(numbers).tolist() == [ring.size(at) for at in range(12)]


@given(SERIES, st.integers(1, 4), st.integers(1, CAPACITY + 1))
def test_the_latest_rows_come_in_the_order_in_which_they_came(series, batches, count):
    ring, oracle = filled(series, batches)
    for number in range(10):
        assert ring.latest(number, count)[:, 0].tolist() == list(oracle.get(number, []))[-count:]


@given(SERIES, st.integers(0, 79))
def test_a_correction_replaces_its_row_if_the_ring_still_has_it(series, which):
    ring, oracle = filled(series, 2)
    for number in range(10):
        had = float(which) in oracle.get(number, [])
        assert ring.replace(number, which, np.array([0.5, 0.5])) is had
        expected = [0.5 if value == which else value for value in oracle.get(number, [])]
        assert sorted(ring.rows(number)[:, 0].tolist()) == sorted(expected)


@given(SERIES, SERIES)
def test_a_restored_ring_goes_on_as_the_first_one(series, more):
    ring, _ = filled(series, 1)
    restored = RingTable(CAPACITY, 2)
    restored.restore(ring.state())
    for each in (ring, restored):
        ids = np.arange(100, 100 + len(more))
        each.append(
            np.array(more, np.int64), ids.astype(np.uint64), np.stack((ids, -ids), axis=1).astype(float)
        )
    for number in range(10):
        assert sorted(restored.rows(number)[:, 0]) == sorted(ring.rows(number)[:, 0])


def test_a_forgotten_ring_is_empty():
    ring, _ = filled([1, 1, 2], 1)
    ring.forget(1)
    assert len(ring.rows(1)) == 0
    assert len(ring.rows(2)) == 1


def test_a_moved_ring_keeps_rows_ids_and_age():
    ring, _ = filled([1] * 6, 1)
    wider = RingTable(CAPACITY, 3)
    ring.move(1, wider, lambda rows: np.pad(rows, ((0, 0), (0, 1))))
    assert sorted(wider.rows(1)[:, 0].tolist()) == [2.0, 3.0, 4.0, 5.0]
    wider.append(np.array([1]), np.array([6], np.uint64), np.array([[6.0, 0.0, 0.0]]))
    assert sorted(wider.rows(1)[:, 0].tolist()) == [3.0, 4.0, 5.0, 6.0]
    assert len(ring.rows(1)) == 0
