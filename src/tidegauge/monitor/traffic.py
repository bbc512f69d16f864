"""What passes through: counts, latency, label delay, KPIs and resources by series and window."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import Block, Floats, Ints, Ragged
from tidegauge.config import Settings, duration_ms
from tidegauge.metrics.distribution import Distribution
from tidegauge.metrics.moments import Moments
from tidegauge.metrics.value import Value
from tidegauge.monitor.quality import Errors
from tidegauge.monitor.roster import Expansion, Roster
from tidegauge.windows import PaneTable

PREDICTIONS, OUTCOMES, BUSINESS_VALUE = range(3)  # cells of a count table

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
        self._names: dict[int, dict[str, int]] = {}  # series -> kpi or resource -> row of moments
        self._name_count = 0
        widths = (3, LATENCY_MS.width, DELAY_S.width, self._moments.width)
        panes = settings.monitor.panes
        self._windows = {
            name: Tables(*(PaneTable(width, duration_ms(name) // panes, panes) for width in widths))
            for name in settings.monitor.time_windows
        }

    def predictions(self, block: Block, expansion: Expansion) -> None:
        """Count the prediction rows of a block."""
        rows = block.predictions
        series, row = expansion.series, expansion.row
        at_ms, watermark_ms = rows.predicted_at_ms[row], self._roster.watermarks(expansion.model[row])
        value = np.nan_to_num(rows.business_value)
        index = np.tile(np.array([PREDICTIONS, BUSINESS_VALUE], np.int32), (len(row), 1))
        amount = np.stack((np.ones(len(row)), value[row]), axis=1)
        timed = ~np.isnan(rows.latency_ms[row])
        latency = LATENCY_MS.cells(rows.latency_ms[row[timed]])
        for tables in self._windows.values():
            tables.counts.add(series, at_ms, watermark_ms, index, amount)
            tables.latency.add(series[timed], at_ms[timed], watermark_ms[timed], *latency)
        unjudged, once = np.full(len(rows.offset), np.nan), np.ones(len(rows.offset))
        self._add_maps("resource", rows.resources, expansion, rows.predicted_at_ms, unjudged, once)

    def outcomes(self, block: Block, expansion: Expansion, errors: Errors) -> None:
        """Count the outcome rows of a block; `errors` says how good each was."""
        rows = block.outcomes
        series, row = expansion.series, expansion.row
        at_ms, watermark_ms = rows.predicted_at_ms[row], self._roster.watermarks(expansion.model[row])
        sign = rows.sign[row, None]
        index = np.full((len(row), 1), OUTCOMES, np.int32)
        delay_s = np.maximum(rows.labelled_at_ms - rows.predicted_at_ms, 0) / 1_000
        cells, amount = DELAY_S.cells(delay_s[row])
        for tables in self._windows.values():
            tables.counts.add(series, at_ms, watermark_ms, index, sign)
            tables.delay.add(series, at_ms, watermark_ms, cells, amount * sign)
        quality = self._quality(expansion.model, errors.error)
        self._add_maps("kpi", rows.kpis, expansion, rows.predicted_at_ms, quality, rows.sign)

    def values(self, series: int, window: str) -> dict[str, Value]:
        """Return the statistics of a series over a time window."""
        watermark_ms = self._roster.watermark(series)
        tables = self._windows[window]
        counts = tables.counts.window(series, watermark_ms)
        predictions, outcomes = int(counts[PREDICTIONS]), int(counts[OUTCOMES])
        seconds = duration_ms(window) / 1_000
        share = outcomes / predictions if predictions else None
        latency = tables.latency.window(series, watermark_ms)
        delay = tables.delay.window(series, watermark_ms)
        return {
            "n": _count(outcomes, outcomes),
            "predictions": _count(predictions, predictions),
            "coverage": Value(share, predictions, None, None),
            "throughput_per_s": _count(predictions / seconds, predictions),
            "value.sum": _count(float(counts[BUSINESS_VALUE]), predictions),
            **LATENCY_MS.values(latency, LATENCY_QUANTILES, confidence=self._confidence),
            **DELAY_S.values(delay, DELAY_QUANTILES, confidence=self._confidence),
            **self._named_moments(tables, series, outcomes, watermark_ms),
        }

    def coverage(self, series: int, window: str) -> float | None:
        """Return the share of the window's predictions that have their label; None without any."""
        counts = self._windows[window].counts.window(series, self._roster.watermark(series))
        return float(counts[OUTCOMES] / counts[PREDICTIONS]) if counts[PREDICTIONS] else None

    def forget(self, series: int) -> None:
        """Drop what was counted of a series."""
        for tables in self._windows.values():
            for table in (tables.counts, tables.latency, tables.delay):
                table.forget(series)
            for number in self._names.get(series, {}).values():
                tables.moments.forget(number)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        windows = {name: [table.state() for table in tables] for name, tables in self._windows.items()}
        return {"names": list(self._names.items()), "windows": windows}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; windows no longer set are left out."""
        self._names = dict(state["names"])
        self._name_count = sum(len(names) for names in self._names.values())
        for name in self._windows.keys() & state["windows"].keys():
            for table, kept in zip(self._windows[name], state["windows"][name], strict=True):
                table.restore(kept)

    def _add_maps(
        self,
        kind: str,
        maps: Ragged,
        expansion: Expansion,
        at_ms: Ints,
        quality: Floats,
        sign: Floats,
    ) -> None:
        for layout, where, values in maps.groups():
            if not layout.names:
                continue
            place = np.full(len(maps.layout), -1)
            place[where] = np.arange(len(where))
            kept = place[expansion.row] >= 0
            row, series = expansion.row[kept], expansion.series[kept]
            watermark_ms = self._roster.watermarks(expansion.model[row])
            for column, name in enumerate(layout.names):
                numbers = self._numbers(series, f"{kind}.{name}")
                index, amount = self._moments.cells(values[place[row], column], quality[row])
                amount = amount * sign[row, None]
                for tables in self._windows.values():
                    tables.moments.add(numbers, at_ms[row], watermark_ms, index, amount)

    def _numbers(self, series: Ints, name: str) -> Ints:
        found, place = np.unique(series, return_inverse=True)
        return np.array([self._number(number, name) for number in found.tolist()], np.int64)[place]

    def _number(self, series: int, name: str) -> int:
        names = self._names.setdefault(series, {})
        if name not in names:
            names[name] = self._name_count
            self._name_count += 1
        return names[name]

    def _quality(self, model: Ints, error: Floats) -> Floats:
        """Return 1 for a right class and 0 for a wrong one, or the absolute error of a regression."""
        classed = np.array([bool(state.classes) for state in self._roster.models])[model]
        return np.where(classed, 1.0 - error, error)

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


def _count(value: float, n: int) -> Value:
    """Return a number that was counted, not estimated: it has no interval."""
    return Value(float(value), n, None, None)
