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
    return monotones(cells[None])[0]


def monotones(cells: Floats) -> list[Calibration | None]:
    """Return what `monotone` does of each row of cells [rows, 3, bins]. Cost: 20 us a row of 200 bins."""
    weight = np.maximum(cells[:, 0], 0.0)
    came = np.clip(cells[:, 1], 0.0, weight)
    squares = np.maximum(cells[:, 2], 0.0)
    row, seen = np.nonzero((weight > 0) & (squares > 0))
    if not len(row):
        return [None] * len(cells)
    weight, came, squares = weight[row, seen], came[row, seen], squares[row, seen]
    starts = _pools(weight, came, row)
    weights, hits, powers = (np.add.reduceat(sums, starts) for sums in (weight, came, squares))
    rows = weights * weights / powers
    mean = hits / weights
    smooth = (mean * rows + 0.5) / (rows + 1.0)
    variance = smooth * (1 - smooth) / rows
    flat = np.repeat(mean, np.diff(starts, append=len(row)))
    every, bins = np.arange(len(cells) + 1), np.arange(cells.shape[2])
    of_bins, of_blocks = np.searchsorted(row, every).tolist(), np.searchsorted(row[starts], every).tolist()
    found: list[Calibration | None] = []
    for first, last, block, past in zip(of_bins, of_bins[1:], of_blocks, of_blocks[1:], strict=False):
        if first == last:
            found.append(None)
            continue
        mine = seen[first:last]
        number = np.maximum(np.searchsorted(seen[starts[block:past]], bins, side="right") - 1, 0)
        probability = np.interp(bins, mine, flat[first:last])
        found.append(Calibration(probability, number, variance[block:past], int(mine[0]), int(mine[-1])))
    return found


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


def _pools(weight: Floats, came: Floats, row: Ints) -> Ints:
    """Return where the blocks of the isotonic regressions of came / weight begin, each within a row.

    Neighbours that fall or are alike are pooled until none are; a run of them belongs in one block.
    """
    starts = np.arange(len(row))
    while True:
        falls = (came[:-1] * weight[1:] >= came[1:] * weight[:-1]) & (row[:-1] == row[1:])
        if not falls.any():
            return starts
        first = np.flatnonzero(np.concatenate(([True], ~falls)))
        weight, came = np.add.reduceat(weight, first), np.add.reduceat(came, first)
        starts, row = starts[first], row[first]
