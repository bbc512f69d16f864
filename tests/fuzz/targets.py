"""What the fuzz feeds: every reader of bytes that come from outside the process.

A target returns what it read, or raises one of its documented errors; anything else is a crash. What was
read must go on through all that is done with it next, so that it cannot fail a stage later.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from tidegauge import keys
from tidegauge.adapters import block_codec
from tidegauge.block import Labelled, Predicted, Trigger
from tidegauge.block_builder import BlockBuilder
from tidegauge.config import Limits, Settings
from tidegauge.drift.detectors import KINDS, Detector
from tidegauge.errors import Rejected, SnapshotError
from tidegauge.events import Decoder, LabelEvent, PredictionEvent, dead_letter, read
from tidegauge.join import key_of, pack_labelled, pack_predicted, unpack_labelled, unpack_predicted
from tidegauge.monitor import Monitor
from tidegauge.records import REASONS, Alert, Control, DeadLetter

NOW_MS = 1_400_000_000_000
_ROWS = 12  # of a block in the corpus


@dataclass(frozen=True, slots=True)
class Target:
    """A reader, what it may raise, sound messages for it, and its share of all messages."""

    name: str
    share: float
    read: Callable[[bytes], Any]
    refusals: tuple[type[Exception], ...]
    corpus: tuple[bytes, ...]
    equal: bool = True  # a sound message is read as the same every time, as its repr tells


def targets() -> tuple[Target, ...]:
    """Return every target; the shares add up to 1."""
    decoder = Decoder(Limits())
    return (
        Target("prediction", 0.45, _prediction(decoder), (Rejected,), _predictions()),
        Target("label", 0.42, _label(decoder), (Rejected,), _labels()),
        Target("control", 0.05, lambda data: read(data, Control), (Rejected,), _controls()),
        Target("alert", 0.05, lambda data: read(data, Alert), (Rejected,), _alerts()),
        Target("block", 0.014, _block, (SnapshotError,), _blocks()),
        Target("snapshot", 0.01, _snapshot, (SnapshotError,), _snapshots()),
        Target("detector", 0.006, Detector.restore, (SnapshotError,), _detectors(), equal=False),
    )


def check_refusal(data: bytes, refusal: Exception) -> None:
    """Raise AssertionError where a rejected event would not come back whole from its dead letter."""
    if not isinstance(refusal, Rejected):
        return
    assert refusal.reason in REASONS, refusal.reason
    letter = msgspec.json.encode(dead_letter(refusal, "topic", 0, 1, data))
    found = msgspec.json.decode(letter, type=DeadLetter)
    kept = None if found.value_base64 is None else base64.b64decode(found.value_base64)
    assert kept == data or (kept is None and refusal.reason == "too_large")


def through_the_core(events: list[PredictionEvent | LabelEvent], draw: random.Random) -> None:
    """Take what was read through blocks into a monitor, as the stages do; nothing may fail there."""
    if not any(isinstance(event, PredictionEvent) for event in events):
        return
    predictions = [event for event in events if isinstance(event, PredictionEvent)]
    labels = [event for event in events if isinstance(event, LabelEvent)]
    builder = BlockBuilder()
    for offset, event in enumerate(predictions):
        trigger = Trigger("predictions", 0, offset)
        builder.prediction(
            event.prediction_id, offset, trigger, event.predicted, event.features, event.latency_ms,
            event.resources, event.entity_id,
        )  # fmt: skip
    for offset, event in enumerate(labels):
        predicted, trigger = draw.choice(predictions).predicted, Trigger("labels", 0, offset)
        builder.outcome(
            event.prediction_id, offset, trigger, predicted, event.labelled, event.labelled_at_ms, 0, 1
        )
    with np.errstate(all="ignore"):  # sums of numbers near the largest are inf, as everywhere
        monitor = Monitor(Settings())
        monitor.observe(block_codec.decode(block_codec.encode(builder.build())))
        for key, fields in monitor.report().writes.items():
            assert key.encode()
            for text in fields.values():
                _check_public(text.encode().decode())
        again = Monitor(Settings())
        again.restore(block_codec.unpack(block_codec.pack(monitor.state())))


def _check_public(text: str) -> None:
    """Raise AssertionError where others would stumble over a field: JSON knows no NaN and no Infinity."""
    assert text not in ("nan", "inf", "-inf")
    if text.startswith(("{", "[")):
        json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} in JSON")


def _prediction(decoder: Decoder) -> Callable[[bytes], PredictionEvent]:
    def target(data: bytes) -> PredictionEvent:
        event = decoder.prediction(data, NOW_MS)
        payload = pack_predicted(event.predicted)
        assert pack_predicted(unpack_predicted(payload, event.predicted.predicted_at_ms)) == payload
        key_of(event.prediction_id)
        keys.metrics_key(event.predicted.model_id, event.predicted.model_version, None).encode()
        return event

    return target


def _label(decoder: Decoder) -> Callable[[bytes], LabelEvent]:
    def target(data: bytes) -> LabelEvent:
        event = decoder.label(data, NOW_MS)
        payload = pack_labelled(event.labelled)
        assert pack_labelled(unpack_labelled(payload)) == payload
        key_of(event.prediction_id)
        return event

    return target


def _block(data: bytes) -> Any:
    """A block that decodes must also be one that a monitor can take."""
    block = block_codec.decode(data)
    with np.errstate(all="ignore"):
        Monitor(Settings()).observe(block)
    return block.rows


def _snapshot(data: bytes) -> Any:
    return len(str(type(block_codec.unpack(data))))


def _predictions() -> tuple[bytes, ...]:
    least = {"prediction_id": "a1", "model_id": "churn", "model_version": "v1", "prediction": 1}
    full = least | {
        "predicted_at": "2013-01-31T08:00:00.5Z",
        "prediction_proba": 0.83,
        "features": {"tenure": 14, "plan": "basic", "new": True, "gap": None, "rate": 1.5e-3},
        "segments": {"country": "FR", "tier": "free"},
        "entity_id": "customer-7",
        "latency_ms": 12.5,
        "resources": {"cpu": 0.5, "memory": 1e9},
        "value": 19.9,
    }
    classes = full | {"prediction": "red", "prediction_proba": {"red": 0.5, "green": 0.25, "blue": 0.25}}
    ranked = full | {"prediction": ["a", 3, 2.5], "predicted_at": 1_357_000_000}
    unicode = least | {
        "prediction_id": "\u00e9\u4e2d\U0001f4a9",
        "model_id": "m/\u202e:*",
        "prediction": False,
    }
    return tuple(map(_json, (least, full, classes, ranked, unicode)))


def _labels() -> tuple[bytes, ...]:
    least = {"prediction_id": "a1", "label": 0}
    full = least | {"labelled_at": "2013-02-01T00:00:00+01:00", "kpis": {"revenue": 19.9}, "weight": 2.5}
    others = (least | {"label": "red"}, least | {"label": 3.25}, full | {"label": ["a", 1]}, full)
    partial = least | {"label": {"a": 0.5, "\u00e9": 3}, "partial": True}
    return tuple(map(_json, (least, *others, partial)))


def _controls() -> tuple[bytes, ...]:
    base = {"model_id": "churn", "model_version": "v1"}
    return (
        _json(base | {"action": "set_baseline", "metrics": {"f1": 0.8, "accuracy": 0.9}}),
        _json(base | {"action": "reset"}),
        _json(base | {"action": "silence", "until_ms": NOW_MS}),
    )


def _alerts() -> tuple[bytes, ...]:
    evidence = {
        "metric": "f1",
        "window": "1000",
        "n": 500,
        "current": 0.7,
        "baseline": 0.8,
        "threshold": 0.72,
    }
    alert = {
        "alert_id": "a", "incident_id": "i", "status": "firing", "kind": "performance", "rule": "f1@1000",
        "model_id": "churn", "model_version": "v1", "raised_at_ms": NOW_MS, "opened_at_ms": NOW_MS,
        "message": "f1 fell", "evidence": evidence,
    }  # fmt: skip
    drift = alert | {"kind": "drift", "drift_type": "data_drift", "segment": "country=FR"}
    return _json(alert), _json(drift)


def _builder() -> BlockBuilder:
    builder = BlockBuilder()
    for row in range(_ROWS):
        proba = 0.5 if row % 2 else {"red": 0.5, "blue": 0.5}
        what = Predicted("churn", "v1", (("country", "FR"),), NOW_MS + row, row % 3, proba, 1.0)
        features = {"age": row, "plan": "free"}
        trigger = Trigger("predictions", 0, row)
        builder.prediction(f"p{row}", row, trigger, what, features, 3.0, {"cpu": 0.5}, None)
        labelled = Labelled(row % 2, 1.0, {"revenue": 2.0})
        builder.outcome(f"p{row}", row, Trigger("labels", 0, row), what, labelled, NOW_MS + row, 0, 1)
    return builder


def _blocks() -> tuple[bytes, ...]:
    return block_codec.encode(BlockBuilder().build()), block_codec.encode(_builder().build())


def _snapshots() -> tuple[bytes, ...]:
    monitor = Monitor(Settings())
    monitor.observe(_builder().build())
    return (block_codec.pack(monitor.state()),)


def _detectors() -> tuple[bytes, ...]:
    states = []
    for name in KINDS:
        detector = Detector(name)
        detector.update(np.arange(200) % 2.0)
        states.append(detector.snapshot())
    return tuple(states)


def _json(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()
