"""Whether the data moves: features and predictions of a version against its first rows.

The first `drift.reference_rows` rows of a version freeze its bins; the rows after them are counted
in the panes of `drift.window`. Segments have no bins of their own. Rows wait until their version has some,
so that thousands of small models cost about as much as a large one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.baseline_file import BaselineFile, Column, Histogram
from tidegauge.block import NO_TEXT, Block, Floats, Ints, Layout
from tidegauge.config import Drift, Settings, duration_ms
from tidegauge.drift import budget
from tidegauge.drift.distances import FeatureDrift, judge_psi, psi_all
from tidegauge.drift.feature_shift import STEP, FeatureShift, Pace
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.frozen import bins_of
from tidegauge.drift.measures import Measures, Ruler, measure
from tidegauge.drift.sample import ReferenceSample, prediction_matrix
from tidegauge.monitor.lists import leading
from tidegauge.monitor.roster import Expansion, Roster
from tidegauge.policy.rules import Shifted
from tidegauge.windows import Backlog, PaneTable, Runs, distinct, grown

PREDICTION = "prediction"
FEATURES = "features"
_PREDICTIONS = Layout(("score", "number", "class"), (False, False, True))  # of rows that wait
_NEVER = 1 << 62  # rows
_FEWEST, _MOST, _HELD_VALUES = 4, 64, 2_048  # rows that wait; a wide version's wait in fewer
_MOST_LAYOUTS = 64  # that rows wait in: nulls in text features make many
_MOST_STRINGS = 100_000  # of one layout


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
                self.shift.patience = self._patience(watermark_ms)
                self.shift.add(cells)

    @property
    def room(self) -> int:
        """How many more rows freeze the bins; more than ever come where they are frozen."""
        return self._sample.room if self._sample else _NEVER

    def verdicts(self, watermark_ms: int) -> Iterator[tuple[str, FeatureDrift, str | None]]:
        """Yield name, verdict and the cell that moved most, for each column; none before the freeze."""
        if self.bins is None or self.table is None or not self.bins.width:
            return
        counts = self.table.window(0, watermark_ms)
        found = psi_all(self.bins.counts, counts, self.bins.starts)
        judged = judge_psi(found, self._settings.psi_threshold, self._settings.min_samples)
        for name, bins, verdict in zip(self.bins.names, self.bins.references, judged, strict=True):
            yield name, verdict, None if verdict.cell is None else bins.names()[verdict.cell]

    def measures(self, watermark_ms: int) -> dict[str, Measures]:
        """Return by column how far the window is from the reference; empty before the freeze."""
        if self.bins is None or self.table is None or not self.bins.width:
            return {}
        self._ruler = self._ruler or Ruler(self.bins)
        found = measure(self._ruler, self.table.window(0, watermark_ms), self._settings.min_samples)
        return dict(zip(self.bins.names, found, strict=True))

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
        rows = self._learned_from + self.shift.steps * STEP
        rate = budget.per_day(rows, self._first_ms, watermark_ms)
        share, days = budget.SHARES["features"], self._settings.days_per_false_alarm
        return None if rate is None else budget.run_length(days, rate / STEP, share)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {
            "name": self.name,
            "first_ms": self._first_ms,
            "learned_from": self._learned_from,
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
        self._learned_from = state.get("learned_from", self._learned_from)

    def adopt(self, bins: FeatureBins, name: str | None) -> None:
        """Go by these bins, not by first rows."""
        self.name, self._learned_from = name, 0
        self._freeze(bins)

    def _freeze(self, bins: FeatureBins) -> None:
        self.bins, self._sample = bins, None
        self.table = PaneTable(bins.width, self._pane_ms, self._panes)
        if self._settings.features == "e_d_bh" and bins.width:
            self.shift = FeatureShift(bins, pace=self._pace)


class Waiting:
    """Rows of one layout that wait, with texts by codes of their own."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        width = len(layout.names)
        hold = max(_FEWEST, min(_MOST, _HELD_VALUES // width))
        self.rows = Backlog(hold, width + 1)  # the last column is the time
        self.strings: dict[str, int] = {}
        self._texts = np.flatnonzero(layout.text).tolist()

    def coded(self, values: Floats, at_ms: Ints, strings: tuple[str, ...]) -> Floats:
        """Return rows [n, names + 1] whose texts have the codes of this backlog."""
        rows = np.concatenate((values, at_ms[:, None].astype(np.float64)), axis=1)
        for column in self._texts:
            codes = values[:, column].astype(np.int64)
            first, place = distinct(codes)
            own = [self._code(strings[code]) if code >= 0 else NO_TEXT for code in codes[first].tolist()]
            rows[:, column] = np.array(own, np.float64)[place]
        return rows

    def take(self, series: int) -> tuple[Floats, Ints]:
        """Return values [n, names] and times [n] of a series, which waits no more."""
        rows = self.rows.take(series)
        return rows[:, :-1], rows[:, -1].astype(np.int64)

    def _code(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings))


class Queue:
    """The rows of one kind that wait, by layout; and by series how many, and how many freeze its bins."""

    def __init__(self) -> None:
        self.layouts: dict[Layout, Waiting] = {}
        self.count: Ints = np.zeros(0, np.int64)
        self.room: Ints = np.zeros(0, np.int64)  # 0 for a series without rows so far

    def reach(self, size: int) -> None:
        """Have room for so many series."""
        self.count, self.room = grown(self.count, size, 0), grown(self.room, size, 0)


class Shift:
    """Drift of features and predictions of every version."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._settings = settings.drift
        self._panes = settings.monitor.panes
        self._pane_ms = duration_ms(settings.drift.window) // self._panes
        self._roster = roster
        self._kept: dict[int, dict[str, Binned]] = {}  # version's series -> FEATURES, PREDICTION
        self._queues = {FEATURES: Queue(), PREDICTION: Queue()}
        self._judged: Ints = np.zeros(0, np.int64)  # by series: the pane after that of the last judgement

    def observe(self, block: Block, expansion: Expansion) -> None:
        """Count the features and predictions of the prediction rows of a block."""
        rows, version, at_ms = block.predictions, expansion.version, block.predictions.predicted_at_ms
        for layout, where, values in rows.features.groups():
            if layout.names:
                self._observe(FEATURES, layout, version[where], values, at_ms[where], block.strings)
        values = np.stack((rows.score, rows.number, leading(rows.items, rows.text)), axis=1)
        self._observe(PREDICTION, _PREDICTIONS, version, values, at_ms, block.strings)

    def adopt(self, series: int, file: BaselineFile) -> None:
        """Count a version's rows from now on in the bins of a file, as far as it has some."""
        own = file.prediction
        kinds: list[tuple[str, dict[str, Histogram], Column | None]] = [(FEATURES, file.features, None)]
        if own is not None:
            kinds.append((PREDICTION, {own.column: own.histogram}, own.column))
        for kind, histograms, name in kinds:
            if histograms:
                self._queues[kind].reach(series + 1)
                self._flush(kind, series)  # what waited was before
                binned = Binned(self._settings, self._pane_ms, self._panes)
                binned.adopt(bins_of(histograms), name)
                self._kept.setdefault(series, {})[kind] = binned
                self._note_room(kind, series)

    def due(self, series: Ints) -> NDArray[np.bool_]:
        """Return of which series [n] a new pane has begun since they were last judged, and note it."""
        self._judged = grown(self._judged, int(series.max(initial=-1)) + 1, 0)
        pane = self._roster.watermarks(self._roster.columns.model[series]) // self._pane_ms + 1
        known: NDArray[np.bool_] = np.zeros(len(series), np.bool_)
        frozen = known.copy()
        for queue in self._queues.values():
            queue.reach(int(series.max(initial=-1)) + 1)
            known |= queue.room[series] > 0
            frozen |= queue.room[series] == _NEVER
        due: NDArray[np.bool_] = known & (self._judged[series] != pane)
        self._judged[series[due]] = pane[due]
        due &= frozen
        return due

    def settle(self, series: int) -> None:
        """Count the rows of a version that wait, which nobody sees before.

        Not whenever somebody looks: when rows are counted must follow from the stream alone, or a replay
        would come to other alerts.
        """
        for kind in list(self._kept.get(series, ())):
            self._flush(kind, series)

    def verdicts(self, series: int) -> list[Verdict]:
        """Return the verdict on each feature of a version and on its prediction; see `settle`."""
        watermark_ms = self._roster.watermark(series)
        found = []
        for kind, binned in self._kept.get(series, {}).items():
            for name, verdict, cell in binned.verdicts(watermark_ms):
                own = (PREDICTION, "prediction_drift") if kind == PREDICTION else (name, "data_drift")
                found.append(Verdict(own[1], own[0], verdict, cell))
        return found

    def measures(self, series: int) -> dict[str, Measures]:
        """Return by feature, and for PREDICTION, how far a version is from its reference; see `settle`."""
        watermark_ms = self._roster.watermark(series)
        found: dict[str, Measures] = {}
        for kind, binned in self._kept.get(series, {}).items():
            own = binned.measures(watermark_ms)
            names = (PREDICTION,) if kind == PREDICTION else own
            found |= dict(zip(names, own.values(), strict=False))
        return found

    def shifted(self, series: int) -> Iterator[tuple[bool, Shifted, int]]:
        """Yield for features and prediction of a version: which it is, what moved, and the rows seen.

        See `settle`.
        """
        for kind, binned in self._kept.get(series, {}).items():
            found = binned.shifted()
            if found is not None:
                yield kind == PREDICTION, *found

    def forget(self, series: int) -> None:
        """Drop the bins of a version; its next rows are a new reference."""
        self._kept.pop(series, None)
        for queue in self._queues.values():
            queue.count[series : series + 1] = queue.room[series : series + 1] = 0
            for waiting in queue.layouts.values():
                waiting.take(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        kept = [
            [series, {kind: binned.state() for kind, binned in kinds.items()}]
            for series, kinds in self._kept.items()
        ]
        queues = {
            kind: [
                {"layout": waiting.layout, "strings": list(waiting.strings), "rows": waiting.rows.state()}
                for waiting in queue.layouts.values()
            ]
            for kind, queue in self._queues.items()
        }
        judged = np.flatnonzero(self._judged)
        panes = np.stack((judged, self._judged[judged] - 1), axis=1)
        return {"kept": kept, "judged": panes, "queues": queues}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned, or one of layout 1, in which nothing waited."""
        judged = np.array(state["judged"], np.int64).reshape(-1, 2)
        self._judged = grown(self._judged, int(judged[:, 0].max(initial=-1)) + 1, 0)
        self._judged[judged[:, 0]] = judged[:, 1] + 1
        for series, kinds in state["kept"]:
            for kind, binned in kinds.items():
                self._binned(kind, series).restore(binned)
                self._note_room(kind, series)
        for kind, layouts in state.get("queues", {}).items():
            for kept in layouts:
                names, text = kept["layout"]
                waiting = self._waiting(self._queues[kind], Layout(tuple(names), tuple(text)))
                waiting.strings = {name: code for code, name in enumerate(kept["strings"])}
                waiting.rows.restore(kept["rows"])
                self._restore_counts(kind, kept["rows"]["series"], kept["rows"]["counts"])

    def _restore_counts(self, kind: str, series: Ints, counts: Ints) -> None:
        queue = self._queues[kind]
        queue.reach(int(series.max(initial=-1)) + 1)
        queue.count[series] += counts
        new = series[queue.room[series] == 0]
        queue.room[new] = self._settings.reference_rows

    def _observe(
        self, kind: str, layout: Layout, series: Ints, values: Floats, at_ms: Ints, strings: tuple[str, ...]
    ) -> None:
        """Take rows [n, names] of versions [n]: those of a version with many at once, the others wait."""
        self._clear(kind)
        queue, runs = self._queues[kind], Runs(series)
        queue.reach(int(runs.series.max()) + 1)
        waiting = self._waiting(queue, layout)
        fits = waiting.rows.fits(runs)
        for which in np.flatnonzero(~fits).tolist():
            number, mine = int(runs.series[which]), np.flatnonzero(runs.place == which)
            self._flush(kind, number)
            self._add(kind, layout, number, values[mine], strings, at_ms[mine])
        if not fits.any():
            return
        if not fits.all():
            few = np.flatnonzero(fits[runs.place])
            values, at_ms, runs = values[few], at_ms[few], Runs(series[few])
        full = waiting.rows.add(runs, waiting.coded(values, at_ms, strings))
        queue.count[runs.series] += runs.sizes
        new = runs.series[queue.room[runs.series] == 0]
        queue.room[new] = self._settings.reference_rows
        enough = runs.series[queue.count[runs.series] >= queue.room[runs.series]]
        for number in {*full.tolist(), *enough.tolist()}:
            self._flush(kind, number)

    def _flush(self, kind: str, series: int) -> None:
        """Count the rows of a version that wait."""
        queue = self._queues[kind]
        if queue.count[series]:
            queue.count[series] = 0
            for layout, waiting in queue.layouts.items():
                values, at_ms = waiting.take(series)
                if len(values):
                    self._add(kind, layout, series, values, tuple(waiting.strings), at_ms)

    def _add(
        self, kind: str, layout: Layout, series: int, values: Floats, strings: tuple[str, ...], at_ms: Ints
    ) -> None:
        binned = self._binned(kind, series)
        if kind == PREDICTION:
            score, number, text = values.T
            layout, values = prediction_matrix(score, number, text, binned.name)
            binned.name = layout.names[0]
        binned.add(layout, values, strings, at_ms, self._roster.watermark(series))
        self._note_room(kind, series)

    def _note_room(self, kind: str, series: int) -> None:
        queue = self._queues[kind]
        queue.reach(series + 1)
        queue.room[series] = self._binned(kind, series).room

    def _waiting(self, queue: Queue, layout: Layout) -> Waiting:
        waiting = queue.layouts.get(layout)
        if waiting is None:
            waiting = queue.layouts[layout] = Waiting(layout)
        return waiting

    def _clear(self, kind: str) -> None:
        """Let no row of a kind wait where layouts or texts have become too many to remember."""
        queue = self._queues[kind]
        texts = max((len(waiting.strings) for waiting in queue.layouts.values()), default=0)
        if len(queue.layouts) > _MOST_LAYOUTS or texts > _MOST_STRINGS:
            for series in np.flatnonzero(queue.count).tolist():
                self._flush(kind, series)
            queue.layouts.clear()

    def _binned(self, kind: str, series: int) -> Binned:
        kinds = self._kept.setdefault(series, {})
        if kind not in kinds:
            kinds[kind] = Binned(self._settings, self._pane_ms, self._panes)
        return kinds[kind]
