"""What a detector of a shift learns of healthy outcomes, and the bets that follow from it."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.drift import bets
from tidegauge.drift.dependence import variance_inflation

Floats = NDArray[np.float64]
Direction = Literal["worse", "both"]

MISSED = 0.25  # of baselines: how often the true mean lies past the bound; the average promise still holds


class Terms(NamedTuple):
    """What a detector is asked for."""

    reference: int = 1_000  # first outcomes, from which the baseline is learned; 0 with a given mean
    mean: float | None = None  # a given baseline
    tolerance: float = 0.0  # added to the baseline: a rise up to it is nobody's business
    direction: Direction = "worse"
    run_length: float | None = None  # outcomes
    ever: float | None = None  # probability of a false alarm, ever; instead of a run length

    @property
    def missed(self) -> float:
        """How often a learned baseline may lie past its bound: of a probability, half is spent on it."""
        return MISSED if self.ever is None else self.ever / 2

    @property
    def evidence(self) -> float | None:
        """The evidence for which `ever` calls (Ville 1939); None where a run length is promised."""
        if self.ever is None:
            return None
        return 1 / self.ever if self.mean is not None else 2 / self.ever


class Baseline(msgspec.Struct, frozen=True, array_like=True):
    """What was learned of healthy outcomes, and the bets against it: on a rise, then on a fall."""

    mean: float
    inflation: float  # of the variance of means, by dependence
    means: tuple[float, ...]  # [bets] what is bet against
    stakes: tuple[float, ...]  # [bets]; below 0 against a fall


def bound(mean: float, variance: float, count: float, side: float, missed: float = MISSED) -> float:
    """Return a bound, at `side` +1 above or -1 below, that a true mean passes with probability `missed`.

    Wilson's score interval (1927) for a mean of values between 0 and 1; a variance below mean (1 - mean)
    counts as more values.

    >>> round(bound(0.1, 0.09, 1_000, side=1), 4)
    0.1066
    """
    binary = mean * (1 - mean)
    n = count * binary / variance if 0 < variance < binary else count
    z = NormalDist().inv_cdf(1 - missed)
    centre = mean + z * z / (2 * n)
    spread = z * math.sqrt(binary / n + (z / (2 * n)) ** 2)
    return min(max((centre + side * spread) / (1 + z * z / n), 0.0), 1.0)


def learn(values: Floats, terms: Terms) -> Baseline:
    """Return the baseline of the reference outcomes [n] and its bets; none are needed with a given mean."""
    inflation = variance_inflation(values)
    mean = float(values.mean()) if terms.mean is None else terms.mean
    variance = float(values.var()) if len(values) else mean * (1 - mean)
    above = below = mean
    if terms.mean is None:
        above, below = (
            bound(mean, variance, len(values) / inflation, side, terms.missed) for side in (1.0, -1.0)
        )
    above, below = min(above + terms.tolerance, 1.0), max(below - terms.tolerance, 0.0)
    stakes, means = bets.stakes_up(above, variance or None), [above] * len(bets.ODDS)
    if terms.direction == "both":
        stakes = np.concatenate((stakes, bets.stakes_down(below, variance or None)))
        means += [below] * len(bets.ODDS)
    return Baseline(mean, inflation, tuple(means), tuple(stakes.tolist()))


def step_earnings(blocks: Floats, means: Floats, stakes: Floats, inflation: Floats | float) -> Floats:
    """Return what bets earn [..., bets] on blocks [..., size] of values, tempered by the inflation [..., 1].

    `means` and `stakes` are [bets], or [..., bets] for series with baselines of their own.
    """
    kept = 1 - stakes * means
    earned = kept + stakes * blocks[..., :1]
    for place in range(1, blocks.shape[-1]):
        earned *= kept + stakes * blocks[..., place : place + 1]
    return np.power(earned, 1 / inflation)
