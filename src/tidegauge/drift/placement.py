"""How well scores separate two classes: placement values, their mean, and what few rows leave open.

The placement value of a positive is the share of negatives with a lower score, ties by halves; that of a
negative the share of positives with a higher one. The mean of either is the area under the ROC curve
(Bamber 1975), and how they vary within the classes is how the area varies (DeLong et al. 1988).
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.drift import bets
from tidegauge.drift.dependence import variance_inflation
from tidegauge.drift.error_baseline import bound

Floats = NDArray[np.float64]

# Of references: how often the true area lies below the bound. Rarer than elsewhere: where the rarer class
# becomes more frequent, what an unlucky reference says of it is found out sooner.
MISSED = 0.1


class Separation(msgspec.Struct, frozen=True, array_like=True):
    """What was learned of healthy rows, and the bets against it."""

    auc: float
    low: float  # what is bet against: the least that the reference allows, less the tolerance
    inflation: float  # of the variance of the area, by dependence
    stakes: tuple[float, ...]  # [bets], below 0


def placement_values(scores: Floats, came: NDArray[np.bool_]) -> Floats:
    """Return the placement values of rows [n] among those of the other class, which must have some.

    >>> placement_values(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True])).tolist()
    [1.0, 0.75, 0.75, 1.0]
    """
    found = np.empty(len(scores))
    for mine in (came, ~came):
        others = np.sort(scores[~mine])
        twice = np.searchsorted(others, scores[mine]) + np.searchsorted(others, scores[mine], "right")
        found[mine] = twice / (2 * len(others))
    found[~came] = 1 - found[~came]
    return found


def learn(scores: Floats, came: NDArray[np.bool_], tolerance: float = 0.0) -> Separation:
    """Return the separation of reference rows [n], at least two of each class, in their order.

    What is conceded is the variance of the area by chance in both classes, with the dependence of the rows.
    """
    values = placement_values(scores, came)
    auc = float(values[came].mean())
    many, few = np.array((came.sum(), (~came).sum())), min(int(came.sum()), int((~came).sum()))
    spread = np.array((values[came].var(ddof=1), values[~came].var(ddof=1)))
    share = came.mean()
    inflation = variance_inflation((values - auc) / np.where(came, share, 1 - share))
    binary, variance = auc * (1 - auc), float((spread / many).sum())
    pairs = binary / variance if variance > 0 else 0.0  # as many independent pairs would tell as much
    low = bound(auc, binary, max(pairs, few) / inflation, -1.0, MISSED)
    low = max(low - tolerance, 0.0)
    stakes = bets.stakes_down(low, float(spread.sum()) or None)
    return Separation(auc, low, inflation, tuple(stakes.tolist()))
