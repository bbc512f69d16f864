"""Clicks that come one by one, from their messages to the metrics of the ranking."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from tidegauge.config import Limits, Model, Settings
from tidegauge.events import Decoder
from tidegauge.join import MemoryWindow, Resolutions, Rules, Side
from tidegauge.monitor import Monitor
from tidegauge.ports import Record
from tidegauge.stages.batch import Contexts, decoded
from tidegauge.stages.rows import Resolved, Rows, letters

AT_MS = 1_357_000_000_000
SIDES = {"predictions": Side.PREDICTION, "labels": Side.LABEL}
SHOWN = {
    "prediction_id": "r1",
    "model_id": "shop",
    "model_version": "v1",
    "prediction": ["a", "b", "c", "d"],
    "predicted_at": AT_MS,
}
CLICKS = [["b"], {"d": 3}, {"e": 0.5, "b": 1}]
UNION = {"b": 1, "d": 3, "e": 0.5}


def clicked(label: Any, **more: Any) -> dict[str, Any]:
    return {"prediction_id": "r1", "label": label, "labelled_at": AT_MS + 1_000, **more}


Events = Sequence[dict[str, Any]]


class Pipeline:
    """A monitor, and a window before it that may be lost."""

    def __init__(self) -> None:
        self._monitor = Monitor(Settings(models={"shop": Model(task="ranking")}))
        self._published: dict[str, str] = {}

    def read(self, events: Events, cut: int = 1, again: bool = False) -> dict[str, str]:
        """Return what is published once these have come to an empty window, so many at a time."""
        window, contexts = MemoryWindow(Rules(1_000_000, 0)), Contexts(lambda model, version: None)
        for start in range(0, len(events), cut):
            contexts.begin()
            batch = decoded(records(events)[start : start + cut], SIDES, Decoder(Limits()), contexts)
            found = Resolutions.of(window.apply(batch.arrivals, 0))
            resolved = Resolved(batch, found, np.full(len(found), again))
            assert not list(letters(resolved))
            for _, block in Rows(resolved, contexts, 1).blocks():
                self._monitor.observe(block)
        self._published |= self._monitor.report().writes.get("tg:metrics:shop:v1", {})
        return self._published


def metrics(events: Events, cut: int = 9) -> dict[str, str]:
    return Pipeline().read(events, cut)


def records(events: Events) -> list[Record]:
    counts = dict.fromkeys(SIDES, -1)
    found = []
    for event in events:
        topic = "labels" if "label" in event else "predictions"
        counts[topic] += 1
        found.append(Record(topic, 0, counts[topic], AT_MS + 2_000, None, json.dumps(event).encode()))
    return found


@pytest.mark.parametrize("cut", [1, 2, 9])
def test_three_clicks_make_the_metrics_of_their_union_in_whatever_order(cut: int) -> None:
    wanted = metrics([SHOWN, clicked(UNION)], 9)
    assert float(wanted["ndcg@5@24h"]) == pytest.approx(
        (1 / np.log2(3) + 3 / np.log2(5)) / (3 + 1 / np.log2(3) + 0.5 / 2)
    )
    for order in permutations([SHOWN, *[clicked(label, partial=True) for label in CLICKS]]):
        found = metrics([*order, order[-1], clicked(["b"], partial=True)], cut)
        assert found["ndcg@5@24h"] == wanted["ndcg@5@24h"]
        assert found["ndcg@5@24h.n"] == "1"


ONE_AFTER_ANOTHER = {
    "clicks": [clicked(label, partial=True) for label in CLICKS],
    "a click that says nothing new": [clicked(label, partial=True) for label in (["b"], ["b"], ["d"])],
    "a whole label among clicks": [
        clicked(["b"], partial=True),
        clicked(["c"], partial=True),
        clicked(["a"]) | {"labelled_at": AT_MS + 1_500},
        clicked(["d"], partial=True),
    ],
}


@pytest.mark.parametrize("labels", ONE_AFTER_ANOTHER.values(), ids=ONE_AFTER_ANOTHER.keys())
def test_what_was_told_before_a_loss_becomes_what_stands(labels: list[dict[str, Any]]) -> None:
    wanted = metrics([SHOWN, *labels])
    every = len(labels)
    for told in (1, every - 1, every):
        for before in (0, told):
            for after in (0, every):
                pipeline = Pipeline()
                pipeline.read([*labels[:before], SHOWN, *labels[before:told]])
                found = pipeline.read([*labels[:after], SHOWN, *labels[after:]], again=True)
                for name in ("ndcg@5@24h", "ndcg@5@24h.n", "n@24h"):
                    assert found.get(name) == wanted.get(name), (name, told, before, after)
