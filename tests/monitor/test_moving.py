"""A baseline that moves with time is that of its hours, and knows a season from a drop."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.monitor.streams import HOUR_MS, Observed, blocks, corrected
from tidegauge.adapters import block_codec
from tidegauge.config import Drift, Rule, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.errors import ConfigError
from tidegauge.monitor import Monitor, check
from tidegauge.records import Alert

WEEK = 168  # hours
RATE = 12  # outcomes an hour
NIGHT = range(6)  # hours of the day in which every second answer is wrong, by day one in six
SUNDAY = 6 * 24  # from this hour of the week on every third is wrong by day
BROKEN = range(5 * WEEK + 32, 5 * WEEK + 44)  # hours of the sixth week, by day, in which all else fails
KEY = "tg:baseline:churn:v1"


def settings(baseline: Any = "seasonal", window: str = "3h", **rule: Any) -> Settings:
    fields = {"metric": "accuracy", "factor": 0.8, "min_samples": 20, "consecutive": 2, "every_outcomes": 6}
    return Settings(
        monitor=MonitorSettings(count_windows=(50,), time_windows=("3h", "48h"), baseline_outcomes=24 * RATE),
        rules=(Rule(**{**fields, **rule}, window=window, baseline=baseline),),
        drift=Drift(detectors=(), features="none"),
    )


def wrong_every(hour: int) -> int:
    if hour % 24 in NIGHT or hour in BROKEN:
        return 2
    return 3 if hour % WEEK >= SUNDAY else 6


def weeks(hours: int) -> list[Observed]:
    """Return outcomes with a season of a day and a week, and at the end a drop."""
    return [
        Observed(
            f"p{number}",
            number * HOUR_MS // RATE,
            number % wrong_every(number // RATE) != 0,
            (True,) if number % 5 else (1,),
        )
        for number in range(hours * RATE)
    ]


def fired(found: Settings, hours: int) -> list[Alert]:
    monitor = Monitor(found)
    alerts = [alert for block in blocks(weeks(hours), RATE) for alert in monitor.observe(block)]
    return [alert for alert in alerts if alert.status == "firing"]


def test_a_fixed_baseline_cries_each_night_and_a_seasonal_one_at_the_drop_alone() -> None:
    hours = 6 * WEEK
    nightly = fired(settings("first"), hours)
    assert {alert.raised_at_ms // HOUR_MS // 24 for alert in nightly} >= set(range(2, 5 * 7))
    seasonal = fired(settings("seasonal"), hours)
    known = [alert for alert in seasonal if alert.raised_at_ms >= 2 * WEEK * HOUR_MS + 8 * HOUR_MS]
    (drop,) = known
    assert drop.raised_at_ms // HOUR_MS in BROKEN
    assert (drop.evidence.baseline_source, drop.rule) == ("seasonal", "accuracy@3h < 0.8*seasonal baseline")
    assert "from the same hours of the weeks before" in drop.message


def test_until_two_weeks_are_known_the_first_outcomes_stand_in_and_the_alert_says_so() -> None:
    early = fired(settings("seasonal"), 2 * WEEK)
    assert early
    assert {alert.evidence.baseline_source for alert in early} == {"early_production"}
    assert all("from early production, too little for the seasonal one" in alert.message for alert in early)


def test_a_rolling_baseline_follows_a_new_level() -> None:
    rows = [
        Observed(
            f"p{number}", number * HOUR_MS // RATE, number % (6 if number < 100 * RATE else 2) != 0, (True,)
        )
        for number in range(300 * RATE)
    ]
    monitor = Monitor(settings("rolling"))
    alerts = [alert for block in blocks(rows, RATE) for alert in monitor.observe(block)]
    opened, closed = alerts
    assert (opened.status, opened.evidence.baseline_source) == ("firing", "rolling")
    assert 100 <= opened.raised_at_ms / HOUR_MS < 104
    assert closed.status == "resolved"
    assert closed.raised_at_ms / HOUR_MS < 100 + 48 + 4  # all of the longest window is at the new level


@pytest.mark.parametrize("end", [WEEK + 3, 2 * WEEK + 1, 3 * WEEK + 50, 5 * WEEK + 7])
@pytest.mark.parametrize("window", ["3h", "48h"])
@pytest.mark.parametrize("baseline", ["rolling", "seasonal"])
def test_a_moving_baseline_is_the_metric_of_the_rows_of_its_hours(
    baseline: str, window: str, end: int
) -> None:
    rows = corrected(weeks(end), every=7)
    monitor = Monitor(settings(baseline, window))
    for block in blocks(rows, 500, late=40):
        monitor.observe(block)
    told = monitor.report().writes[KEY]
    length, now_ms = int(window[:-1]), rows[-1].at_ms
    pane_ms = length * HOUR_MS // 12
    start_ms = (now_ms // pane_ms - 11) * pane_ms
    touched = range(start_ms // HOUR_MS, now_ms // HOUR_MS + 1)
    wanted: list[set[int]] = [set(range(touched[0] - 48, touched[0]))]
    if baseline == "seasonal":
        wanted = [{hour - week * WEEK for hour in touched} for week in (1, 2, 3, 4)]
    right = [
        [one.prediction == one.labels[-1] for one in rows if one.at_ms // HOUR_MS in hours]
        for hours in wanted
    ]
    every = [each for week in right for each in week]
    enough = len(every) >= 20 and (baseline == "rolling" or sum(map(bool, right)) >= 2)
    value, n = told[f"accuracy@{window}.{baseline}"], told[f"accuracy@{window}.{baseline}.n"]
    if not enough:
        assert (value, n) == ("null", "0")
    else:
        assert (float(value), int(n)) == (pytest.approx(np.mean(every)), len(every))


def test_a_moving_baseline_goes_on_after_a_restart_and_with_longer_history_than_before() -> None:
    rows, through = weeks(3 * WEEK), Monitor(settings())
    every = list(blocks(rows, 600))
    cut = len(every) // 2
    said = [through.observe(block) for block in every]
    first, again = Monitor(settings()), Monitor(settings())
    for block in every[:cut]:
        first.observe(block)
    again.restore(block_codec.unpack(block_codec.pack(first.state())))
    assert [again.observe(block) for block in every[cut:]] == said[cut:]
    told = through.report().writes[KEY]
    assert again.report().writes[KEY] == told
    short, longer = Monitor(settings("first")), Monitor(settings())
    for block in every[:cut]:
        short.observe(block)
    longer.restore(short.state())
    for block in every[cut:]:
        longer.observe(block)
    assert longer.report().writes[KEY].keys() == told.keys()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule(metric="f1", window="1000", baseline="rolling"), "rolling needs a time window, got '1000'"),
        (Rule(metric="f1", window="7d", baseline="seasonal"), "a window shorter than 7d, got '7d'"),
        (Rule(metric="latency_p50_ms", window="1h", factor=2, baseline="seasonal"), "of metrics of outcomes"),
        (Rule(metric="kpi.clicks.mean", window="1h", baseline="rolling"), "got 'kpi.clicks.mean'"),
        (Rule(metric="diversity", window="1h", baseline="rolling"), "got 'diversity'"),
    ],
)
def test_a_rule_for_which_no_hours_are_kept_is_refused_by_name(rule: Rule, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape("rules[0].baseline: ") + ".*" + re.escape(said)):
        check(Settings(rules=(rule,)))
