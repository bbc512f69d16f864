"""How good the models are: outcomes into cells, by task, series and window.

Series with one task and number of classes share their tables, so that the cost of a block depends
on its rows and not on how many models they belong to. Rows of numbers [n, columns] are, for a
classification, (predicted code, actual code, weight, probability of each class), and for a
regression (prediction, actual, weight).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import NO_TEXT, Block, Codes, Floats, Ints, OutcomeRows
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.config import Settings, duration_ms
from tidegauge.metrics.classification import MATRIX_CLASSES, ORDER, Classification
from tidegauge.metrics.order import exact_order_metrics
from tidegauge.metrics.regression import Regression
from tidegauge.metrics.value import Value
from tidegauge.metrics.widen import widen
from tidegauge.monitor.roster import OTHER, Expansion, ModelState, Roster
from tidegauge.monitor.tasks import class_text, task_of
from tidegauge.windows import PaneTable, RingTable

HISTORY_PANE_MS = 3_600_000
_FOREVER_MS = 1 << 62  # one pane for all time: the baseline's
_CODES = 3  # columns before the probabilities


class Errors(NamedTuple):
    """What an outcome row says of its model, for detectors and KPIs."""

    series: Ints  # [m] a series of the row
    row: Ints  # [m] index of the row in its block
    error: Floats  # [rows] 1 where the class is wrong, or the absolute error; NaN without a task


class Ledger:
    """The tables of all series with one task and number of classes."""

    def __init__(self, family: Classification | Regression, settings: MonitorSettings) -> None:
        self.family = family
        columns = _CODES + (family.classes if isinstance(family, Classification) else 1)
        widths = {name: duration_ms(name) for name in settings.time_windows}
        longest = max(widths.values(), default=HISTORY_PANE_MS)
        self.panes = {
            name: PaneTable(family.width, width // settings.panes, settings.panes)
            for name, width in widths.items()
        }
        self.rings = {str(n): RingTable(n, columns) for n in settings.count_windows}
        self.history = PaneTable(family.width, HISTORY_PANE_MS, -(-longest // HISTORY_PANE_MS))
        self.baseline = PaneTable(family.width, _FOREVER_MS, 1)

    def tables(self) -> dict[str, PaneTable | RingTable]:
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
            return self.family.cells(codes[:, 0], codes[:, 1], rows[:, _CODES:], rows[:, 2])
        return self.family.cells(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3])


class Quality:
    """Metrics of every series over every window, with corrections and late labels in place."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._settings = settings.monitor
        self._roster = roster
        self._ledgers: dict[str, Ledger] = {}
        self._seen: dict[int, int] = {}  # series -> first labels that its baseline has taken

    def observe(self, block: Block, expansion: Expansion) -> Errors:
        """Count the outcome rows of a block, all of models whose task is decided."""
        rows = block.outcomes
        error = np.full(len(rows.offset), np.nan)
        self._learn_classes(rows, expansion.model)
        predicted, actual = self._values(block, expansion)
        for name, models in self._ledgers_of(expansion.model).items():
            mine = np.flatnonzero(np.isin(expansion.model, models))
            ledger = self._ledger(name)
            matrix = np.stack((predicted[mine], actual[mine], rows.weight[mine]), axis=1)
            if isinstance(ledger.family, Classification):
                error[mine] = predicted[mine] != actual[mine]
                more = self._probabilities(rows, expansion.model, mine, ledger.family.classes)
            else:
                error[mine] = np.abs(predicted[mine] - actual[mine])
                more = self._pivots(expansion.model[mine], actual[mine])[:, None]
            matrix = np.concatenate((matrix, more), axis=1)
            self._count(ledger, rows, expansion, mine, matrix)
        return Errors(expansion.series, expansion.row, error)

    def values(self, series: int, window: str, only: Collection[str] | None = None) -> dict[str, Value]:
        """Return the metrics of a series over a window, all or `only` some; empty without a task."""
        ledger = self._ledger_of(series)
        if ledger is None:
            return {}
        if window in ledger.panes:
            return self._named(ledger, series, self.cells(series, window), only)
        return self._of_ring(ledger, series, ledger.rings[window].rows(series), only)

    def cells(self, series: int, window: str) -> Floats:
        """Return the summed cells [width] of a series over a time window."""
        ledger = self._ledger_of(series)
        assert ledger is not None
        return ledger.panes[window].window(series, self._roster.watermark(series))

    def confusion(self, series: int, window: str) -> list[list[int]] | None:
        """Return rows by actual and predicted class; None for other tasks or more than MATRIX_CLASSES."""
        ledger = self._ledger_of(series)
        if ledger is None or not isinstance(ledger.family, Classification):
            return None
        if ledger.family.classes > MATRIX_CLASSES:
            return None
        if window in ledger.panes:
            cells = self.cells(series, window)
        else:
            cells = _total(ledger, ledger.rings[window].rows(series))
        size = len(self._model(series).classes)
        counts: list[list[int]] = ledger.family.confusion(cells)[:size, :size].tolist()
        return counts

    def count(self, series: int, window: str) -> Value:
        """Return how many outcomes a count window holds."""
        ledger = self._ledger_of(series)
        n = 0 if ledger is None else len(ledger.rings[window].rows(series))
        return Value(float(n), n, None, None)

    def history(self, series: int, at_ms: int) -> dict[str, Value]:
        """Return the metrics of the hour in which `at_ms` lies; empty where it has no outcome."""
        ledger = self._ledger_of(series)
        cells = None if ledger is None else ledger.history.pane(series, at_ms)
        return {} if ledger is None or cells is None else self._named(ledger, series, cells, None)

    def baseline(self, series: int) -> dict[str, Value] | None:
        """Return the metrics of the first outcomes, or None while there are too few."""
        ledger = self._ledger_of(series)
        if ledger is None or self._seen.get(series, 0) < self._settings.baseline_outcomes:
            return None
        return self._named(ledger, series, ledger.baseline.window(series, 0), None)

    def forget(self, series: int) -> None:
        """Drop what was counted of a series; its baseline starts again."""
        ledger = self._ledger_of(series)
        self._seen.pop(series, None)
        for table in ledger.tables().values() if ledger else ():
            table.forget(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        tables = {
            name: {key: table.state() for key, table in ledger.tables().items()}
            for name, ledger in self._ledgers.items()
        }
        return {"tables": tables, "seen": list(self._seen.items())}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; tables of windows no longer set are left out."""
        self._seen = dict(state["seen"])
        for name, tables in state["tables"].items():
            for key, table in self._ledger(name).tables().items():
                if key in tables:
                    table.restore(tables[key])

    # Counting

    def _count(
        self, ledger: Ledger, rows: OutcomeRows, expansion: Expansion, mine: Ints, matrix: Floats
    ) -> None:
        place = np.full(len(rows.offset), -1)
        place[mine] = np.arange(len(mine))
        kept = place[expansion.row] >= 0
        series, row = expansion.series[kept], expansion.row[kept]
        index, amount = ledger.cells(matrix)
        index, amount = index[place[row]], amount[place[row]] * rows.sign[row, None]
        at_ms, watermark_ms = rows.predicted_at_ms[row], self._roster.watermarks(expansion.model[row])
        for table in (*ledger.panes.values(), ledger.history):
            table.add(series, at_ms, watermark_ms, index, amount)
        first = (rows.revision[row] == 0) & (rows.sign[row] > 0)
        taken = np.flatnonzero(first)
        taken = taken[self._baseline_room(series[taken])]
        zeros = np.zeros(len(taken), np.int64)
        ledger.baseline.add(series[taken], zeros, zeros, index[taken], amount[taken])
        corrected = np.flatnonzero((rows.revision[row] > 0) & (rows.sign[row] > 0))
        for ring in ledger.rings.values():
            ring.append(series[first], rows.id_hash[row[first]], matrix[place[row[first]]])
            for which in corrected.tolist():
                ring.replace(int(series[which]), int(rows.id_hash[row[which]]), matrix[place[row[which]]])

    def _baseline_room(self, series: Ints) -> Ints:
        """Return the indices of rows [n] that still belong to the baselines of their series."""
        order = np.argsort(series, kind="stable")
        found, starts, sizes = np.unique(series[order], return_index=True, return_counts=True)
        seen = np.array([self._seen.get(number, 0) for number in found.tolist()], np.int64)
        rank = np.arange(len(order)) - np.repeat(starts - seen, sizes)
        self._seen.update(zip(found.tolist(), (seen + sizes).tolist(), strict=True))
        return np.sort(order[rank < self._settings.baseline_outcomes])

    # Rows as numbers

    def _values(self, block: Block, expansion: Expansion) -> tuple[Floats, Floats]:
        """Return prediction and label [rows] as numbers: class codes where the task has classes."""
        rows = block.outcomes
        predicted, actual = rows.number, rows.label_number
        named = np.array([bool(state.classes) for state in self._roster.models])[expansion.model]
        if named.any():
            known: dict[tuple[int, float | str], int] = {}
            which = np.flatnonzero(named)
            models = expansion.model[which].tolist()
            predicted, actual = predicted.copy(), actual.copy()
            predicted[which] = self._codes(block, models, rows.text[which], predicted[which], known)
            actual[which] = self._codes(block, models, rows.label_text[which], actual[which], known)
        return predicted, actual

    def _codes(
        self,
        block: Block,
        models: list[int],
        text: Codes,
        number: Floats,
        known: dict[tuple[int, float | str], int],
    ) -> list[int]:
        values: list[float | str] = number.tolist()
        for place in np.flatnonzero(text != NO_TEXT).tolist():
            values[place] = block.strings[text[place]]
        keys = list(zip(models, values, strict=True))
        for key in set(keys) - known.keys():
            known[key] = self._code(*key)
        return [known[key] for key in keys]

    def _code(self, model: int, value: float | str) -> int:
        """Return the code of a class, a new one for a class that was not known."""
        name = class_text(value)
        classes = self._roster.models[model].classes
        if name in classes:
            return classes.index(name)
        if len(classes) >= self._settings.classes - 1:
            name = OTHER
        if name not in classes:
            self._grow(model, name)
        return classes.index(name)

    def _grow(self, model: int, name: str) -> None:
        """Add a class to a model and move its series to the tables of the wider family."""
        state = self._roster.models[model]
        old = self._ledger(_ledger_name(state))
        state.classes.append(name)
        state.task = task_of(state.classes)
        new = self._ledger(_ledger_name(state))
        if new is old:
            return
        mapping = list(range(old.family.classes)) if isinstance(old.family, Classification) else []
        for series in np.flatnonzero(np.array(self._roster.series_model) == model).tolist():
            for key, table in old.tables().items():
                _move(table, new.tables()[key], series, old.family, new.family, mapping)

    def _learn_classes(self, rows: OutcomeRows, model: Ints) -> None:
        """Give a code to every class that a probability names, before any row is counted."""
        for layout, where, _ in rows.proba.groups():
            for number in np.unique(model[where]).tolist() if layout.names else ():
                if self._roster.models[number].classes:
                    for name in layout.names:
                        self._code(number, name)

    def _probabilities(self, rows: OutcomeRows, model: Ints, mine: Ints, classes: int) -> Floats:
        """Return the probability of each class [n, classes], NaN where it was not given."""
        proba = np.full((len(rows.offset), classes), np.nan)
        for layout, where, values in rows.proba.groups():
            for number in np.unique(model[where]).tolist() if layout.names else ():
                if _ledger_name(self._roster.models[number]) == f"classification/{classes}":
                    codes = [self._code(number, name) for name in layout.names]
                    own = model[where] == number
                    proba[where[own][:, None], codes] = values[own]
        scored = mine[~np.isnan(rows.score[mine])]
        if classes == 2 and len(scored):
            positive = np.array([_positive(state) for state in self._roster.models])[model[scored]]
            proba[scored, positive] = rows.score[scored]
            proba[scored, 1 - positive] = 1.0 - rows.score[scored]
        return proba[mine]

    def _pivots(self, model: Ints, actual: Floats) -> Floats:
        """Return the pivot of each row [n]: the first label of its model, kept from then on."""
        found, first, place = np.unique(model, return_index=True, return_inverse=True)
        for number, row in zip(found.tolist(), first.tolist(), strict=True):
            state = self._roster.models[number]
            if state.pivot is None:
                state.pivot = float(actual[row])
        return np.array([self._roster.models[number].pivot for number in found.tolist()], np.float64)[place]

    # Reading

    def _of_ring(
        self, ledger: Ledger, series: int, rows: Floats, only: Collection[str] | None
    ) -> dict[str, Value]:
        values = self._named(ledger, series, _total(ledger, rows), only)
        wanted = set(ORDER) if only is None else set(ORDER).intersection(only)
        if wanted and isinstance(ledger.family, Classification):
            exact = exact_order_metrics(
                rows[:, 1].astype(np.int32),
                rows[:, _CODES:],
                rows[:, 2],
                positive=self._positive_code(series),
                confidence=self._settings.confidence,
            )
            values |= {name: exact[name] for name in wanted}
        return values

    def _named(
        self, ledger: Ledger, series: int, cells: Floats, only: Collection[str] | None
    ) -> dict[str, Value]:
        confidence = self._settings.confidence
        if isinstance(ledger.family, Classification):
            names = self._model(series).classes
            padded = [*names, *["(none)"] * (ledger.family.classes - len(names))]
            positive = self._positive_code(series)
            return ledger.family.values(cells, padded, positive, confidence=confidence, only=only)
        return ledger.family.values(cells, confidence=confidence, only=only)

    def _positive_code(self, series: int) -> int | None:
        state = self._model(series)
        return _positive(state) if state.positive and len(state.classes) <= 2 else None

    def _model(self, series: int) -> ModelState:
        return self._roster.models[self._roster.series_model[series]]

    def _ledger_of(self, series: int) -> Ledger | None:
        name = _ledger_name(self._model(series))
        return self._ledger(name) if name else None

    def _ledgers_of(self, model: Ints) -> dict[str, list[int]]:
        """Return the models [n] by the name of their ledger; those without metrics are left out."""
        found: dict[str, list[int]] = {}
        for number in np.unique(model).tolist():
            name = _ledger_name(self._roster.models[number])
            if name:
                found.setdefault(name, []).append(number)
        return found

    def _ledger(self, name: str) -> Ledger:
        ledger = self._ledgers.get(name)
        if ledger is None:
            classes = name.partition("/")[2]
            bins, calibration = self._settings.score_bins, self._settings.calibration_bins
            family = Classification(int(classes), bins, calibration) if classes else Regression()
            ledger = self._ledgers[name] = Ledger(family, self._settings)
        return ledger


def _ledger_name(state: ModelState) -> str:
    if state.task == "regression":
        return "regression"
    return f"classification/{max(2, len(state.classes))}" if state.classes else ""


def _positive(state: ModelState) -> int:
    return state.classes.index(state.positive) if state.positive in state.classes else 1


def _total(ledger: Ledger, rows: Floats) -> Floats:
    index, amount = ledger.cells(rows)
    return np.bincount(index.reshape(-1), amount.reshape(-1), ledger.family.width).astype(np.float64)


def _move(
    table: PaneTable | RingTable,
    other: PaneTable | RingTable,
    series: int,
    old: Any,
    new: Any,
    mapping: list[int],
) -> None:
    if isinstance(table, PaneTable) and isinstance(other, PaneTable):
        relay: Callable[[Floats], Floats] = lambda cells: widen(cells, old, new, mapping)  # noqa: E731
        table.move(series, other, relay)
    elif isinstance(table, RingTable) and isinstance(other, RingTable):
        more = new.classes - old.classes
        table.move(series, other, lambda rows: np.pad(rows, ((0, 0), (0, more)), constant_values=np.nan))
