"""ROC AUC and average precision from histograms of the score, with what binning can have cost.

Bins are the same for every series, so histograms add. Half their resolution is even in the
probability p, half even in logit p within +-14: fine where fraud scores crowd near 0 or 1, and where
other scores lie. docs/metrics.md has the measurements behind the choice.
All functions take histograms [..., bins] of weights, in increasing score.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SPAN = 14.0  # sigmoid(-14) = 8e-7; beyond it only the even half tells scores apart
_TAIL = 1 / (1 + math.exp(_SPAN))


def bin_of(probability: Floats, bins: int) -> NDArray[np.int32]:
    """Return the bin of each probability; a greater one is never in a lower bin, 1 - p mirrors p.

    >>> bin_of(np.array([0.0, 1e-6, 1e-3, 0.5, 0.999, 1.0]), 201).tolist()
    [0, 0, 25, 100, 175, 200]
    """
    inner = np.clip(probability, _TAIL, 1 - _TAIL)
    place = probability + np.log(inner / (1 - inner)) / (2 * _SPAN) + 0.5
    return np.clip(place * (bins / 2), 0, bins - 1).astype(np.int32)


def roc_auc(positive: Floats, negative: Floats) -> tuple[Floats, Floats, Floats]:
    """Return ROC AUC and the mean squared placement values of positives and of negatives.

    Rows of one bin count as tied. NaN without a positive or without a negative.
    Source: DeLong, DeLong, Clarke-Pearson 1988, Biometrics 44:837.

    >>> [float(x) for x in roc_auc(np.array([0.0, 1.0, 3.0]), np.array([3.0, 1.0, 0.0]))]
    [0.96875, 0.94140625, 0.94140625]
    """
    total_positive = positive.sum(axis=-1, keepdims=True)
    total_negative = negative.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        share_positive, share_negative = positive / total_positive, negative / total_negative
        below = share_negative.cumsum(axis=-1) - share_negative / 2
        above = 1 - share_positive.cumsum(axis=-1) + share_positive / 2
        area = (share_positive * below).sum(axis=-1)
        return (
            area,
            (share_positive * below**2).sum(axis=-1),
            (share_negative * above**2).sum(axis=-1),
        )


def roc_auc_bound(positive: Floats, negative: Floats) -> Floats:
    """Return the most by which `roc_auc` can differ from that of the unbinned scores.

    Only pairs inside a bin are ordered wrongly, each by at most a half: sum P_b N_b / (2 P N).

    >>> float(roc_auc_bound(np.array([0.0, 1.0, 3.0]), np.array([3.0, 1.0, 0.0])))
    0.03125
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = positive.sum(axis=-1) * negative.sum(axis=-1)
        result: Floats = (positive * negative).sum(axis=-1) / (2 * pairs)
    return result


def average_precision(positive: Floats, negative: Floats, row_weight: float | Floats = 1.0) -> Floats:
    """Return the average precision with the rows of a bin spread evenly over it; NaN without positives.

    A bin with P positives, N negatives and tp, fp above it adds the integral over x from 0 to P of
    (tp + x + w/2) / (tp + x + w/2 + fp + x N / P), for w = `row_weight`, the weight of a usual row.

    >>> float(average_precision(np.array([0.0, 5.0]), np.array([5.0, 0.0])))
    1.0
    """
    positive, negative, hits, alarms = _from_the_top(positive, negative)
    hits = hits + row_weight / 2
    rows = hits + alarms
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = 1 + negative / positive
        part = (positive + (hits - rows / slope) * np.log1p(slope * positive / rows)) / slope
        total = positive.sum(axis=-1)
        result: Floats = np.where(positive > 0, part, 0.0).sum(axis=-1) / total
    return np.minimum(result, 1.0)


def average_precision_range(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Return the least and the greatest average precision that the unbinned scores can have.

    Least: inside each bin all negatives come first, and a positive is worth no more than the integral
    of (tp + x) / (tp + x + fp + N). Greatest: all positives first and tied, P (tp + P) / (tp + P + fp).

    >>> low, high = average_precision_range(np.array([0.0, 1.0, 3.0]), np.array([3.0, 1.0, 0.0]))
    >>> round(float(low), 4), float(high)
    (0.9442, 1.0)
    """
    positive, negative, hits, alarms = _from_the_top(positive, negative)
    rows = hits + alarms + negative
    some = positive > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        lost = alarms + negative
        least = positive - np.where(lost > 0, lost * np.log1p(positive / rows), 0.0)
        most = positive * (hits + positive) / (hits + positive + alarms)
        total = positive.sum(axis=-1)
        return (
            np.where(some, least, 0.0).sum(axis=-1) / total,
            np.where(some, most, 0.0).sum(axis=-1) / total,
        )


def _from_the_top(positive: Floats, negative: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return both histograms by falling score, and the sums of each above every bin."""
    positive, negative = positive[..., ::-1], negative[..., ::-1]
    return (
        positive,
        negative,
        positive.cumsum(axis=-1) - positive,
        negative.cumsum(axis=-1) - negative,
    )
