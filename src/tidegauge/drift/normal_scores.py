"""Values as normal scores of their cells: what moments of several features are taken of.

A cell's score is the standard normal quantile of its mid-rank in the reference (van der Waerden 1952),
standardised there. It is bounded whatever the values are, so every moment exists and none is made by a few
outliers, and a feature's unit does not matter; correlations of scores are rank correlations.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.reference import Reference

Floats = NDArray[np.float64]


def normal_scores(reference: Reference) -> Floats:
    """Return the score of each cell [width]: mean 0 and variance 1 over the reference, or all 0.

    Texts stand in the order of their frequency. Nulls, values of another type and texts that the reference
    did not have score 0, the mean; numbers out of range score as the outermost cell.

    >>> from tidegauge.drift import reference
    >>> bins = reference.fit([1.0, 2.0, 3.0, 4.0], [], 0, bins=4, max_categories=9)
    >>> normal_scores(bins).round(2)[[0, 1, 3, 5, 7, 8, 9]].tolist()
    [-1.36, -1.36, -0.38, 0.38, 1.36, 1.36, 0.0]
    """
    scores = np.zeros(reference.width)
    counts = reference.counts[: reference.null]
    held = np.flatnonzero(counts > 0)
    if len(held) < 2:
        return scores
    shares = counts[held] / counts.sum()
    quantile = NormalDist().inv_cdf
    own = np.array([quantile(rank) for rank in (np.cumsum(shares) - shares / 2).tolist()])
    own -= shares @ own
    own /= np.sqrt(counts[held] @ own**2 / reference.counts.sum())
    scores[held] = own
    if reference.kind == "numeric":
        nearest = np.abs(np.arange(reference.null)[:, None] - held).argmin(axis=1)
        scores[: reference.null] = own[nearest]
    return scores
