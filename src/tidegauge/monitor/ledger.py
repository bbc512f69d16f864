"""Ledgers: the tables of all series with one task and number of classes.

Sharing tables keeps the cost of a block proportional to its rows, however many models they belong to.
Rows of numbers [n, columns] are, for a classification, (predicted code, actual code, weight, probability
of each class), for a regression (prediction, actual, weight, the model's first label: sums are kept
relative to it), and for a ranking (loss, 0, weight, each metric of the row).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from tidegauge.block import Codes, Floats, Ints
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.config import duration_ms
from tidegauge.metrics.classification import LOSSES, Classification
from tidegauge.metrics.order import ORDER
from tidegauge.metrics.ranking import Ranking
from tidegauge.metrics.regression import Regression
from tidegauge.metrics.widen import widen
from tidegauge.monitor.roster import RANKING, REGRESSION, Roster
from tidegauge.windows import PaneTable, RingTable, distinct

HISTORY_PANE_MS = 3_600_000
SCORED = frozenset({*ORDER, *LOSSES, "ece"})  # metrics of the probabilities
FIRST_PROBABILITY = 3  # columns before it: predicted, actual, weight
_REGRESSION, _RANKING = "regression", "ranking/"  # names of ledgers, the second followed by the cutoffs
_FOREVER_MS = 1 << 62  # one pane for all time: the baseline's

Table = PaneTable | RingTable
Family = Classification | Regression | Ranking


class Ledger:
    """A family of metrics and its tables: panes by time window, rings by count window."""

    def __init__(self, family: Family, settings: MonitorSettings, history_ms: int) -> None:
        self.family = family
        self.columns = FIRST_PROBABILITY + _more(family)
        widths = {name: duration_ms(name) for name in settings.time_windows}
        self.panes = {
            name: PaneTable(family.width, width // settings.panes, settings.panes)
            for name, width in widths.items()
        }
        self.rings = {str(n): RingTable(n, self.columns) for n in settings.count_windows}
        self.history = PaneTable(family.width, HISTORY_PANE_MS, -(-history_ms // HISTORY_PANE_MS))
        self.baseline = PaneTable(family.width, _FOREVER_MS, 1)
        self.by_time = (*self.panes.values(), self.history)
        self.step_ms = math.gcd(*(table.pane_ms for table in self.by_time))  # which divides every pane

    def tables(self) -> dict[str, Table]:
        """Return every table by a name that is the same in each ledger."""
        return {
            "history": self.history,
            "baseline": self.baseline,
            **{f"panes/{name}": table for name, table in self.panes.items()},
            **{f"ring/{name}": table for name, table in self.rings.items()},
        }

    def cells(self, rows: Floats) -> tuple[Codes, Floats]:
        """Return the cells and amounts [n, m] of rows [n, columns]."""
        if isinstance(self.family, Classification):
            codes = rows[:, :2].astype(np.int32)
            return self.family.cells(codes[:, 0], codes[:, 1], rows[:, FIRST_PROBABILITY:], rows[:, 2])
        if isinstance(self.family, Ranking):
            return self.family.cells(rows[:, FIRST_PROBABILITY:], rows[:, 2])
        return self.family.cells(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3])

    def window(
        self, series: int, window: str, watermark_ms: int, only: Collection[str] | None = None
    ) -> Floats:
        """Return the summed cells [width] of a series over a window; those that `only` some metrics need."""
        if window in self.panes:
            return self.panes[window].window(series, watermark_ms)
        rows = self.rings[window].rows(series)
        if isinstance(self.family, Classification) and only is not None and SCORED.isdisjoint(only):
            rows = rows.copy()
            rows[:, FIRST_PROBABILITY:] = np.nan
        index, amount = self.cells(rows)
        return np.bincount(index.reshape(-1), amount.reshape(-1), self.family.width).astype(np.float64)

    def windows(self, series: Ints, window: str, watermark_ms: Ints) -> Floats:
        """Return the summed cells [n, width] of series [n], each once, over a window."""
        if window in self.panes:
            return self.panes[window].windows(series, watermark_ms)
        width = self.family.width
        total = np.zeros((len(series), width))
        for part, rows, inside in self.rings[window].alike(series):
            index, amount = self.cells(rows[inside])
            owner = np.repeat(np.arange(len(part)), inside.sum(axis=1)) * width
            flat = (index.T + owner).reshape(-1)
            total[part] = np.bincount(flat, amount.T.reshape(-1), len(part) * width).reshape(-1, width)
        return total

    def move(self, series: int, other: Ledger) -> None:
        """Move a series to a ledger of more classes; the codes of its classes stay."""
        old, new = self.family, other.family
        assert isinstance(old, Classification)  # a regression has no classes to gain
        assert isinstance(new, Classification)
        codes = range(old.classes)
        wider = ((0, 0), (0, new.classes - old.classes))
        for name, table in self.tables().items():
            there = other.tables()[name]
            if isinstance(table, PaneTable) and isinstance(there, PaneTable):
                table.move(series, there, lambda cells: widen(cells, old, new, codes))
            elif isinstance(table, RingTable) and isinstance(there, RingTable):
                table.move(series, there, lambda rows: np.pad(rows, wider, constant_values=np.nan))


class Ledgers:
    """Every ledger, by the name that a model's task and classes give it."""

    def __init__(self, settings: MonitorSettings, roster: Roster, history_ms: int) -> None:
        self._settings = settings
        self._history_ms = history_ms
        self._roster = roster
        self._ledgers: dict[str, Ledger] = {}

    def of_series(self, series: int) -> Ledger | None:
        """Return the ledger of a series, None for a task without metrics."""
        shape = int(self._roster.columns.shape[self._roster.series_model[series]])
        return self._ledger(self._name(shape)) if shape else None

    def of_models(self, model: Ints) -> list[tuple[Ledger, Ints]]:
        """Return each ledger with the rows [n] of the models in it; others are left out."""
        shape = self._roster.columns.shape[model]
        first, place = distinct(shape)
        return [
            (self._ledger(self._name(number)), np.flatnonzero(place == which))
            for which, number in enumerate(shape[first].tolist())
            if number
        ]

    def add_class(self, model: int, name: str) -> None:
        """Give a model one more class, and its series the tables for it."""
        shape = self._roster.columns.shape
        old = self._ledger(self._name(int(shape[model])))
        self._roster.models[model].add_class(name)
        self._roster.note(model)
        new = self._ledger(self._name(int(shape[model])))
        if new is not old:
            for version in self._roster.models[model].versions:
                for series in self._roster.version_series(self._roster.model_ids[model], version):
                    old.move(series, new)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {
            name: {key: table.state() for key, table in ledger.tables().items()}
            for name, ledger in self._ledgers.items()
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; what is no longer set is left out: windows, cutoffs."""
        for name, tables in state.items():
            if name.startswith(_RANKING) and name != self._name(RANKING):
                continue
            for key, table in self._ledger(name).tables().items():
                if key in tables:
                    table.restore(tables[key])

    def _ledger(self, name: str) -> Ledger:
        ledger = self._ledgers.get(name)
        if ledger is None:
            ledger = self._ledgers[name] = Ledger(self._family(name), self._settings, self._history_ms)
        return ledger

    def _family(self, name: str) -> Family:
        if name == _REGRESSION:
            return Regression()
        if name.startswith(_RANKING):
            return Ranking(self._settings.ranking_k)
        bins, calibration = self._settings.score_bins, self._settings.calibration_bins
        return Classification(int(name.partition("/")[2]), bins, calibration)

    def _name(self, shape: int) -> str:
        if shape == RANKING:
            return _RANKING + ",".join(map(str, self._settings.ranking_k))
        return _REGRESSION if shape == REGRESSION else f"classification/{shape}"


def _more(family: Family) -> int:
    """Return how many columns stand after the first ones."""
    if isinstance(family, Ranking):
        return len(family.names)
    return family.classes if isinstance(family, Classification) else 1
