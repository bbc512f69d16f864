"""Re-lays the cells of a classification whose classes have become more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.calibration import widened
from tidegauge.metrics.classification import MATRIX_CLASSES, Classification

Floats = NDArray[np.float64]


def widen(cells: Floats, old: Classification, new: Classification, mapping: Sequence[int]) -> Floats:
    """Return the cells that `new` would hold for the same rows; class i of `old` is `mapping[i]` there.

    A model gave a class it did not know the probability 0. Every metric is as if all classes had been
    known from the start, but for two: from two to more classes ECE turns from that of class 1 into
    that of the top class (exact but for the bin that holds 1/2); past SCORED_CLASSES histograms go.

    >>> old, new = Classification(2), Classification(3)
    >>> cells = np.zeros(old.width)
    >>> cells[old.parts.confusion.start] = 5.0
    >>> new.confusion(widen(cells, old, new, [2, 0]))[2, 2]
    np.int64(5)
    """
    if new.classes < old.classes or (old.score_bins, old.calibration_bins) != (
        new.score_bins,
        new.calibration_bins,
    ):
        raise ValueError(f"expected the same bins and no fewer classes, got {old} and {new}")
    codes = np.asarray(mapping)
    found = np.zeros(new.width)
    found[new.parts.confusion] = _confusion(cells[old.parts.confusion], old, new, codes)
    scored = np.zeros((3, new.classes))
    scored[:, codes] = cells[old.parts.scored].reshape(3, -1)
    found[new.parts.scored] = scored.ravel()
    doubled = old.classes == 2 < new.classes  # the Brier score of two classes is halved
    found[new.parts.losses] = cells[old.parts.losses] * ([1, 1, 2, 4] if doubled else 1)
    bins = cells[old.parts.calibration].reshape(4, -1)
    found[new.parts.calibration] = (widened(bins) if doubled else bins).ravel()
    if new.histograms and old.histograms:
        found[new.parts.scores] = _scores(cells, old, new, codes)
    return found


def _confusion(part: Floats, old: Classification, new: Classification, codes: NDArray[np.int64]) -> Floats:
    k = new.classes
    if old.classes > MATRIX_CLASSES:
        margins = np.zeros((3, 3, k))
        margins[:, :, codes] = part.reshape(3, 3, -1)
        return margins.ravel()
    stack = np.zeros((3, k, k))
    stack[:, codes[:, None], codes] = part.reshape(3, old.classes, old.classes)
    if k <= MATRIX_CLASSES:
        return stack.ravel()
    diagonal = np.diagonal(stack, axis1=1, axis2=2)
    return np.stack((diagonal, stack.sum(axis=2), stack.sum(axis=1)), axis=1).ravel()


def _scores(cells: Floats, old: Classification, new: Classification, codes: NDArray[np.int64]) -> Floats:
    kept = cells[old.parts.scores].reshape(old.histograms, 2, old.score_bins)
    if new.classes == 2:
        flipped = bool(codes[0] == 1)
        return (kept[:, ::-1, ::-1] if flipped else kept).ravel()
    if old.classes == 2:
        kept = np.concatenate((kept[:, ::-1, ::-1], kept))
    spread = np.zeros((new.histograms, 2, new.score_bins))
    spread[:, 0, 0] = kept[0].sum()
    spread[codes] = kept
    return spread.ravel()
