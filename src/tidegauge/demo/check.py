"""The independent check: everything once more from the raw events, compared with what was published."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegauge.config import Settings
from tidegauge.demo import alarms, compare, oracle, topics
from tidegauge.demo.book import Book, Seen
from tidegauge.demo.stored import Stored, fetch
from tidegauge.records import Alert
from tidegauge.simulate import raw

SHOWN = 20  # differences printed; the rest is counted


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check found: no differences, or the first of them."""

    differences: list[str]
    summary: dict[str, int]

    @property
    def ok(self) -> bool:
        return not self.differences

    def lines(self) -> list[str]:
        """Return the first differences, and the verdict in one line."""
        shown = [f"  {line}" for line in self.differences[:SHOWN]]
        if self.ok:
            return ["check: ok " + " ".join(f"{name}={count}" for name, count in self.summary.items())]
        more = len(self.differences) - len(shown)
        shown += [f"  and {more} more"] if more > 0 else []
        return [*shown, f"check: FAILED {self.differences[0]}"]


def check(settings: Settings, spool: Path, redis: Any) -> Verdict:
    """Return the verdict on a deployment that has worked off the events in `spool`.

    `redis` is a client with `decode_responses`. Takes about a minute for a million events.
    """
    gc.disable()  # a million live records, none of them in a cycle, would be looked at again and again
    try:
        order = list(topics.order(settings))
        return judge(settings, raw.read(spool), fetch(redis), order, topics.alerts(settings))
    finally:
        gc.enable()


def judge(
    settings: Settings,
    events: Iterator[raw.RawEvent],
    stored: Stored,
    order: Sequence[Seen],
    alerts: Sequence[Alert],
) -> Verdict:
    """Return the verdict on what is stored, given the raw events and the monitor's order of outcomes."""
    join = settings.join
    terms = oracle.Terms(
        join.horizon_seconds * 1_000, join.lateness_seconds * 1_000, stored.counter("watermark_ms")
    )
    truth = oracle.tell(events, terms)
    counters = {name: int(text) for name, text in stored.join.items() if "." in name}
    differences = oracle.differences(truth.counts, counters)
    differences += itertools.chain(_sums(counters), _pairs(truth, order, counters))
    if {seen.prediction_id for seen in order if seen.sign > 0} <= truth.outcomes.keys():
        differences += _numbers(settings, Book(truth, order, settings), stored, order, alerts)
    differences += alarms.lives(alerts, stored)
    return Verdict(differences, _summary(counters, len(alerts)))


def _numbers(
    settings: Settings, book: Book, stored: Stored, order: Sequence[Seen], alerts: Sequence[Alert]
) -> Iterator[str]:
    yield from compare.models(book, stored)
    for series in book.series():
        if series in stored.metrics:
            yield from compare.metrics(book, series, stored.metrics[series])
    given = {model: settings.model(model).baseline for model in book.tasks}
    yield from compare.baselines(book, stored, given, settings.monitor.baseline_outcomes)
    yield from alarms.rules(alerts, book, order, settings)


def _sums(counters: dict[str, int]) -> Iterator[str]:
    """Yield the side whose counters do not add up."""
    for side in (raw.PREDICTIONS, raw.LABELS):
        parts = sum(count for name, count in counters.items() if name.startswith(f"{side}."))
        received = counters.get(f"{side}.received", 0)
        if parts != 2 * received:
            yield f"{side}: received {received}, and the parts add up to {parts - received}"


def _pairs(truth: oracle.Truth, order: Sequence[Seen], counters: dict[str, int]) -> Iterator[str]:
    """Yield what the observations have too much or too little."""
    found = {(seen.prediction_id, seen.revision) for seen in order if seen.sign > 0}
    matched = {name for name, _ in found}
    for name in sorted(truth.outcomes.keys() - matched)[:SHOWN]:
        yield f"outcome {name} is missing from the observations"
    for name in sorted(matched - truth.outcomes.keys())[:SHOWN]:
        yield f"outcome {name} is in the observations, and no label matches it"
    corrected = sum(revision > 0 for _, revision in found)
    counted = counters.get("labels.corrected", 0)
    if corrected != counted:
        yield f"labels.corrected: {corrected} in the observations, stored {counted}"


def _summary(counters: dict[str, int], alerts: int) -> dict[str, int]:
    def both(name: str) -> int:
        return sum(counters.get(f"{side}.{name}", 0) for side in (raw.PREDICTIONS, raw.LABELS))

    return {
        "predictions": counters.get("predictions.received", 0),
        "matched": counters.get("predictions.matched", 0),
        "waiting": counters.get("predictions.waiting", 0),
        "expired": counters.get("predictions.expired", 0),
        "duplicate": both("duplicate"),
        "corrected": counters.get("labels.corrected", 0),
        "rejected": both("rejected"),
        "alerts": alerts,
    }
