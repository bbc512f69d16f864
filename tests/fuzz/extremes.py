"""Sound events with numbers at the edges of float64: every one is a record, so a monitor must bear it."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.fuzz.targets import NOW_MS
from tidegauge.config import Limits
from tidegauge.events import Decoder, LabelEvent, PredictionEvent

_NUMBERS = (
    5e-324, 1e-320, 1e-160, 1e-9, 0.5, 1.0, 3.0, 1e9, 2.0**52 + 1, 2.0**53, 2.0**63 - 1, 1e100, 1e154, 1e160,
    1e300, 1.79e308,
)  # fmt: skip
_CLASSES: dict[str, list[Any]] = {"binary": [0, 1], "multiclass": ["a", "b", "c"]}
_WILD = 0.3  # share of events that have such numbers
_START_MS = NOW_MS - 10_000_000_000


def extremes(draw: random.Random) -> list[PredictionEvent | LabelEvent]:
    """Return the events of one model of a random task, predictions and labels in turns."""
    decoder = Decoder(Limits())
    task = draw.choice(("binary", "multiclass", "regression"))
    events: list[PredictionEvent | LabelEvent] = []
    for number in range(draw.choice((2, 5, 60, 150))):
        wild = draw.random() < _WILD
        at_ms = _START_MS + number * 60_000
        prediction = {
            "prediction_id": f"p{number}", "model_id": "m", "model_version": "v", "predicted_at": at_ms,
            "prediction": _value(draw, task, wild), "latency_ms": abs(_number(draw, wild)),
            "resources": {"cpu": _number(draw, wild)}, "value": _number(draw, wild),
            "features": {"x": _number(draw, wild), "y": draw.choice(("a", None))},
        }  # fmt: skip
        if task == "binary":
            prediction["prediction_proba"] = draw.choice((0, 1, 5e-324, 0.5, 1 - 1e-16))
        label = {
            "prediction_id": f"p{number}", "label": _value(draw, task, wild), "labelled_at": at_ms,
            "weight": abs(_number(draw, wild)), "kpis": {"revenue": _number(draw, wild)},
        }  # fmt: skip
        events.append(decoder.prediction(json.dumps(prediction).encode(), NOW_MS))
        events.append(decoder.label(json.dumps(label).encode(), NOW_MS))
    return events


def _value(draw: random.Random, task: str, wild: bool) -> Any:
    return draw.choice(_CLASSES[task]) if task in _CLASSES else _number(draw, wild)


def _number(draw: random.Random, wild: bool) -> float:
    if wild:
        return draw.choice(_NUMBERS) * draw.choice((1, 1, -1))
    return 1 - draw.random()  # never 0: a weight is above it
