"""Estimates before labels against what was realised: `python -m benchmarks.detection.estimates`.

NannyML's synthetic_car_loan through the monitor, in blocks of 500 rows. Event time is laid out so that each
of its chunks of 5000 rows is an hour: the window `1h` at the last row of an hour holds that chunk alone. Each
chunk's estimate is read from what the monitor would write to Redis, when the chunk's last prediction has come
and none of its labels has. "no labels" knows those of the reference alone, as NannyML does; "labels late"
also those of the chunks before, each of which comes when its chunk is over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from sklearn import metrics as sk

from benchmarks.detection import car_loan
from benchmarks.detection.car_loan import CHUNK_ROWS, Loans
from tidegauge import config, keys
from tidegauge.block import Block, Labelled, Predicted, Trigger
from tidegauge.block_builder import BlockBuilder
from tidegauge.config import Settings
from tidegauge.monitor import Monitor

BLOCK_ROWS = 500
STEP_MS = 3_600_000 // CHUNK_ROWS
MODEL, VERSION = "loans", "1"
METRICS = {"roc_auc": "cbpe_auc", "accuracy": "cbpe_acc", "f1": "cbpe_f1"}
NANNYML = {"roc_auc": 0.00212, "accuracy": 0.00311, "f1": 0.00258}  # from its published table
SETTINGS = Settings(
    monitor=config.Monitor(time_windows=("1h",), count_windows=(1_000,)),
    drift=config.Drift(detectors=(), window="1h"),
    estimates=config.Estimates(reference_outcomes=50_000),
    rules=(),
)


class Estimate(NamedTuple):
    value: float
    low: float
    high: float


class Chunk(NamedTuple):
    estimated: dict[str, Estimate]
    realised: dict[str, float]


def figures() -> dict[str, float]:
    """Return the mean absolute error of the estimates without labels: cbpe_auc, cbpe_acc, cbpe_f1."""
    chunks = stream(*car_loan.load(), late_labels=False)
    return {short: error(chunks, name) for name, short in METRICS.items()}


def error(chunks: list[Chunk], name: str) -> float:
    return float(np.mean([abs(chunk.estimated[name].value - chunk.realised[name]) for chunk in chunks]))


def stream(reference: Loans, analysis: Loans, late_labels: bool) -> list[Chunk]:
    """Return the estimates of each chunk of the analysis period, and what was realised."""
    monitor, first = Monitor(SETTINGS), len(reference.score)
    for block in [*_predictions(reference, 0), *_labels(reference, 0)]:
        monitor.observe(block)
    found = []
    for start in range(0, len(analysis.score), CHUNK_ROWS):
        chunk = analysis.part(slice(start, start + CHUNK_ROWS))
        for block in _predictions(chunk, first + start):
            monitor.observe(block)
        found.append(Chunk(_estimated(monitor), _realised(chunk)))
        for block in _labels(chunk, first + start) if late_labels else ():
            monitor.observe(block)
    return found


def _predictions(loans: Loans, first: int) -> Iterator[Block]:
    for start in range(0, len(loans.score), BLOCK_ROWS):
        builder = BlockBuilder()
        for row in range(start, start + BLOCK_ROWS):
            number = first + row
            trigger = Trigger("predictions", 0, number)
            builder.prediction(
                str(number), number, trigger, _predicted(loans, row, number), {}, None, {}, None
            )
        yield builder.build()


def _labels(loans: Loans, first: int) -> Iterator[Block]:
    for start in range(0, len(loans.score), BLOCK_ROWS):
        builder = BlockBuilder()
        for row in range(start, start + BLOCK_ROWS):
            number = first + row
            label = Labelled(int(loans.repaid[row]), 1.0, {})
            trigger = Trigger("labels", 0, number)
            at_ms = (number + 1) * STEP_MS
            builder.outcome(str(number), number, trigger, _predicted(loans, row, number), label, at_ms, 0, 1)
        yield builder.build()


def _predicted(loans: Loans, row: int, number: int) -> Predicted:
    score, prediction = float(loans.score[row]), int(loans.predicted[row])
    return Predicted(MODEL, VERSION, (), number * STEP_MS, prediction, score, None)


def _estimated(monitor: Monitor) -> dict[str, Estimate]:
    fields = monitor.report().writes[keys.estimates_key(MODEL, VERSION)]
    assert fields[keys.metric_field("accuracy", "1h", "n")] == str(CHUNK_ROWS)
    parts = ("value", "lo", "hi")
    return {
        name: Estimate(*(json.loads(fields[keys.metric_field(name, "1h", part)]) for part in parts))
        for name in METRICS
    }


def _realised(rows: Loans) -> dict[str, float]:
    return {
        "roc_auc": float(sk.roc_auc_score(rows.repaid, rows.score)),
        "accuracy": float(sk.accuracy_score(rows.repaid, rows.predicted)),
        "f1": float(sk.f1_score(rows.repaid, rows.predicted)),
    }


def table() -> str:
    """Return the figures as text: mean absolute error, and how often the interval held."""
    reference, analysis = car_loan.load()
    lines = [f"{'synthetic_car_loan':<22}{'roc_auc':>10}{'accuracy':>10}{'f1':>10}   intervals that held"]
    lines.append(_line("NannyML, published", NANNYML, "–"))
    for label, late in (("no labels", False), ("labels late", True)):
        chunks = stream(reference, analysis, late)
        held = [sum(_held(chunk, name) for chunk in chunks) for name in METRICS]
        text = ", ".join(f"{n} of {len(chunks)}" for n in held)
        lines.append(_line(label, {name: error(chunks, name) for name in METRICS}, text))
    return "\n".join(lines)


def _held(chunk: Chunk, name: str) -> bool:
    return chunk.estimated[name].low <= chunk.realised[name] <= chunk.estimated[name].high


def _line(label: str, errors: dict[str, float], held: str) -> str:
    return f"{label:<22}" + "".join(f"{errors[name]:>10.5f}" for name in METRICS) + f"   {held}"


if __name__ == "__main__":
    print(table())
