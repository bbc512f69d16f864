"""Classification: the cells of binary and multiclass outcomes, and every metric from their sums."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import columns as of
from tidegauge.metrics import confusion as matrix
from tidegauge.metrics import scores
from tidegauge.metrics.calibration import Part, calibration_cells, expected_error, spaced
from tidegauge.metrics.columns import Columns
from tidegauge.metrics.confusion import Confusion
from tidegauge.metrics.order import ORDER, Areas, averaged, delong_error
from tidegauge.metrics.value import Value, normal_quantile

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

SCORED_CLASSES = 10  # up to here a score histogram per class: 2 * score_bins cells each
MATRIX_CLASSES = 32  # up to here the whole confusion matrix: 3 * K^2 cells
LOSSES = ("log_loss", "brier")
_SMALLEST = float(np.finfo(np.float64).eps)  # scikit-learn clips probabilities so far for the log loss
_LOSS_CELLS = 4  # fixed by Parts.losses


class Parts(NamedTuple):
    """The cells of a vector, part by part."""

    confusion: slice  # [3, K, K] rows, sum w, sum w^2, actual x predicted; or [3, 3, K] margins
    scored: slice  # [3, K] the same of rows with a probability, by actual class
    losses: slice  # sums of w * log loss, its square, w * Brier, its square
    calibration: slice  # [4, calibration_bins]
    scores: slice  # [histograms, 2, score_bins] weights of the rest, of the class


@dataclass(frozen=True)
class Classification:
    """Cells: confusion (rows, sum w, sum w^2), scored rows, losses, calibration bins, score histograms.

    Above SCORED_CLASSES there are no histograms: roc_auc and pr_auc exist in count windows only.
    Above MATRIX_CLASSES there is no matrix, only its diagonal and margins: every metric is still
    exact, but averages and MCC have no interval.
    """

    classes: int
    score_bins: int = 200
    calibration_bins: int = 15

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"expected two classes or more, got {self.classes}")

    @cached_property
    def histograms(self) -> int:
        """Scores kept: of class 1 for two classes (that of class 0 mirrors it), else of each class."""
        if self.classes == 2:
            return 1
        return self.classes if self.classes <= SCORED_CLASSES else 0

    @cached_property
    def _confused(self) -> int:
        return self.classes**2 if self.classes <= MATRIX_CLASSES else 3 * self.classes

    @cached_property
    def parts(self) -> Parts:
        """Where each part of the cells lies."""
        sizes = (
            3 * self._confused,
            3 * self.classes,
            _LOSS_CELLS,
            4 * self.calibration_bins,
            self.histograms * 2 * self.score_bins,
        )
        ends = np.cumsum(sizes).tolist()
        return Parts(*(slice(end - size, end) for size, end in zip(sizes, ends, strict=True)))

    @cached_property
    def width(self) -> int:
        """Number of cells."""
        return int(self.parts.scores.stop)

    def cells(self, predicted: Codes, actual: Codes, proba: Floats, weight: Floats) -> tuple[Codes, Floats]:
        """Return the cells [n, m] that each row adds to, and what it adds.

        predicted, actual [n]: codes 0..K-1. proba [n, K]: in a row with some number NaN means 0 (the
        model gave that class nothing), a row of NaN has no probability. weight [n] > 0.

        >>> family = Classification(2, score_bins=10, calibration_bins=5)
        >>> one = np.array([1], np.int32)
        >>> index, amount = family.cells(one, one, np.array([[0.2, 0.8]]), np.ones(1))
        >>> vector = np.bincount(index.ravel(), amount.ravel(), family.width)
        >>> family.confusion(vector).tolist()
        [[0, 0], [0, 1]]
        """
        parts = [self._confusion_part(predicted, actual, weight)]
        missing = np.isnan(proba)
        scored = ~reduce(np.logical_and, missing.T)  # by columns: ten times all(axis=1)
        if scored.any():
            chosen = np.clip(np.where(missing, 0.0, proba), 0.0, 1.0)
            parts += self._score_parts(actual, chosen, weight * scored, scored)
        index = np.concatenate([cells for cells, _ in parts])
        return index.T, np.stack([amount for _, amounts in parts for amount in amounts]).T

    def _confusion_part(self, predicted: Codes, actual: Codes, weight: Floats) -> Part:
        amounts = [np.ones(len(weight)), weight, weight * weight]
        if self.classes <= MATRIX_CLASSES:
            return spaced(actual * np.int32(self.classes) + predicted, 0, self._confused, 3), amounts
        places = np.stack((actual, actual + np.int32(self.classes), predicted + np.int32(2 * self.classes)))
        hit = predicted == actual
        return (
            np.concatenate([places + np.int32(i * self._confused) for i in range(3)]),
            [each for amount in amounts for each in (amount * hit, amount, amount)],
        )

    def _score_parts(
        self, actual: Codes, proba: Floats, weight: Floats, scored: NDArray[np.bool_]
    ) -> list[Part]:
        _, counted, losses, _, histogram = self.parts
        row = np.arange(len(actual))
        of_actual = proba[row, actual]
        miss = proba.copy()
        miss[row, actual] -= 1.0
        brier = np.einsum("nk,nk->n", miss, miss) / (2 if self.classes == 2 else 1)
        loss = -np.log(np.clip(of_actual, _SMALLEST, 1 - _SMALLEST))
        parts = [
            (spaced(actual, counted.start, self.classes, 3), [scored * 1.0, weight, weight * weight]),
            (
                spaced(np.zeros_like(actual), losses.start, 1, _LOSS_CELLS),
                [weight * loss, weight * loss**2, weight * brier, weight * brier**2],
            ),
            self._calibration_part(actual, proba, weight),
        ]
        for k in range(self.histograms):
            code = 1 if self.classes == 2 else k
            side = np.int32(histogram.start) + (actual == code) * np.int32(self.score_bins)
            place = scores.bin_of(proba[:, code], self.score_bins) + np.int32(2 * k * self.score_bins)
            parts.append(((side + place)[None], [weight]))
        return parts

    def _calibration_part(self, actual: Codes, proba: Floats, weight: Floats) -> Part:
        if self.classes == 2:
            claim, came = proba[:, 1], actual == 1
        else:
            top = proba.argmax(axis=1)
            claim, came = proba[np.arange(len(top)), top], top == actual
        first = self.parts.calibration.start
        return calibration_cells(claim, came, weight, self.calibration_bins, first)

    def confusion(self, cells: Floats) -> NDArray[np.int64]:
        """Return the counts of rows [..., K, K], actual x predicted; only up to MATRIX_CLASSES.

        cells: [..., width].

        >>> Classification(3).confusion(np.zeros(Classification(3).width)).sum()
        np.int64(0)
        """
        if self.classes > MATRIX_CLASSES:
            raise ValueError(f"expected at most {MATRIX_CLASSES} classes, got {self.classes}")
        counts = cells[..., : self._confused].reshape(*cells.shape[:-1], self.classes, self.classes)
        return np.rint(counts).astype(np.int64)

    def names(self, classes: Sequence[str], positive: int | None = None) -> tuple[str, ...]:
        """Return every metric that `values` gives.

        >>> Classification(2).names(["0", "1"], 1)[-5:]
        ('roc_auc', 'pr_auc', 'log_loss', 'brier', 'ece')
        """
        order = ORDER if self.histograms else ()
        return (*matrix.names(classes, positive), *order, *LOSSES, "ece")

    def values(
        self,
        cells: Floats,
        classes: Sequence[str],
        positive: int | None = None,
        confidence: float = 0.95,
        only: Collection[str] | None = None,
    ) -> dict[str, Value]:
        """Return the metrics of summed cells [width], or those in `only`.

        classes: the K names; positive: the code of the positive class, None for averages over classes.
        docs/metrics.md defines each metric, its interval, and when it is undefined (None).

        >>> family = Classification(2)
        >>> family.values(np.zeros(family.width), ["0", "1"], 1, only={"f1"})
        {'f1': Value(value=None, n=0, low=None, high=None)}
        """
        return self.columns(cells[None], classes, positive, confidence, only).values()

    def columns(
        self,
        cells: Floats,
        classes: Sequence[str],
        positive: int | None = None,
        confidence: float = 0.95,
        only: Collection[str] | None = None,
    ) -> Columns:
        """Return what `values` says of each row of cells [rows, width]; classes and positive are the same.

        >>> family = Classification(2)
        >>> family.columns(np.zeros((3, family.width)), ["0", "1"], 1, only={"f1"}).n.tolist()
        [[0.0], [0.0], [0.0]]
        """
        z = normal_quantile(confidence)
        tail = [*(ORDER if self.histograms else ()), *LOSSES, "ece"]
        wanted = tail if only is None else [name for name in tail if name in only]
        with of.quiet():
            found = matrix.values(self._confusion(cells), classes, positive, z, only)
            if not wanted:
                return found
            counts, weights, squares = (
                cells[:, self.parts.scored].reshape(-1, 3, self.classes).transpose(1, 0, 2)
            )
            n = np.rint(counts.sum(axis=1))
            parts = [found]
            if any(name in ORDER for name in wanted):
                parts.append(averaged(self._areas(cells, positive), n, z))
            if any(name not in ORDER for name in wanted):
                parts.append(self._losses(cells, n, weights.sum(axis=1), squares.sum(axis=1), z))
            every = of.beside(parts)
            return every if only is None else every.take([*found.names, *wanted])

    def bounds(self, cells: Floats, positive: int | None = None) -> dict[str, float]:
        """Return the most by which binning can have changed `roc_auc` and `pr_auc`; empty if undefined.

        >>> family = Classification(2)
        >>> family.bounds(np.zeros(family.width))
        {}
        """
        own, other, usable = (found[0] for found in self._histograms(cells[None], positive))
        if not usable.any():
            return {}
        own, other = own[usable], other[usable]
        low, high = scores.average_precision_range(own, other)
        middle = self._average_precision(cells[None], own[None], other[None])[0]
        return {
            "roc_auc": float(scores.roc_auc_bound(own, other).mean()),
            "pr_auc": float(np.maximum(high - middle, middle - low).mean()),
        }

    def _confusion(self, cells: Floats) -> Confusion:
        stack = cells[:, self.parts.confusion]
        if self.classes <= MATRIX_CLASSES:
            return matrix.from_matrices(stack.reshape(-1, 3, self.classes, self.classes))
        return matrix.from_margins(stack.reshape(-1, 3, 3, self.classes))

    def _histograms(self, cells: Floats, positive: int | None) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return [rows, S, bins] weights of each scored class and of its rest, and where both have rows."""
        both = np.maximum(cells[:, self.parts.scores], 0.0)
        both = both.reshape(len(cells), self.histograms, 2, self.score_bins)
        own, other = both[:, :, 1], both[:, :, 0]
        counts = cells[:, self.parts.scored][:, : self.classes]
        rows = counts if self.classes > 2 else counts[:, 1:]
        if self.classes == 2 and positive == 0:
            own, other = other[:, :, ::-1], own[:, :, ::-1]
        elif self.classes == 2 and positive is None:
            own, other = (
                np.concatenate((other[:, :, ::-1], own), axis=1),
                np.concatenate((own[:, :, ::-1], other), axis=1),
            )
            rows = counts
        elif positive is not None and self.classes > 2 and self.histograms:
            chosen = slice(positive, positive + 1)
            own, other, rows = own[:, chosen], other[:, chosen], counts[:, chosen]
        if not self.histograms:
            return own, other, np.zeros((len(cells), 0), np.bool_)
        return own, other, (rows > 0.5) & (counts.sum(axis=1)[:, None] - rows > 0.5)

    def _average_precision(self, cells: Floats, own: Floats, other: Floats) -> Floats:
        counts, weights, _ = cells[:, self.parts.scored].reshape(-1, 3, self.classes).transpose(1, 0, 2)
        usual = weights.sum(axis=1) / counts.sum(axis=1)
        return scores.average_precision(own, other, usual[:, None, None])

    def _areas(self, cells: Floats, positive: int | None) -> Areas:
        own, other, usable = self._histograms(cells, positive)
        area, by_own, by_other = scores.roc_auc(own, other)
        precision = self._average_precision(cells, own, other)
        _, weights, squares = cells[:, self.parts.scored].reshape(-1, 3, self.classes).transpose(1, 0, 2)
        total, total_squares = (sums.sum(axis=1)[:, None] for sums in (weights, squares))
        if positive is not None:
            weights, squares = (sums[:, positive : positive + 1] for sums in (weights, squares))
        positives = of.effective(weights, squares)
        negatives = of.effective(total - weights, total_squares - squares)
        error = delong_error(by_own, by_other, area, positives, negatives)
        area, error, precision = (np.where(usable, column, np.nan) for column in (area, error, precision))
        return Areas(area, error, precision, positives, negatives)

    def _losses(self, cells: Floats, n: Floats, weight: Floats, squares: Floats, z: float) -> Columns:
        sums = np.where((n > 0)[:, None], cells[:, self.parts.losses], np.nan)  # [rows, log loss, brier]
        bins = cells[:, self.parts.calibration].reshape(-1, 4, self.calibration_bins)
        n_eff = of.effective(weight, squares)
        most = np.array([np.inf, 1.0 if self.classes == 2 else 2.0])
        losses = of.mean(sums[:, ::2], sums[:, 1::2], weight[:, None], n_eff[:, None], z, 0.0, most)
        error = expected_error(bins, np.where(n > 0, weight, np.nan), n_eff, z)
        value, low, high = (
            np.concatenate((loss, one[:, None]), axis=1) for loss, one in zip(losses, error, strict=True)
        )
        return Columns((*LOSSES, "ece"), value, np.repeat(n[:, None], 3, axis=1), low, high)

    def reliability(self, cells: Floats) -> Floats:
        """Return [calibration_bins, 3]: weight, mean claimed probability, share that came true (or NaN).

        >>> Classification(2, calibration_bins=3).reliability(np.zeros(Classification(2).width)).shape
        (3, 3)
        """
        weight, claimed, came, _ = cells[self.parts.calibration].reshape(4, self.calibration_bins)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.stack((weight, claimed / weight, came / weight), axis=1)
