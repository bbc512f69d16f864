"""What a score has come to mean: labelled rows by score bin, and the monotone curve through them.

Labelled cells [3, bins] add: sum of weights, of weights of the class, of squared weights. Bins are those
of `metrics.scores.bin_of`, the same for every series.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Codes, Floats, Ints

LABELLED = 3  # sum w, sum w * came, sum w^2


class Calibration(NamedTuple):
    """The probability of the class in each score bin. Bins of one block were pooled: they share one error."""

    probability: Floats  # [bins], never falling
    block: Ints  # [bins] number of the block
    variance: Floats  # [blocks] of the probability, for how few labelled rows it rests on
    first: int  # the least and the greatest bin with labelled rows: beyond them the curve is a guess
    last: int


def labelled_cells(
    score_bin: Codes, came: NDArray[np.bool_], weight: Floats, bins: int
) -> tuple[Codes, Floats]:
    """Return the cells [n, 3] that labelled rows add to, and what they add.

    >>> index, amount = labelled_cells(np.array([1], np.int32), np.array([True]), np.array([2.0]), 10)
    >>> index.tolist(), amount.tolist()
    ([[1, 11, 21]], [[2.0, 2.0, 4.0]])
    """
    index = score_bin[:, None] + np.arange(LABELLED, dtype=np.int32) * np.int32(bins)
    return index, np.stack((weight, weight * came, weight * weight), axis=1)


def blend(reference: Floats, live: Floats, strength: float) -> Floats:
    """Return labelled cells [3, bins] of both: the reference counts half once `strength` live rows came.

    >>> reference, live = np.array([[8.0], [8.0], [8.0]]), np.array([[4.0], [0.0], [4.0]])
    >>> blend(reference, live, 4.0).tolist()
    [[8.0], [4.0], [6.0]]
    """
    rows = float(np.maximum(live[0], 0.0).sum())
    share = strength / (strength + rows)
    cells: Floats = reference * np.array([[share], [share], [share * share]]) + live
    return cells


def monotone(cells: Floats) -> Calibration | None:
    """Return the isotonic regression of labelled cells [3, bins]; None without a labelled row.

    Pool adjacent violators (Barlow et al. 1972; as calibration: Zadrozny, Elkan 2002, KDD). A bin without
    rows lies on the line between its neighbours. A block of probability p from m effective rows has the
    variance p(1 - p) / m, with half a row of each class added so that no block is certain. O(bins).

    >>> curve = monotone(np.array([[4.0, 0.0, 4.0, 2.0], [1.0, 0.0, 3.0, 0.0], [4.0, 0.0, 4.0, 2.0]]))
    >>> curve.probability.tolist(), curve.block.tolist()
    ([0.25, 0.375, 0.5, 0.5], [0, 0, 1, 1])
    """
    weight = np.maximum(cells[0], 0.0)
    came = np.clip(cells[1], 0.0, weight)
    squares = np.maximum(cells[2], 0.0)
    seen = np.flatnonzero((weight > 0) & (squares > 0))
    if not len(seen):
        return None
    starts = _pool(weight[seen].tolist(), came[seen].tolist())
    weights, hits = np.add.reduceat(weight[seen], starts), np.add.reduceat(came[seen], starts)
    rows = weights * weights / np.add.reduceat(squares[seen], starts)
    sizes = np.diff([*starts, len(seen)])
    bins = np.arange(len(weight))
    probability = np.interp(bins, seen, np.repeat(hits / weights, sizes))
    block = np.maximum(np.searchsorted(seen[starts], bins, side="right") - 1, 0)
    smooth = (hits / weights * rows + 0.5) / (rows + 1.0)
    return Calibration(probability, block, smooth * (1 - smooth) / rows, int(seen[0]), int(seen[-1]))


def finer(curve: Calibration, bins: int) -> Calibration:
    """Return a curve as steps over more bins: bin b has the probability of bin b * old // bins.

    >>> curve = monotone(np.array([[4.0, 4.0], [1.0, 3.0], [4.0, 4.0]]))
    >>> finer(curve, 4).probability.tolist()
    [0.25, 0.25, 0.75, 0.75]
    """
    old = len(curve.probability)
    of = np.arange(bins) * old // bins
    first, last = (int(np.searchsorted(of, at, side="left")) for at in (curve.first, curve.last + 1))
    return Calibration(curve.probability[of], curve.block[of], curve.variance, first, last - 1)


def _pool(weight: list[float], came: list[float]) -> list[int]:
    """Return where the blocks of the isotonic regression of came / weight begin."""
    blocks: list[tuple[float, float, int]] = []
    for at, (rows, hits) in enumerate(zip(weight, came, strict=True)):
        total, found, start = rows, hits, at
        while blocks and blocks[-1][1] * total >= found * blocks[-1][0]:
            below, below_hits, start = blocks.pop()
            total, found = total + below, found + below_hits
        blocks.append((total, found, start))
    return [start for _, _, start in blocks]
