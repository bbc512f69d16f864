"""What must come out, from what was sent alone: plain dictionaries, nothing of the product."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.events import HORIZON_MS, LABELS, LAST_MODEL, PREDICTIONS
from tests.simulation.log import Log

Place = tuple[str, int, int]  # topic, partition, offset


@dataclass
class Truth:
    """What became of everything that was sent, once all of it is due but the last events."""

    letters: set[Place] = field(default_factory=set)
    counters: dict[str, int] = field(default_factory=dict)
    predictions: dict[str, int] = field(default_factory=dict)  # of each model
    outcomes: dict[str, list[tuple[Any, Any]]] = field(default_factory=dict)  # prediction, label


def truth(log: Log) -> Truth:
    found = Truth()
    predicted: dict[str, dict[str, Any]] = {}
    labels: dict[str, list[tuple[bool, int, int, int, Any]]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for record in log.all(PREDICTIONS):
        event = _event(record.value, "prediction")
        counts["predictions.received"] += 1
        if event is None:
            counts["predictions.rejected"] += 1
            found.letters.add((PREDICTIONS, record.partition, record.offset))
        elif event["prediction_id"] in predicted:
            counts["predictions.duplicate"] += 1
        else:
            predicted[event["prediction_id"]] = event
    for record in log.all(LABELS):
        event = _event(record.value, "label")
        counts["labels.received"] += 1
        if event is None:
            counts["labels.rejected"] += 1
            found.letters.add((LABELS, record.partition, record.offset))
            continue
        prediction = predicted.get(event["prediction_id"])
        if prediction and abs(prediction["predicted_at"] - event["labelled_at"]) <= HORIZON_MS:
            whole = not event.get("partial", False)
            order = (whole, event["labelled_at"], record.partition, record.offset, event["label"])
            labels[event["prediction_id"]].append(order)
        elif event["prediction_id"].startswith("nothing"):
            counts["labels.waiting"] += 1
        else:
            counts["labels.late or orphan"] += 1
            found.letters.add((LABELS, record.partition, record.offset))
    counts["predictions.matched"] = counts["labels.matched"] = len(labels)
    counts["labels.told again"] = sum(map(len, labels.values())) - len(labels)
    last = sum(event["model_id"] == LAST_MODEL[0] for event in predicted.values())
    counts["predictions.waiting"] = last
    counts["predictions.expired"] = len(predicted) - len(labels) - last
    found.counters = {name: count for name, count in counts.items() if count}
    for name, event in predicted.items():
        model = event["model_id"]
        found.predictions[model] = found.predictions.get(model, 0) + 1
        if name in labels:
            found.outcomes.setdefault(model, []).append((event["prediction"], _standing(labels[name])))
    return found


def _standing(labels: list[tuple[bool, int, int, int, Any]]) -> Any:
    """The newest label that is not partial, else the greatest gain of each item."""
    whole, *_, newest = max(labels, key=lambda label: label[:4])
    if whole:
        return newest
    gains: dict[str, float] = {}
    for *_, label in labels:
        named = label if isinstance(label, dict) else dict.fromkeys(label, 1.0)
        for item, gain in named.items():
            gains[item] = max(gain, gains.get(item, 0.0))
    return gains


def _event(value: bytes | None, needed: str) -> dict[str, Any] | None:
    try:
        event = json.loads(value or b"")
    except ValueError:
        return None
    usable = isinstance(event, dict) and "prediction_id" in event and needed in event
    return event if usable else None
