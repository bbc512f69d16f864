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
from tidegauge.block import Block, Floats, Ints, Layout
from tidegauge.config import Settings, duration_ms
from tidegauge.drift.distances import FeatureDrift
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.frozen import bins_of
from tidegauge.drift.measures import Measures
from tidegauge.drift.multivariate import Multivariate
from tidegauge.drift.sample import prediction_matrix
from tidegauge.monitor.binned import NEVER, Binned
from tidegauge.monitor.expansion import Expansion
from tidegauge.monitor.lists import leading
from tidegauge.monitor.roster import Roster
from tidegauge.monitor.waiting import Queue, Waiting
from tidegauge.policy.rules import PairsShifted, Shifted
from tidegauge.windows import Runs, grown

PREDICTION = "prediction"
FEATURES = "features"
PAIRS = "pairs"
_PREDICTIONS = Layout(("score", "number", "class"), (False, False, True))  # of rows that wait
_MOST_LAYOUTS = 64  # that rows wait in: nulls in text features make many
_MOST_STRINGS = 100_000  # of one layout


class Verdict(NamedTuple):
    """What is known of one feature's drift, or of the prediction's."""

    drift_type: str  # data_drift or prediction_drift
    name: str  # feature name, or PREDICTION
    found: FeatureDrift
    cell: str | None  # the part of the feature's range that moved most
    baseline: str  # first, rolling or seasonal


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
        rows, runs, at_ms = block.predictions, expansion.versions, block.predictions.predicted_at_ms
        for layout, where, values in rows.features.groups():
            if layout.names:
                own = runs if len(where) == len(at_ms) else Runs(expansion.version[where])
                self._observe(FEATURES, layout, own, values, at_ms[where], block.strings)
        values = np.stack((rows.score, rows.number, leading(rows.items, rows.text)), axis=1)
        self._observe(PREDICTION, _PREDICTIONS, runs, values, at_ms, block.strings)

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
                binned = Binned(self._settings, self._pane_ms, self._panes, kind == FEATURES)
                binned.adopt(bins_of(histograms), name)
                self._kept.setdefault(series, {})[kind] = binned
                self._note_room(kind, series)

    def due(self, series: Ints) -> NDArray[np.bool_]:
        """Return of which series [n] a new pane has begun since they were last judged, and note it."""
        size = int(series.max(initial=-1)) + 1
        self._judged = grown(self._judged, size, 0)
        pane = self._roster.watermarks(self._roster.columns.model[series]) // self._pane_ms + 1
        known: NDArray[np.bool_] = np.zeros(len(series), np.bool_)
        frozen = known.copy()
        for queue in self._queues.values():
            queue.reach(size)
            known |= queue.room[series] > 0
            frozen |= queue.room[series] == NEVER
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
                found.append(Verdict(own[1], own[0], verdict, cell, binned.compared(watermark_ms).baseline))
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

    def bins(self, series: int) -> FeatureBins | None:
        """Return the frozen bins of a version's features; None before the freeze."""
        binned = self._kept.get(series, {}).get(FEATURES)
        return binned.bins if binned else None

    def pairs_shifted(self, series: int) -> PairsShifted | None:
        """Return which pairs of a version's features moved; None where none are watched. See `settle`."""
        binned = self._kept.get(series, {}).get(FEATURES)
        return binned.pairs_shifted() if binned else None

    def multivariate(self, series: int) -> Multivariate | None:
        """Return what a version's features have in common; None where it is not looked at."""
        binned = self._kept.get(series, {}).get(FEATURES)
        return binned.multivariate if binned else None

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
        self, kind: str, layout: Layout, runs: Runs, values: Floats, at_ms: Ints, strings: tuple[str, ...]
    ) -> None:
        """Take rows [n, names] of versions: those of a version with many at once, the others wait."""
        self._clear(kind)
        queue = self._queues[kind]
        queue.reach(runs.top)
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
            values, at_ms, runs = values[few], at_ms[few], runs.take(few)
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
            kinds[kind] = Binned(self._settings, self._pane_ms, self._panes, kind == FEATURES)
        return kinds[kind]
