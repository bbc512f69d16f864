"""The population stability index on reference bins, and how large it gets when nothing has changed.

A fixed threshold is deaf on large windows and cries on small ones: without any drift,
n m / (n + m) * PSI follows about a chi-squared law with cells - 1 degrees of freedom (Yurdakul 2018),
so of healthy windows with 100 rows in 10 cells at least a third pass 0.1. Drift is what exceeds both
the configured threshold and the quantile of that law.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SMOOTHING = 0.5  # added to every cell: the Jeffreys prior; an empty cell then costs a finite amount
FALSE_VERDICTS = 0.01  # evaluations of a version, over all its features, that may call drift by chance
NEWTON_STEPS = 50


class FeatureDrift(NamedTuple):
    """The index of one feature; `drift` is None where it cannot be judged."""

    psi: float | None
    threshold: float | None  # the greater of the configured one and the one chance may reach
    n: int
    drift: bool | None
    cell: int | None  # the feature's cell that contributes most


def psi(reference: Floats, counts: Floats) -> float | None:
    """Return the population stability index of counts [cells]; None where they or the reference are empty.

    The sum over cells of (p - q) ln(p / q), p and q the shares smoothed by half a count; a cell empty on both
    sides says nothing and is left out. 0 and up; nats.

    >>> round(psi(np.array([50.0, 50.0]), np.array([90.0, 10.0])), 4)
    0.8531
    """
    return psi_all(reference, counts, np.zeros(1, np.int64)).psi_of(0)


def psi_null_threshold(cells: int, reference_n: float, n: float, alpha: float) -> float:
    """Return what the index of n rows exceeds with probability `alpha` when nothing has changed.

    >>> round(psi_null_threshold(10, 100, 100, 0.05), 4)
    0.3384
    """
    return chi_squared_quantile(cells - 1, alpha) * (1 / n + 1 / reference_n)


class Psi(NamedTuple):
    """Indices [features]; NaN where the window or the reference is empty."""

    psi: Floats
    n: Floats
    reference_n: Floats
    used: NDArray[np.int64]  # cells of the feature that are not empty on both sides
    terms: Floats  # [width]: what each cell contributes
    starts: NDArray[np.int64]

    def psi_of(self, feature: int) -> float | None:
        value = float(self.psi[feature])
        return None if math.isnan(value) else value


def psi_all(reference: Floats, counts: Floats, starts: NDArray[np.int64]) -> Psi:
    """Return the index of every feature of two rows of cells [width]; feature f begins at starts[f].

    About 35 us for 200 features of 14 cells.
    """
    lengths = np.diff(np.append(starts, len(counts)))
    both_empty = (reference <= 0) & (counts <= 0)
    smoothing = np.where(both_empty, 0.0, SMOOTHING)
    used, n, reference_n = (np.add.reduceat(cells, starts) for cells in (smoothing, counts, reference))
    p = (counts + smoothing) / np.repeat(n + used, lengths)
    q = (reference + smoothing) / np.repeat(reference_n + used, lengths)
    p[both_empty] = q[both_empty] = 1.0
    terms = (p - q) * np.log(p / q)
    index = np.add.reduceat(terms, starts)
    index[(n <= 0) | (reference_n <= 0)] = np.nan
    return Psi(index, n, reference_n, np.rint(used / SMOOTHING).astype(np.int64), terms, starts)


def judge_psi(
    found: Psi, threshold: float, min_samples: int, alpha: float | None = None
) -> list[FeatureDrift]:
    """Return each feature's verdict: drift only above both `threshold` and what chance reaches.

    Undecided (None) below `min_samples` rows in the window or the reference. `alpha` is the share of false
    verdicts of one feature; by default all features together have FALSE_VERDICTS.

    >>> found = psi_all(np.array([500.0, 500.0]), np.array([100.0, 900.0]), np.zeros(1, np.int64))
    >>> judge_psi(found, 0.2, min_samples=500)[0].drift
    True
    """
    share = FALSE_VERDICTS / max(1, len(found.starts)) if alpha is None else alpha
    ends = np.append(found.starts[1:], len(found.terms))
    columns: Sequence[list[float]] = [c.tolist() for c in (found.psi, found.n, found.reference_n, found.used)]
    verdicts = []
    for (index, n, reference_n, used), start, end in zip(
        zip(*columns, strict=True), found.starts.tolist(), ends.tolist(), strict=True
    ):
        if math.isnan(index):
            verdicts.append(FeatureDrift(None, None, int(n), None, None))
            continue
        limit = max(threshold, psi_null_threshold(int(used), reference_n, n, share))
        decided = n >= min_samples and reference_n >= min_samples
        cell = int(found.terms[start:end].argmax())
        verdicts.append(FeatureDrift(index, limit, int(n), index > limit if decided else None, cell))
    return verdicts


@lru_cache(maxsize=4096)
def chi_squared_quantile(degrees: int, alpha: float) -> float:
    """Return what a chi-squared variable of `degrees` exceeds with probability `alpha`, 0 for no degrees.

    Newton's method on the logarithm of the tail, from Wilson and Hilferty's (1931) cube; exact to 1e-9.

    >>> round(chi_squared_quantile(9, 0.05), 6)
    16.918978
    """
    if degrees <= 0:
        return 0.0
    spread = 2 / (9 * degrees)
    x = degrees * max(0.05, 1 - spread + NormalDist().inv_cdf(1 - alpha) * math.sqrt(spread)) ** 3
    for _ in range(NEWTON_STEPS):
        tail = chi_squared_tail(degrees, x)
        density = math.exp(
            (degrees / 2 - 1) * math.log(x) - x / 2 - math.lgamma(degrees / 2) - degrees / 2 * math.log(2)
        )
        step = tail / density * math.log(tail / alpha)
        x = max(x / 2, x + step)
        if abs(step) < 1e-11 * x:
            break
    return x


def chi_squared_tail(degrees: int, x: float) -> float:
    """Return the probability that a chi-squared variable of `degrees` (1 and up) exceeds x > 0.

    The closed sum of whole or half powers (Abramowitz and Stegun 26.4.4 and 26.4.5).

    >>> round(chi_squared_tail(2, 2.0), 6)
    0.367879
    """
    half = x / 2
    odd = degrees % 2
    total = math.erfc(math.sqrt(half)) if odd else 0.0
    for k in range((degrees - odd) // 2):
        power = k + odd / 2
        total += math.exp(power * math.log(half) - half - math.lgamma(power + 1))
    return min(1.0, total)
