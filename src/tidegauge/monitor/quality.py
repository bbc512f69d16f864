"""How good the models are: metrics of every series over every window, from outcome rows.

A late label fills its old pane, a correction takes the old outcome out before it adds the new one, and
the baseline holds the first outcomes of a series with their first labels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Block, Floats, Ints, OutcomeRows
from tidegauge.config import Settings
from tidegauge.metrics.classification import MATRIX_CLASSES, ORDER, Classification
from tidegauge.metrics.order import exact_order_metrics
from tidegauge.metrics.value import Value
from tidegauge.monitor import moving
from tidegauge.monitor.ledger import FIRST_PROBABILITY, Ledger, Ledgers
from tidegauge.monitor.numbers import Numbers
from tidegauge.monitor.roster import Expansion, ModelState, Roster
from tidegauge.monitor.spoken import spoken
from tidegauge.windows import Runs, grouped, grown, summed


class Errors(NamedTuple):
    """What an outcome row says of its model, for detectors and KPIs."""

    series: Ints  # [m] a series of the row
    row: Ints  # [m] index of the row in its block
    error: Floats  # [rows] 1 where the class is wrong, or the absolute error; NaN without a task
    scored: Floats  # [rows, 2] a score and whether what it speaks of came, see `spoken`; NaN without one


class Quality:
    """Metrics of every series over every window, with corrections and late labels in place."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._settings = settings.monitor
        self._roster = roster
        self._ledgers = Ledgers(settings.monitor, roster, moving.history_ms(settings))
        self._numbers = Numbers(roster, settings.monitor.classes, self._ledgers.add_class)
        self._seen: Ints = np.zeros(0, np.int64)  # by series: first labels that came

    def observe(self, block: Block, expansion: Expansion) -> Errors:
        """Count the outcome rows of a block, all of models whose task is decided."""
        rows, model = block.outcomes, expansion.model
        error, told = np.full(len(rows.offset), np.nan), np.full((len(rows.offset), 2), np.nan)
        pair = np.stack(self._numbers.values(block, model), axis=1)
        for ledger, mine in self._ledgers.of_models(model):
            matrix = self._numbers.matrix(ledger, rows, model, mine, pair[mine])
            distance = np.abs(matrix[:, 0] - matrix[:, 1])
            error[mine] = distance > 0 if isinstance(ledger.family, Classification) else distance
            told[mine] = spoken(ledger.family, matrix, self._roster.columns.positive[model[mine]])
            self._count(ledger, rows, expansion, mine, matrix)
        return Errors(expansion.series, expansion.row, error, told)

    def values(self, series: int, window: str, only: Collection[str] | None = None) -> dict[str, Value]:
        """Return the metrics of a series over a window, all or `only` some; empty without a task."""
        ledger = self._ledgers.of_series(series)
        if ledger is None:
            return {}
        if window in ledger.panes:
            return self._named(ledger, series, self._cells(ledger, series, window, only), only)
        return self._of_ring(ledger, series, window, only)

    def count(self, series: int, window: str) -> Value:
        """Return how many outcomes a count window holds."""
        ledger = self._ledgers.of_series(series)
        n = 0 if ledger is None else ledger.rings[window].size(series)
        return Value(float(n), n, None, None)

    def confusion(self, series: int, window: str) -> list[list[int]] | None:
        """Return rows by actual and predicted class; None for other tasks or more than MATRIX_CLASSES."""
        ledger = self._ledgers.of_series(series)
        if ledger is None or not isinstance(ledger.family, Classification):
            return None
        if ledger.family.classes > MATRIX_CLASSES:
            return None
        size = len(self._model(series).classes)
        cells = self._cells(ledger, series, window, only=())
        found = ledger.family.confusion(cells)[:size, :size]
        counts: list[list[int]] = found.tolist()
        return counts

    def history(self, series: int, at_ms: int, only: Collection[str]) -> dict[str, Value]:
        """Return some metrics of the hour in which `at_ms` lies; empty where it has no outcome."""
        ledger = self._ledgers.of_series(series)
        cells = None if ledger is None else ledger.history.pane(series, at_ms)
        return {} if ledger is None or cells is None else self._named(ledger, series, cells, only)

    def over(self, series: int, spans: Sequence[moving.Span], metric: str, least: int) -> Value | None:
        """Return a metric of the hours that begin in any of the spans; None for a metric of other tasks.

        None too where fewer than `least` of the spans have outcomes.
        """
        ledger = self._ledgers.of_series(series)
        cells = [ledger.history.span(series, *span) for span in spans] if ledger else []
        if ledger is None or sum(bool(each.any()) for each in cells) < least:
            return None
        return self._named(ledger, series, np.sum(cells, axis=0), {metric}).get(metric)

    def baseline(self, series: int) -> dict[str, Value] | None:
        """Return the metrics of the first outcomes, or None while there are too few."""
        ledger = self._ledgers.of_series(series)
        if ledger is None or not self.has_baseline(np.array([series]))[0]:
            return None
        return self._named(ledger, series, ledger.baseline.window(series, 0), None)

    def has_baseline(self, series: Ints) -> NDArray[np.bool_]:
        """Return which of the series [n] have had enough outcomes for a baseline."""
        self._seen = grown(self._seen, int(series.max(initial=-1)) + 1, 0)
        enough: NDArray[np.bool_] = self._seen[series] >= self._settings.baseline_outcomes
        return enough

    def forget(self, series: int) -> None:
        """Drop what was counted of a series; its baseline starts again."""
        ledger = self._ledgers.of_series(series)
        self._seen[series : series + 1] = 0
        for table in ledger.tables().values() if ledger else ():
            table.forget(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        seen = np.flatnonzero(self._seen)
        return {"tables": self._ledgers.state(), "seen": np.stack((seen, self._seen[seen]), axis=1)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; tables of windows no longer set are left out."""
        seen = np.array(state["seen"], np.int64).reshape(-1, 2)
        self._seen = grown(self._seen, int(seen[:, 0].max(initial=-1)) + 1, 0)
        self._seen[seen[:, 0]] = seen[:, 1]
        self._ledgers.restore(state["tables"])

    def _count(
        self, ledger: Ledger, rows: OutcomeRows, expansion: Expansion, mine: Ints, matrix: Floats
    ) -> None:
        series, row, at = expansion.series, expansion.row, expansion.row
        if len(mine) < len(rows.offset):
            place = np.full(len(rows.offset), -1)
            place[mine] = np.arange(len(mine))
            kept = place[row] >= 0
            series, row, at = series[kept], row[kept], place[row[kept]]
        index, amount = ledger.cells(matrix)
        index, amount = _spread(index, at), _spread(amount, at) * rows.sign[row, None]
        at_ms, watermark_ms = rows.predicted_at_ms[row], self._roster.watermarks(expansion.model[row])
        groups = grouped(series, at_ms, watermark_ms, ledger.step_ms)
        sums = summed(groups, index, amount, ledger.family.width)
        for table in ledger.by_time:
            table.add_sums(groups, sums)
        first = np.flatnonzero((rows.revision[row] == 0) & (rows.sign[row] > 0))
        runs = Runs(series[first])
        taken = first[self._baseline_room(runs)]
        if len(taken):
            zeros = np.zeros(len(taken), np.int64)
            ledger.baseline.add(series[taken], zeros, zeros, index[taken], amount[taken])
        for ring in ledger.rings.values():
            ring.append(series[first], rows.id_hash[row[first]], matrix[at[first]], runs)
        corrected = np.flatnonzero((rows.revision[row] > 0) & (rows.sign[row] > 0))
        for ring in ledger.rings.values():
            for which in corrected.tolist():
                ring.replace(int(series[which]), int(rows.id_hash[row[which]]), matrix[at[which]])

    def _baseline_room(self, runs: Runs) -> NDArray[np.bool_]:
        """Return which rows [n] still belong to the baselines of their series."""
        self._seen = grown(self._seen, int(runs.series.max(initial=-1)) + 1, 0)
        before = self._seen[runs.series]
        self._seen[runs.series] += runs.sizes
        room: NDArray[np.bool_] = before[runs.place] + runs.rank < self._settings.baseline_outcomes
        return room

    def _cells(self, ledger: Ledger, series: int, window: str, only: Collection[str] | None = None) -> Floats:
        return ledger.window(series, window, self._roster.watermark(series), only)

    def _of_ring(
        self, ledger: Ledger, series: int, window: str, only: Collection[str] | None
    ) -> dict[str, Value]:
        """Return the metrics of a count window: its rows are there, so areas under curves are exact."""
        values = self._named(ledger, series, self._cells(ledger, series, window, only), only)
        wanted = set(ORDER) if only is None else set(ORDER).intersection(only)
        if wanted and isinstance(ledger.family, Classification):
            rows = ledger.rings[window].rows(series)
            exact = exact_order_metrics(
                rows[:, 1].astype(np.int32),
                rows[:, FIRST_PROBABILITY:],
                rows[:, 2],
                positive=self._positive_code(series),
                confidence=self._settings.confidence,
            )
            values |= {name: exact[name] for name in ORDER if name in wanted}
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
        return state.positive_code if state.positive and len(state.classes) <= 2 else None

    def _model(self, series: int) -> ModelState:
        return self._roster.models[self._roster.series_model[series]]


def _spread(column: NDArray[Any], at: Ints) -> NDArray[Any]:
    """Return the rows [n, m] at these indices, laid out by columns like the rows of a family."""
    return column.T[:, at].T
