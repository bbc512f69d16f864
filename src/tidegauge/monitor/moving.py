"""Baselines that move with time: which hours before a window it is compared with.

Rolling is as long a time as the longest window, right before the rule's own. Seasonal is the hours of the
week that the rule's window touches, in the weeks before. Hours begin on the hour, in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable

from tidegauge.config import Monitor, Rule, Settings, duration_ms
from tidegauge.errors import ConfigError
from tidegauge.monitor.ledger import HISTORY_PANE_MS
from tidegauge.policy.directions import FAMILIES, direction

WEEK_MS = 7 * 86_400_000
MOST_WEEKS = 4
LEAST_WEEKS = 2
OF_TRAFFIC = (
    "latency_",
    "label_delay_",
    "catalogue_",
    "throughput_",
)  # beginnings of metrics without history
TRAFFIC = frozenset({"diversity", "novelty", "predictions", "n"})

Span = tuple[int, int]  # ms; hours that begin in it


def spans(rule: Rule, monitor: Monitor, now_ms: int) -> list[Span]:
    """Return the spans of time that a rule's window at a watermark is compared with.

    >>> rule = Rule(metric="f1", window="1h", baseline="seasonal")
    >>> found = spans(rule, Monitor(), 1_000 * 3_600_000 + 1)
    >>> [(start // 3_600_000, end // 3_600_000) for start, end in found]
    [(831, 833), (663, 665), (495, 497), (327, 329)]
    """
    first, end = _touched(duration_ms(rule.window), monitor.panes, now_ms)
    if rule.baseline == "seasonal":
        return back(rule.baseline, (first, end))
    return [(first - longest_ms(monitor), first)]


def back(baseline: str, window: Span) -> list[Span]:
    """Return the spans with which a window of drift is compared: as long a time before, or in weeks before.

    >>> back("rolling", (100, 150))
    [(50, 100)]
    """
    start, end = window
    if baseline == "seasonal":
        return [(start - week * WEEK_MS, end - week * WEEK_MS) for week in range(1, MOST_WEEKS + 1)]
    return [(2 * start - end, start)] if baseline == "rolling" else []


def longest_ms(monitor: Monitor) -> int:
    """Return the longest time window, in whole hours."""
    longest = max(map(duration_ms, monitor.time_windows), default=HISTORY_PANE_MS)
    return -(-longest // HISTORY_PANE_MS) * HISTORY_PANE_MS


def history_ms(settings: Settings) -> int:
    """Return how long the hours of a series are kept: as long as the rules and the longest window need."""
    return max([longest_ms(settings.monitor), *_needs(settings)])


def check(settings: Settings) -> None:
    """Raise ConfigError where a baseline that moves does not fit the window or the metric of its rule."""
    drift = settings.drift
    if drift.baseline == "seasonal" and duration_ms(drift.window) >= WEEK_MS:
        raise ConfigError(f"drift.baseline: seasonal needs a window shorter than 7d, got {drift.window!r}")
    for index, rule in enumerate(settings.rules):
        if rule.baseline == "first":
            continue
        key = f"rules[{index}].baseline"
        if rule.window not in settings.monitor.time_windows:
            raise ConfigError(f"{key}: {rule.baseline} needs a time window, got {rule.window!r}")
        if rule.baseline == "seasonal" and duration_ms(rule.window) >= WEEK_MS:
            raise ConfigError(f"{key}: seasonal needs a window shorter than 7d, got {rule.window!r}")
        if not _of_outcomes(rule.metric):
            raise ConfigError(f"{key}: {rule.baseline} is kept of metrics of outcomes, got {rule.metric!r}")


def _of_outcomes(metric: str) -> bool:
    """Return whether a metric is one of the task, of which hours are kept."""
    family = metric.partition(".")[0]
    traffic = metric in TRAFFIC or metric.startswith(OF_TRAFFIC)
    return direction(metric) is not None and not traffic and family not in FAMILIES


def _needs(settings: Settings) -> Iterable[int]:
    for rule in settings.rules:
        back = {"seasonal": MOST_WEEKS * WEEK_MS, "rolling": longest_ms(settings.monitor)}.get(rule.baseline)
        if back is not None:
            yield back + duration_ms(rule.window) + 2 * HISTORY_PANE_MS


def _touched(window_ms: int, panes: int, now_ms: int) -> Span:
    """Return the hours that a window touches: from the first pane's to the watermark's own."""
    pane_ms = window_ms // panes
    start = (now_ms // pane_ms - panes + 1) * pane_ms
    return start // HISTORY_PANE_MS * HISTORY_PANE_MS, (now_ms // HISTORY_PANE_MS + 1) * HISTORY_PANE_MS
