"""What must hold, while a schedule runs and after it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
import pytest

from tests.simulation.events import HORIZON_MS, LABELS, PREDICTIONS
from tests.simulation.log import Group
from tests.simulation.oracle import truth
from tests.simulation.world import SETTINGS, WINDOW, World
from tidegauge.adapters import block_codec
from tidegauge.block import Block
from tidegauge.monitor import Monitor

OBSERVATIONS = SETTINGS.topics.observations


class Watcher:
    """Sees every commit: what is committed has been delivered."""

    def __init__(self, world: World) -> None:
        self.violations: list[str] = []
        self._world = world
        self._read = [0] * len(world.log.topics[OBSERVATIONS])
        self._letters = 0
        self._predicted: set[str] = set()
        self._matched: set[str] = set()
        self._dead: set[tuple[str, int, int]] = set()
        world.on_commit = self._look

    def _look(self, group: Group) -> None:
        if group is not self._world.groups["join"]:
            return
        self._catch_up()
        predicted: dict[str, int] = {}
        for record, event in self._below(group, PREDICTIONS):
            if "prediction_id" in event:
                predicted[event["prediction_id"]] = event["predicted_at"]
                if event["prediction_id"] not in self._predicted:
                    self.violations.append(f"committed, not delivered: {event}")
            elif (PREDICTIONS, *record) not in self._dead:
                self.violations.append(f"committed without its dead letter: {record}")
        open_ids = {event.get("prediction_id") for _, event in self._above(group, LABELS)}
        for record, event in self._below(group, LABELS):
            if "labelled_at" not in event:
                if (LABELS, *record) not in self._dead:
                    self.violations.append(f"committed without its dead letter: {record}")
                continue
            name = event["prediction_id"]
            near = name in predicted and abs(predicted[name] - event["labelled_at"]) <= HORIZON_MS
            # Another label, not committed yet, may be the one that completes the outcome.
            if near and name not in self._matched | open_ids:
                self.violations.append(f"committed, its outcome not delivered: {event}")

    def _below(self, group: Group, topic: str) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
        for number, records in enumerate(self._world.log.topics[topic]):
            for record in records[: group.committed.get((topic, number), 0)]:
                yield (number, record.offset), _event(record.value)

    def _above(self, group: Group, topic: str) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
        for number, records in enumerate(self._world.log.topics[topic]):
            for record in records[group.committed.get((topic, number), 0) :]:
                yield (number, record.offset), _event(record.value)

    def _catch_up(self) -> None:
        for number, records in enumerate(self._world.log.topics[OBSERVATIONS]):
            for record in records[self._read[number] :]:
                block = _block(record.value)
                self._predicted.update(block.predictions.prediction_id)
                self._matched.update(block.outcomes.prediction_id)
            self._read[number] = len(records)
        letters = self._world.log.topics[SETTINGS.topics.deadletter][0]
        self._dead |= {_place(record.value) for record in letters[self._letters :]}
        self._letters = len(letters)


def violations(world: World) -> Iterator[str]:
    """Yield what is wrong in a world that has come to rest."""
    expected = truth(world.log)
    yield from _differences("counter", _grouped(world.server.counters()), expected.counters)
    letters = {_place(record.value) for record in world.log.all(SETTINGS.topics.deadletter)}
    if letters != expected.letters:
        yield f"dead letters: missing {expected.letters - letters}, unfounded {letters - expected.letters}"
    if world.server.stale:
        yield f"{world.server.stale} writes of former owners were taken"
    hashes = world.server.hashes
    for model, count in expected.predictions.items():
        found = hashes.get(f"tg:metrics:{model}:v1", {})
        yield from _differences(f"{model}", _found(model, found), _wanted(model, count, expected.outcomes))
    yield from _against_plain_reading(world)
    yield from (f"lag of {partition}: {lag}" for partition, lag in world.left.items())


def _wanted(model: str, predictions: int, outcomes: dict[str, list[tuple[Any, Any]]]) -> dict[str, float]:
    own = outcomes.get(model, [])
    wanted = {"predictions": float(predictions), "n": float(len(own))}
    if own and model == "churn":
        wanted["accuracy"] = sum(bool(p) == bool(y) for p, y in own) / len(own)
    if own and model == "price":
        wanted["mae"] = sum(abs(p - y) for p, y in own) / len(own)
    if own and model == "shop":
        wanted["ndcg@5"] = sum(_ndcg(shown, said) for shown, said in own) / len(own)
    return wanted


def _ndcg(shown: list[str], said: list[str] | dict[str, float]) -> float:
    gains = said if isinstance(said, dict) else dict.fromkeys(said, 1.0)
    best = sorted(gains.values(), reverse=True)[:5]
    return _dcg([gains.get(item, 0.0) for item in shown]) / _dcg(best)


def _dcg(gains: list[float]) -> float:
    return sum(gain / math.log2(2 + place) for place, gain in enumerate(gains))


def _found(model: str, fields: dict[str, str]) -> dict[str, float]:
    metric = {"price": "mae", "shop": "ndcg@5"}.get(model, "accuracy")
    found = {"predictions": float(fields.get(f"predictions@{WINDOW}", "0"))}
    found["n"] = float(fields.get(f"{metric}@{WINDOW}.n", "0"))
    if found["n"]:
        found[metric] = float(fields[f"{metric}@{WINDOW}"])
    return found


def _against_plain_reading(world: World) -> Iterator[str]:
    """What a monitor says that reads the same observations once, in one go."""
    hashes: dict[str, dict[str, str]] = {}
    alerts: dict[str, Any] = {}
    for records in world.log.topics[OBSERVATIONS]:
        monitor = Monitor(SETTINGS)
        for record in records:
            alerts |= {a.alert_id: msgspec.to_builtins(a) for a in monitor.observe(_block(record.value))}
        hashes |= monitor.report().writes
    for key, fields in hashes.items():
        yield from _differences(f"published {key}", world.server.hashes.get(key, {}), fields)
    seen: dict[str, Any] = {}
    for record in world.log.all(SETTINGS.topics.alerts):
        alert = json.loads(record.value or b"")
        if seen.setdefault(alert["alert_id"], alert) != alert:
            yield f"alert {alert['alert_id']} has two contents"
    if seen != alerts:
        yield f"alerts: {len(alerts.keys() - seen.keys())} lost, {len(seen.keys() - alerts.keys())} unfounded"


def _grouped(counters: dict[str, int]) -> dict[str, int]:
    """Add up the counters between which the order of arrival decides."""
    counts = dict(counters)
    again = sum(counts.pop(f"labels.{name}") for name in ("corrected", "superseded", "duplicate"))
    counts["labels.told again"] = again
    counts["labels.late or orphan"] = counts.pop("labels.late") + counts.pop("labels.orphan")
    return {name: count for name, count in counts.items() if count}


def _differences(name: str, found: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    for field in sorted(found.keys() | wanted.keys()):
        one, other = found.get(field), wanted.get(field)
        same = one == other or (
            isinstance(one, float) and isinstance(other, float) and one == pytest.approx(other, rel=1e-9)
        )
        if not same:
            yield f"{name} {field}: {one}, wanted {other}"


@lru_cache(maxsize=512)
def _block(value: bytes | None) -> Block:
    return block_codec.decode(value or b"")


def _place(value: bytes | None) -> tuple[str, int, int]:
    letter = json.loads(value or b"")
    return letter["topic"], letter["partition"], letter["offset"]


@lru_cache(maxsize=512)
def _event(value: bytes | None) -> dict[str, Any]:
    try:
        event = json.loads(value or b"")
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
