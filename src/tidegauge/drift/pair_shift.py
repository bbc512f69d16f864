"""Which pairs of features go together otherwise than they did: e-detectors and the e-d-BH rule.

Each pair is bet on through the mean of its contrast over a step of rows (see `joint_reference`). Contrasts
are bounded, so exp(s S - n psi(s)) is a fair bet on their sum S: psi is Bennett's (1962) bound for a mean
of 0. What the reference may be wrong by is conceded: the mean by CONCEDED standard errors, the variance by
the bound of Maurer and Pontil (2009). Names follow e-d-BH, as those of features do, so their rate is promised
however the pairs depend on one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.capital import MOST_OWNED, grow
from tidegauge.drift.dependence import LEAST_BLOCKS, RunningInflation
from tidegauge.drift.feature_shift import QUIET_SHARE, QUIET_STEPS, RISING, e_bh
from tidegauge.drift.joint_measures import most_of, variance_bound
from tidegauge.drift.joint_reference import (
    JointReference,
    Moments,
    contrasts,
    correlations,
    slopes,
)
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VERSION = 1
STEP = 250  # rows a step
LEAST_REFERENCE = STEP * (LEAST_BLOCKS + 2)  # rows, from which dependence of steps can be told
STAKES = (1.0, 2.0, 4.0)  # times the least stake, both ways
LEAST_SHIFT = 4.0  # standard errors beyond what is conceded, which the least stake is best for
CONCEDED = 3.0  # standard errors of the reference's mean
MOST_STAKED = 0.8  # of the most that a row can earn, in logarithms
SCALES = 4  # of dependence: blocks of 1 to 8 steps


class MovedPair(NamedTuple):
    """A pair that was named."""

    pair: int
    step: int  # in which it was last named
    until: int  # it has moved no more, unless it is named again up to this step
    evidence: float
    correlation: float  # of its scores in the step


class PairShift:
    """The evidence against each pair of features of one version, and what was named.

    About 12 us and 50 ns a pair for a step; 180 bytes a pair.
    """

    def __init__(
        self,
        reference: JointReference,
        bounds: Floats,
        patience: float | None = None,
        quiet: int = QUIET_STEPS,
    ) -> None:
        """`bounds` [F] are the greatest absolute scores, less their means."""
        self.patience = patience  # steps; may be set anew between steps
        self.quiet = quiet  # steps without being named again, that end a shift
        self.steps = 0
        self.moved: dict[int, MovedPair] = {}
        self._slope = slopes(reference.covariance)
        self._terms = _terms(reference, self._slope, bounds)
        pairs = self.count
        self._owned = np.zeros((2 * len(STAKES), pairs))
        self._inflation = RunningInflation(pairs, SCALES)
        self._low = np.zeros(pairs, np.int64)  # the last step in which evidence was as usual

    def warm(self, moments: Moments) -> None:
        """Learn from a step of the reference how steps depend on one another, and nothing else."""
        self._note(contrasts(self._slope, moments.covariance))

    def add(self, moments: Moments) -> list[int]:
        """Take the moments of the next STEP rows; return the pairs that are named after it."""
        self.steps += 1
        temper = 1 / np.maximum(self._inflation.value(), self._terms.inflation)
        covariance = moments.covariance
        found = contrasts(self._slope, covariance)
        self._note(found)
        won = self._terms.stakes * (STEP * found)
        gains = np.concatenate((won, -won)) - self._terms.costs
        self._owned = grow(self._owned, (gains * temper)[None])[0]
        evidence = self.evidence
        named: list[int] = e_bh(evidence, self.patience or MOST_OWNED).tolist()
        now = correlations(covariance) if named else found
        for pair in named:
            self._name(pair, float(evidence[pair]), float(now[pair]))
        self._owned[:, named] = 0.0
        self._low[evidence < RISING] = self.steps
        return named

    @property
    def count(self) -> int:
        """Return how many pairs there are."""
        return len(self._slope)

    @property
    def evidence(self) -> Floats:
        """Return the evidence [pairs]: what the bettors against each own together."""
        found: Floats = np.minimum(self._owned.mean(axis=0), MOST_OWNED)
        return found

    def moving(self) -> list[MovedPair]:
        """Return the pairs that have moved and not come back, those first named first."""
        return [one for one in self.moved.values() if self.steps <= one.until]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `load` reads back; the reference is kept elsewhere."""
        return {
            "version": VERSION,
            "steps": self.steps,
            "moved": [list(one) for one in self.moved.values()],
            "owned": self._owned,
            "inflation": self._inflation.dump(),
            "low": self._low,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `dump` wrote; raises SnapshotError where it is something else."""
        if state.get("version") != VERSION:
            raise SnapshotError(f"pair shift: expected version {VERSION}, got {state.get('version')!r}")
        owned, low = np.array(state["owned"], np.float64), np.array(state["low"], np.int64)
        if owned.shape != self._owned.shape or low.shape != self._low.shape:
            raise SnapshotError("pair shift: bets of other pairs")
        self._inflation = RunningInflation.load(state["inflation"], SCALES)
        if len(self._inflation.value()) != self.count:
            raise SnapshotError("pair shift: dependence of other pairs")
        self._owned, self._low, self.steps = owned, low, int(state["steps"])
        moved = [_moved(*one) for one in state["moved"]]
        if any(not 0 <= one.pair < self.count for one in moved):
            raise SnapshotError("pair shift: other pairs have moved")
        self.moved = {one.pair: one for one in moved}

    def _note(self, found: Floats) -> None:
        self._inflation.add(found * self._terms.standard)

    def _name(self, pair: int, evidence: float, correlation: float) -> None:
        took = self.steps - int(self._low[pair])
        until = self.steps + max(self.quiet, QUIET_SHARE * took)
        self.moved[pair] = MovedPair(pair, self.steps, until, evidence, correlation)


def _moved(pair: Any, step: Any, until: Any, evidence: Any, correlation: Any) -> MovedPair:
    return MovedPair(int(pair), int(step), int(until), float(evidence), float(correlation))


class _Terms(NamedTuple):
    """The fixed part of the bets on every pair."""

    stakes: Floats  # [len(STAKES), pairs]
    costs: Floats  # [2 * len(STAKES), pairs], of a step
    standard: Floats  # [pairs]: times the mean of a step's contrasts has variance 1
    inflation: Floats  # [pairs], of the reference


def _terms(reference: JointReference, slope: Floats, bounds: Floats) -> _Terms:
    pairs = slice(2 * len(bounds), None)
    most, seen = most_of(slope, bounds)[pairs], reference.variance[pairs]
    variance = variance_bound(seen, most, reference.rows)
    error = np.sqrt(variance * reference.inflation[pairs] / reference.rows)
    best = np.array(STAKES)[:, None] * (LEAST_SHIFT * error / variance)
    stakes = np.minimum(best, MOST_STAKED / most)
    conceded = STEP * stakes * (CONCEDED * error)
    costs = conceded + (STEP + 1) * bennett(stakes, variance, most)
    standard = np.where(seen > 0, STEP**0.5 / np.sqrt(np.maximum(seen, 1e-18)), 0.0)
    return _Terms(stakes, np.concatenate((costs, costs)), standard, reference.inflation[pairs])


def bennett(stake: Floats, variance: Floats, most: Floats) -> Floats:
    """Return the greatest log E exp(s X) of a mean of 0, this variance and X <= `most` (Bennett 1962).

    >>> round(float(bennett(np.array(0.5), np.array(1.0), np.array(2.0))), 4)
    0.1796
    """
    found: Floats = variance / most**2 * (np.expm1(stake * most) - stake * most)
    return found
