"""Reference bins out of a baseline file, and into one."""

from __future__ import annotations

import numpy as np

from tidegauge.baseline_file import Histogram
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.reference import Floats, Reference


def reference_of(found: Histogram) -> Reference:
    """Return the bins that a histogram holds.

    >>> reference_of(Histogram(kind="numeric", edges=(0.0, 1.0), counts=(0, 5, 0, 1, 0))).names()
    ('< 0', '0 to 1', '> 1', 'null', 'changed type')
    """
    return Reference(
        found.kind, np.array(found.edges, np.float64), found.levels, np.array(found.counts, np.float64)
    )


def histogram_of(bins: Reference, numbers: Floats | None = None) -> Histogram:
    """Return a histogram that `reference_of` reads back, with the moments of its numbers [n]."""
    finite = np.empty(0) if numbers is None else numbers[np.isfinite(numbers)]
    return Histogram(
        kind=bins.kind,
        edges=tuple(bins.edges.tolist()),
        levels=bins.levels,
        counts=tuple(np.rint(bins.counts).astype(np.int64).tolist()),
        mean=float(finite.mean()) if len(finite) else None,
        deviation=float(finite.std()) if len(finite) else None,
    )


def bins_of(features: dict[str, Histogram]) -> FeatureBins:
    """Return the bins of all features, in the order of their names."""
    return FeatureBins({name: reference_of(features[name]) for name in sorted(features)})
