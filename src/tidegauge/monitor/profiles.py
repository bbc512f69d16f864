"""Estimates that look at features: the loss of regressions, and what moved data does to a calibration.

The first rows of a version freeze its bins. From then on every prediction adds to the histogram of its
windows, and those of a sample are kept until their label comes: an outcome has no features of its own.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import Block, Floats, Ints, Layout, PredictionRows
from tidegauge.config import Settings, duration_ms
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.sample import ReferenceSample
from tidegauge.estimate import profile
from tidegauge.estimate.design import ELSEWHERE, Design
from tidegauge.estimate.ridge import Fitted, Learned, fit
from tidegauge.monitor.kept import KeptRows
from tidegauge.monitor.ledger import HISTORY_PANE_MS
from tidegauge.windows import PaneTable

FIRST_ROWS = 2_000  # of a version: they freeze its bins
KEPT_ROWS = 20_000  # of a version, 2 bytes a feature
LEARNED_FREELY = 4_000  # labelled rows of a version; past them a row costs more than it teaches
MOST_LEARNED = 32_000  # then all count half: the newer ones matter more
OPEN_COHORTS = 3  # hours that still take predictions
OWN = "(prediction)"  # the column that every row has: its score, else its number


class Kind(NamedTuple):
    """What a profile learns for a task."""

    pairs: bool
    targets: int
    cells: int


class Histogram(NamedTuple):
    """How many of a window's rows have each cell of the design, and how many rows there are."""

    cells: Floats  # [width]
    rows: float


class Profile:
    """What is learned of the rows of one version from their features and, later, their labels."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sample: ReferenceSample | None = ReferenceSample(FIRST_ROWS)
        self.design: Design | None = None
        self.learned: Learned | None = None
        self._kept: KeptRows | None = None
        self._windows: dict[str, PaneTable] = {}
        self._cohorts: list[PaneTable] = []
        self._fitted: Fitted | None = None

    def predictions(self, block: Block, mine: Ints, watermark_ms: int, kind: Kind | None) -> None:
        """Count prediction rows at `mine`; `kind` is None while nobody knows the task, so no bins freeze."""
        rows = block.predictions
        for layout, where, values in _with_own(rows, mine):
            if self._sample is not None:
                self._sample.add(layout, values[: self._sample.room], block.strings)
                if self._sample.room or kind is None:
                    continue
                self._freeze(self._sample, kind)
            assert self.design is not None and self._kept is not None
            cells = self.design.bins.cells(layout, values, block.strings)
            self._kept.add(rows.id_hash[where], cells, self._thinning())
            self._count(self.design.cells(cells), rows.predicted_at_ms[where], watermark_ms)

    def learn(self, hashes: Any, targets: Floats, weight: Floats) -> None:
        """Learn from labelled rows whose prediction was kept: targets [n, t], weight [n], < 0 takes out."""
        if self.design is None or self._kept is None or self.learned is None:
            return
        found, cells = self._kept.find(hashes)
        if len(found):
            self.learned.add(self.design.cells(cells), targets[found], weight[found])
        if self.learned.rows >= MOST_LEARNED:
            self.learned.fade(0.5)

    def window(self, name: str, watermark_ms: int) -> Histogram | None:
        """Return the histogram of a window; None before the bins are frozen."""
        if name not in self._windows:
            return None
        cells = self._windows[name].window(0, watermark_ms)
        return Histogram(cells[:-1], float(cells[-1]))

    def cohort(self, at_ms: int) -> Histogram | None:
        """Return the histogram of the hour in which `at_ms` lies; None where it has no rows."""
        for table in self._cohorts:
            cells = table.pane(0, at_ms)
            if cells is not None:
                return Histogram(cells[:-1], float(cells[-1]))
        return None

    def fitted(self) -> Fitted | None:
        """Return the regression on what was learned; fitted anew when a tenth of the rows is new."""
        if self.learned is None:
            return None
        if self._fitted is None or abs(self.learned.rows - self._fitted.rows) > self._fitted.rows / 10:
            self._fitted = fit(self.learned)
        return self._fitted

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        if self.design is None or self._kept is None or self.learned is None:
            return {"sample": self._sample.dump() if self._sample else None}
        return {
            "sample": None,
            "bins": self.design.bins.dump(),
            "pairs": self.design.pairs,
            "learned": self.learned.state(),
            "kept": self._kept.state(),
            "windows": {name: table.state() for name, table in self._windows.items()},
            "cohorts": [table.state() for table in self._cohorts],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; windows no longer set are left out."""
        if state["sample"] is not None:
            self._sample = ReferenceSample.load(state["sample"])
            return
        learned = Learned.restore(state["learned"])
        self._take(Design(FeatureBins.load(state["bins"]), state["pairs"]), learned)
        assert self._kept is not None
        self._kept.restore(state["kept"])
        for name in self._windows.keys() & state["windows"].keys():
            self._windows[name].restore(state["windows"][name])
        for table, kept in zip(self._cohorts, state["cohorts"], strict=True):
            table.restore(kept)

    def _thinning(self) -> int:
        """Return the level from which on rows are kept: a quarter for each doubling, as each teaches less."""
        rows = self.learned.rows if self.learned else 0.0
        return 2 * max(0, math.ceil(math.log2(max(rows, 1.0) / LEARNED_FREELY)))

    def _freeze(self, sample: ReferenceSample, kind: Kind) -> None:
        design = profile.fit(sample, OWN, min(self._settings.estimates.cells, kind.cells), kind.pairs)
        self._take(design, Learned.empty(design.width, kind.targets))

    def _take(self, design: Design, learned: Learned) -> None:
        self._sample, self.design, self.learned = None, design, learned
        self._kept = KeptRows(KEPT_ROWS, len(design.bins.names))
        monitor = self._settings.monitor
        self._windows = {
            name: PaneTable(design.width + 1, duration_ms(name) // monitor.panes, monitor.panes)
            for name in monitor.time_windows
        }
        self._cohorts = [PaneTable(design.width + 1, HISTORY_PANE_MS, OPEN_COHORTS)]

    def _count(self, cells: Any, at_ms: Ints, watermark_ms: int) -> None:
        """Add rows [n, blocks] to every window, by steps that no window splits differently."""
        for table in (*self._windows.values(), *self._cohorts):
            panes, place = np.unique(at_ms // table.pane_ms, return_inverse=True)
            for number, pane in enumerate(panes.tolist()):
                held = cells[place == number]
                counts = np.bincount(held[held != ELSEWHERE], minlength=table.width).astype(np.float64)
                counts[-1] = len(held)
                some = np.flatnonzero(counts)
                one = np.array([pane * table.pane_ms])
                table.add(one * 0, one, one * 0 + watermark_ms, some[None, :], counts[None, some])


def _with_own(rows: PredictionRows, mine: Ints) -> Any:
    """Yield layout, rows and values [n, names] of the rows at `mine`, with OWN as the last column."""
    own = np.where(np.isnan(rows.score), rows.number, rows.score)
    member = np.zeros(len(own), np.bool_)
    member[mine] = True
    for layout, where, values in rows.features.groups():
        chosen = member[where]
        if chosen.any():
            wide = Layout((*layout.names, OWN), (*layout.text, False))
            column = own[where[chosen], None]
            yield wide, where[chosen], np.concatenate((values[chosen], column), axis=1)
