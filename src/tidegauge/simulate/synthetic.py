"""Models that exist only as a seed: any number of them, any rate, and a drift at a chosen time.

Each model is linear in its features and right about how the world works until the drift. Then one
feature moves and the world turns against one weight, so both the data and the concept drift.
The truth is told by labels alone, and with defects: what came of them is for the reader to find out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tidegauge.simulate.mischief import NEVER, Flags, Ints, Mischief, Plan, draw
from tidegauge.simulate.raw import RawEvent
from tidegauge.simulate.stream import Source, stream_slices

Task = Literal["binary", "multiclass", "regression"]
Floats = NDArray[np.float64]

FEATURES = 5
CLASSES = ("red", "green", "blue")
_REGIONS = ("north", "east", "south", "west")
_TIERS = ("free", "paid")
_SLICE_ROWS = 10_000  # drawn at once; memory grows with this and with the labels to come
_MOVED = 1.5  # standard deviations by which the first feature moves


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What to simulate; times are event time."""

    start_ms: int
    duration_seconds: float
    rate: float = 100.0  # predictions a second, over all models
    models: int = 3
    tasks: tuple[Task, ...] = ("binary", "multiclass", "regression")  # model after model
    zipf: float = 1.0  # model k gets a share of k ** -zipf; 0: equal shares
    label_delay_seconds: float = 60.0  # the median; one label in a hundred takes ten times as long
    drift_after_seconds: float | None = None
    horizon_seconds: int = 7 * 86_400
    mischief: Mischief = field(default_factory=Mischief)
    version: str = "v1"
    seed: int = 0


def simulate(spec: Spec) -> Iterator[list[RawEvent]]:
    """Yield the events in true time order, in chunks: the same for the same spec."""
    return stream_slices(_slices(spec))


def _slices(spec: Spec) -> Iterator[tuple[int, Source, Plan]]:
    seconds = _SLICE_ROWS / spec.rate
    number = 0
    while (begin := number * seconds) < spec.duration_seconds:
        span = min(seconds, spec.duration_seconds - begin)
        source = _Slice(spec, number, begin, max(round(span * spec.rate), 1), span)
        plan = draw(
            source.predicted_at_ms,
            source.labelled_at_ms,
            np.ceil(source.latency_ms).astype(np.int64),
            spec.horizon_seconds * 1_000,
            spec.mischief,
            _seed(spec, number, 1),
        )
        yield spec.start_ms + int(begin * 1_000), source, plan
        number += 1


class _Slice:
    """The rows of one stretch of time."""

    def __init__(self, spec: Spec, number: int, begin: float, rows: int, span: float) -> None:
        random = np.random.default_rng(_seed(spec, number, 0))
        self._spec = spec
        self._first = number * _SLICE_ROWS
        seconds = begin + np.sort(random.random(rows)) * span
        self.predicted_at_ms: Ints = spec.start_ms + (seconds * 1_000).astype(np.int64)
        shares = np.arange(1, spec.models + 1) ** -spec.zipf
        self.model = random.choice(spec.models, rows, p=shares / shares.sum())
        drifted = seconds >= (np.inf if spec.drift_after_seconds is None else spec.drift_after_seconds)
        self.inputs: Floats = random.normal(size=(rows, FEATURES)).round(4)
        self.inputs[drifted, 0] = (self.inputs[drifted, 0] + _MOVED).round(4)
        self.region = random.integers(0, len(_REGIONS), rows)
        self.tier = random.integers(0, len(_TIERS), rows)
        self.latency_ms: Floats = random.lognormal(np.log(10), 0.4, rows).round(3)
        self.revenue: Floats = random.gamma(2, 10, rows).round(2)
        delay = random.lognormal(np.log(spec.label_delay_seconds), 0.99, rows)
        self.labelled_at_ms: Ints = self.predicted_at_ms + (delay * 1_000).astype(np.int64)
        horizon_ms = spec.horizon_seconds * 1_000
        self.labelled_at_ms[self.labelled_at_ms > self.predicted_at_ms + horizon_ms] = NEVER
        weights = np.random.default_rng(_seed(spec, 0, 2)).normal(size=(spec.models, FEATURES, len(CLASSES)))
        world = weights.copy()
        world[:, 1] *= -1
        said, true = (np.einsum("nf,nfc->nc", self.inputs, w[self.model]) for w in (weights, world))
        self.said: Floats = said
        self.true: Floats = np.where(drifted[:, None], true, said)
        self.chance: Floats = random.random(rows)
        self.noise: Floats = random.normal(size=rows)

    def predictions(self, rows: Ints) -> list[dict[str, Any]]:
        """Return the prediction events of the rows."""
        return [self._prediction(row) for row in rows.tolist()]

    def labels(self, rows: Ints, wrong: Flags, labelled_at_ms: Ints) -> list[dict[str, Any]]:
        """Return the label events of the rows."""
        columns = zip(rows.tolist(), wrong.tolist(), labelled_at_ms.tolist(), strict=True)
        return [
            {
                "prediction_id": self._id(row),
                "label": self._truth(row, is_wrong),
                "labelled_at": at_ms,
                "kpis": {"revenue": float(self.revenue[row])},
            }
            for row, is_wrong, at_ms in columns
        ]

    def _prediction(self, row: int) -> dict[str, Any]:
        model = int(self.model[row])
        event: dict[str, Any] = {
            "prediction_id": self._id(row),
            "model_id": f"{self._task(row)}-{model + 1}",
            "model_version": self._spec.version,
            "predicted_at": int(self.predicted_at_ms[row]),
            "features": {f"x{i}": value for i, value in enumerate(self.inputs[row].tolist())}
            | {"region": _REGIONS[self.region[row]]},
            "segments": {"region": _REGIONS[self.region[row]], "tier": _TIERS[self.tier[row]]},
            "latency_ms": float(self.latency_ms[row]),
            "value": float(self.revenue[row]),
        }
        return event | _answer(self._task(row), self.said[row])

    def _truth(self, row: int, wrong: bool) -> bool | float | str:
        task, scores = self._task(row), self.true[row]
        if task == "regression":
            return float(scores[0] + self.noise[row] + 10 * wrong)
        if task == "binary":
            return bool(self.chance[row] < _sigmoid(scores[0])) != wrong
        place = int(np.searchsorted(np.cumsum(_softmax(scores)), self.chance[row]))
        return CLASSES[(min(place, len(CLASSES) - 1) + wrong) % len(CLASSES)]

    def _task(self, row: int) -> Task:
        return self._spec.tasks[int(self.model[row]) % len(self._spec.tasks)]

    def _id(self, row: int) -> str:
        return f"{self._spec.seed}-{self._first + row}"


def _answer(task: Task, scores: Floats) -> dict[str, Any]:
    if task == "regression":
        return {"prediction": round(float(scores[0]), 6)}
    if task == "binary":
        probability = round(_sigmoid(scores[0]), 6)
        return {"prediction": probability >= 0.5, "prediction_proba": probability}
    shares = _softmax(scores)
    proba = {name: round(float(share), 6) for name, share in zip(CLASSES, shares, strict=True)}
    return {"prediction": CLASSES[int(shares.argmax())], "prediction_proba": proba}


def _sigmoid(score: float) -> float:
    return float(1 / (1 + np.exp(-score)))


def _softmax(scores: Floats) -> Floats:
    powers: Floats = np.exp(scores - scores.max())
    shares: Floats = powers / powers.sum()
    return shares


def _seed(spec: Spec, number: int, use: int) -> int:
    """Return a seed of its own for each slice and use."""
    return int(np.random.SeedSequence((spec.seed, number, use)).generate_state(1)[0])
