"""Rows as a few cells of a long vector of ones and zeros: each value's bin, or each pair of bins.

The histogram [width] of many rows is then all that a linear model needs to know of them, and it adds.
"""

from __future__ import annotations

from functools import cached_property
from itertools import combinations

import numpy as np

from tidegauge.block import Codes, Ints
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.reference import OUTSIDE_CATEGORICAL, Reference

ELSEWHERE = -1  # a value such as the reference had none


class Design:
    """The cells of frozen features: one for each bin of a feature, or for each pair of bins of two.

    Pairs let a linear model see what two features do together; they take width^2 / 2 cells.
    """

    def __init__(self, bins: FeatureBins, pairs: bool) -> None:
        self.bins = bins
        self.pairs = pairs and len(bins.names) > 1

    @cached_property
    def _sizes(self) -> list[int]:
        return [int(table.max()) + 1 for table in self._tables]

    @cached_property
    def _tables(self) -> list[Codes]:
        return [dense(one) for one in self.bins.references]

    @cached_property
    def _blocks(self) -> list[tuple[int, int]]:
        """The features of each block of cells: (i, j) with i < j, or (i, i) for one alone."""
        features = range(len(self.bins.names))
        return list(combinations(features, 2)) if self.pairs else [(i, i) for i in features]

    @cached_property
    def starts(self) -> Ints:
        """Return where each block begins [blocks + 1]; the last is the width."""
        sizes = [self._sizes[i] * (self._sizes[j] if i != j else 1) for i, j in self._blocks]
        return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64)

    @property
    def width(self) -> int:
        return int(self.starts[-1])

    def cells(self, cells: Codes) -> Codes:
        """Return the cells [rows, blocks] of rows whose cells in `bins` are [rows, features].

        ELSEWHERE stands for what the reference had none of.

        >>> from tidegauge.drift import reference
        >>> ages = reference.fit([20.0, 30.0], [], 0, bins=2, max_categories=9)
        >>> bins = FeatureBins({"a": ages, "b": ages})
        >>> design = Design(bins, pairs=True)
        >>> design.width, design.cells(np.array([[1, 10], [0, 11], [3, 12]], np.int32)).tolist()
        (4, [[1], [1], [-1]])
        """
        starts = self.bins.starts
        local = [table[cells[:, f] - starts[f]] for f, table in enumerate(self._tables)]
        found = np.empty((len(cells), len(self._blocks)), np.int32)
        for column, (i, j) in enumerate(self._blocks):
            place = local[i] if i == j else local[i] * np.int32(self._sizes[j]) + local[j]
            lost = (local[i] < 0) | (local[j] < 0)
            found[:, column] = np.where(lost, ELSEWHERE, place + np.int32(self.starts[column]))
        return found


def dense(reference: Reference) -> Codes:
    """Return for each cell of a reference [width] its place among those that a linear model tells apart.

    Values below or above all others count with the outermost bin; cells without rows are ELSEWHERE.

    >>> from tidegauge.drift import reference
    >>> dense(reference.fit([1.0, 2.0, 3.0, 4.0], [], 0, bins=2, max_categories=9)).tolist()
    [0, 0, 1, 1, -1, -1]
    """
    held = reference.counts > 0
    place = np.where(held, np.cumsum(held) - 1, ELSEWHERE).astype(np.int32)
    if reference.kind == "numeric" and len(reference.edges):
        ordered = slice(0, len(reference.edges) + 1)
        inside = np.flatnonzero(held[ordered])
        if len(inside):
            nearest = np.abs(np.arange(ordered.stop)[:, None] - inside).argmin(axis=1)
            place[ordered] = place[ordered][inside[nearest]]
    else:
        other = reference.width - OUTSIDE_CATEGORICAL
        place[other + 1] = place[other]  # what was never seen counts with what was seen once
    return place
