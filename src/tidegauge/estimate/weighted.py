"""Calibration for data that moved: labelled rows count for how usual rows like them have become.

The weight of a row is linear in its cells of a `Design`: w(x) = theta . cells(x), with theta the
least-squares fit of the ratio of densities. It needs of the labelled rows the sums cells x cells, and of the
rows without labels their histogram alone; the weighted labelled cells are linear in theta too. All that adds.
Source: least-squares importance fitting, Kanamori, Hido, Sugiyama 2009, JMLR 10:1391.
Weighting the calibration of CBPE: arXiv 2401.08348 (there with a domain classifier).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Codes, Floats, Ints
from tidegauge.estimate.calibration import LABELLED
from tidegauge.estimate.ridge import Learned

ENOUGH = 0.5  # effective share of labelled rows below which weighting is not trusted (measured: see docs)
FEWEST = 500.0  # effective labelled rows, likewise
PENALTY = 30.0


class Weighted(NamedTuple):
    """Labelled cells [3, bins] as the rows to be estimated would have them, and how far to trust them."""

    cells: Floats
    effective: float  # (sum w)^2 / sum w^2, in rows: Kish 1965
    share: float  # the same as a share of the labelled rows

    @property
    def supported(self) -> bool:
        """Whether enough labelled rows are like the rows to be estimated."""
        return self.share >= ENOUGH and self.effective >= FEWEST


def score_targets(score_bin: Codes | Ints, came: NDArray[np.bool_], bins: int) -> Floats:
    """Return the targets [n, 2 bins] of labelled rows: in which bin they are, and those that came true.

    >>> score_targets(np.array([1]), np.array([True]), 2).tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """
    rows = np.arange(len(score_bin))
    found = np.zeros((len(score_bin), 2 * bins))
    found[rows, score_bin] = 1.0
    found[rows, bins + score_bin] = came
    return found


def weighted(learned: Learned, histogram: Floats, rows: float) -> Weighted | None:
    """Return the labelled cells weighted for `rows` rows with this histogram [width]; None of no rows.

    `learned` has the targets of `score_targets`. Negative weights, which a linear fit may give to bins,
    are cut off after the sum. O(width^3).

    >>> learned = Learned.empty(2, 4)
    >>> cells = np.array([[0], [1]] * 1000, np.int32)
    >>> bins = np.zeros(2000, np.int64)
    >>> learned.add(cells, score_targets(bins, cells[:, 0] == 1, 2), np.ones(2000))
    >>> found = weighted(learned, np.array([100.0, 300.0]), 400.0)
    >>> round(float(found.cells[1, 0] / found.cells[0, 0]), 2), round(found.share, 2)
    (0.75, 0.8)
    """
    if learned.rows <= 0 or rows <= 0:
        return None
    usual = learned.gram.diagonal() / learned.rows
    penalised = learned.gram + PENALTY * np.eye(len(usual))
    theta = np.linalg.solve(penalised, histogram / rows) * learned.rows
    total = float(usual @ theta) * learned.rows
    squares = float(theta @ learned.gram @ theta)
    if total <= 0 or squares <= 0:
        return None
    bins = learned.cross.shape[1] // 2
    sums = theta @ learned.cross
    weight = np.maximum(sums[:bins], 0.0)
    came = np.clip(sums[bins:], 0.0, weight)
    cells = np.stack((weight, came, weight * (squares / total)))
    assert len(cells) == LABELLED
    effective = total * total / squares
    return Weighted(cells, effective, min(effective / learned.rows, 1.0))
