"""Expected calibration error from equal-width bins of the claimed probability."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.value import UNIT

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Part = tuple[Codes, list[Floats]]  # cells [k, n], and what each of the k adds [n]


def spaced(cell: Codes, first: int, step: int, count: int) -> Codes:
    """Return cells [count, n] that lie `step` apart, from `first` on.

    >>> spaced(np.array([0, 1], np.int32), 100, 5, 2).tolist()
    [[100, 101], [105, 106]]
    """
    found: Codes = cell + np.arange(first, first + count * step, step, dtype=np.int32)[:, None]
    return found


def calibration_cells(claim: Floats, came: NDArray[np.bool_], weight: Floats, bins: int, first: int) -> Part:
    """Return the part of [4, bins] cells from `first`: sum w, w*claim, w*came, w*(claim - came)^2.

    Bin b holds claims of [b / bins, (b + 1) / bins), the last one also 1.

    >>> cells, _ = calibration_cells(np.array([0.9]), np.array([True]), np.ones(1), 5, 100)
    >>> cells.T.tolist()
    [[104, 109, 114, 119]]
    """
    cell = np.minimum((claim * bins).astype(np.int32), np.int32(bins - 1))
    amounts = [weight, weight * claim, weight * came, weight * (claim - came) ** 2]
    return spaced(cell, first, bins, 4), amounts


def expected_error(bins: Floats, weight: Floats, n_eff: Floats, z: float) -> tuple[Floats, Floats, Floats]:
    """Return ECE = sum_b |sum w*claim - sum w*came| / sum w of [rows, 4, bins] cells: value, low, high.

    weight, n_eff [rows]: sum and effective number of the rows; NaN without any, and up to one effective row
    there is no interval.
    With Z_b the normal errors of the bins, ECE is too high by at most sum |Z_b|, too low by at most
    sum +-Z_b: the lower limit leaves room for the mean and z deviations of the former (ECE is biased
    upward), the upper limit for z deviations of the latter.

    >>> bins = np.array([[[4.0, 6.0], [1.0, 5.0], [1.0, 4.0], [0.8, 1.0]]])
    >>> expected_error(bins, np.full(1, 10.0), np.full(1, 10.0), 1.96)[0].round(3).tolist()
    [0.1]
    """
    gaps = (bins[:, 1] - bins[:, 2]) / weight[:, None]
    error = np.minimum(np.abs(gaps).sum(axis=1), 1.0)
    spare = np.where(n_eff > 1, n_eff - 1, np.nan)[:, None]
    variances = np.maximum(bins[:, 3] / weight[:, None] - gaps * gaps, 0.0) / spare
    total = variances.sum(axis=1)
    excess = math.sqrt(2 / math.pi) * np.sqrt(variances).sum(axis=1)
    low = np.maximum(error - excess - z * np.sqrt(total * (1 - 2 / math.pi)), UNIT[0])
    high = np.minimum(error + z * np.sqrt(total), UNIT[1])
    return error, low, high


def widened(bins: Floats) -> Floats:
    """Return [4, bins] cells of the top class from those of class 1 of two.

    A claim p < 1/2 of class 1 is a claim 1 - p of class 0. A bin that holds 1/2 stays as it is.

    >>> widened(np.array([[4.0, 6.0], [1.0, 5.0], [1.0, 4.0], [0.8, 1.0]])).tolist()
    [[0.0, 10.0], [0.0, 8.0], [0.0, 7.0], [0.0, 1.8]]
    """
    half = bins.shape[1] // 2
    lower = bins[:, :half]
    mirrored = np.stack((lower[0], lower[0] - lower[1], lower[0] - lower[2], lower[3]))[:, ::-1]
    found = bins.copy()
    found[:, :half] = 0.0
    found[:, -half:] += mirrored
    return found
