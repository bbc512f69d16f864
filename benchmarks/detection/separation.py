"""The product's detector of an AUC that falls, beside those of what scores mean and of the error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.detection.calibration import autoregression
from benchmarks.detection.errors import Delay, summary
from tidegauge.drift.calibration_shift import CalibrationShift, CalibrationTerms
from tidegauge.drift.error_baseline import Terms
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.drift.separation_shift import SeparationShift, SeparationTerms

Floats = NDArray[np.float64]

AUC = 0.85  # healthy
DETECTORS = 3  # of separation, of what scores mean, of the error


class World(NamedTuple):
    """How classes come, and scores with them: normal within each class, with one variance."""

    name: str
    share: float = 0.5  # of positives
    auc: float = AUC
    moved: float = 0.0  # of all logits
    told: float | None = None  # the AUC that scores are made for; None for AUC, `auc` keeps them calibrated


class Move(NamedTuple):
    """What a stream is during the reference and, from `world` on, after it."""

    name: str
    before: World
    after: World


HEALTHY, RARE = World("even"), World("rare", share=0.02)
NULLS = (
    Move("half positive", HEALTHY, HEALTHY),
    Move("2 % positive", RARE, RARE),
    Move("half positive, then a fifth", HEALTHY, HEALTHY._replace(share=0.2)),
    Move("2 % positive, then 10 %", RARE, RARE._replace(share=0.1)),
    Move("half positive, all scores rise", HEALTHY, HEALTHY._replace(moved=1.5)),
)
SHIFTS = (
    *(Move(f"half positive, AUC to {auc}", HEALTHY, HEALTHY._replace(auc=auc)) for auc in (0.8, 0.7, 0.5)),
    *(Move(f"2 % positive, AUC to {auc}", RARE, RARE._replace(auc=auc)) for auc in (0.8, 0.7, 0.5)),
    Move("2 % positive, scores fade to .7 and say so", RARE, RARE._replace(auc=0.7, told=0.7)),
)


def null(
    move: Move, seed: int, streams: int, outcomes: int, promised: float, correlation: float
) -> list[int]:
    """Return the alarms of each detector on streams of so many outcomes after a reference of 1000."""
    found = np.zeros(DETECTORS, np.int64)
    for scores, came in _streams(move, seed, streams, 1_000, outcomes, correlation):
        found += [sum(seen > 1_000 for seen in alarms) for alarms in _alarms(scores, came, promised, 1_000)]
    counts: list[int] = found.tolist()
    return counts


def delay(move: Move, seed: int, streams: int, within: int, reference: int, promised: float) -> list[Delay]:
    """Return the delay of each detector after a change, 3000 outcomes after the reference."""
    clean = reference + 3_000
    first = np.full((DETECTORS, streams), np.inf)
    for number, (scores, came) in enumerate(_streams(move, seed, streams, clean, within, 0.0)):
        for place, alarms in enumerate(_alarms(scores, came, promised, reference)):
            first[place, number] = min((seen - clean for seen in alarms if seen > clean), default=np.inf)
    return [summary(one) for one in first]


def _alarms(scores: Floats, came: Floats, promised: float, reference: int) -> list[list[int]]:
    """Return after how many outcomes each detector signalled something."""
    separation = SeparationShift(SeparationTerms(reference, run_length=promised))
    meaning = CalibrationShift(CalibrationTerms(reference, run_length=promised))
    error = ErrorShift(Terms(reference, run_length=promised))
    wrong = ((scores > 0.5) != came).astype(np.float64)
    return [
        [one.seen for one in separation.update(scores, came)],
        [one.seen for one in meaning.update(scores, came)],
        [one.seen for one in error.update(wrong)],
    ]


def _streams(
    move: Move, seed: int, streams: int, before: int, after: int, correlation: float
) -> Iterator[tuple[Floats, Floats]]:
    """Yield scores and labels; labels and scores have neighbours correlated by a Gaussian autoregression."""
    rng = np.random.default_rng(seed)
    for _ in range(streams):
        parts = []
        for world, count in ((move.before, before), (move.after, after)):
            chance, noise = (autoregression(rng, count, correlation) for _ in range(2))
            parts.append(_rows(world, norm.cdf(chance), noise))
        scores, came = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        yield scores, came


def _rows(world: World, chance: Floats, noise: Floats) -> tuple[Floats, Floats]:
    came = (chance < world.share).astype(np.float64)
    apart, told = (np.sqrt(2) * norm.ppf(auc) for auc in (world.auc, world.told or AUC))
    logit = told * (noise + apart * came - told / 2) + np.log(world.share / (1 - world.share)) + world.moved
    return 1 / (1 + np.exp(-logit)), came
