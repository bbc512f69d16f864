"""Whether the data moves: features and predictions of a version against its first rows.

The first `drift.reference_rows` rows of a version freeze its bins; the rows after them are counted
in the panes of `drift.window`. Segments have no bins of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import Block, Floats, Ints, Layout
from tidegauge.config import Drift, Settings, duration_ms
from tidegauge.drift import budget
from tidegauge.drift.distances import FeatureDrift, judge_psi, psi_all
from tidegauge.drift.feature_shift import STEP, FeatureShift, Pace
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.sample import ReferenceSample, prediction_matrix
from tidegauge.monitor.roster import Expansion, Roster
from tidegauge.policy.rules import Shifted
from tidegauge.windows import PaneTable

PREDICTION = "prediction"
FEATURES = "features"


class Verdict(NamedTuple):
    """What is known of one feature's drift, or of the prediction's."""

    drift_type: str  # data_drift or prediction_drift
    name: str  # feature name, or PREDICTION
    found: FeatureDrift
    cell: str | None  # the part of the feature's range that moved most


class Binned:
    """The columns of a version of one kind: a sample until its bins are frozen, then panes of cells."""

    def __init__(self, settings: Drift, pane_ms: int, panes: int) -> None:
        self._settings = settings
        self._pane_ms, self._panes = pane_ms, panes
        self._pace = Pace(settings.reference_rows // STEP, -(-settings.resolve_after // STEP))
        self._sample: ReferenceSample | None = ReferenceSample(settings.reference_rows)
        self.bins: FeatureBins | None = None
        self.table: PaneTable | None = None
        self.shift: FeatureShift | None = None
        self.name: str | None = None  # of the only column, chosen by the first rows: score, number or class
        self._first_ms: int | None = None  # the watermark of the first rows

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
                self.shift.patience = self._patience(watermark_ms)
                self.shift.add(cells)

    def verdicts(self, watermark_ms: int) -> Iterator[tuple[str, FeatureDrift, str | None]]:
        """Yield name, verdict and the cell that moved most, for each column; none before the freeze."""
        if self.bins is None or self.table is None or not self.bins.width:
            return
        counts = self.table.window(0, watermark_ms)
        found = psi_all(self.bins.counts, counts, self.bins.starts)
        judged = judge_psi(found, self._settings.psi_threshold, self._settings.min_samples)
        for name, bins, verdict in zip(self.bins.names, self.bins.references, judged, strict=True):
            yield name, verdict, None if verdict.cell is None else bins.names()[verdict.cell]

    def shifted(self) -> tuple[Shifted, int] | None:
        """Return the features that have moved, and the rows since the freeze; None before it."""
        if self.shift is None or self.bins is None:
            return None
        moving = sorted(self.shift.moving(), key=lambda one: -one.evidence)
        threshold = None if self.shift.patience is None else self.shift.patience * len(self.bins.names)
        names = tuple(self.bins.names[one.feature] for one in moving)
        return Shifted(names, moving[0].evidence if moving else None, threshold), self.shift.steps * STEP

    def _patience(self, watermark_ms: int) -> float | None:
        """Return the steps that keep a quarter of the promise at the rate of rows so far."""
        if self.shift is None or self._first_ms is None:
            return None
        rows = self._settings.reference_rows + self.shift.steps * STEP
        rate = budget.per_day(rows, self._first_ms, watermark_ms)
        share, days = budget.SHARES["features"], self._settings.days_per_false_alarm
        return None if rate is None else budget.run_length(days, rate / STEP, share)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {
            "name": self.name,
            "first_ms": self._first_ms,
            "shift": self.shift.dump() if self.shift else None,
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
        self._first_ms = state.get("first_ms")

    def _freeze(self, bins: FeatureBins) -> None:
        self.bins, self._sample = bins, None
        self.table = PaneTable(bins.width, self._pane_ms, self._panes)
        if self._settings.features == "e_d_bh" and bins.width:
            self.shift = FeatureShift(bins, pace=self._pace)


class Shift:
    """Drift of features and predictions of every version."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._settings = settings.drift
        self._panes = settings.monitor.panes
        self._pane_ms = duration_ms(settings.drift.window) // self._panes
        self._roster = roster
        self._kept: dict[int, dict[str, Binned]] = {}  # version's series -> FEATURES, PREDICTION
        self._judged: dict[int, int] = {}  # version's series -> pane in which it was last judged

    def observe(self, block: Block, expansion: Expansion) -> None:
        """Count the features and predictions of the prediction rows of a block."""
        rows = block.predictions
        for layout, where, values in rows.features.groups():
            for series, mine in _by_series(expansion.version[where]) if layout.names else ():
                at_ms = rows.predicted_at_ms[where[mine]]
                self._binned(series, FEATURES).add(
                    layout, values[mine], block.strings, at_ms, self._roster.watermark(series)
                )
        for series, mine in _by_series(expansion.version):
            binned = self._binned(series, PREDICTION)
            text = rows.text[mine].astype(np.float64)
            layout, values = prediction_matrix(rows.score[mine], rows.number[mine], text, binned.name)
            binned.name = layout.names[0]
            at_ms = rows.predicted_at_ms[mine]
            binned.add(layout, values, block.strings, at_ms, self._roster.watermark(series))

    def due(self, series: int) -> bool:
        """Return whether a new pane has begun since a version was last judged, and note it."""
        pane = self._roster.watermark(series) // self._pane_ms
        if series not in self._kept or self._judged.get(series) == pane:
            return False
        self._judged[series] = pane
        return True

    def verdicts(self, series: int) -> list[Verdict]:
        """Return the verdict on each feature of a version and on its prediction."""
        watermark_ms = self._roster.watermark(series)
        found = []
        for kind, binned in self._kept.get(series, {}).items():
            for name, verdict, cell in binned.verdicts(watermark_ms):
                own = (PREDICTION, "prediction_drift") if kind == PREDICTION else (name, "data_drift")
                found.append(Verdict(own[1], own[0], verdict, cell))
        return found

    def shifted(self, series: int) -> Iterator[tuple[bool, Shifted, int]]:
        """Yield for features and prediction of a version: which it is, what moved, and the rows seen."""
        for kind, binned in self._kept.get(series, {}).items():
            found = binned.shifted()
            if found is not None:
                yield kind == PREDICTION, *found

    def forget(self, series: int) -> None:
        """Drop the bins of a version; its next rows are a new reference."""
        self._kept.pop(series, None)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        kept = [
            [series, {kind: binned.state() for kind, binned in kinds.items()}]
            for series, kinds in self._kept.items()
        ]
        return {"kept": kept, "judged": list(self._judged.items())}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        self._judged = dict(state["judged"])
        for series, kinds in state["kept"]:
            for kind, binned in kinds.items():
                self._binned(series, kind).restore(binned)

    def _binned(self, series: int, kind: str) -> Binned:
        kinds = self._kept.setdefault(series, {})
        if kind not in kinds:
            kinds[kind] = Binned(self._settings, self._pane_ms, self._panes)
        return kinds[kind]


def _by_series(series: Ints) -> Iterator[tuple[int, Ints]]:
    """Yield each series and the indices of its rows."""
    for number in np.unique(series).tolist():
        yield number, np.flatnonzero(series == number)
