"""Which of many features have moved, with a promised patience: e-detectors and the e-d-BH rule.

Every feature has an e-detector of Shiryaev-Roberts type: fixed bets, mixed; a step is STEP rows, and a new
bettor starts at each. Of F features with evidence M, the k with the most are named for the greatest k that
has M >= patience F / k (Dandapanthula and Ramdas 2025): without a shift nothing is named for `patience` steps
or more, on average, however the features depend on one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.capital import MOST_OWNED, grow
from tidegauge.drift.dependence import RunningInflation
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.healthy_rows import HealthyRows
from tidegauge.drift.reference import Cells
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VERSION = 2
READ_VERSIONS = (1, 2)  # 1: what is healthy was that of the reference for good
STEP = 100  # rows a step; what a step costs is shared by its rows
AT_ONCE = 8  # steps that go by what dependence was before them
ROUNDED = 1 + 1e-9
RISING = 100.0  # evidence below it is what healthy features have
QUIET_STEPS = 20  # by default at least so many without being named again end a shift
QUIET_SHARE = 3  # and so many times as many as its evidence took to rise


class Moved(NamedTuple):
    """A feature that was named."""

    feature: int
    step: int  # in which it was last named
    until: int  # it has moved no more, unless it is named again up to this step
    evidence: float


def e_bh(evidence: Floats, patience: float, standing: Sequence[int] = ()) -> Ints:
    """Return the features [k] that evidence [F] names, those with the most first (Wang and Ramdas 2022).

    `standing` are features that were named and whose evidence began anew: they count among the k, for they
    had their evidence, and are named again only by what they have now.

    >>> e_bh(np.array([1.0, 450.0, 700.0]), patience=300.0).tolist()
    [2, 1]
    >>> e_bh(np.array([1.0, 450.0, 0.0]), patience=300.0, standing=[2]).tolist()
    [1]
    """
    needed = patience * len(evidence)
    if not standing and evidence.sum() * ROUNDED < needed:  # k M_k is no more than the sum: most end here
        return np.empty(0, np.int64)
    counted = evidence.copy()
    counted[list(standing)] = np.inf
    order = np.argsort(-counted, kind="stable")
    passed = np.flatnonzero(counted[order] * np.arange(1, len(order) + 1) >= needed)
    found = order[: passed[-1] + 1] if len(passed) else order[:0]
    return found[evidence[found] * len(found) >= needed]


class Pace(NamedTuple):
    """How long a detector waits."""

    warm_steps: int = 0  # first steps that tell how rows depend on one another, and nothing else
    quiet_steps: int = QUIET_STEPS  # without being named again, that end a shift


DEFAULT_PACE = Pace()


class FeatureShift:
    """The evidence against each feature of one version, and what was named.

    The same rows give the same names however they are cut into updates. About 10 ns a value.
    """

    def __init__(self, bins: FeatureBins, patience: float | None = None, pace: Pace = DEFAULT_PACE) -> None:
        self.patience = patience  # steps; may be set anew between additions
        self.pace = pace
        self.steps = 0
        self.moved: dict[int, Moved] = {}
        self._bins = bins
        self._learning = HealthyRows(bins)
        self._bets = self._learning.bets()
        features, rank_bets = len(bins.names), self._bets.ranks.shape[1]
        self._of_ranks = np.zeros((features, rank_bets))
        self._of_cells = np.zeros(self._bets.inside.shape)
        self._inflation = RunningInflation(features)
        self._temper = np.ones(features)  # of the logarithms of bets, in steps up to the next AT_ONCE
        self._low = np.zeros(features, np.int64)  # the last step in which evidence was as usual
        self._held = np.zeros(bins.width, np.int64)  # cells of the rows of an unfinished step
        self._rows = 0

    def add(self, cells: Cells) -> list[int]:
        """Take the cells [rows, features] of rows in order; return the features named, in the order of steps.

        Cells are those of the whole row of bins, as `FeatureBins.cells` returns them.
        """
        named: list[int] = []
        rows, width = len(cells), self._bins.width
        if not rows or not width:
            return named
        step = (self._rows + np.arange(rows)) // STEP
        flat = (step * width)[:, None] + cells
        count = int(step[-1]) + 1
        counts = np.bincount(flat.ravel(), minlength=count * width).reshape(count, width)
        counts[0] += self._held
        taken, whole = 0, (self._rows + rows) // STEP
        while taken < whole:
            before = self.steps
            named += self._take(counts[taken:whole])
            taken += self.steps - before
        self._rows = (self._rows + rows) % STEP
        self._held = counts[-1].copy() if self._rows else np.zeros(width, np.int64)
        return named

    @property
    def evidence(self) -> Floats:
        """Return the evidence [features]: what the bettors against each own together."""
        found: Floats = self._evidence(self._of_ranks[None], self._of_cells[None])[0]
        return found

    def moving(self) -> list[Moved]:
        """Return the features that have moved and not come back, those first named first."""
        return [one for one in self.moved.values() if self.steps <= one.until]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `load` reads back; the bins are kept elsewhere."""
        return {
            "version": VERSION,
            "steps": self.steps,
            "moved": [list(one) for one in self.moved.values()],
            "ranks": self._of_ranks,
            "cells": self._of_cells,
            "inflation": self._inflation.dump(),
            "temper": self._temper,
            "low": self._low,
            "held": self._held,
            "rows": self._rows,
            "learning": self._learning.dump(),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any], bins: FeatureBins, pace: Pace = DEFAULT_PACE) -> FeatureShift:
        """Return what `dump` wrote, on the same bins; raises SnapshotError where it is something else."""
        if state.get("version") not in READ_VERSIONS:
            expected = " or ".join(map(str, READ_VERSIONS))
            raise SnapshotError(f"feature shift: expected version {expected}, got {state.get('version')!r}")
        found = cls(bins, pace=pace)
        kept = np.array(state["ranks"], np.float64), np.array(state["cells"], np.float64)
        held = np.array(state["held"], np.int64)
        if (kept[0].shape, kept[1].shape) != (found._of_ranks.shape, found._of_cells.shape):
            raise SnapshotError("feature shift: bets of other bins")
        found._of_ranks, found._of_cells = kept
        found._held, found._rows, found.steps = held, int(state["rows"]), int(state["steps"])
        found._low = np.array(state["low"], np.int64)
        found._inflation = RunningInflation.load(state["inflation"])
        temper = state.get("temper")  # a snapshot may be older than it is
        found._temper = np.array(found._tempered() if temper is None else temper, np.float64)
        found._learning = HealthyRows.load(state.get("learning"), bins)
        found._bets = found._learning.bets()
        found.moved = {one[0]: Moved(*one) for one in state["moved"]}
        return found

    def _take(self, counts: Ints) -> list[int]:
        """Take histograms [steps, width] of the next steps, as many as go together; return what they name.

        Those go together that meet the same bets and the same dependence, up to the first that names.
        """
        if self.steps % AT_ONCE == 0:
            self._temper = self._tempered()
        counts = counts[: min(AT_ONCE - self.steps % AT_ONCE, self._learning.lacking(STEP))]
        if self.steps < self.pace.warm_steps:
            self._learn(counts[: self.pace.warm_steps - self.steps])
            return []
        ranks, cells = self._bet(counts)
        evidence = self._evidence(ranks, cells)
        steps, named = self._first_named(evidence)
        self._of_ranks, self._of_cells = ranks[steps - 1].copy(), cells[steps - 1].copy()
        usual = np.where(evidence[:steps] < RISING, np.arange(1, steps + 1)[:, None] + self.steps, 0)
        self._low = np.maximum(self._low, usual.max(axis=0))
        self._learn(counts[:steps])
        for feature in named:
            self._name(feature, float(evidence[steps - 1, feature]))
        if named:
            self._of_ranks[named] = 0.0
            self._of_cells[np.isin(self._bets.owners, named)] = 0.0
        return named

    def _first_named(self, evidence: Floats) -> tuple[int, list[int]]:
        """Return how many steps there are up to the first that names features, and these; else all, none."""
        patience = self.patience or MOST_OWNED
        for step, enough in enumerate(evidence, start=self.steps + 1):
            standing = [one.feature for one in self.moved.values() if step <= one.until]
            named: list[int] = e_bh(enough, patience, standing).tolist()
            if named:
                return step - self.steps, named
        return len(evidence), []

    def _learn(self, counts: Ints) -> None:
        """Let steps [steps, width] teach how they depend on one another, and what is healthy from then on."""
        self.steps += len(counts)
        for probe in np.add.reduceat(counts * self._bets.probe, self._bins.starts, axis=1) / STEP**0.5:
            self._inflation.add(probe)
        if self._learning.add(counts.sum(axis=0), len(counts) * STEP, self._inflation):
            self._bets = self._learning.bets()

    def _bet(self, counts: Ints) -> tuple[Floats, Floats]:
        """Return what bets on ranks and on cells own [steps, ...] after each step."""
        bets, temper = self._bets, self._temper
        gains = np.add.reduceat(counts[:, :, None] * bets.ranks, self._bins.starts, axis=1)
        inside = counts[:, bets.cells][:, :, None]
        cell_gains = inside * bets.inside + (STEP - inside) * bets.outside
        ranks = grow(self._of_ranks, gains * temper[:, None])
        return ranks, grow(self._of_cells, cell_gains * temper[bets.owners][:, None])

    def _evidence(self, of_ranks: Floats, of_cells: Floats) -> Floats:
        """Return the evidence [steps, features] where bets own so much [steps, ...]."""
        ranks, cells = self._bets.weights
        found = (of_ranks * ranks).sum(axis=2)
        for step, owned in enumerate((of_cells * cells).sum(axis=2)):
            found[step] += np.bincount(self._bets.owners, owned, found.shape[1])
        evidence: Floats = np.minimum(found, MOST_OWNED)
        return evidence

    def _tempered(self) -> Floats:
        """Return by what the logarithms of bets are multiplied [features], as dependence seems now."""
        tempered: Floats = 1 / self._inflation.value()
        return tempered

    def _name(self, feature: int, evidence: float) -> None:
        took = self.steps - int(self._low[feature])
        until = self.steps + max(self.pace.quiet_steps, QUIET_SHARE * took)
        self.moved[feature] = Moved(feature, self.steps, until, evidence)
