"""Backlogs against a list of each series."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.windows import Backlog, Runs

HOLD = 4


@given(st.lists(st.lists(st.integers(0, 6), max_size=12), max_size=8))
def test_every_row_comes_out_once_and_in_order_and_no_series_holds_more_than_it_may(
    batches: list[list[int]],
) -> None:
    backlog, given_rows, taken = Backlog(HOLD, 1), defaultdict(list), defaultdict(list)
    for number, batch in enumerate(batches):
        series = np.array(batch, np.int64)
        rows = np.arange(len(batch), dtype=np.float64)[:, None] + 100 * number
        runs = Runs(series)
        few = np.flatnonzero(backlog.fits(runs)[runs.place])
        for place in few.tolist():
            given_rows[batch[place]].append(float(rows[place, 0]))
        for full in backlog.add(Runs(series[few]), rows[few]).tolist():
            taken[full] += backlog.take(full)[:, 0].tolist()
    restored = Backlog(HOLD, 1)
    restored.restore(backlog.state())
    for series in range(7):
        rest = backlog.take(series)[:, 0].tolist()
        assert len(rest) < HOLD
        assert restored.take(series)[:, 0].tolist() == rest
        assert taken[series] + rest == given_rows[series]
