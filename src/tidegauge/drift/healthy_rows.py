"""What healthy rows look like, feature by feature: the reference, and later rows that agree with it.

A reference of some thousand rows may be wrong by more than a slight shift is great. So learning goes on, in
batches of 1, 2, 4 and 8 times the reference: a feature's batch joins its healthy rows where both look alike,
by their mean rank and by the shares of all cells. Batches are held against the reference alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.drift import feature_bets
from tidegauge.drift.dependence import RunningInflation
from tidegauge.drift.feature_bets import FeatureBets
from tidegauge.drift.features import FeatureBins
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BATCHES = 4  # past 16 times the reference there is little left to concede
AGREED = 3.5  # standard errors of the mean rank: one healthy feature in two thousand is not taught by a batch
_MANY = 1 << 31
ALIKE = 5.0  # standard deviations of chi-squared, for the shares of cells


class HealthyRows:
    """The counts of healthy rows, and the batch that comes in."""

    def __init__(self, bins: FeatureBins) -> None:
        self._bins = bins
        self._counts = bins.counts  # [width] of healthy rows
        self._inflation = np.ones(len(bins.names))  # when the last batch was over
        self._batch = np.zeros(bins.width, np.int64)
        self._rows = 0  # of the batch
        self._batches = 0  # that are over
        self._reference_rows = max((float(one.counts.sum()) for one in bins.references), default=0.0)

    def bets(self) -> FeatureBets:
        """Return the bets against what is known to be healthy."""
        return feature_bets.build(self._bins, self._counts, self._inflation)

    def lacking(self, step: int) -> int:
        """Return how many steps of so many rows end the batch, at least one; many where none comes in."""
        if self._batches >= BATCHES:
            return _MANY
        return max(-int((self._rows - self._reference_rows * (1 << self._batches)) // step), 1)

    def add(self, counts: Ints, rows: int, inflation: RunningInflation) -> bool:
        """Take the histograms [width] of so many rows; return whether a batch is over, and bets change."""
        if self._batches >= BATCHES:
            return False
        self._batch += counts
        self._rows += rows
        if self._rows < self._reference_rows * (1 << self._batches):
            return False
        self._inflation = inflation.value()
        joined = agree(self._bins, self._batch.astype(np.float64), self._inflation)
        widths = [one.width for one in self._bins.references]
        self._counts = self._counts + self._batch * np.repeat(joined, widths)
        self._batches += 1
        self._batch, self._rows = np.zeros_like(self._batch), 0
        return True

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `load` reads back; the bins are kept elsewhere."""
        return {
            "counts": self._counts,
            "inflation": self._inflation,
            "batch": self._batch,
            "rows": self._rows,
            "batches": self._batches,
        }

    @classmethod
    def load(cls, state: Mapping[str, Any] | None, bins: FeatureBins) -> HealthyRows:
        """Return what `dump` wrote, learning no more without a state; raises SnapshotError for another."""
        found = cls(bins)
        if state is None:
            found._batches = BATCHES
            return found
        counts, batch = np.array(state["counts"], np.float64), np.array(state["batch"], np.int64)
        inflation = np.array(state["inflation"], np.float64)
        if (counts.shape, batch.shape, inflation.shape) != ((bins.width,), (bins.width,), (len(bins.names),)):
            raise SnapshotError("feature shift: healthy rows of other bins")
        found._counts, found._batch, found._inflation = counts, batch, inflation
        found._rows, found._batches = int(state["rows"]), int(state["batches"])
        return found


def agree(bins: FeatureBins, batch: Floats, inflation: Floats) -> NDArray[np.bool_]:
    """Return of which features [F] a batch with these counts [width] looks like the reference.

    Neither the mean rank differs by more than AGREED standard errors, nor do the cells by more than ALIKE
    standard deviations of chi-squared (homogeneity of two samples), which `inflation` [F] widens.
    """
    starts, first = bins.starts, bins.counts
    n, m = (np.add.reduceat(one, starts) for one in (batch, first))
    widths = np.diff(np.append(starts, bins.width))
    ratio = np.repeat(np.sqrt(m / np.maximum(n, 1.0)), widths)
    both = batch + first
    squares = (ratio * batch - first / ratio) ** 2 / np.maximum(both, 1.0)
    free = np.maximum(np.add.reduceat((both > 0).astype(np.float64), starts) - 1, 1.0)
    cells = np.add.reduceat(squares, starts) <= (free + ALIKE * np.sqrt(2 * free)) * inflation
    probe = feature_bets.probes(bins)
    mean = np.add.reduceat(batch * probe, starts) / np.maximum(n, 1.0)
    ranks = np.abs(mean) <= AGREED * np.sqrt(inflation * (1 / np.maximum(n, 1.0) + 1 / np.maximum(m, 1.0)))
    found: NDArray[np.bool_] = cells & ranks & (n > 0)
    return found
