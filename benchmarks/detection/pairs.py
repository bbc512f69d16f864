"""Drift of what features have in common: the product's pairs beside what looks at one feature at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Layout
from tidegauge.drift import reference
from tidegauge.drift.feature_shift import STEP as FEATURE_STEP
from tidegauge.drift.feature_shift import FeatureShift
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.multivariate import WINDOW_STEPS, Multivariate
from tidegauge.drift.pair_shift import STEP

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]  # so many rows [rows, FEATURES]

FEATURES = 20
REFERENCE = 5_000
USUAL, PAIR = 0.3, 0.8  # correlations of any two features, and of the first two
BEFORE = 20  # steps without a shift
BATCH = 4_000  # rows


class Law(NamedTuple):
    """A law of rows, with a word for it."""

    name: str
    draw: Draw


def normal(pair: float = PAIR, away: Floats | float = 0.0, factor: Floats | float = 1.0) -> Draw:
    """Return normal rows; the law of the fourth section of what was published on windows of 500."""
    law = np.full((FEATURES, FEATURES), USUAL) + (1 - USUAL) * np.eye(FEATURES)
    law[0, 1] = law[1, 0] = pair
    root = np.linalg.cholesky(law).T
    return lambda rng, rows: away + factor * (rng.normal(size=(rows, FEATURES)) @ root)


def neighbours(correlation: float) -> Draw:
    """Return normal rows of which each resembles the one before it."""
    draw = normal()

    def drawn(rng: np.random.Generator, rows: int) -> Floats:
        found, rest = draw(rng, rows), (1 - correlation**2) ** 0.5
        for place in range(1, rows):
            found[place] = correlation * found[place - 1] + rest * found[place]
        return found

    return drawn


def bursts(size: int) -> Draw:
    """Return normal rows each of which comes so many times."""
    draw = normal()
    return lambda rng, rows: np.repeat(draw(rng, -(-rows // size)), size, axis=0)[:rows]


def heavy(rng: np.random.Generator, rows: int) -> Floats:
    """Return rows without a variance, which share an addend."""
    return rng.standard_cauchy((rows, FEATURES)) + rng.standard_cauchy((rows, 1))


def rare(rng: np.random.Generator, rows: int) -> Floats:
    """Return flags of which one in a hundred is set."""
    return (normal()(rng, rows) > 2.33).astype(np.float64)


FIRST = (np.arange(FEATURES) == 2).astype(np.float64)
HEALTHY = (
    Law("normal", normal()),
    Law("neighbours correlated by .2", neighbours(0.2)),
    Law("neighbours correlated by .5", neighbours(0.5)),
    Law("in bursts of 20 equal rows", bursts(20)),
    Law("Cauchy", heavy),
    Law("flags, 1 in 100 set", rare),
)
SHIFTS = (
    Law("correlation .8 to -.2", normal(pair=-0.2)),
    Law("correlation .8 to .7", normal(pair=0.7)),
    Law("mean of one feature +.25", normal(away=0.25 * FIRST)),
    Law("mean of all features +.1", normal(away=0.1)),
    Law("all features x 1.2", normal(factor=1.2)),
)


class Watched:
    """A version in production: bins and pairs learned from a law, and both rules at work."""

    def __init__(self, draw: Draw, seed: int, patience: float, rows: int) -> None:
        self._rng, self._draw = np.random.default_rng(seed), draw
        names = tuple(f"feature_{number:02}" for number in range(FEATURES))
        self._layout = Layout(names, (False,) * FEATURES)
        self._left = draw(self._rng, 2 * REFERENCE + rows)  # one stream: neighbours stay neighbours
        columns = zip(names, self.take(REFERENCE).T, strict=True)
        self.bins = FeatureBins({name: reference.fit(column, [], 0, 10, 100) for name, column in columns})
        self.pairs, self.alone = Multivariate(self.bins, FEATURES, REFERENCE), FeatureShift(self.bins)
        self.pairs.add(self.cells(self.take(REFERENCE)))
        assert self.pairs.pairs is not None
        self.pairs.pairs.patience = patience
        self.alone.patience = patience * STEP / FEATURE_STEP

    def take(self, rows: int) -> Floats:
        found, self._left = self._left[:rows], self._left[rows:]
        return found

    def cells(self, values: Floats) -> NDArray[np.int32]:
        return self.bins.cells(self._layout, values)

    def step(self, values: Floats) -> tuple[bool, bool]:
        """Return whether a step of rows made a pair, or a feature, be named."""
        cells = self.cells(values)
        alone = bool(self.alone.add(cells))
        self.pairs.add(cells)
        assert self.pairs.pairs is not None
        now = self.pairs.pairs.steps
        return any(one.step == now for one in self.pairs.pairs.moved.values()), alone


class Null(NamedTuple):
    """What came of rows without a shift."""

    steps: int
    false: int  # steps with a name
    windows: int
    beyond: tuple[float, float, float]  # shares of windows: the greatest z, T2, reconstruction


def null(law: Law, seed: int, streams: int, steps: int, patience: float) -> Null:
    """Return how often healthy pairs are named, and healthy windows called beyond chance."""
    false, beyond, windows = 0, np.zeros(3), 0
    for stream in range(streams):
        watched = Watched(law.draw, seed + stream, patience, steps * STEP)
        for step in range(1, steps + 1):
            false += watched.step(watched.take(STEP))[0]
            joint = watched.pairs.joint
            if step % WINDOW_STEPS == 0 and joint is not None:
                windows += 1
                beyond += (joint.extreme.test.beyond, joint.hotelling.beyond, joint.reconstruction.beyond)
    shares = (beyond / max(windows, 1)).tolist()
    return Null(streams * steps, false, windows, (shares[0], shares[1], shares[2]))


class Found(NamedTuple):
    """When a shift was found, in rows; infinite where never."""

    pairs: float
    right: bool  # whether the pair that was named first is the first two features
    alone: float
    beyond: tuple[float, float, float]  # whether the first window after the shift is beyond chance


def find(law: Law, seed: int, patience: float, within: int) -> Found:
    """Return when a shift from healthy normal rows is found."""
    watched = Watched(normal(), seed, patience, BEFORE * STEP)
    for _ in range(BEFORE):
        watched.step(watched.take(STEP))
    rng = np.random.default_rng(seed + 10_000)
    pairs = alone = np.inf
    right, beyond = False, (0.0, 0.0, 0.0)
    for step in range(1, within + 1):
        named, moved = watched.step(law.draw(rng, STEP))
        if named and np.isinf(pairs):
            pairs, right = step * STEP, watched.pairs.moved()[0].features == watched.bins.names[:2]
        if moved and np.isinf(alone):
            alone = step * STEP
        joint = watched.pairs.joint
        if step == WINDOW_STEPS and joint is not None:
            tests = joint.extreme.test, joint.hotelling, joint.reconstruction
            beyond = (float(tests[0].beyond), float(tests[1].beyond), float(tests[2].beyond))
    return Found(pairs, right, alone, beyond)


def pair_ns(features: int, classify: bool = False, repeats: int = 10) -> float:
    """Return what a value costs beside its cell, in nanoseconds of processor time: the best of a few."""
    rng = np.random.default_rng(1)
    names = tuple(map(str, range(features)))
    values = rng.normal(size=(REFERENCE, features))
    columns = zip(names, values.T, strict=True)
    bins = FeatureBins({name: reference.fit(column, [], 0, 10, 100) for name, column in columns})
    cells = bins.cells(Layout(names, (False,) * features), rng.normal(size=(REFERENCE, features)))
    found, best = Multivariate(bins, features, REFERENCE, classify=classify), np.inf
    found.add(cells)
    for _ in range(repeats):
        start = time.process_time_ns()
        found.add(cells[:BATCH])
        best = min(best, time.process_time_ns() - start)
    return best / (BATCH * features)
