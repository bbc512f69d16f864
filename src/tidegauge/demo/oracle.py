"""The join once more, offline: a dictionary over the whole stream, without the product's code.

What happens to an event is decided as if every prediction had come before its labels. Some counters
depend on which of the two topics the worker read first, so only their sums are known here: a label
that another one replaces is `superseded` while it waits and `corrected` afterwards, and so on.
Events are taken to come while the entry of their id is still kept: within horizon and lateness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tidegauge.demo.reading import Made, Reader, Told, Unusable
from tidegauge.simulate.raw import PREDICTIONS, RawEvent

Counts = Counter[str]

# Counters of which only the sum does not depend on the order between the topics.
SUMS = (
    ("labels.corrected", "labels.superseded", "labels.duplicate"),
    ("labels.late", "labels.orphan"),
)


@dataclass(slots=True)
class Truth:
    """What is true after all events, whoever processed them."""

    predictions: dict[str, Made] = field(default_factory=dict)
    outcomes: dict[str, Told] = field(default_factory=dict)  # the label that stands at the end
    revisions: dict[str, list[Told]] = field(default_factory=dict)  # of outcomes that were corrected
    counts: Counts = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings that decide about a label, and how far the join's clock had come."""

    horizon_ms: int
    lateness_ms: int
    watermark_ms: int

    def over(self, at_ms: int) -> bool:
        """Return whether an entry of that time has been given up."""
        return at_ms + self.horizon_ms + self.lateness_ms < self.watermark_ms


def tell(events: Iterable[RawEvent], terms: Terms) -> Truth:
    """Return the truth about the events. Memory grows with them: about 600 bytes a prediction."""
    truth = Truth()
    labels: dict[str, list[Told]] = {}
    reader = Reader()
    for event in events:
        truth.counts[f"{event.side}.received"] += 1
        try:
            if event.side == PREDICTIONS:
                _predicted(truth, *reader.prediction(event.value, event.time_ms))
            else:
                prediction_id, told = reader.label(event.value, event.time_ms)
                labels.setdefault(prediction_id, []).append(told)
        except Unusable:
            truth.counts[f"{event.side}.rejected"] += 1
    for prediction_id, told_labels in labels.items():
        made = truth.predictions.get(prediction_id)
        if made is None:
            _orphans(truth.counts, told_labels, terms)
        else:
            _match(truth, prediction_id, made, told_labels, terms)
    for prediction_id, made in truth.predictions.items():
        if prediction_id not in truth.outcomes:
            truth.counts["predictions.expired" if terms.over(made.at_ms) else "predictions.waiting"] += 1
    return truth


def _predicted(truth: Truth, prediction_id: str, made: Made) -> None:
    if prediction_id in truth.predictions:
        truth.counts["predictions.duplicate"] += 1
    else:
        truth.predictions[prediction_id] = made


def _match(truth: Truth, prediction_id: str, made: Made, labels: list[Told], terms: Terms) -> None:
    counts, kept, newest_ms = truth.counts, None, 0
    for told in labels:
        inside = abs(told.at_ms - made.at_ms) <= terms.horizon_ms
        if kept is not None and told.what == kept.what:
            counts["labels.duplicate"] += 1
            newest_ms = max(newest_ms, told.at_ms) if inside else newest_ms
        elif not inside:
            counts["labels.late"] += 1
        elif kept is not None and told.at_ms < newest_ms:
            counts["labels.superseded"] += 1
        else:
            if kept is None:
                counts.update(("labels.matched", "predictions.matched"))
            else:
                truth.revisions.setdefault(prediction_id, [kept]).append(told)
                counts["labels.corrected"] += 1
            kept, newest_ms = told, told.at_ms
    if kept is not None:
        truth.outcomes[prediction_id] = kept


def _orphans(counts: Counts, labels: list[Told], terms: Terms) -> None:
    counts["labels.duplicate"] += len(labels) - len({*labels})
    for told in {*labels}:
        counts["labels.orphan" if terms.over(told.at_ms) else "labels.waiting"] += 1


def differences(expected: Counts, stored: dict[str, int]) -> list[str]:
    """Return a line for every counter that is not what it must be."""
    lines = []
    summed = {name: pair for pair in SUMS for name in pair}
    for name in sorted({*expected, *stored} - {*summed}):
        if expected[name] != stored.get(name, 0):
            lines.append(f"{name}: expected {expected[name]}, stored {stored.get(name, 0)}")
    for pair in SUMS:
        wanted, got = (sum(counts.get(name, 0) for name in pair) for counts in (expected, stored))
        if wanted != got:
            lines.append(f"{' + '.join(pair)}: expected {wanted}, stored {got}")
    return lines
