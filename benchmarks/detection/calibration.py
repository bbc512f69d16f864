"""The product's detector of labels that break with their scores, on streams of scores and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.detection.errors import Delay, summary
from tidegauge.drift.calibration_shift import CalibrationShift, CalibrationTerms
from tidegauge.drift.error_baseline import Terms
from tidegauge.drift.error_shift import ErrorShift

Floats = NDArray[np.float64]
Law = Callable[[Floats], Floats]  # of the label's logit, given that of the score

SPREAD = 1.5  # of the logits of scores


class World(NamedTuple):
    """How scores come, and labels with them."""

    name: str
    centre: float = 0.0  # of the logits
    spread: float = SPREAD
    law: Law = lambda logit: logit


class Move(NamedTuple):
    """What a stream is during the reference, and from then on."""

    name: str
    before: World
    after: World


HEALTHY = World("calibrated")
RARE = World("rare", centre=-4.0)
PROUD = World("over-confident from the beginning", law=lambda logit: logit / 2)
NULLS = (
    Move("calibrated", HEALTHY, HEALTHY),
    Move("rare positives", RARE, RARE),
    Move("over-confident all the time", PROUD, PROUD),
    Move("calibrated, scores rise", HEALTHY, HEALTHY._replace(centre=2.0)),
    Move("calibrated, scores grow unsure", HEALTHY, HEALTHY._replace(spread=0.5)),
    Move("rare, scores rise", RARE, RARE._replace(centre=-3.0)),
    Move("over-confident all the time, scores fall", PROUD._replace(centre=2.0), PROUD._replace(centre=-2.0)),
)
SHIFTS = (
    World("odds times 1.65", law=lambda logit: logit + 0.5),
    World("odds times 2.7", law=lambda logit: logit + 1.0),
    World("logits halved", law=lambda logit: logit / 2),
    World("a tenth of the labels flipped", law=lambda logit: _logit(0.8 * _sigmoid(logit) + 0.1)),
    World("labels at random", law=np.zeros_like),
)


class Rates(NamedTuple):
    """False alarms of streams, of labels with their scores and of the error."""

    outcomes: int
    calibration: int
    error: int


def null(move: Move, seed: int, streams: int, outcomes: int, promised: float, correlation: float) -> Rates:
    """Return the alarms on streams of so many outcomes after the reference, whose labels keep to scores."""
    found = [0, 0]
    for scores, came in _streams(move, seed, streams, 1_000, outcomes, correlation):
        for place, alarms in enumerate(_alarms(scores, came, promised)):
            found[place] += len(alarms)
    return Rates(streams * outcomes, *found)


def delay(to: World, seed: int, streams: int, within: int, reference: int, promised: float) -> list[Delay]:
    """Return the delays of both detectors once labels follow another law; scores stay as they are."""
    clean = reference + 3_000
    first = np.full((2, streams), np.inf)
    every = _streams(Move(to.name, HEALTHY, to), seed, streams, clean, within, 0.0)
    for number, (scores, came) in enumerate(every):
        for place, alarms in enumerate(_alarms(scores, came, promised, reference)):
            first[place, number] = min((seen - clean for seen in alarms if seen > clean), default=np.inf)
    return [summary(one) for one in first]


def _alarms(scores: Floats, came: Floats, promised: float, reference: int = 1_000) -> list[list[int]]:
    """Return after how many outcomes the detectors of calibration and of the error signalled something."""
    own = CalibrationShift(CalibrationTerms(reference=reference, run_length=promised))
    error = ErrorShift(Terms(reference=reference, run_length=promised))
    wrong = ((scores > 0.5) != came).astype(np.float64)
    return [[one.seen for one in own.update(scores, came)], [one.seen for one in error.update(wrong)]]


def _streams(
    move: Move, seed: int, streams: int, before: int, after: int, correlation: float
) -> Iterator[tuple[Floats, Floats]]:
    """Yield scores and labels; chance is a Gaussian autoregression with this correlation of neighbours."""
    rng = np.random.default_rng(seed)
    for _ in range(streams):
        logits, means = [], []
        for world, count in ((move.before, before), (move.after, after)):
            logits.append(rng.normal(world.centre, world.spread, count))
            means.append(_sigmoid(world.law(logits[-1])))
        chance = norm.cdf(autoregression(rng, before + after, correlation))
        yield _sigmoid(np.concatenate(logits)), (chance < np.concatenate(means)).astype(np.float64)


def autoregression(rng: np.random.Generator, count: int, correlation: float) -> Floats:
    """Return normal values [count] of variance 1 whose neighbours are correlated."""
    noise = rng.normal(size=count)
    if not correlation:
        return noise
    found, last, fresh = np.empty(count), rng.normal(), np.sqrt(1 - correlation**2)
    for place, one in enumerate(noise.tolist()):
        found[place] = last = correlation * last + fresh * one
    return found


def _sigmoid(logit: Floats) -> Floats:
    return 1 / (1 + np.exp(-logit))


def _logit(p: Floats) -> Floats:
    return np.log(p / (1 - p))
