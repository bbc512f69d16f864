"""The product's detector of error shifts on many streams at once, by the functions its own loop uses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.streams import Errors
from tidegauge.drift.error_baseline import Terms, learn, step_earnings
from tidegauge.drift.error_shift import BLOCK, newcomers

Floats = NDArray[np.float64]

MEAN = 0.1


class Bettors:
    """ErrorShift for streams with baselines of their own: the same steps, a row a stream."""

    def __init__(self, reference: Floats, terms: Terms) -> None:
        learned = [learn(values, terms) for values in reference]
        self._means = np.array([one.means for one in learned])
        self._stakes = np.array([one.stakes for one in learned])
        self._inflation = np.array([[one.inflation] for one in learned])
        self._terms, self._steps = terms, 0
        self._alarm_at = (terms.evidence or (terms.run_length or 1.0) / BLOCK) * self._means.shape[1]
        self._owned = np.zeros(self._means.shape)

    def step(self, block: Floats) -> NDArray[np.bool_]:
        """Take a block [streams, BLOCK]; return which streams raise an alarm, whose bettors start anew."""
        self._owned += newcomers(self._steps, 1, self._terms)
        self._steps += 1
        self._owned *= step_earnings(block, self._means, self._stakes, self._inflation)
        alarms = self._owned.sum(axis=1) >= self._alarm_at
        self._owned[alarms] = 0.0
        return alarms


class Null(NamedTuple):
    """What streams without a shift gave."""

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


def null(seed: int, streams: int, outcomes: int, correlation: float, terms: Terms) -> Null:
    """Return the alarms of streams of so many outcomes after their reference, without any shift."""
    source = Errors(np.random.default_rng(seed), streams, MEAN, correlation)
    bettors = Bettors(source.take(terms.reference), terms)
    alarms = sum(int(bettors.step(block).sum()) for block in source.blocks(outcomes // BLOCK, BLOCK))
    return Null(correlation, _name(terms), streams * (outcomes // BLOCK) * BLOCK, alarms)


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


def delay(
    seed: int, streams: int, clean: int, within: int, to: float, terms: Terms, correlation: float = 0.0
) -> Delay:
    """Return the delay of the first alarm once the error rises to `to`, `clean` outcomes after the reference.

    Alarms before the shift count for nothing: evidence starts anew after them, as in service.
    """
    source = Errors(np.random.default_rng(seed), streams, MEAN, correlation)
    bettors = Bettors(source.take(terms.reference), terms)
    for block in source.blocks(clean // BLOCK, BLOCK):
        bettors.step(block)
    source.mean = to
    first = np.full(streams, np.inf)
    for number, block in enumerate(source.blocks(within // BLOCK, BLOCK), start=1):
        hit = bettors.step(block)
        first[hit & np.isinf(first)] = number * BLOCK
    return summary(first)


def summary(delays: Floats) -> Delay:
    """Return the median and the share found; `delays` [streams] are infinite where nothing was."""
    return Delay(float(np.quantile(delays, 0.5, method="inverted_cdf")), float(np.isfinite(delays).mean()))


def _name(terms: Terms) -> str:
    return f"learned from {terms.reference}" if terms.mean is None else "known"
