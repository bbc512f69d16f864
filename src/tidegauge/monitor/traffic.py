"""What passes through: counts, latency, label delay, KPIs, resources and lists by series and window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import Block, Floats, Ints, Ragged
from tidegauge.config import Settings, duration_ms
from tidegauge.metrics.columns import Columns, beside, quiet, stacked
from tidegauge.metrics.distribution import Distribution
from tidegauge.metrics.moments import Moments
from tidegauge.metrics.value import Value
from tidegauge.monitor.catalogues import Catalogues
from tidegauge.monitor.expansion import Expansion
from tidegauge.monitor.quality import Errors
from tidegauge.monitor.roster import REGRESSION, Roster
from tidegauge.windows import Groups, PaneTable, summed

PREDICTIONS, OUTCOMES, BUSINESS_VALUE = range(3)  # cells of a count table
COUNTS = 3
_OF_PREDICTIONS = np.array([[PREDICTIONS], [BUSINESS_VALUE]])

_ANY_STEP_MS = 1_000  # where there are no windows
LATENCY_MS = Distribution(low=0.1, high=1e5, relative_error=0.01)
DELAY_S = Distribution(low=1.0, high=1e7, relative_error=0.01)
LATENCY_QUANTILES = {f"latency_p{p}_ms": p / 100 for p in (50, 90, 95, 99)}
DELAY_QUANTILES = {f"label_delay_p{p}_s": p / 100 for p in (50, 90, 95, 99)}


class Tables(NamedTuple):
    """The tables of one time window; KPIs and resources have a row for each series and name."""

    counts: PaneTable
    latency: PaneTable
    delay: PaneTable
    moments: PaneTable


class Traffic:
    """Statistics that need no task, of predictions and of outcomes."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._confidence = settings.monitor.confidence
        self._roster = roster
        self._moments = Moments()
        self._catalogues = Catalogues(settings, roster)
        self._names: dict[int, dict[str, int]] = {}  # series -> kpi or resource -> row of moments
        self._name_count = 0
        widths = (COUNTS, LATENCY_MS.width, DELAY_S.width, self._moments.width)
        panes = settings.monitor.panes
        self._windows = {
            name: Tables(*(PaneTable(width, duration_ms(name) // panes, panes) for width in widths))
            for name in settings.monitor.time_windows
        }
        self._step_ms = (
            math.gcd(*(tables.counts.pane_ms for tables in self._windows.values())) or _ANY_STEP_MS
        )

    def predictions(self, block: Block, expansion: Expansion) -> None:
        """Count the prediction rows of a block."""
        rows, row = block.predictions, expansion.row
        groups = expansion.groups(self._step_ms)
        value = np.nan_to_num(rows.business_value)
        amounts = np.stack((np.ones(len(row)), value[row]))
        counts = summed(groups, np.repeat(_OF_PREDICTIONS, len(row), axis=1).T, amounts.T, COUNTS)
        cells, amount = LATENCY_MS.cells(rows.latency_ms)  # a latency that is not known adds nothing
        latency = summed(groups, cells[row], amount[row], LATENCY_MS.width)
        for tables in self._windows.values():
            tables.counts.add_sums(groups, counts)
            tables.latency.add_sums(groups, latency)
        if len(rows.resources.values):
            unjudged, once = np.full(len(rows.offset), np.nan), np.ones(len(rows.offset))
            self._add_maps("resource", rows.resources, expansion, groups, unjudged, once)
        self._catalogues.observe(block, expansion)

    def outcomes(self, block: Block, expansion: Expansion, errors: Errors) -> None:
        """Count the outcome rows of a block; `errors` says how good each was."""
        rows, row = block.outcomes, expansion.row
        groups = expansion.groups(self._step_ms)
        sign = rows.sign[row, None]
        counts = summed(groups, np.full((len(row), 1), OUTCOMES), sign, COUNTS)
        cells, amount = DELAY_S.cells(np.maximum(rows.labelled_at_ms - rows.predicted_at_ms, 0) / 1_000)
        delay = summed(groups, cells[row], amount[row] * sign, DELAY_S.width)
        for tables in self._windows.values():
            tables.counts.add_sums(groups, counts)
            tables.delay.add_sums(groups, delay)
        if len(rows.kpis.values):
            bounded = self._roster.columns.shape[expansion.model] != REGRESSION
            quality = np.where(bounded, 1.0 - errors.error, errors.error)  # 1: a right class, a perfect list
            self._add_maps("kpi", rows.kpis, expansion, groups, quality, rows.sign)

    def values(self, series: int, window: str) -> dict[str, Value]:
        """Return the statistics of a series over a time window."""
        (columns,) = self.tables(np.array([series]), (window,))
        return columns[1].values() | self.named(series, window)

    def tables(self, series: Ints, windows: Sequence[str]) -> list[tuple[str, Columns]]:
        """Return by window the statistics that all series have, of series [n], each once."""
        watermark_ms = self._roster.watermarks(self._roster.columns.model[series])
        every = [self._windows[window] for window in windows]
        if not every:
            return []
        counts, latency, delay = (
            np.concatenate([tables[at].windows(series, watermark_ms) for tables in every]) for at in range(3)
        )
        seconds = np.repeat([duration_ms(window) / 1_000 for window in windows], len(series))
        found = beside(
            (
                _counts(counts, seconds),
                LATENCY_MS.columns(latency, LATENCY_QUANTILES, self._confidence),
                DELAY_S.columns(delay, DELAY_QUANTILES, self._confidence),
            )
        )
        return [
            (window, found.rows(slice(at * len(series), (at + 1) * len(series))))
            for at, window in enumerate(windows)
        ]

    def named(self, series: int, window: str) -> dict[str, Value]:
        """Return the statistics that only some series have: of KPIs, resources and lists."""
        found = self._catalogues.values(series, window)
        if series in self._names:
            tables, watermark_ms = self._windows[window], self._roster.watermark(series)
            outcomes = int(tables.counts.window(series, watermark_ms)[OUTCOMES])
            found |= self._named_moments(tables, series, outcomes, watermark_ms)
        return found

    def coverage(self, series: int, window: str) -> float | None:
        """Return the share of the window's predictions that have their label; None without any."""
        counts = self._windows[window].counts.window(series, self._roster.watermark(series))
        return float(counts[OUTCOMES] / counts[PREDICTIONS]) if counts[PREDICTIONS] else None

    def forget(self, series: int) -> None:
        """Drop what was counted of a series."""
        self._catalogues.forget(series)
        for tables in self._windows.values():
            for table in (tables.counts, tables.latency, tables.delay):
                table.forget(series)
            for number in self._names.get(series, {}).values():
                tables.moments.forget(number)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        windows = {name: [table.state() for table in tables] for name, tables in self._windows.items()}
        return {
            "names": list(self._names.items()),
            "windows": windows,
            "catalogues": self._catalogues.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; windows no longer set are left out."""
        if "catalogues" in state:  # a snapshot may be older than they are
            self._catalogues.restore(state["catalogues"])
        self._names = dict(state["names"])
        self._name_count = sum(len(names) for names in self._names.values())
        for name in self._windows.keys() & state["windows"].keys():
            for table, kept in zip(self._windows[name], state["windows"][name], strict=True):
                table.restore(kept)

    def _add_maps(
        self, kind: str, maps: Ragged, expansion: Expansion, groups: Groups, quality: Floats, sign: Floats
    ) -> None:
        for layout, where, values in maps.groups():
            if not layout.names:
                continue
            row, mine, group = expansion.row, expansion.row, groups.place
            if len(where) < len(maps.layout):
                place = np.full(len(maps.layout), -1)
                place[where] = np.arange(len(where))
                mine = place[row]
                kept = mine >= 0
                row, mine, group = row[kept], mine[kept], group[kept]
            used, group = np.unique(group, return_inverse=True)
            own = Groups(groups.series[used], groups.at_ms[used], groups.watermark_ms[used], group)
            for column, name in enumerate(layout.names):
                index, amount = self._moments.cells(values[mine, column], quality[row])
                named = own.of(self._numbers(own.series, f"{kind}.{name}"))
                sums = summed(named, index, amount * sign[row, None], self._moments.width)
                for tables in self._windows.values():
                    tables.moments.add_sums(named, sums)

    def _numbers(self, series: Ints, name: str) -> Ints:
        found, place = np.unique(series, return_inverse=True)
        return np.array([self._number(number, name) for number in found.tolist()], np.int64)[place]

    def _number(self, series: int, name: str) -> int:
        names = self._names.setdefault(series, {})
        if name not in names:
            names[name] = self._name_count
            self._name_count += 1
        return names[name]

    def _named_moments(
        self, tables: Tables, series: int, outcomes: int, watermark_ms: int
    ) -> dict[str, Value]:
        named: dict[str, Value] = {}
        for name, number in self._names.get(series, {}).items():
            cells = tables.moments.window(number, watermark_ms)
            values = self._moments.values(cells, outcomes, confidence=self._confidence)
            wanted = values if name.startswith("kpi.") else {"mean": values["mean"]}
            named |= {f"{name}.{statistic}": value for statistic, value in wanted.items()}
        return named


def _counts(cells: Floats, seconds: Floats) -> Columns:
    """Return what was counted [rows, COUNTS] in so many seconds; it is not estimated: it has no interval."""
    predictions, outcomes = np.trunc(cells[:, PREDICTIONS]), np.trunc(cells[:, OUTCOMES])
    with quiet():
        share = np.where(predictions != 0, outcomes / predictions, np.nan)
    values = (outcomes, predictions, share, predictions / seconds, cells[:, BUSINESS_VALUE])
    names = ("n", "predictions", "coverage", "throughput_per_s", "value.sum")
    nothing = np.full(len(cells), np.nan)
    counts = (outcomes, *[predictions] * 4)
    return stacked(names, [(value, n, nothing, nothing) for value, n in zip(values, counts, strict=True)])
