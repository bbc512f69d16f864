"""NannyML: accuracy, F1 and the drift of every feature against the reference, a chunk a batch.

It has no PSI; Jensen-Shannon is its default for numbers, over bins of the reference like PSI.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import nannyml

from benchmarks.peers.rows import features, main


def prepare(reference: Any) -> Callable[[Any], object]:
    """Return what calculates a batch."""
    warnings.simplefilter("ignore")
    size = len(reference)
    performance = nannyml.PerformanceCalculator(
        y_pred="prediction",
        y_pred_proba="proba",
        y_true="target",
        problem_type="classification_binary",
        metrics=["accuracy", "f1"],
        chunk_size=size,
    ).fit(reference)
    drift = nannyml.UnivariateDriftCalculator(
        column_names=[*features(reference), "proba"], continuous_methods=["jensen_shannon"], chunk_size=size
    ).fit(reference)
    return lambda frame: (performance.calculate(frame).to_df(), drift.calculate(frame).to_df())


if __name__ == "__main__":
    main("nannyml", prepare)
