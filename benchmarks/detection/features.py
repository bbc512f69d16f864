"""Drift of 200 features: e-d-BH beside Kolmogorov-Smirnov with Benjamini-Hochberg and PSI above 0.1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tidegauge.block import Layout
from tidegauge.drift import reference
from tidegauge.drift.distances import psi_all
from tidegauge.drift.feature_shift import STEP, FeatureShift, Pace
from tidegauge.drift.features import FeatureBins

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEATURES, MOVED = 200, 10
PATIENCE = 1_000  # windows, the default budget of the comparison
POWER = 1.15  # u becomes u to this power: the mean of a uniform feature falls from .5 to .465
FALSE_DISCOVERIES = 0.05
USUAL_PSI = 0.1

Judge = Callable[[Floats], Sequence[int]]  # a window [STEP, features] -> the features that are named


class Reference(NamedTuple):
    """What the product learned of healthy features."""

    bins: FeatureBins
    layout: Layout


def healthy(seed: int, rows: int) -> Reference:
    """Return independent uniform features: a rank test sees no other difference between continuous laws."""
    values = np.random.default_rng(seed).random((rows, FEATURES))
    names = tuple(f"feature_{number:03}" for number in range(FEATURES))
    columns = zip(names, values.T, strict=True)
    bins = FeatureBins({name: reference.fit(column, [], 0, 10, 100) for name, column in columns})
    return Reference(bins, Layout(names, (False,) * FEATURES))


def warm_steps(known: Reference) -> int:
    """Return the windows after the reference before anything is named."""
    return round(known.bins.references[0].counts.sum()) // STEP


def e_d_bh(known: Reference) -> Judge:
    """Return the product's rule; as many rows as the reference has teach how rows hang together."""
    shift = FeatureShift(known.bins, PATIENCE, Pace(warm_steps=warm_steps(known)))
    return lambda window: shift.add(known.bins.cells(known.layout, window))


def ks_bh(_known: Reference) -> Judge:
    """Return Kolmogorov-Smirnov tests of each window under Benjamini and Hochberg's rule.

    They know the true law, so nothing is lost to a reference; the product has to learn it.
    """
    steps, root = np.arange(STEP + 1)[:, None] / STEP, STEP**0.5

    def judge(window: Floats) -> Sequence[int]:
        share = np.sort(window, axis=0)
        distance = np.maximum(steps[1:] - share, share - steps[:-1]).max(axis=0)
        p = stats.kstwobign.sf((root + 0.12 + 0.11 / root) * distance)  # Stephens 1970
        return benjamini_hochberg(p, FALSE_DISCOVERIES).tolist()

    return judge


def psi_above(known: Reference) -> Judge:
    """Return the rule of thumb: the index of a window above 0.1."""

    def judge(window: Floats) -> Sequence[int]:
        cells = known.bins.cells(known.layout, window)
        counts = np.bincount(cells.ravel(), minlength=known.bins.width).astype(np.float64)
        index = psi_all(known.bins.counts, counts, known.bins.starts).psi
        return np.flatnonzero(index > USUAL_PSI).tolist()

    return judge


def benjamini_hochberg(p: Floats, share: float) -> Ints:
    """Return the places whose p-values [n] are discoveries at a false discovery rate of `share`."""
    order = np.argsort(p)
    passed = np.flatnonzero(p[order] <= share * np.arange(1, len(p) + 1) / len(p))
    return order[: passed[-1] + 1] if len(passed) else order[:0]


class Found(NamedTuple):
    """When a rule named the features that moved, in windows after the change; infinite where never."""

    first: float
    all: float
    falsely: int  # healthy features named until then


def false_windows(judge: Judge, seed: int, before: int, windows: int) -> tuple[int, int]:
    """Return in how many windows without drift anything was named, and how many features in all."""
    rng = np.random.default_rng(seed)
    for _ in range(before):
        judge(rng.random((STEP, FEATURES)))
    named = [len(judge(rng.random((STEP, FEATURES)))) for _ in range(windows)]
    return sum(count > 0 for count in named), sum(named)


def find(judge: Judge, seed: int, before: int, within: int) -> Found:
    """Return when the features that move after `before` windows are named, each at least once."""
    rng = np.random.default_rng(seed)
    for _ in range(before):
        judge(rng.random((STEP, FEATURES)))
    named: set[int] = set()
    first = np.inf
    for window in range(1, within + 1):
        values = rng.random((STEP, FEATURES))
        values[:, :MOVED] **= POWER
        named |= set(judge(values))
        if np.isinf(first) and named & set(range(MOVED)):
            first = window
        if named >= set(range(MOVED)):
            return Found(first, window, len(named) - MOVED)
    return Found(first, np.inf, len(named - set(range(MOVED))))
