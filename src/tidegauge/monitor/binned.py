"""The bins of a version's columns: frozen from its first rows or taken from a file, then counted in panes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import Codes, Floats, Ints, Layout
from tidegauge.config import Drift
from tidegauge.drift import budget
from tidegauge.drift.distances import FeatureDrift, judge_psi, psi_all
from tidegauge.drift.feature_shift import STEP, FeatureShift, Pace
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.measures import Measures, Ruler, measure
from tidegauge.drift.multivariate import Multivariate
from tidegauge.drift.pair_shift import STEP as PAIR_STEP
from tidegauge.drift.sample import ReferenceSample
from tidegauge.monitor import moving
from tidegauge.policy.rules import PairsShifted, Shifted
from tidegauge.windows import PaneTable

NEVER = 1 << 62  # rows


class Compared(NamedTuple):
    """The counts [width] that a window is compared with, and which baseline they are."""

    counts: Floats
    baseline: str


class Binned:
    """The columns of a version of one kind: a sample until its bins are frozen, then panes of cells."""

    def __init__(self, settings: Drift, pane_ms: int, panes: int, jointly: bool = False) -> None:
        """`jointly`: whether columns are looked at in pairs too, where the settings say so."""
        self._settings = settings
        self._jointly = jointly and settings.multivariate > 1
        self._pane_ms, self._panes = pane_ms, panes
        self._pace = Pace(settings.reference_rows // STEP, -(-settings.resolve_after // STEP))
        self._sample: ReferenceSample | None = ReferenceSample(settings.reference_rows)
        self.bins: FeatureBins | None = None
        self.table: PaneTable | None = None
        self.shift: FeatureShift | None = None
        self.multivariate: Multivariate | None = None
        self.name: str | None = None  # of the only column, chosen by the first rows: score, number or class
        self._first_ms: int | None = None  # the watermark of the first rows
        self._learned_from = settings.reference_rows  # rows before those that are counted
        self._ruler: Ruler | None = None

    def add(
        self, layout: Layout, values: Floats, strings: tuple[str, ...], at_ms: Ints, watermark_ms: int
    ) -> None:
        """Take a matrix [rows, names]: into the sample as long as it has room, then into the panes."""
        self._first_ms = watermark_ms if self._first_ms is None else self._first_ms
        if self._sample is not None:
            room = self._sample.room
            self._sample.add(layout, values[:room], strings)
            values, at_ms = values[room:], at_ms[room:]
            if self._sample.room == 0:
                self._freeze(self._sample.freeze(self._settings.bins, self._settings.max_categories))
        if self.bins is not None and self.table is not None and len(values) and self.bins.width:
            cells = self.bins.cells(layout, values, strings)
            zeros = np.zeros(len(values), np.int64)
            self.table.add(zeros, at_ms, zeros + watermark_ms, cells, np.ones(cells.shape))
            if self.shift is not None:
                self.shift.patience = self._patience(watermark_ms, self.shift.steps * STEP, STEP)
                self.shift.add(cells)
            if self.multivariate is not None:
                self._add_jointly(self.multivariate, cells, watermark_ms)

    @property
    def room(self) -> int:
        """How many more rows freeze the bins; more than ever come where they are frozen."""
        return self._sample.room if self._sample else NEVER

    def verdicts(self, watermark_ms: int) -> Iterator[tuple[str, FeatureDrift, str | None]]:
        """Yield name, verdict and the cell that moved most, for each column; none before the freeze."""
        if self.bins is None or self.table is None or not self.bins.width:
            return
        counts = self._counts(self.table, watermark_ms)
        found = psi_all(self.compared(watermark_ms).counts, counts, self.bins.starts)
        judged = judge_psi(found, self._settings.psi_threshold, self._settings.min_samples)
        for name, bins, verdict in zip(self.bins.names, self.bins.references, judged, strict=True):
            yield name, verdict, None if verdict.cell is None else bins.names()[verdict.cell]

    def measures(self, watermark_ms: int) -> dict[str, Measures]:
        """Return by column how far the window is from the reference; empty before the freeze."""
        if self.bins is None or self.table is None or not self.bins.width:
            return {}
        self._ruler = self._ruler or Ruler(self.bins)
        reference, ruler = self.compared(watermark_ms), self._ruler
        ruler = ruler if reference.baseline == "first" else ruler.against(reference.counts)
        found = measure(ruler, self._counts(self.table, watermark_ms), self._settings.min_samples)
        return dict(zip(self.bins.names, found, strict=True))

    def compared(self, watermark_ms: int) -> Compared:
        """Return what the window is compared with: the reference, as long as there is too little else.

        Too little is fewer than `drift.min_samples` rows, or than LEAST_WEEKS weeks with some.
        """
        assert self.bins is not None  # nothing is compared before the freeze
        baseline, table = self._settings.baseline, self.table
        spans = moving.back(baseline, self._span(watermark_ms))
        counts = [table.span(0, *span) for span in spans] if table else []
        least = moving.LEAST_WEEKS if baseline == "seasonal" else 1
        total = np.sum(counts, axis=0) if counts else np.zeros(0)
        one = total[: self.bins.references[0].width] if self.bins.references else total
        if sum(bool(each.any()) for each in counts) < least or one.sum() < self._settings.min_samples:
            return Compared(self.bins.counts, "first")
        return Compared(total, baseline)

    def _span(self, watermark_ms: int) -> moving.Span:
        newest = watermark_ms // self._pane_ms
        return (newest - self._panes + 1) * self._pane_ms, (newest + 1) * self._pane_ms

    def _counts(self, table: PaneTable, watermark_ms: int) -> Floats:
        """Return the cells of the window, which is all that is kept where the baseline does not move."""
        if self._settings.baseline == "first":
            return table.window(0, watermark_ms)
        return table.span(0, *self._span(watermark_ms))

    def shifted(self) -> tuple[Shifted, int] | None:
        """Return the features that have moved, and the rows since the freeze; None before it."""
        if self.shift is None or self.bins is None:
            return None
        moving = sorted(self.shift.moving(), key=lambda one: -one.evidence)
        threshold = None if self.shift.patience is None else self.shift.patience * len(self.bins.names)
        names = tuple(self.bins.names[one.feature] for one in moving)
        return Shifted(names, moving[0].evidence if moving else None, threshold), self.shift.steps * STEP

    def pairs_shifted(self) -> PairsShifted | None:
        """Return the pairs that have moved; None before healthy pairs are known."""
        found = self.multivariate
        if found is None or found.pairs is None:
            return None
        moved, patience = found.moved(), found.pairs.patience
        threshold = None if patience is None else patience * found.pairs.count
        return PairsShifted(tuple(moved), threshold, found.rows)

    def _add_jointly(self, multivariate: Multivariate, cells: Codes, watermark_ms: int) -> None:
        if multivariate.pairs is not None:
            counted = multivariate.rows + multivariate.learning
            multivariate.pairs.patience = self._patience(watermark_ms, counted, PAIR_STEP)
        multivariate.add(cells)

    def _patience(self, watermark_ms: int, counted: int, step: int) -> float | None:
        """Return the steps that keep a share of the promise with `counted` rows after the freeze so far."""
        if self._first_ms is None:
            return None
        rate = budget.per_day(self._learned_from + counted, self._first_ms, watermark_ms)
        if rate is None:
            return None
        share = budget.features_share(self.multivariate is not None)
        return budget.run_length(self._settings.days_per_false_alarm, rate / step, share)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {
            "name": self.name,
            "first_ms": self._first_ms,
            "learned_from": self._learned_from,
            "shift": self.shift.dump() if self.shift else None,
            "multivariate": self.multivariate.dump() if self.multivariate else None,
            "sample": self._sample.dump() if self._sample else None,
            "bins": self.bins.dump() if self.bins else None,
            "table": self.table.state() if self.table else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        self.name = state["name"]
        self._sample = ReferenceSample.load(state["sample"]) if state["sample"] else None
        if state["bins"]:
            self._freeze(FeatureBins.load(state["bins"]))
            if self.table is not None:
                self.table.restore(state["table"])
            if self.bins is not None and state.get("shift"):
                self.shift = FeatureShift.load(state["shift"], self.bins, self._pace)
            if self.multivariate is not None and state.get("multivariate"):
                self.multivariate.restore(state["multivariate"])
        self._first_ms = state.get("first_ms")
        self._learned_from = state.get("learned_from", self._learned_from)

    def adopt(self, bins: FeatureBins, name: str | None) -> None:
        """Go by these bins, not by first rows."""
        self.name, self._learned_from = name, 0
        self._freeze(bins)

    def _freeze(self, bins: FeatureBins) -> None:
        self.bins, self._sample = bins, None
        spans = moving.back(self._settings.baseline, (0, self._panes * self._pane_ms))
        before_ms = -min([0, *(start for start, _ in spans)])
        self.table = PaneTable(bins.width, self._pane_ms, self._panes - (-before_ms // self._pane_ms))
        if self._settings.features == "e_d_bh" and bins.width:
            self.shift = FeatureShift(bins, pace=self._pace)
        if self._jointly:
            quiet = -(-self._settings.resolve_after // PAIR_STEP)
            of = self._settings
            found = Multivariate(bins, of.multivariate, of.reference_rows, quiet, of.domain_classifier)
            self.multivariate = found if len(found.names) > 1 else None
