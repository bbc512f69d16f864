"""What must be true in the end, offline and from plain dictionaries; it shares no code with the product.

An event is judged as if every prediction had come before its labels: what stands at the end does not
depend on the order. Some counters do, and only their sums are known here.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.faults.generator import LABELS, PREDICTIONS, Sent

# Counters of which only the sum does not depend on the order of arrival.
SUMS = (
    ("labels.corrected", "labels.superseded", "labels.duplicate"),
    ("labels.late", "labels.orphan"),
)
WINDOWS_MS = {"1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000}
PANES = 12


class Made(NamedTuple):
    model: str
    at_ms: int
    prediction: Any


class Truth(NamedTuple):
    """`outcomes` holds the label that stands at the end, by prediction id."""

    predictions: dict[str, Made]
    outcomes: dict[str, Any]
    counts: Counter[str]


def tell(sent: Iterable[Sent], horizon_ms: int) -> Truth:
    """Return the truth about messages after which everything that waited has expired."""
    predictions: dict[str, Made] = {}
    labels: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for message in sent:
        counts[f"{message.side}.received"] += 1
        event = _read(message)
        if event is None:
            counts[f"{message.side}.rejected"] += 1
        elif message.side == LABELS:
            labels[event["prediction_id"]].append((event["labelled_at"], event["label"]))
        elif event["prediction_id"] in predictions:
            counts["predictions.duplicate"] += 1
        else:
            predictions[event["prediction_id"]] = Made(
                event["model_id"], event["predicted_at"], event["prediction"]
            )
    outcomes = {}
    for name, told in labels.items():
        made = predictions.get(name)
        inside = [one for one in told if made and abs(one[0] - made.at_ms) <= horizon_ms]
        counts["labels.late"] += len(told) - len(inside)  # or orphan
        if inside:
            counts["labels.matched"] += 1
            counts["labels.corrected"] += len(inside) - 1  # or superseded, or duplicate
            outcomes[name] = max(inside, key=lambda one: one[0])[1]
    counts["predictions.matched"] = len(outcomes)
    counts["predictions.expired"] = len(predictions) - len(outcomes)
    return Truth(predictions, outcomes, counts)


def difference(expected: Counter[str], found: dict[str, int]) -> dict[str, int]:
    """Return found - expected of every counter, or sum of counters, that is not as expected."""
    summed = {name: pair for pair in SUMS for name in pair}
    alone = [(name,) for name in {*expected, *found} - {*summed, "watermark_ms"}]
    off = {}
    for names in (*alone, *SUMS):
        by = sum(found.get(name, 0) for name in names) - sum(expected[name] for name in names)
        if by:
            off["+".join(names)] = by
    return off


def unbalanced(found: dict[str, int]) -> list[str]:
    """Return the sides on which the counters do not add up to what was received."""
    return [
        side
        for side in (PREDICTIONS, LABELS)
        if found.get(f"{side}.received", 0)
        != sum(n for name, n in found.items() if name.startswith(side) and name != f"{side}.received")
    ]


def expected_metrics(truth: Truth) -> dict[str, dict[str, Any]]:
    """Return by model the fields of its time windows: numbers, and confusion matrices as dictionaries."""
    newest: dict[str, int] = {}
    for made in truth.predictions.values():
        newest[made.model] = max(made.at_ms, newest.get(made.model, 0))
    found: dict[str, dict[str, Any]] = {model: {} for model in newest}
    for window, duration_ms in WINDOWS_MS.items():
        pane_ms = duration_ms // PANES
        rows = defaultdict(list)
        asked: Counter[str] = Counter()
        for name, made in truth.predictions.items():
            if made.at_ms // pane_ms > newest[made.model] // pane_ms - PANES:
                asked[made.model] += 1
                if name in truth.outcomes:
                    rows[made.model].append((made.prediction, truth.outcomes[name]))
        for model, fields in found.items():
            values = {"n": len(rows[model]), "predictions": asked[model], **_quality(rows[model])}
            fields |= {f"{metric}@{window}": value for metric, value in values.items()}
    return found


def same(expected: Any, text: str | None) -> bool:
    """Tell whether a field of a metrics hash says what is expected, floats to 1e-9."""
    if text is None:
        return False
    if isinstance(expected, dict):
        told = json.loads(text)
        cells = {
            (actual, predicted): count
            for actual, row in zip(told["classes"], told["counts"], strict=True)
            for predicted, count in zip(told["classes"], row, strict=True)
            if count
        }
        return bool(cells == expected)
    return math.isclose(float(text), expected, rel_tol=1e-9, abs_tol=1e-9)


def _quality(rows: list[tuple[Any, Any]]) -> dict[str, Any]:
    if not rows:
        return {}
    if isinstance(rows[0][0], bool):
        cells = Counter((str(int(label)), str(int(prediction))) for prediction, label in rows)
        hits = cells["0", "0"] + cells["1", "1"]
        return {"accuracy": hits / len(rows), "confusion": {cell: n for cell, n in cells.items() if n}}
    errors = [prediction - label for prediction, label in rows]
    return {
        "mae": math.fsum(map(abs, errors)) / len(rows),
        "rmse": math.sqrt(math.fsum(error * error for error in errors) / len(rows)),
        "bias": math.fsum(errors) / len(rows),
    }


_WANTED: dict[str, dict[str, Any]] = {
    PREDICTIONS: {"model_id": str, "model_version": str, "prediction": (bool, int, float, str)},
    LABELS: {"label": (bool, int, float, str)},
}


def _read(message: Sent) -> dict[str, Any] | None:
    """Return an event, or None where it cannot be used."""
    try:
        event = json.loads(message.value.decode())
    except ValueError:
        return None
    if not isinstance(event, dict):
        return None
    wanted = {"prediction_id": str, **_WANTED[message.side]}
    right = all(isinstance(event.get(name), kind) for name, kind in wanted.items())
    return event if right and event["prediction_id"] else None
