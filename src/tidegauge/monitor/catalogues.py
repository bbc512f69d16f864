"""What versions show of their catalogues, from the lists they predict: no label is needed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidegauge.block import Block
from tidegauge.config import Settings, duration_ms
from tidegauge.metrics.catalogue import Catalogue
from tidegauge.metrics.ranking import ranks
from tidegauge.metrics.value import Value
from tidegauge.monitor.expansion import Expansion
from tidegauge.monitor.lists import flat
from tidegauge.monitor.roster import Roster
from tidegauge.windows import PaneTable, grouped, summed

_ANY_STEP_MS = 1_000  # where there are no windows


class Catalogues:
    """Counts of the items that versions show in the first places of their lists, by time window."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        monitor = settings.monitor
        self._settings = settings
        self._roster = roster
        self._family = Catalogue(monitor.catalogue_cells)
        self._depth = max(monitor.ranking_k)
        self._windows = {
            name: PaneTable(self._family.width, duration_ms(name) // monitor.panes, monitor.panes)
            for name in monitor.time_windows
        }
        self._step_ms = math.gcd(*(table.pane_ms for table in self._windows.values())) or _ANY_STEP_MS

    def observe(self, block: Block, expansion: Expansion) -> None:
        """Count the prediction rows of a block that are lists. Cost: O(items), nothing without lists."""
        rows = block.predictions
        if not len(rows.items.sizes):
            return
        listed, items, _ = flat(rows.items, np.full(len(rows.offset), -1, np.int32))
        top = ranks(items.row) <= self._depth
        row, item = items.row[top], items.item[top]
        series = expansion.version
        watermark_ms = self._roster.watermarks(expansion.model)
        groups = grouped(series[listed], rows.predicted_at_ms[listed], watermark_ms[listed], self._step_ms)
        used, place = np.unique(item, return_inverse=True)
        cell = self._family.places([block.strings[code] for code in used.tolist()])[place]
        own = groups._replace(place=groups.place[np.searchsorted(listed, row)])
        shown = np.bincount(row, minlength=len(rows.offset))[listed]
        width = self._family.width
        parts = (
            summed(own, cell[:, None], np.ones((len(cell), 1)), width),
            summed(groups, *self._family.totals(shown), width),
        )
        for table in self._windows.values():
            for sums in parts:
                table.add_sums(groups, sums)

    def values(self, series: int, window: str) -> dict[str, Value]:
        """Return what a version shows over a time window; empty where it shows no lists."""
        cells = self._windows[window].window(series, self._roster.watermark(series))
        if not cells[self._family.size]:
            return {}
        size = self._settings.model(self._roster.series[series].model_id).catalogue_items
        return self._family.values(cells, size, confidence=self._settings.monitor.confidence)

    def forget(self, series: int) -> None:
        """Drop what was counted of a series."""
        for table in self._windows.values():
            table.forget(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        windows = {name: table.state() for name, table in self._windows.items()}
        return {"shape": [self._family.size, self._depth], "windows": windows}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; what is no longer set is left out: windows, sizes."""
        if list(state["shape"]) == [self._family.size, self._depth]:
            for name in self._windows.keys() & state["windows"].keys():
                self._windows[name].restore(state["windows"][name])
