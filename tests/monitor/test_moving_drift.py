"""PSI against the time before, or that time of the week: what it is of, and what it does not cry at."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.monitor.streams import HOUR_MS, Observed, blocks
from tidegauge.adapters import block_codec
from tidegauge.block import Layout
from tidegauge.config import Drift, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.drift.distances import psi_all
from tidegauge.errors import ConfigError
from tidegauge.monitor import Monitor, check
from tidegauge.records import Alert

DAY, WEEK = 24, 168  # hours
RATE = 30  # rows an hour
PANE_MS = HOUR_MS // 4
MOVED = range(3 * WEEK + 10, 3 * WEEK + 16)  # hours, by day, in which the feature is elsewhere
KEY = "tg:drift:churn:v1"


def settings(baseline: Any, window: str = "3h") -> Settings:
    return Settings(
        monitor=MonitorSettings(time_windows=("3h", "7d"), baseline_outcomes=10**6),
        rules=(),
        drift=Drift(
            baseline=baseline,
            window=window,
            features="psi",
            detectors=(),
            reference_rows=DAY * RATE,
            min_samples=60,
            consecutive=1,
            bins=5,
            psi_threshold=0.35,
        ),
    )


def season(hours: int) -> list[Observed]:
    """Return rows of which the age is higher in the first six hours of each day."""
    ages = np.random.default_rng(1).random(hours * RATE)
    found = []
    for number, drawn in enumerate(ages.tolist()):
        hour = number // RATE
        age = drawn**3 if hour in MOVED else drawn + (0.5 if hour % DAY < 6 else 0.0)
        at_ms = number * HOUR_MS // RATE
        found.append(Observed(f"p{number}", at_ms, bool(number % 2), (True,), features={"age": age}))
    return found


def fired(baseline: str, hours: int) -> list[Alert]:
    monitor = Monitor(settings(baseline))
    alerts = [alert for block in blocks(season(hours), RATE) for alert in monitor.observe(block)]
    return [one for one in alerts if one.status == "firing" and one.evidence.feature == "age"]


def test_a_fixed_reference_cries_each_night_and_a_seasonal_one_at_the_change_alone() -> None:
    hours = 3 * WEEK + 30
    nightly = {one.raised_at_ms // HOUR_MS // DAY for one in fired("first", hours)}
    assert nightly >= set(range(2, 21))
    known = [one for one in fired("seasonal", hours) if one.raised_at_ms >= (2 * WEEK + DAY + 3) * HOUR_MS]
    (change,) = known
    assert change.raised_at_ms // HOUR_MS in MOVED
    assert change.evidence.baseline_source == "seasonal"


@pytest.mark.parametrize("hours", [2 * DAY, WEEK + 30, 2 * WEEK + 40, 5 * WEEK + 3])
@pytest.mark.parametrize("baseline", ["first", "rolling", "seasonal"])
def test_the_index_is_that_of_the_rows_of_both_times(baseline: str, hours: int) -> None:
    rows, monitor = season(hours), Monitor(settings(baseline))
    for block in blocks(rows, 500):
        monitor.observe(block)
    again = Monitor(settings(baseline))
    again.restore(block_codec.unpack(block_codec.pack(monitor.state())))
    fields = monitor.report().writes[KEY]
    assert again.report().writes[KEY] == fields
    bins = monitor._shift.bins(0)
    assert bins is not None
    counted = rows[DAY * RATE :]  # those before froze the bins
    panes = np.array([one.at_ms // PANE_MS for one in counted])
    cells = bins.cells(Layout(("age",), (False,)), np.array([[one.features["age"]] for one in counted]))

    def counts(first: int, end: int) -> Any:
        return np.bincount(cells[(panes >= first) & (panes < end), 0], minlength=bins.width).astype(float)

    newest = rows[-1].at_ms // PANE_MS
    start, end = newest - 11, newest + 1
    before = [counts(start - week * WEEK * 4, end - week * WEEK * 4) for week in (1, 2, 3, 4)]
    told = {"first": bins.counts, "rolling": counts(start - 12, start), "seasonal": sum(before)}[baseline]
    enough = told.sum() >= 60 and (baseline != "seasonal" or sum(each.any() for each in before) >= 2)
    assert fields["age.psi.baseline"] == (baseline if enough else "first")
    wanted = psi_all(told if enough else bins.counts, counts(start, end), bins.starts).psi[0]
    assert float(fields["age.psi"]) == pytest.approx(wanted)
    assert json.loads(fields["age.measures"])["n"] == int(counts(start, end).sum())


def test_a_season_needs_a_window_shorter_than_a_week() -> None:
    with pytest.raises(ConfigError, match=r"drift\.baseline: seasonal needs a window shorter than 7d"):
        check(settings("seasonal", window="7d"))
