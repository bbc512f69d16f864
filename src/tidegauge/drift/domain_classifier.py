"""Can rows be told from reference rows? An online logistic regression that is judged before it learns.

Of a step of new rows and as many reference rows the classifier first gives scores, then learns which were
which (progressive validation, Blum, Kalai and Langford 1999). The reference rows that judge are never those
it learns from, so where nothing moved its area under the curve is 1/2 but for chance. It sees scores and
their squares, whitened by the reference: means and spreads in any combination, but no correlation.
Its sums are einsum's, because products of this size are where OpenBLAS makes threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.joint_measures import Statistic
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]

VERSION = 1
RATE = 0.3  # of a step; in whitened coordinates 4 would be Newton's
FADE = 0.01  # of the weights, a step: what no longer helps is forgotten
RIDGE = 0.05  # added to variances before whitening


class DomainClassifier:
    """Weights that tell new rows from a reference's, and how well they do in the window so far.

    >>> rng = np.random.default_rng(1)
    >>> classifier = DomainClassifier(rng.normal(size=(2, 2_000)))
    >>> for _ in range(8):
    ...     classifier.add(rng.normal(0.5, size=(2, 250)))
    >>> classifier.close().p < 1e-9
    True
    """

    def __init__(self, reference: Floats) -> None:
        """`reference` is scores [F, rows]: one half teaches, the other judges."""
        half = reference.shape[1] // 2
        known = _both(reference)
        self._mean = known[:, :half].mean(axis=1)
        values, vectors = np.linalg.eigh(np.cov(known[:, :half]) + RIDGE * np.eye(len(known)))
        self._whitening = vectors / np.sqrt(values)
        centred = known - self._mean[:, None]
        self._teaching, self._judging = centred[:, :half], centred[:, half : 2 * half]
        self.steps = 0
        self._weights = np.zeros(len(known))
        self._sums = np.zeros(3)  # of the window: steps, areas less 1/2, their variances

    def add(self, scores: Floats) -> None:
        """Judge, then learn from, the scores [F, rows] of new rows: no more than half the reference."""
        new, count = _both(scores) - self._mean[:, None], scores.shape[1]
        start = self.steps * count
        judging, teaching = _turned(self._judging, start, count), _turned(self._teaching, start, count)
        self.steps += 1
        direction = np.einsum("ij,j->i", self._whitening, self._weights)
        seen, taught, judged = (np.einsum("i,ij->j", direction, rows) for rows in (new, teaching, judging))
        self._sums += (1.0, auc(judged, seen) - 0.5, (2 * count + 1) / (12 * count * count))
        error = np.einsum("ij,j->i", new, 1 - _logistic(seen))
        error -= np.einsum("ij,j->i", teaching, _logistic(taught))
        gradient = np.einsum("ij,i->j", self._whitening, error) / (2 * count)
        self._weights += RATE * gradient - FADE * self._weights

    def close(self) -> Statistic:
        """Return the area of the window and p of one so great (Mann and Whitney 1947); begin the next."""
        steps, away, variance = self._sums.tolist()
        self._sums[:] = 0.0
        if not steps:
            return Statistic(0.5, 1.0)
        return Statistic(0.5 + away / steps, math.erfc(away / math.sqrt(2 * variance)) / 2)

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `restore` reads back; the reference is kept elsewhere."""
        return {"version": VERSION, "steps": self.steps, "weights": self._weights, "sums": self._sums}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `dump` wrote; raises SnapshotError where it is something else."""
        if state.get("version") != VERSION:
            raise SnapshotError(
                f"domain classifier: expected version {VERSION}, got {state.get('version')!r}"
            )
        weights, sums = np.array(state["weights"], np.float64), np.array(state["sums"], np.float64)
        if weights.shape != self._weights.shape or sums.shape != self._sums.shape:
            raise SnapshotError("domain classifier: weights of other features")
        self.steps, self._weights, self._sums = int(state["steps"]), weights, sums


def auc(negative: Floats, positive: Floats) -> float:
    """Return the share of pairs in which a positive score [n] is above a negative one [m]; ties are halves.

    >>> auc(np.array([0.1, 0.5]), np.array([0.5, 0.9]))
    0.875
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.mean()) / (2 * len(negative))


def _both(scores: Floats) -> Floats:
    return np.concatenate((scores, scores**2))


def _turned(rows: Floats, start: int, count: int) -> Floats:
    """Return `count` columns from `start` on, as often round as it takes."""
    return rows[:, (start + np.arange(count)) % rows.shape[1]]


def _logistic(value: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(value, -500, 500)))
    return found
