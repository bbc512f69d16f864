"""How good the models are: metrics of every series over every window, from outcome rows.

A late label fills its old pane, a correction takes the old outcome out before it adds the new one, and
the baseline holds the first outcomes of a series with their first labels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Block, Floats, Ints, OutcomeRows
from tidegauge.config import Settings
from tidegauge.metrics.classification import MATRIX_CLASSES, Classification
from tidegauge.metrics.columns import Columns, beside, of_rows, undefined
from tidegauge.metrics.order import ORDER, exact_order
from tidegauge.metrics.value import Value
from tidegauge.monitor import moving
from tidegauge.monitor.expansion import Expansion
from tidegauge.monitor.ledger import FIRST_PROBABILITY, Ledger, Ledgers
from tidegauge.monitor.numbers import Numbers
from tidegauge.monitor.roster import ModelState, Roster
from tidegauge.monitor.spoken import spoken
from tidegauge.windows import Runs, grown, summed


class Errors(NamedTuple):
    """What an outcome row says of its model, for detectors and KPIs."""

    series: Ints  # [m] a series of the row
    row: Ints  # [m] index of the row in its block
    error: Floats  # [rows] 1 where the class is wrong, or the absolute error; NaN without a task
    scored: Floats  # [rows, 2] a score and whether what it speaks of came, see `spoken`; NaN without one


class Like(NamedTuple):
    """What series have in common that are read together."""

    positive: int | None
    classes: tuple[str, ...]  # empty where there is a positive class: no metric has their names then


class Table(NamedTuple):
    """The metrics of some series over a window."""

    mine: Ints  # [rows] which of the series asked for
    window: str
    columns: Columns  # [rows, metrics]
    confusion: NDArray[np.int64] | None  # [rows, K, K] outcomes by actual and predicted class


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
            self._count(ledger, rows, *expansion.within(mine), matrix)
        return Errors(expansion.series, expansion.row, error, told)

    def values(self, series: int, window: str, only: Collection[str] | None = None) -> dict[str, Value]:
        """Return the metrics of a series over a window, all or `only` some; empty without a task."""
        ledger = self._ledgers.of_series(series)
        if ledger is None:
            return {}
        like, cells = self._like(series), self._cells(ledger, series, window, only)
        found = self._columns(ledger, like, cells[None], only)
        if window in ledger.rings:
            found = self._of_ring(ledger, like, np.array([series]), window, found, only)
        return found.values()

    def tables(self, series: Ints) -> Iterator[Table]:
        """Yield the metrics of series [n], each once, over every window; those without a task are left out.

        Series with one task and the same classes come together. Cost: .3 ms, and 60 us a series.
        """
        for ledger, like, mine in self._alike(series):
            own = series[mine]
            watermark_ms = self._roster.watermarks(self._roster.columns.model[own])
            windows = (*ledger.rings, *ledger.panes)
            parts = [ledger.windows(own, window, watermark_ms) for window in windows]
            found = self._columns(ledger, like, np.concatenate(parts), None)
            for at, (window, cells) in enumerate(zip(windows, parts, strict=True)):
                columns = found.rows(slice(at * len(own), (at + 1) * len(own)))
                if window in ledger.rings:
                    columns = self._of_ring(ledger, like, own, window, columns, None)
                    columns = beside((columns, _counted(ledger.rings[window].sizes(own))))
                yield Table(mine, window, columns, _confusions(ledger, cells))

    def history(self, series: int, at_ms: int, only: Collection[str]) -> dict[str, Value]:
        """Return some metrics of the hour in which `at_ms` lies; empty where it has no outcome."""
        found = next(self.histories(np.array([series]), np.array([at_ms]), only), None)
        return {} if found is None else found[1].values()

    def histories(self, series: Ints, at_ms: Ints, only: Collection[str]) -> Iterator[tuple[Ints, Columns]]:
        """Yield which of the hours in which `at_ms` [n] of series [n] lie, and a row of some metrics of each.

        Hours without outcomes are left out.
        """
        for ledger, like, mine in self._alike(series):
            hours = zip(mine.tolist(), series[mine].tolist(), at_ms[mine].tolist(), strict=True)
            panes = {place: ledger.history.pane(number, at) for place, number, at in hours}
            cells = {place: pane for place, pane in panes.items() if pane is not None}
            if cells:
                yield (
                    np.array([*cells], np.int64),
                    self._columns(ledger, like, np.stack([*cells.values()]), only),
                )

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

    def _count(self, ledger: Ledger, rows: OutcomeRows, own: Expansion, at: Ints, matrix: Floats) -> None:
        """Count rows of a ledger; `at` says where each of its `own` is in the matrix [n, columns]."""
        series, row = own.series, own.row
        index, amount = ledger.cells(matrix)
        index, amount = _spread(index, at), _spread(amount, at) * rows.sign[row, None]
        groups = own.groups(ledger.step_ms)
        sums = summed(groups, index, amount, ledger.family.width)
        for table in ledger.by_time:
            table.add_sums(groups, sums)
        added = rows.sign > 0
        first, runs = own.only(added & (rows.revision == 0))
        taken = first[self._baseline_room(runs)]
        if len(taken):
            zeros = np.zeros(len(taken), np.int64)
            ledger.baseline.add(series[taken], zeros, zeros, index[taken], amount[taken])
        for ring in ledger.rings.values():
            ring.append(series[first], rows.id_hash[row[first]], matrix[at[first]], runs)
        corrected = own.only(added & (rows.revision > 0))[0].tolist() if len(first) < len(row) else ()
        for ring in ledger.rings.values():
            for which in corrected:
                ring.replace(int(series[which]), int(rows.id_hash[row[which]]), matrix[at[which]])

    def _baseline_room(self, runs: Runs) -> NDArray[np.bool_]:
        """Return which rows [n] still belong to the baselines of their series."""
        self._seen = grown(self._seen, runs.top, 0)
        before = self._seen[runs.series]
        self._seen[runs.series] += runs.sizes
        room: NDArray[np.bool_] = before[runs.place] + runs.rank < self._settings.baseline_outcomes
        return room

    def _cells(self, ledger: Ledger, series: int, window: str, only: Collection[str] | None = None) -> Floats:
        return ledger.window(series, window, self._roster.watermark(series), only)

    def _of_ring(
        self,
        ledger: Ledger,
        like: Like,
        series: Ints,
        window: str,
        found: Columns,
        only: Collection[str] | None,
    ) -> Columns:
        """Return the metrics of a count window: its rows are there, so areas under curves are exact."""
        wanted = ORDER if only is None else [name for name in ORDER if name in only]
        if not wanted or not isinstance(ledger.family, Classification):
            return found
        exact = undefined(ORDER, np.zeros(len(series)))
        for part, rows, inside in ledger.rings[window].alike(series):
            proba = np.where(inside[:, :, None], rows[:, :, FIRST_PROBABILITY:], np.nan)
            actual = rows[:, :, 1].astype(np.int32)
            areas = exact_order(actual, proba, rows[:, :, 2], like.positive, self._settings.confidence)
            for column, own in zip(exact[1:], areas[1:], strict=True):
                column[part] = own
        return found.replaced(exact if only is None else exact.take(wanted))

    def _named(
        self, ledger: Ledger, series: int, cells: Floats, only: Collection[str] | None
    ) -> dict[str, Value]:
        return self._columns(ledger, self._like(series), cells[None], only).values()

    def _columns(self, ledger: Ledger, like: Like, cells: Floats, only: Collection[str] | None) -> Columns:
        """Return the metrics of cells [n, width] of series that are alike."""
        confidence = self._settings.confidence
        if isinstance(ledger.family, Classification):
            padded = [*like.classes, *["(none)"] * (ledger.family.classes - len(like.classes))]
            return ledger.family.columns(cells, padded, like.positive, confidence=confidence, only=only)
        return of_rows([ledger.family.values(row, confidence=confidence, only=only) for row in cells])

    def _like(self, series: int) -> Like:
        state = self._model(series)
        if state.positive and len(state.classes) <= 2:
            return Like(state.positive_code, ())
        return Like(None, tuple(state.classes))

    def _alike(self, series: Ints) -> Iterator[tuple[Ledger, Like, Ints]]:
        """Yield ledgers with the places of the series [n] in it that can be read together."""
        for ledger, mine in self._ledgers.of_models(self._roster.columns.model[series]):
            found: dict[Like, list[int]] = {}
            for place, number in zip(mine.tolist(), series[mine].tolist(), strict=True):
                found.setdefault(self._like(number), []).append(place)
            for like, places in found.items():
                yield ledger, like, np.array(places, np.int64)

    def _model(self, series: int) -> ModelState:
        return self._roster.models[self._roster.series_model[series]]


def _spread(column: NDArray[Any], at: Ints) -> NDArray[Any]:
    """Return the rows [n, m] at these indices, laid out by columns like the rows of a family."""
    return column.T[:, at].T


def _counted(sizes: Ints) -> Columns:
    """Return how many outcomes windows hold."""
    value, nothing = sizes[:, None].astype(np.float64), np.full((len(sizes), 1), np.nan)
    return Columns(("n",), value, value, nothing, nothing)


def _confusions(ledger: Ledger, cells: Floats) -> NDArray[np.int64] | None:
    """Return rows by actual and predicted class [n, K, K]; None for other tasks and for many classes."""
    family = ledger.family
    if not isinstance(family, Classification) or family.classes > MATRIX_CLASSES:
        return None
    return family.confusion(cells)
