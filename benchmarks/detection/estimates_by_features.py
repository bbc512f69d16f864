"""Estimates that look at features, on NannyML's data: `python -m benchmarks.detection.estimates_by_features`.

Its synthetic regression (60 000 labelled rows, then ten chunks of 6000): losses before labels, by how many
cells the linear model may have. Its car loans: CBPE with a calibration weighted by features, and the share of
labels that are like each chunk; below a half the monitor publishes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from benchmarks.detection import car_loan
from benchmarks.detection.car_loan import CHUNK_ROWS, read
from tidegauge.block import Layout
from tidegauge.drift.sample import ReferenceSample
from tidegauge.estimate import profile
from tidegauge.estimate.calibration import finer, monotone
from tidegauge.estimate.classification import binary
from tidegauge.estimate.design import Design
from tidegauge.estimate.ridge import Learned, fit, loss_targets, losses
from tidegauge.estimate.weighted import score_targets, weighted
from tidegauge.metrics.scores import bin_of

Floats = NDArray[np.float64]

FIRST_ROWS = 2_000
BINS, COARSE = 200, 25
CHUNK = 6_000
NUMBERS = ("car_age", "km_driven", "price_new", "accident_count", "door_count", "y_pred")
TEXTS = ("fuel", "transmission")


def regression() -> list[str]:
    """Return the mean distance of estimated from realised losses, by cells of the model."""
    past, now = read("regression_synthetic_reference.csv"), read("regression_synthetic_analysis.csv")
    truth = {row["id"]: row["y_true"] for row in read("regression_synthetic_analysis_targets.csv")}
    strings = sorted({row[name] for row in (*past, *now) for name in TEXTS})
    layout = Layout((*NUMBERS, *TEXTS), (False,) * len(NUMBERS) + (True,) * len(TEXTS))
    before, after = (_matrix(rows, strings) for rows in (past, now))
    wrong_before = before[:, 5] - np.array([float(row["y_true"]) for row in past])
    wrong_after = after[:, 5] - np.array([float(truth[row["id"]]) for row in now])
    lines = [f"{'regression':<26}{'mae':>8}{'rmse':>8}   intervals that held (rmse)"]
    whole = (np.abs(wrong_before).mean(), np.sqrt((wrong_before**2).mean()))
    still = [_distance(whole, wrong_after[i : i + CHUNK]) for i in range(0, len(now), CHUNK)]
    lines.append("{:<26}{:>8.1f}{:>8.1f}".format("reference's own loss", *np.mean(still, axis=0)))
    for cells in (100, 200, 400, 1_000):
        design = _design(layout, before, strings, "y_pred", cells, pairs=True)
        learned = Learned.empty(design.width, 3)
        learned.add(
            design.cells(design.bins.cells(layout, before, strings)),
            loss_targets(wrong_before),
            np.ones(len(past)),
        )
        fitted, found, held = fit(learned), [], 0
        for start in range(0, len(now), CHUNK):
            part = slice(start, start + CHUNK)
            rows = design.cells(design.bins.cells(layout, after[part], strings))
            values = losses(fitted, _histogram(rows, design), float(CHUNK), 1.96)
            found.append(_distance((values["mae"].value, values["rmse"].value), wrong_after[part]))
            held += values["rmse"].low <= np.sqrt((wrong_after[part] ** 2).mean()) <= values["rmse"].high
        name = f"{cells} cells ({design.width} used)"
        lines.append("{:<26}{:>8.1f}{:>8.1f}   {} of 10".format(name, *np.mean(found, axis=0), held))
    return lines


def weighting() -> list[str]:
    """Return the mean distance of weighted CBPE on the car loans, before and after the data change."""
    past, now = car_loan.load()
    strings = sorted({text for loans in (past, now) for column in loans.texts.values() for text in column})
    code = {text: float(at) for at, text in enumerate(strings)}
    names = (*past.numbers, *past.texts, "score")
    layout = Layout(names, tuple(name in past.texts for name in names))

    def matrix(loans: car_loan.Loans) -> Floats:
        texts = [np.array([code[text] for text in column]) for column in loans.texts.values()]
        return np.stack([*loans.numbers.values(), *texts, loans.score], axis=1)

    design = _design(layout, matrix(past), strings, "score", 200, pairs=False)
    learned = Learned.empty(design.width, 2 * COARSE)
    rows = design.cells(design.bins.cells(layout, matrix(past), strings))
    targets = score_targets(bin_of(past.score, COARSE), past.repaid == 1, COARSE)
    learned.add(rows, targets, np.ones(len(past.score)))
    lines = [f"{'car loans, weighted':<26}{'roc_auc':>8}{'accuracy':>10}{'f1':>8}   labels like the chunk"]
    gaps, shares = [], []
    for start in range(0, len(now.score), CHUNK_ROWS):
        chunk = now.part(slice(start, start + CHUNK_ROWS))
        rows = design.cells(design.bins.cells(layout, matrix(chunk), strings))
        found = weighted(learned, _histogram(rows, design), float(CHUNK_ROWS))
        place, said = bin_of(chunk.score, BINS), chunk.predicted == 1
        own, other = (np.bincount(place[mine], minlength=BINS).astype(float) for mine in (said, ~said))
        values = binary(own, other, finer(monotone(found.cells), BINS), 1.96)
        gaps.append(
            [
                abs(values["roc_auc"].value - sk.roc_auc_score(chunk.repaid, chunk.score)),
                abs(values["accuracy"].value - sk.accuracy_score(chunk.repaid, chunk.predicted)),
                abs(values["f1"].value - sk.f1_score(chunk.repaid, chunk.predicted)),
            ]
        )
        shares.append(found.share)
    for name, part in (("before the change", slice(0, 5)), ("after it", slice(5, 10))):
        numbers = np.mean(gaps[part], axis=0)
        share = np.mean(shares[part])
        lines.append("{:<26}{:>8.4f}{:>10.4f}{:>8.4f}   {:.0%}".format(name, *numbers, share))
    return lines


def _design(
    layout: Layout, rows: Floats, strings: Sequence[str], always: str, cells: int, pairs: bool
) -> Design:
    sample = ReferenceSample(FIRST_ROWS)
    sample.add(layout, rows[:FIRST_ROWS], strings)
    return profile.fit(sample, always, cells, pairs)


def _histogram(cells: NDArray[np.int32], design: Design) -> Floats:
    return np.bincount(cells[cells >= 0], minlength=design.width).astype(np.float64)


def _matrix(rows: Sequence[Mapping[str, str]], strings: Sequence[str]) -> Floats:
    code = {text: float(at) for at, text in enumerate(strings)}
    return np.array(
        [[*(float(row[name]) for name in NUMBERS), *(code[row[name]] for name in TEXTS)] for row in rows]
    )


def _distance(estimated: tuple[float, float], error: Floats) -> tuple[float, float]:
    return abs(estimated[0] - np.abs(error).mean()), abs(estimated[1] - np.sqrt((error**2).mean()))


if __name__ == "__main__":
    print("\n".join([*regression(), "", *weighting()]))
