"""The stream of a trial: seeded, with everything that goes wrong on the way, and ready as bytes.

It shares no code with the product or its simulator. Event time advances with the stream. Each prediction
has a slot; what concerns it comes a few slots before or after, so the two topics are out of step.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

PREDICTIONS, LABELS = "predictions", "labels"
VERSION = "v1"
GARBAGE = (
    b"",
    b"{",
    b"[1, 2]",
    b'"text"',
    b"\xff\xfe\x00",
    b'{"prediction_id": 7, "label": 1, "model_id": "m"}',
    b'{"prediction_id": "", "label": 1}',
    b'{"model_id": "m", "model_version": "v1", "prediction": 1}',
)


class Sent(NamedTuple):
    """A message: its side, its key (which chooses the partition), its bytes."""

    side: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What to generate; shares are of the predictions, those of the label's fate exclude each other."""

    seed: int
    predictions: int
    start_ms: int
    step_ms: int = 700  # event time between two predictions
    horizon_ms: int = 3_600_000
    models: int = 8  # half binary, half regression
    zipf: float = 1.0
    duplicates: float = 0.05  # of either side
    label_first: float = 0.20
    corrections: float = 0.05
    missing: float = 0.05
    beyond: float = 0.02  # labelled, but too late to count
    strangers: float = 0.01  # labels whose prediction never comes
    garbage: float = 0.01  # of either side


def stream(spec: Spec) -> list[Sent]:
    """Return the messages in the order in which they are sent: the same for the same spec.

    >>> stream(Spec(seed=1, predictions=50, start_ms=0)) == stream(Spec(seed=1, predictions=50, start_ms=0))
    True
    """
    draw = random.Random(spec.seed)
    placed: list[tuple[float, int, Sent]] = []
    weights = [(rank + 1) ** -spec.zipf for rank in range(spec.models)]
    models = draw.choices(range(spec.models), weights, k=spec.predictions)
    for slot, model in enumerate(models):
        for place, sent in _about_one(draw, spec, slot, model):
            placed.append((place, len(placed), sent))
    return [sent for _, _, sent in sorted(placed, key=lambda item: item[:2])]


def model_name(index: int) -> str:
    """Return the name of a model; even ones are binary."""
    return f"{'regression' if index % 2 else 'binary'}-{index}"


def _about_one(draw: random.Random, spec: Spec, slot: int, model: int) -> Iterator[tuple[float, Sent]]:
    """Yield all that is sent about one prediction, each with its place in the stream."""
    name = f"{spec.seed}-{slot}"
    at_ms = spec.start_ms + slot * spec.step_ms
    made, right, wrong = _content(draw, spec, slot, model)
    told = slot + draw.randint(1, 300)
    first = draw.random() < spec.label_first
    asked = told + draw.randint(1, 300) if first else slot
    prediction = _message(PREDICTIONS, name, {**made, "predicted_at": at_ms})
    yield asked, prediction
    if draw.random() < spec.duplicates:
        yield asked + draw.randint(1, 300), prediction
    yield from _labels(draw, spec, name, at_ms, told, right, wrong)
    for side in (PREDICTIONS, LABELS):
        if draw.random() < spec.garbage:
            yield slot, Sent(side, f"{name}!".encode(), draw.choice(GARBAGE))
    if draw.random() < spec.strangers:
        yield told, _message(LABELS, f"{name}?", {"label": right, "labelled_at": at_ms})


def _labels(
    draw: random.Random, spec: Spec, name: str, at_ms: int, told: int, right: Any, wrong: Any
) -> Iterator[tuple[float, Sent]]:
    fate = draw.random()
    labelled_at = at_ms + draw.randint(1, spec.horizon_ms // 2)
    label = _message(LABELS, name, {"label": right, "labelled_at": labelled_at})
    if fate < spec.missing:
        return
    if fate < spec.missing + spec.beyond:
        late_ms = at_ms + spec.horizon_ms + draw.randint(1, 600_000)
        yield told, _message(LABELS, name, {"label": right, "labelled_at": late_ms})
        return
    if fate < spec.missing + spec.beyond + spec.corrections:
        yield told, _message(LABELS, name, {"label": wrong, "labelled_at": labelled_at - 1})
        told += draw.randint(1, 600)
    yield told, label
    if draw.random() < spec.duplicates:
        yield told + draw.randint(1, 300), label


def _content(draw: random.Random, spec: Spec, slot: int, model: int) -> tuple[dict[str, Any], Any, Any]:
    """Return the prediction's fields, the right label, and a wrong one.

    In the second half the largest model is wrong more often than right: an alert is due.
    """
    base = {
        "model_id": model_name(model),
        "model_version": VERSION,
        "features": {"age": draw.randint(18, 80), "plan": draw.choice(("free", "paid"))},
        "latency_ms": 3.0,
    }
    if model % 2:
        number = round(draw.gauss(100, 20), 3)
        right = round(number + draw.gauss(0, 5) + 0.0005, 4)
        return {**base, "prediction": number}, right, round(right + 50.0, 4)
    answer = draw.random() < 0.4
    turned = model == 0 and slot > spec.predictions // 2
    right = answer if draw.random() < (0.35 if turned else 0.92) else not answer
    score = round(0.5 + draw.random() / 2 if answer else draw.random() / 2, 4)
    return {**base, "prediction": answer, "prediction_proba": score}, right, not right


def _message(side: str, name: str, fields: dict[str, Any]) -> Sent:
    value = json.dumps({"prediction_id": name, **fields}).encode()
    return Sent(side, name.encode(), value)
