"""Alerts, checked: their life, and for rules over count windows every one that had to come."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tidegauge.config import Rule, Settings
from tidegauge.demo.book import Book, Seen
from tidegauge.demo.expected import exactly
from tidegauge.demo.passage import METRICS, Passage, passage
from tidegauge.demo.stored import Series, Stored
from tidegauge.records import Alert

LOG_LENGTH = 1_000  # of tg:alerts:log


class Due(NamedTuple):
    """An alert that a rule calls for."""

    status: str
    current: float
    n: int
    threshold: float


def lives(alerts: Sequence[Alert], stored: Stored) -> Iterator[str]:
    """Yield what is wrong with the order of alerts, and with the lists of them in Redis."""
    open_: dict[str, Alert] = {}
    seen: set[str] = set()
    for alert in alerts:
        if alert.status == "firing":
            if alert.incident_id in seen:
                yield f"alert {alert.alert_id}: incident {alert.incident_id} fires twice"
            open_[alert.incident_id] = alert
        elif open_.pop(alert.incident_id, None) is None:
            yield f"alert {alert.alert_id}: resolves an incident that is not open"
        seen.add(alert.incident_id)
    for incident in sorted(open_.keys() ^ stored.active.keys()):
        where = "topic" if incident in open_ else "Redis"
        yield f"tg:alerts:active: incident {incident} is open only in the {where}"
    published, logged = {alert.alert_id for alert in alerts}, {alert["alert_id"] for alert in stored.log}
    if not logged <= published or len(logged) != min(len(published), LOG_LENGTH):
        yield f"tg:alerts:log: {len(logged)} alerts, {len(published)} on the topic"


def rules(alerts: Sequence[Alert], book: Book, order: Sequence[Seen], settings: Settings) -> Iterator[str]:
    """Yield the differences between the alerts of rules and those that had to come.

    Told for rules over count windows on the metrics of `passage`; evaluations are at the end of blocks.
    """
    for rule in settings.rules:
        if not rule.window.isdecimal() or rule.metric not in METRICS:
            continue
        for series in book.series():
            if _applies(rule, series, book):
                path = passage(book, order, series, rule.metric, int(rule.window))
                wanted = list(due(path, rule, *_baseline(book, series, rule, settings)))
                yield from _compare(series, rule, wanted, _found(alerts, series, rule))


def due(path: Passage, rule: Rule, baseline: float | None, known_from: int) -> Iterator[Due]:
    """Yield the alerts of a rule whose baseline is known from so many outcomes on."""
    judged, firing, row = 0, False, 0
    for value, n, outcomes in zip(path.value.tolist(), path.n.tolist(), path.outcomes.tolist(), strict=True):
        if outcomes - judged < rule.every_outcomes:
            continue
        judged = outcomes
        if baseline is None or outcomes < known_from or n < rule.min_samples or math.isnan(value):
            continue
        threshold = baseline * rule.factor
        bad = value < threshold if rule.factor < 1 else value > threshold
        row = row + 1 if bad != firing else 0
        if row == rule.consecutive:
            firing, row = not firing, 0
            yield Due("firing" if firing else "resolved", value, n, threshold)


def _applies(rule: Rule, series: Series, book: Book) -> bool:
    """Return whether `passage` can tell what the rule saw: F1 only of a positive class."""
    task = book.tasks[series.model].name
    tasks = {"mae": ("regression",), "f1": ("binary",), "accuracy": ("binary", "multiclass")}
    return (not rule.models or series.model in rule.models) and task in tasks[rule.metric]


def _baseline(book: Book, series: Series, rule: Rule, settings: Settings) -> tuple[float | None, int]:
    """Return a rule's baseline, and from how many outcomes on it is known."""
    given = settings.model(series.model).baseline.get(rule.metric)
    if given is not None and series.segment is None:
        return given, 0
    needed = settings.monitor.baseline_outcomes
    rows = book.first(series, needed)
    if len(rows) < needed:
        return None, needed
    return book.quality(series.model, rows, binned=True)[rule.metric].low, needed


def _found(alerts: Sequence[Alert], series: Series, rule: Rule) -> list[Alert]:
    segment = "=".join(series.segment) if series.segment else None
    about = (series.model, series.version, segment, rule.metric, rule.window)
    return [
        alert
        for alert in alerts
        if alert.kind == "performance"
        and about
        == (alert.model_id, alert.model_version, alert.segment, alert.evidence.metric, alert.evidence.window)
        and f" {rule.factor:g}*" in alert.rule
    ]


def _compare(series: Series, rule: Rule, wanted: list[Due], found: list[Alert]) -> Iterator[str]:
    what = f"alerts of {series} {rule.metric}@{rule.window}"
    for number, (due_, alert) in enumerate(zip(wanted, found, strict=False)):
        evidence = alert.evidence
        same = alert.status == due_.status and evidence.n == due_.n
        right = exactly(due_.current).holds(evidence.current) and exactly(due_.threshold).holds(
            evidence.threshold
        )
        if not (same and right):
            yield f"{what}: number {number} must be {due_}, published {alert.status} with {evidence}"
            return
    if len(wanted) != len(found):
        yield f"{what}: expected {len(wanted)}, published {len(found)}"
