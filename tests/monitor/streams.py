"""Small streams of observations for the monitor's tests, and the plain rows an oracle needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tidegauge.block import Block, Labelled, Predicted, Trigger
from tidegauge.block_builder import BlockBuilder

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Observed:
    """One prediction and the labels that came for it, oldest first."""

    name: str
    at_ms: int
    prediction: Any
    labels: tuple[Any, ...]
    proba: Any = None
    model: str = "churn"
    version: str = "v1"
    segments: tuple[tuple[str, str], ...] = ()
    weight: float = 1.0
    kpis: dict[str, float] = field(default_factory=dict)
    features: dict[str, Any] = field(default_factory=dict)
    latency_ms: float | None = None
    delay_ms: int = 60_000

    @property
    def predicted(self) -> Predicted:
        return Predicted(
            self.model, self.version, self.segments, self.at_ms, self.prediction, self.proba, None
        )


def binary(count: int, seed: int, start_ms: int = 0, step_ms: int = 60_000, **fields: Any) -> list[Observed]:
    """Return predictions of a calibrated binary model, `step_ms` apart, with a label each."""
    random = np.random.default_rng(seed)
    scores = random.random(count)
    labels = random.random(count) < scores
    return [
        Observed(
            f"{seed}-{i}",
            start_ms + i * step_ms,
            int(score > 0.5),
            (bool(label),),
            float(score),
            **fields,
        )
        for i, (score, label) in enumerate(zip(scores, labels, strict=True))
    ]


def corrected(stream: list[Observed], every: int) -> list[Observed]:
    """Return the stream with the opposite label first for each `every`-th prediction, then the right one."""
    return [
        replace(one, labels=(not one.labels[0], one.labels[0])) if i % every == 0 else one
        for i, one in enumerate(stream)
    ]


def blocks(stream: list[Observed], size: int, late: int = 0) -> Iterator[Block]:
    """Yield blocks of `size` predictions; the label of a prediction comes `late` predictions after it."""
    offset = 0
    for start in range(0, len(stream) + late, size):
        builder = BlockBuilder()
        for place in range(start, start + size):
            if place < len(stream):
                prediction(builder, stream[place], place)
            if late <= place < len(stream) + late:
                offset = outcomes(builder, stream[place - late], offset)
        if len(builder):
            yield builder.build()


def prediction(builder: BlockBuilder, one: Observed, offset: int) -> None:
    """Add the prediction that stood at an offset."""
    trigger = Trigger("predictions", 0, offset)
    builder.prediction(
        one.name, _hash(one.name), trigger, one.predicted, one.features, one.latency_ms, {}, None
    )


def outcomes(builder: BlockBuilder, one: Observed, offset: int) -> int:
    """Add the outcomes of all labels, the first of which stood at an offset; return the next offset."""
    at_ms = one.at_ms + one.delay_ms
    for revision, label in enumerate(one.labels):
        if revision:
            _outcome(builder, one, offset, one.labels[revision - 1], at_ms, revision - 1, -1)
        _outcome(builder, one, offset, label, at_ms, revision, 1)
        offset += 1
    return offset


def _outcome(
    builder: BlockBuilder, one: Observed, offset: int, label: Any, at_ms: int, revision: int, sign: int
) -> None:
    labelled = Labelled(label, one.weight, one.kpis)
    trigger = Trigger("labels", 0, offset)
    builder.outcome(one.name, _hash(one.name), trigger, one.predicted, labelled, at_ms, revision, sign)


def _hash(name: str) -> int:
    return int.from_bytes(name.encode().ljust(8, b"\0")[-8:], "little")
