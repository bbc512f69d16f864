"""Bins for a linear model of a version's rows: as fine as a number of cells allows."""

from __future__ import annotations

import math

from tidegauge.drift.features import FeatureBins
from tidegauge.drift.sample import ReferenceSample
from tidegauge.estimate.design import Design

FINEST = 8  # bins of a feature: more made no estimate better (measured on NannyML's regression data)
COARSEST = 2


def fit(sample: ReferenceSample, always: str, cells: int, pairs: bool) -> Design:
    """Return the finest design of at most `cells` cells of a sample's features.

    Pairs where they fit with two bins each, else each feature alone, else the feature `always` alone.

    >>> import numpy as np
    >>> from tidegauge.block import Layout
    >>> sample = ReferenceSample(needed=100)
    >>> sample.add(Layout(("a", "b"), (False, False)), np.random.default_rng(1).random((100, 2)))
    >>> fit(sample, "a", 40, pairs=True).width, fit(sample, "a", 9, pairs=False).width
    (36, 8)
    """
    features = len(sample.freeze(COARSEST, COARSEST).names)
    blocks = features * (features - 1) / 2
    start = int(math.sqrt(cells / blocks)) if pairs and blocks else 0
    for bins in range(min(start, FINEST), COARSEST - 1, -1):
        found = Design(sample.freeze(bins, bins), pairs=True)
        if found.width <= cells:
            return found
    for bins in range(min(cells // max(features, 1), FINEST), COARSEST - 1, -1):
        found = Design(sample.freeze(bins, bins), pairs=False)
        if found.width <= cells:
            return found
    frozen = sample.freeze(min(FINEST, cells), FINEST)
    only = frozen.references[frozen.names.index(always)]
    return Design(FeatureBins({always: only}), pairs=False)
