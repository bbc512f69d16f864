"""The product's detector of error shifts on many streams at once, by the functions its own loop uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.streams import Errors
from tidegauge.drift.error_baseline import Baseline, Learning, Sums, Terms, learn, settle, step_earnings
from tidegauge.drift.error_shift import BLOCK, newcomers

Floats = NDArray[np.float64]

MEAN = 0.1


class Bettors:
    """ErrorShift for streams with baselines of their own: the same steps, a row a stream."""

    def __init__(self, reference: Floats, terms: Terms) -> None:
        learned = [learn(values, terms) for values in reference]
        self._terms, self._steps = terms, 0
        self._take(learned)
        self._alarm_at = (terms.evidence or (terms.run_length or 1.0) / BLOCK) * self._means.shape[1]
        self._owned = np.zeros(self._means.shape)
        self._learning = [Learning.after(values) for values in reference] if terms.learns_on else []
        self._n, self._sums = 0, np.zeros((2, len(reference)))  # of the batch: totals, products of neighbours

    def step(self, block: Floats) -> NDArray[np.bool_]:
        """Take a block [streams, BLOCK]; return which streams raise an alarm, whose bettors start anew."""
        self._owned += newcomers(self._steps, 1, self._terms)
        self._steps += 1
        self._owned *= step_earnings(block, self._means, self._stakes, self._inflation)
        alarms = self._owned.sum(axis=1) >= self._alarm_at
        self._owned[alarms] = 0.0
        lacking = self._learning[0].lacking if self._learning else None
        if lacking is not None:
            self._n += BLOCK
            self._sums += block.sum(axis=1), (block[:, 1:] * block[:, :-1]).sum(axis=1)
            if self._n >= lacking:
                self._sharpen()
        return alarms

    def _sharpen(self) -> None:
        """Close the batch; values are 0 or 1, so their squares are themselves."""
        pairs = self._n // BLOCK * (BLOCK - 1)
        batches = [Sums(self._n, total, total, pairs, both) for total, both in self._sums.T.tolist()]
        every = zip(self._learning, batches, strict=True)
        self._learning = [one.closed(batch) for one, batch in every]
        self._take([settle(one, self._terms) for one in self._learning])
        self._n, self._sums = 0, np.zeros(self._sums.shape)

    def _take(self, learned: Sequence[Baseline]) -> None:
        self._means = np.array([one.means for one in learned])
        self._stakes = np.array([one.stakes for one in learned])
        self._inflation = np.array([[one.inflation] for one in learned])


class Null(NamedTuple):
    """What streams without a shift gave."""

    mean: float
    correlation: float
    baseline: str
    outcomes: int
    alarms: int

    @property
    def run_length(self) -> float:
        return self.outcomes / max(1, self.alarms)

    @property
    def per_10_000(self) -> float:
        return self.alarms / self.outcomes * 10_000


def null(
    seed: int, streams: int, outcomes: int, correlation: float, terms: Terms, mean: float = MEAN
) -> Null:
    """Return the alarms of streams of so many outcomes after their reference, without any shift."""
    source = Errors(np.random.default_rng(seed), streams, mean, correlation)
    bettors = Bettors(source.take(terms.reference), terms)
    alarms = sum(int(bettors.step(block).sum()) for block in source.blocks(outcomes // BLOCK, BLOCK))
    return Null(mean, correlation, name(terms), streams * (outcomes // BLOCK) * BLOCK, alarms)


def ever(seed: int, streams: int, outcomes: int, correlation: float, terms: Terms) -> float:
    """Return the share of streams without any shift that raise an alarm within so many outcomes."""
    source = Errors(np.random.default_rng(seed), streams, MEAN, correlation)
    bettors, hit = Bettors(source.take(terms.reference), terms), np.zeros(streams, np.bool_)
    for block in source.blocks(outcomes // BLOCK, BLOCK):
        hit |= bettors.step(block)
    return float(hit.mean())


class Delay(NamedTuple):
    """How many outcomes after a shift alarms came."""

    median: float  # infinite where less than half the streams had one
    found: float  # share of streams


class Rise(NamedTuple):
    """A rise of the error, so many outcomes after the reference."""

    to: float
    mean: float = MEAN
    clean: int = 3_000
    correlation: float = 0.0


def delay(seed: int, streams: int, within: int, rise: Rise, terms: Terms) -> Delay:
    """Return the delay of the first alarm after a rise.

    Alarms before the rise count for nothing: evidence starts anew after them, as in service.
    """
    source = Errors(np.random.default_rng(seed), streams, rise.mean, rise.correlation)
    bettors = Bettors(source.take(terms.reference), terms)
    for block in source.blocks(rise.clean // BLOCK, BLOCK):
        bettors.step(block)
    source.mean = rise.to
    first = np.full(streams, np.inf)
    for number, block in enumerate(source.blocks(within // BLOCK, BLOCK), start=1):
        hit = bettors.step(block)
        first[hit & np.isinf(first)] = number * BLOCK
    return summary(first)


def summary(delays: Floats) -> Delay:
    """Return the median and the share found; `delays` [streams] are infinite where nothing was."""
    return Delay(float(np.quantile(delays, 0.5, method="inverted_cdf")), float(np.isfinite(delays).mean()))


def name(terms: Terms) -> str:
    """Return what a baseline is called."""
    return f"learned from {terms.reference}" if terms.mean is None else "known"
