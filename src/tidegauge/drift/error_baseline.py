"""What a detector of a shift learns of healthy outcomes, and the bets that follow from it.

The reference comes first. What is bet against lies above its mean by what so few outcomes may be wrong by,
which costs time. So learning goes on in batches of 1, 2, 4 and 8 times the reference: a batch joins the
healthy outcomes where its mean agrees with the reference's. A rise that is learned before it is noticed would
never be noticed: what is bet against stays within what the reference alone allows, however much is learned.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.drift import bets
from tidegauge.drift.dependence import of_block_means, of_neighbours

Floats = NDArray[np.float64]
Direction = Literal["worse", "both"]

BATCHES = 4  # past 16 times the reference there is little left to concede
AGREED = 3.0  # standard errors by which a healthy batch may differ from the reference
ALLOWED = 0.05  # of references: how often the true mean lies past the outermost that is bet against
MISSED = 0.33  # of baselines: how often the true mean lies past the bound; the average promise still holds


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
    def learns_on(self) -> bool:
        """Whether later outcomes teach too: of a probability each further bound would take a share."""
        return self.mean is None and self.ever is None

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


class Sums(msgspec.Struct, frozen=True, array_like=True):
    """Sums over outcomes."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    pairs: int = 0  # of neighbours
    products: float = 0.0  # of them

    @classmethod
    def of(cls, values: Floats) -> Sums:
        """Return the sums of values [n], all of which are neighbours."""
        pairs, products = max(len(values) - 1, 0), float(values[1:] @ values[:-1])
        return cls(len(values), float(values.sum()), float(values @ values), pairs, products)

    def taking(self, blocks: Floats) -> Sums:
        """Return the sums with blocks [count, size] more, whose neighbours are those within a block.

        Values are added one by one, so the sums do not depend on how blocks are cut into calls.
        """
        inner = blocks[:, 1:] * blocks[:, :-1]
        every = zip((self.total, self.squares, self.products), (blocks, blocks * blocks, inner), strict=True)
        sums = [np.add.accumulate(np.concatenate(([first], more.ravel())))[-1] for first, more in every]
        total, squares, products = map(float, sums)
        return Sums(self.n + blocks.size, total, squares, self.pairs + inner.size, products)

    def __add__(self, other: Sums) -> Sums:
        both = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Sums(*(one + another for one, another in both))

    @property
    def mean(self) -> float:
        """The mean of at least one outcome."""
        return self.total / self.n

    @property
    def variance(self) -> float:
        """The variance of at least one outcome."""
        return max(self.squares / self.n - self.mean**2, 0.0)

    @property
    def correlation(self) -> float:
        """The correlation of neighbours; 0 where outcomes do not vary."""
        variance = self.variance
        return (self.products / self.pairs - self.mean**2) / variance if self.pairs and variance else 0.0


class Learning(msgspec.Struct, frozen=True, array_like=True):
    """How far the baseline has been learned: what follows from the batches so far.

    >>> learning = Learning(Sums(1_000, 100.0, 100.0), Sums(1_000, 100.0, 100.0), in_blocks=1.0)
    >>> learning.closed(Sums(1_000, 90.0, 90.0)).healthy.mean
    0.095
    >>> learning.closed(Sums(1_000, 200.0, 200.0)).healthy.mean
    0.1
    """

    reference: Sums
    healthy: Sums  # those that agree with the reference, and itself
    in_blocks: float  # the inflation that means of blocks of the reference show
    batches: int = 0  # that are over
    batch: Sums = Sums()  # that comes in

    @classmethod
    def after(cls, reference: Floats) -> Learning:
        """Return the state after the reference [n]."""
        sums = Sums.of(reference)
        return cls(sums, sums, of_block_means(reference))

    @property
    def inflation(self) -> float:
        """The variance inflation of healthy outcomes; 1 without any."""
        found = self.healthy
        return max(of_neighbours(found.correlation, found.n), self.in_blocks) if found.n else 1.0

    @property
    def lacking(self) -> int | None:
        """Return how many outcomes the batch lacks; None where all batches are over."""
        if self.batches >= BATCHES:
            return None
        return (self.reference.n << self.batches) - self.batch.n

    def closed(self, batch: Sums) -> Learning:
        """Return the state after a whole batch, which joins the healthy outcomes where it agrees."""
        joined = self.healthy + batch if agree(self.reference, batch, self.inflation) else self.healthy
        return Learning(self.reference, joined, self.in_blocks, self.batches + 1)


def agree(one: Sums, other: Sums, inflation: float) -> bool:
    """Return whether means differ by AGREED standard errors or less, by the variance of both together.

    >>> agree(Sums(1_000, 100.0, 100.0), Sums(1_000, 130.0, 130.0), inflation=1.0)
    True
    """
    error = math.sqrt((one + other).variance * inflation * (1 / one.n + 1 / other.n))
    return abs(one.mean - other.mean) <= AGREED * error


def bound(mean: float, variance: float, count: float, side: float, missed: float = MISSED) -> float:
    """Return a bound, at `side` +1 above or -1 below, that a true mean passes with probability `missed`.

    Wilson's score interval (1927) for a mean of values between 0 and 1; a variance below mean (1 - mean)
    counts as more values.

    >>> round(bound(0.1, 0.09, 1_000, side=1, missed=0.25), 4)
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
    return settle(Learning.after(values), terms)


def settle(learning: Learning, terms: Terms) -> Baseline:
    """Return the baseline of what was learned, or that of a given mean, and its bets."""
    healthy, inflation = learning.healthy, learning.inflation
    mean = healthy.mean if terms.mean is None else terms.mean
    variance = healthy.variance if healthy.n else mean * (1 - mean)
    above = below = mean
    if terms.mean is None:
        above, below = (_outermost(learning, side, terms) for side in (1.0, -1.0))
    above, below = min(above + terms.tolerance, 1.0), max(below - terms.tolerance, 0.0)
    stakes, means = bets.stakes_up(above, variance or None), [above] * len(bets.ODDS)
    if terms.direction == "both":
        stakes = np.concatenate((stakes, bets.stakes_down(below, variance or None)))
        means += [below] * len(bets.ODDS)
    return Baseline(mean, inflation, tuple(means), tuple(stakes.tolist()))


def _outermost(learning: Learning, side: float, terms: Terms) -> float:
    """Return the bound of the healthy mean, or that of the reference where this one is nearer.

    Of a probability what the bound may spend is spent at once, on the reference.
    """
    inflation = learning.inflation
    both = [(learning.healthy, terms.missed)]
    if terms.ever is None:
        both.append((learning.reference, ALLOWED))
    bounds = (bound(of.mean, of.variance, of.n / inflation, side, missed) for of, missed in both)
    return side * min(side * one for one in bounds)


def step_earnings(blocks: Floats, means: Floats, stakes: Floats, inflation: Floats | float) -> Floats:
    """Return what bets earn [..., bets] on blocks [..., size] of values, tempered by the inflation [..., 1].

    `means` and `stakes` are [bets], or [..., bets] for series with baselines of their own.
    """
    kept = 1 - stakes * means
    earned = kept + stakes * blocks[..., :1]
    for place in range(1, blocks.shape[-1]):
        earned *= kept + stakes * blocks[..., place : place + 1]
    return np.power(earned, 1 / inflation)
