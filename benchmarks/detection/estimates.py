"""Estimates before labels against what was realised: `python -m benchmarks.detection.estimates`.

NannyML's synthetic_car_loan, in its chunks of 5000 rows. Rows come in blocks of 500 as in the product:
predictions into score bins by pane, labels into labelled bins. Each chunk is priced when its last
prediction has come and none of its labels has. "No labels" knows those of the reference alone, as NannyML
does; "labels late" also those of every chunk before, which come once the chunk is over.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from benchmarks.detection import car_loan
from benchmarks.detection.car_loan import CHUNK_ROWS, Loans
from tidegauge.estimate.calibration import LABELLED, blend, labelled_cells, monotone
from tidegauge.estimate.classification import binary
from tidegauge.metrics.scores import bin_of
from tidegauge.metrics.value import Value, normal_quantile
from tidegauge.windows import PaneTable

Floats = NDArray[np.float64]

BINS = 200
BLOCK_ROWS = 500
STRENGTH = 50_000.0  # labelled rows at which the reference counts half
METRICS = {"roc_auc": "cbpe_auc", "accuracy": "cbpe_acc", "f1": "cbpe_f1"}
NANNYML = {"roc_auc": 0.00212, "accuracy": 0.00311, "f1": 0.00258}  # from its published table


class Chunk(NamedTuple):
    estimated: dict[str, Value]
    realised: dict[str, float]


def figures() -> dict[str, float]:
    """Return the mean absolute error of the estimates without labels: cbpe_auc, cbpe_acc, cbpe_f1."""
    chunks = stream(*car_loan.load(), late_chunks=None)
    return {short: error(chunks, name) for name, short in METRICS.items()}


def error(chunks: list[Chunk], name: str) -> float:
    return float(np.mean([abs(chunk.estimated[name].value - chunk.realised[name]) for chunk in chunks]))


def stream(reference: Loans, analysis: Loans, late_chunks: int | None) -> list[Chunk]:
    """Return each chunk's estimates and what was realised; labels come `late_chunks` later, or never."""
    z = normal_quantile(0.95)
    panes = PaneTable(2 * BINS, pane_ms=1, panes=2)
    frozen, live = np.zeros((LABELLED, BINS)), np.zeros((LABELLED, BINS))
    for start in range(0, len(reference.score), BLOCK_ROWS):
        _label(frozen, reference.part(slice(start, start + BLOCK_ROWS)))
    found = []
    for number, start in enumerate(range(0, len(analysis.score), CHUNK_ROWS)):
        for row in range(start, start + CHUNK_ROWS, BLOCK_ROWS):
            _predict(panes, analysis.part(slice(row, row + BLOCK_ROWS)), number)
        cells = panes.pane(0, number)
        assert cells is not None
        own, other = cells.reshape(2, BINS)
        estimated = binary(own, other, monotone(blend(frozen, live, STRENGTH)), z)
        found.append(Chunk(estimated, _realised(analysis.part(slice(start, start + CHUNK_ROWS)))))
        labelled = start - (late_chunks or 0) * CHUNK_ROWS
        if late_chunks is not None and labelled >= 0:
            _label(live, analysis.part(slice(labelled, labelled + CHUNK_ROWS)))
    return found


def _predict(panes: PaneTable, rows: Loans, chunk: int) -> None:
    zeros = np.zeros(len(rows.score), np.int64)
    cell = bin_of(rows.score, BINS) + np.where(rows.predicted == 1, 0, BINS)
    panes.add(zeros, zeros + chunk, zeros + chunk, cell[:, None], np.ones((len(zeros), 1)))


def _label(cells: Floats, rows: Loans) -> None:
    index, amount = labelled_cells(bin_of(rows.score, BINS), rows.repaid == 1, np.ones(len(rows.score)), BINS)
    np.add.at(cells.reshape(-1), index.reshape(-1), amount.reshape(-1))


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
    lines.append(_line("NannyML, published", NANNYML, ""))
    for label, late in (("no labels", None), ("labels late", 0)):
        chunks = stream(reference, analysis, late)
        held = [sum(_held(chunk, name) for chunk in chunks) for name in METRICS]
        text = ", ".join(f"{n} of {len(chunks)}" for n in held)
        lines.append(_line(label, {name: error(chunks, name) for name in METRICS}, text))
    return "\n".join(lines)


def _held(chunk: Chunk, name: str) -> bool:
    estimate = chunk.estimated[name]
    return estimate.low <= chunk.realised[name] <= estimate.high


def _line(label: str, errors: dict[str, float], held: str) -> str:
    return f"{label:<22}" + "".join(f"{errors[name]:>10.5f}" for name in METRICS) + f"   {held}"


if __name__ == "__main__":
    print(table())
