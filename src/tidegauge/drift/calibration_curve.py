"""What labels a healthy model's scores have come to mean, with what so few of them leave open.

A row has a score and a label `came` between 0 and 1: whether the class came for a probability, whether the
truth was greater for a number. A straight line through the logits of probabilities comes first (Platt 1999).
Then the reference is cut into bins of scores; in each the line is off by one amount, so that as many labels
are expected as came, and between the middles of bins the amount is interpolated. So rows that move among
scores, inside a bin too, change nothing while the model keeps its word.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.dependence import variance_inflation
from tidegauge.drift.error_baseline import bound

Floats = NDArray[np.float64]

MISSED = 0.25  # of bins: how often the true mean lies past the bound
MOST_LOGIT = 7.0  # probabilities beyond 0.0009 and 0.9991 count as these
PER_BIN = 200  # reference rows
MOST_BINS = 10
MOST_OFF = 30.0  # of a logit
LEAST_SPREAD = 1e-9
HALVINGS = 36  # of the interval that holds an amount
STEPS = 12  # of Newton, towards the line
DOUBT = 1.0  # prior precision of the line: without labels scores mean what they say
TAIL = 0.01  # of the reference at either end, beyond which too little is known


class Curve(msgspec.Struct, frozen=True, array_like=True):
    """The curve of the reference, and its bounds."""

    line: tuple[float, float]  # at 0, and its slope
    middles: tuple[float, ...]  # [bins] of scores, rising
    off: tuple[float, ...]  # [bins] added to the line
    low: tuple[float, ...]  # [bins] the same, for the least and the greatest mean the reference allows
    high: tuple[float, ...]
    least: float  # the range of reference scores: too little is known beyond it
    most: float
    pivot: float  # half of what the labels tell lies above it
    inflation: float  # of the variance of means, by dependence


class Expected(NamedTuple):
    """What is expected of rows [n]."""

    mean: Floats
    low: Floats
    high: Floats
    known: NDArray[np.bool_]  # the reference had such scores
    upper: NDArray[np.bool_]  # above the pivot


def learn(scores: Floats, came: Floats, probability: bool) -> Curve:
    """Return the curve of reference rows [n], at least one, in their order.

    `probability` says whether scores are probabilities, or numbers whose size says nothing of the label.

    >>> curve = learn(np.repeat([0.2, 0.8], 200), np.tile([0.0, 0.0, 1.0, 1.0], 100), probability=True)
    >>> expect(curve, np.array([0.2, 0.5, 0.8]), probability=True).mean.round(2).tolist()
    [0.5, 0.5, 0.5]
    """
    place = _axis(scores, probability)
    line = _line(place, came) if probability else (0.0, 0.0)
    logit = line[0] + line[1] * place
    bins = min(max(len(place) // PER_BIN, 1), MOST_BINS)
    edges = np.unique(np.quantile(place, np.arange(1, bins) / bins, method="inverted_cdf"))
    code = np.unique(np.searchsorted(edges, place), return_inverse=True)[1]
    rows, hits = np.bincount(code), np.bincount(code, came)
    (off,) = _amounts(logit, code, rows, ((hits + 0.5) / (rows + 1))[None])
    mean = _sigmoid(logit + off[code])
    spread = np.maximum(mean * (1 - mean), LEAST_SPREAD)
    inflation = variance_inflation((came - mean) / np.sqrt(spread))
    low, high = _amounts(logit, code, rows, _bounds(hits, rows, inflation))
    order = np.argsort(place, kind="stable")
    told = np.cumsum(spread[order])
    pivot = float(place[order[int(np.searchsorted(told, told[-1] / 2))]])
    columns = (np.bincount(code, place) / rows, off, low, high)
    least, most = np.quantile(place, (TAIL, 1 - TAIL), method="inverted_cdf").tolist()
    middles, mid, least_off, most_off = (tuple(one.tolist()) for one in columns)
    return Curve(line, middles, mid, least_off, most_off, least, most, pivot, inflation)


class Lines:
    """A curve as arrays, for many looks at it."""

    def __init__(self, curve: Curve) -> None:
        self.curve = curve
        self._middles, self._bins = np.array(curve.middles), np.arange(len(curve.middles))
        self._amounts = np.array((curve.off, curve.low, curve.high))  # [mean, low and high; bins]
        self._slopes = np.diff(self._amounts, append=self._amounts[:, -1:])  # to the next middle

    def expect(self, scores: Floats, probability: bool, tolerance: float = 0.0) -> Expected:
        """Return what the reference expects of rows [n] of these scores; bounds are wider by `tolerance`."""
        curve, place = self.curve, _axis(scores, probability)
        at = np.interp(place, self._middles, self._bins)
        below = at.astype(np.int64)
        amounts = self._amounts[:, below] + self._slopes[:, below] * (at - below)
        mean, low, high = _sigmoid(curve.line[0] + curve.line[1] * place + amounts)
        known = (place >= curve.least) & (place <= curve.most)
        if tolerance:
            low, high = np.maximum(low - tolerance, 0.0), np.minimum(high + tolerance, 1.0)
        return Expected(mean, low, high, known, place > curve.pivot)


def expect(curve: Curve, scores: Floats, probability: bool, tolerance: float = 0.0) -> Expected:
    """Return what a curve expects of rows [n]; see `Lines.expect`."""
    return Lines(curve).expect(scores, probability, tolerance)


def _axis(scores: Floats, probability: bool) -> Floats:
    """Return where scores [n] lie: the logits of probabilities, other numbers as they are."""
    if not probability:
        return scores
    inner = np.clip(scores, 1e-9, 1 - 1e-9)
    logit: Floats = np.clip(np.log(inner / (1 - inner)), -MOST_LOGIT, MOST_LOGIT)
    return logit


def _line(logit: Floats, came: Floats) -> tuple[float, float]:
    """Return the line of the most probable logits of labels [n], which is 0 + 1 x where they say little."""
    design = np.stack((np.ones(len(logit)), logit), axis=1)
    usual = line = np.array([0.0, 1.0])
    for _ in range(STEPS):
        mean = _sigmoid(design @ line)
        slope = design.T @ (came - mean) - DOUBT * (line - usual)
        curvature = (design * (mean * (1 - mean))[:, None]).T @ design + DOUBT * np.eye(2)
        line = line + np.clip(np.linalg.solve(curvature, slope), -1.0, 1.0)
    return float(line[0]), float(line[1])


def _bounds(hits: NDArray[Any], rows: NDArray[Any], inflation: float) -> Floats:
    """Return the lower and the upper bounds of the means of bins [2, bins]."""
    pairs = [(hit / n, n / inflation) for hit, n in zip(hits.tolist(), rows.tolist(), strict=True)]
    return np.array(
        [[bound(mean, mean * (1 - mean), n, side, MISSED) for mean, n in pairs] for side in (-1.0, 1.0)]
    )


def _amounts(logit: Floats, code: NDArray[np.int64], rows: NDArray[Any], means: Floats) -> Floats:
    """Return by how much the logits of bins are off that have mean probabilities [m, bins]: [m, bins]."""
    order = np.argsort(code, kind="stable")
    ordered, bins, starts = logit[order], code[order], np.cumsum(rows) - rows
    low, high = np.full(means.shape, -MOST_OFF), np.full(means.shape, MOST_OFF)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = np.add.reduceat(_sigmoid(ordered + middle[:, bins]), starts, axis=1) >= means * rows
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    found: Floats = (low + high) / 2
    return found


def _sigmoid(logit: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-logit))
    return found
