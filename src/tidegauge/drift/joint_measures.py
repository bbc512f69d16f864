"""How far a window of rows is from the reference, by what features have in common.

All read the window's moments alone. Each tells what chance reaches for rows that do not depend on one
another; they raise no alarm. n rows in the window, m in the reference.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.distances import FALSE_VERDICTS
from tidegauge.drift.joint_reference import (
    JointReference,
    Moments,
    contrasts,
    correlations,
    pairs_of,
    slopes,
)
from tidegauge.drift.tails import f_tail

Floats = NDArray[np.float64]

KINDS = ("mean", "spread", "correlation")
DOUBT = 3.0  # logarithm of 1 / the probability that a variance is greater than its bound
LEAST_BOUND = 1e-9
LEAST_P = 1e-300
LEAST_EIGENVALUE = 0.01  # of a covariance of standardised scores; what is below is collinear, not evidence


class Statistic(NamedTuple):
    """A statistic of a window and how probable so great a one is in healthy rows."""

    value: float
    p: float

    @property
    def beyond(self) -> bool:
        """Whether chance alone does not reach it: it does in at most FALSE_VERDICTS of healthy windows."""
        return self.p < FALSE_VERDICTS


class Extreme(NamedTuple):
    """The greatest of all standardised differences of means, spreads and correlations."""

    test: Statistic  # its z, and a p for all of them together
    of: str  # mean, spread or correlation
    features: tuple[int, ...]  # one, or the two of a pair
    value: float  # of the window, in scores
    reference: float


class Joint(NamedTuple):
    """What a window of rows says."""

    rows: int
    extreme: Extreme
    hotelling: Statistic
    reconstruction: Statistic
    reconstruction_reference: float


class JointRuler:
    """What does not change from window to window, worked out once. O(F^3)."""

    def __init__(self, reference: JointReference, bounds: Floats) -> None:
        """`bounds` [F] are the greatest absolute scores, less their means."""
        self._reference = reference
        self._slope = slopes(reference.covariance)
        self._correlation = correlations(reference.covariance)
        self._most = most_of(self._slope, bounds)
        self._variance = variance_bound(reference.variance, self._most, reference.rows)
        values, vectors = np.linalg.eigh(reference.covariance)
        kept = values > LEAST_EIGENVALUE
        self._whitening = vectors[:, kept] / np.sqrt(values[kept])  # [F, directions]

    def measure(self, window: Moments) -> Joint:
        """Return how far a window of two rows or more is from the reference. O(F^2)."""
        residual = self._reference.residual
        now = self._distance(window)
        return Joint(
            int(window.rows),
            self._extreme(window),
            self._hotelling(window),
            Statistic(now, sidak(math.log(_two_sided(self._residual_z(now, window.rows))), 1)),
            residual.mean,
        )

    def _extreme(self, window: Moments) -> Extreme:
        """Return the statistic that chance reaches least, by Bennett's bound: the law may be skewed."""
        reference, covariance = self._reference, window.covariance
        variance, usual = covariance.diagonal(), reference.covariance.diagonal()
        difference = np.concatenate(
            (window.mean - reference.mean, variance - usual, contrasts(self._slope, covariance))
        )
        effective = 1 / (1 / window.rows + 1 / reference.rows) / reference.inflation
        chance = log_tail(np.abs(difference), self._variance, self._most, effective)
        place = int(chance.argmin())
        error = math.sqrt(float(reference.variance[place] / effective[place]))
        z = float(difference[place]) / error if error > 0 else math.inf
        test = Statistic(z, sidak(float(chance[place]), len(difference)))
        features = len(usual)
        kind, one = min(place // features, 2), place % features
        deviation = np.sqrt(np.maximum(variance, 0.0))
        if kind < 2:
            now, before = ((window.mean, reference.mean), (deviation, np.sqrt(usual)))[kind]
            return Extreme(test, KINDS[kind], (one,), float(now[one]), float(before[one]))
        pair = place - 2 * features
        both = tuple(int(side[pair]) for side in pairs_of(features))
        now, before = correlations(covariance), self._correlation
        return Extreme(test, KINDS[kind], both, float(now[pair]), float(before[pair]))

    def _hotelling(self, window: Moments) -> Statistic:
        """Return T2 of the means, scaled to be of F's law (Hotelling 1931), slowed down by dependence.

        In the reference's covariance; directions in which the reference hardly varies are left out.
        """
        reference = self._reference
        away = (window.mean - reference.mean) @ self._whitening
        squared = float(away @ away) / (1 / window.rows + 1 / reference.rows)
        directions, freedom = len(away), reference.rows - len(away)
        if not directions or freedom <= 0:
            return Statistic(squared, 1.0)
        slowed = squared / float(reference.inflation[: len(reference.mean)].max())
        scaled = slowed * freedom / (directions * (reference.rows - 1))
        return Statistic(squared, f_tail(scaled, directions, freedom))

    def _distance(self, window: Moments) -> float:
        """Return the mean squared distance from the plane of the components: rows less what they rebuild.

        The trace of the projector times the second moment around the reference's mean: no row is needed.
        """
        away = window.mean - self._reference.mean
        around = window.covariance * (1 - 1 / window.rows) + np.outer(away, away)
        return float((self._reference.projector * around).sum())

    def _residual_z(self, now: float, rows: float) -> float:
        residual = self._reference.residual
        error = math.sqrt(residual.variance * residual.inflation * (1 / rows + 1 / residual.rows))
        return (now - residual.mean) / error if error > 0 else 0.0


def most_of(slope: Floats, bounds: Floats) -> Floats:
    """Return the greatest absolute value [S] of a row's part in each statistic of scores within `bounds`."""
    first, second = pairs_of(len(bounds))
    squares = bounds**2
    contrast = bounds[first] * bounds[second] + np.abs(slope) * (squares[first] + squares[second]) / 2
    return np.maximum(np.concatenate((bounds, squares, contrast)), LEAST_BOUND)


def variance_bound(variance: Floats, most: Floats, rows: float) -> Floats:
    """Return what a variance [n] that `rows` rows show is no more than, but with probability exp(-DOUBT).

    For values up to `most` (Maurer and Pontil 2009, theorem 10).
    """
    found: Floats = (np.sqrt(variance) + most * (2 * DOUBT / rows) ** 0.5) ** 2
    return found


def log_tail(difference: Floats, variance: Floats, most: Floats, rows: Floats) -> Floats:
    """Return the logarithm of what a mean of `rows` values is further off than `difference` with, at most.

    Bennett's (1962) inequality, both sides: it holds for skewed laws too.

    >>> one = np.ones(1)
    >>> round(float(log_tail(0.1 * one, one, one, 1_000 * one)[0]), 2)
    -4.15
    """
    x = difference * most / variance
    return np.minimum(math.log(2) - rows * variance / most**2 * ((1 + x) * np.log1p(x) - x), 0.0)


def sidak(log_p: float, tests: int) -> float:
    """Return the probability that one of so many independent tests has a p as small as exp(log_p).

    An upper bound for those that depend on one another as moments do (Sidak 1967).

    >>> round(sidak(math.log(0.05), 1), 4), round(sidak(math.log(0.0001), 1_000), 4)
    (0.05, 0.0952)
    """
    return 1.0 if log_p >= 0 else -math.expm1(tests * math.log1p(-math.exp(log_p)))


def _two_sided(z: float) -> float:
    return max(math.erfc(abs(z) / math.sqrt(2)), LEAST_P)


def joint_dump(found: Joint) -> list[Any]:
    """Return a result as plain data that `joint_load` reads back."""
    extreme = found.extreme
    told = [*extreme.test, extreme.of, list(extreme.features), extreme.value, extreme.reference]
    return [
        found.rows,
        told,
        list(found.hotelling),
        list(found.reconstruction),
        found.reconstruction_reference,
    ]


def joint_load(state: list[Any]) -> Joint:
    """Return what `joint_dump` wrote."""
    rows, (z, p, of, features, value, before), hotelling, reconstruction, reference = state
    extreme = Extreme(Statistic(float(z), float(p)), str(of), tuple(features), float(value), float(before))
    return Joint(int(rows), extreme, Statistic(*hotelling), Statistic(*reconstruction), float(reference))
