"""Scores, and whether what they speak of came: the residual of an outcome, before it is one.

Of two classes the score is the probability of the positive one; of more that of the class that was predicted.
Of a number it is the prediction itself, and what may come is a greater truth. A ranked list has none.
"""

from __future__ import annotations

import numpy as np

from tidegauge.block import Floats, Ints
from tidegauge.metrics.classification import Classification
from tidegauge.metrics.regression import Regression
from tidegauge.monitor.ledger import FIRST_PROBABILITY, Family

EVEN = 0.5  # a truth equal to its prediction is half above it


def spoken(family: Family, matrix: Floats, positive: Ints) -> Floats:
    """Return score and what came [n, 2] of a ledger's rows, NaN for both where one is unknown.

    `positive` [n] are codes of the positive class of two.

    >>> rows = np.array([[1.0, 0.0, 1.0, 0.4, 0.6], [1.0, 1.0, 1.0, 0.3, 0.7]])
    >>> spoken(Classification(2, 10, 10), rows, np.array([1, 1])).tolist()
    [[0.6, 0.0], [0.7, 1.0]]
    """
    predicted, actual = matrix[:, 0], matrix[:, 1]
    if isinstance(family, Regression):
        found = np.stack((predicted, np.where(actual == predicted, EVEN, actual > predicted)), axis=1)
        found[np.isnan(predicted) | np.isnan(actual)] = np.nan
        return found
    if not isinstance(family, Classification):
        return np.full((len(matrix), 2), np.nan)
    spoken_of = positive if family.classes == 2 else predicted.astype(np.int64)
    score = matrix[np.arange(len(matrix)), FIRST_PROBABILITY + np.clip(spoken_of, 0, family.classes - 1)]
    return np.stack((score, np.where(np.isnan(score), np.nan, actual == spoken_of)), axis=1)
