"""Linear models from sums: what labelled rows say of rows that have no label yet.

A labelled row has a few cells of a `Design` and targets, such as its absolute and squared error. Their sums
(cells x cells, cells x targets) add, so they can be kept in a stream and merged; of rows without a label only
the histogram of cells is needed. Ridge regression of the targets on the cells then gives the mean target of
those rows: the loss of a regression before its labels come.
Source: direct loss estimation, NannyML's documentation, "How it works: performance estimation"; the sums and
the pairs in place of its gradient-boosted trees are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import Codes, Floats
from tidegauge.estimate.design import ELSEWHERE
from tidegauge.metrics.value import NON_NEGATIVE, Value, normal, undefined

PENALTY = 30.0  # as if each cell had 30 more rows with the mean target
LOSSES = ("mae", "rmse", "bias")


@dataclass(slots=True)
class Learned:
    """The sums of labelled rows: all add, and a row with weight -1 takes one out."""

    rows: float
    gram: Floats  # [width, width] rows that had both cells
    cross: Floats  # [width, targets] sum of targets of the rows that had a cell
    totals: Floats  # [2, targets] sum of targets, of their squares

    @classmethod
    def empty(cls, width: int, targets: int) -> Learned:
        """Return the sums of no rows."""
        return cls(0.0, np.zeros((width, width)), np.zeros((width, targets)), np.zeros((2, targets)))

    def add(self, cells: Codes, targets: Floats, weight: Floats) -> None:
        """Add rows: cells [n, blocks], targets [n, t], weight [n]. O(n blocks^2)."""
        width = len(self.gram)
        held = cells != ELSEWHERE
        safe = np.where(held, cells, 0).astype(np.int64)
        both = held[:, :, None] & held[:, None, :]
        flat = (safe[:, :, None] * width + safe[:, None, :])[both]
        np.add.at(self.gram.reshape(-1), flat, np.broadcast_to(weight[:, None, None], both.shape)[both])
        row, _ = np.nonzero(held)
        np.add.at(self.cross, safe[held], targets[row] * weight[row, None])
        self.rows += float(weight.sum())
        self.totals += np.stack((weight @ targets, weight @ targets**2))

    def merge(self, other: Learned) -> None:
        """Add the rows of another."""
        self.rows += other.rows
        self.gram += other.gram
        self.cross += other.cross
        self.totals += other.totals

    def fade(self, share: float) -> None:
        """Let the rows count for a share of what they did."""
        self.rows *= share
        self.gram *= share
        self.cross *= share
        self.totals *= share

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {"rows": self.rows, "gram": self.gram, "cross": self.cross, "totals": self.totals}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Learned:
        """Return what `state()` returned."""
        arrays = {name: np.array(state[name], np.float64) for name in ("gram", "cross", "totals")}
        return cls(float(state["rows"]), **arrays)


class Means(NamedTuple):
    """The estimated mean of each target over some rows, and the variance of what will be realised."""

    mean: Floats  # [targets]
    variance: Floats  # [targets]


def estimate(learned: Learned, histogram: Floats, rows: float, penalty: float = PENALTY) -> Means | None:
    """Return the mean targets of `rows` rows with this histogram of cells [width]; None of no rows.

    With z the mean cells of labelled rows and h those of these: mean t + (h - z)' W, W from ridge
    regression about the means (Hoerl, Kennard 1970). Variance: residual variance times 1/rows (their
    chance) + 1/labelled + (h - z)' (G + penalty)^-1 (h - z) (that of W). O(width^3).

    >>> learned = Learned.empty(2, 1)
    >>> cells = np.array([[0], [1]] * 500, np.int32)
    >>> learned.add(cells, np.array([[1.0], [3.0]] * 500), np.ones(1000))
    >>> round(float(estimate(learned, np.array([0.0, 10.0]), 10.0, penalty=0.001).mean[0]), 3)
    3.0
    """
    if learned.rows < 2 or rows <= 0:
        return None
    centre, mean = learned.gram.diagonal() / learned.rows, learned.totals[0] / learned.rows
    gram = learned.gram - learned.rows * np.outer(centre, centre)
    cross = learned.cross - learned.rows * np.outer(centre, mean)
    away = histogram / rows - centre
    solved = np.linalg.solve(
        gram + penalty * np.eye(len(centre)), np.concatenate((cross, away[:, None]), axis=1)
    )
    weights, lever = solved[:, :-1], float(away @ solved[:, -1])
    total = learned.totals[1] - learned.rows * mean**2
    residual = total - 2 * (weights * cross).sum(0) + (weights * (gram @ weights)).sum(0)
    spread = np.maximum(residual, 0.0) / learned.rows
    return Means(mean + away @ weights, spread * (1 / rows + 1 / learned.rows + max(lever, 0.0)))


def loss_targets(error: Floats) -> Floats:
    """Return the targets [n, 3] of errors prediction - actual [n]: absolute, squared, signed.

    >>> loss_targets(np.array([-2.0])).tolist()
    [[2.0, 4.0, -2.0]]
    """
    return np.stack((np.abs(error), error**2, error), axis=1)


def losses(learned: Learned, histogram: Floats, rows: float, z: float) -> dict[str, Value]:
    """Return estimated mae, rmse and bias of rows with this histogram; undefined without labelled rows.

    >>> learned = Learned.empty(1, 3)
    >>> learned.add(np.zeros((100, 1), np.int32), loss_targets(np.tile([1.0, -3.0], 50)), np.ones(100))
    >>> [round(value.value, 3) for value in losses(learned, np.array([10.0]), 10.0, 1.96).values()]
    [2.0, 2.236, -1.0]
    """
    n = round(rows)
    found = estimate(learned, histogram, rows)
    if found is None:
        return dict.fromkeys(LOSSES, undefined(n))
    absolute, squared, signed = found.mean.tolist()
    errors = np.sqrt(found.variance).tolist()
    absolute, root = max(absolute, 0.0), math.sqrt(max(squared, 0.0))
    low, high = normal(squared, errors[1], z, NON_NEGATIVE)
    return {
        "mae": Value(absolute, n, *normal(absolute, errors[0], z, NON_NEGATIVE)),
        "rmse": Value(root, n, math.sqrt(low), math.sqrt(high)),
        "bias": Value(signed, n, *normal(signed, errors[2], z)),
    }
