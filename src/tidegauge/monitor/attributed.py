"""The first and the last outcomes of versions as rows, to see which segments and features carry a change.

A row is (loss, time of the prediction, a code for each column). Columns are the segment fields that are
watched, then, where that is set, the features in their frozen bins: an outcome has no features, so those of
predictions are kept until the label comes, and only outcomes whose features are known make rows. Rows by
segments are the same for any blocks; which predictions are the first with features depends on the block in
which the bins freeze, and which are kept on the blocks where more come than there is room for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import Block, Floats, Ints
from tidegauge.config import Settings
from tidegauge.monitor.expansion import Expansion
from tidegauge.monitor.kept import KeptRows
from tidegauge.monitor.roster import Roster
from tidegauge.monitor.shift import Shift
from tidegauge.windows import RingTable, Runs, grown

KEPT_ROWS = 20_000  # predictions of a version that wait for their label, 2 bytes a feature
LOSS, AT_MS, CODES = 0, 1, 2  # columns of a row; the codes are the last
NOWHERE = -1  # the code of a row without a value in a segment field


class Rows(NamedTuple):
    """The rows of a version in the reference and in the window, the newest last, and their columns' names."""

    before: Floats  # [n, CODES + columns]
    after: Floats
    columns: tuple[str, ...]
    segments: int  # of the columns, the first ones


class _Store(NamedTuple):
    """The rows of all versions with one number of columns."""

    reference: RingTable
    window: RingTable


class Attributed:
    """Rows of every version that has columns by which its error can be split."""

    def __init__(self, settings: Settings, roster: Roster, shift: Shift) -> None:
        self._settings, self._roster, self._shift = settings, roster, shift
        self._capacity = settings.drift.attribution_outcomes
        self._with_features = settings.drift.attribution == "features"
        self._stores: dict[int, _Store] = {}  # by number of columns
        self._columns: dict[int, tuple[str, ...]] = {}  # of versions that have rows
        self._kept: dict[int, KeptRows] = {}  # by version
        self._seen: Ints = np.zeros(0, np.int64)  # by version: rows that ever came
        self._place: Ints = np.zeros(0, np.int64)  # by series: the column of its segment field
        self._fields: Ints = np.zeros(0, np.int64)  # by series: segment fields of its model
        self._known = 0  # series of which the roster was asked

    def predictions(self, block: Block, expansion: Expansion) -> None:
        """Keep the features of a block's predictions, of versions whose bins are frozen."""
        rows = block.predictions
        for layout, where, values in rows.features.groups() if self._with_features else ():
            version = expansion.version[where]
            for series in np.unique(version).tolist() if layout.names else ():
                bins = self._shift.bins(series)
                if bins is None or not bins.width:
                    continue
                if series not in self._kept:
                    self._kept[series] = KeptRows(KEPT_ROWS, len(bins.names))
                mine = np.flatnonzero(version == series)
                cells = bins.cells(layout, values[mine], block.strings) - bins.starts
                self._kept[series].add(rows.id_hash[where[mine]], cells.astype(np.int32))

    def outcomes(self, block: Block, expansion: Expansion, loss: Floats) -> None:
        """Take the outcome rows of a block with their losses [rows], NaN for none; corrections replace."""
        self._meet()
        if self._settings.drift.attribution == "none" or not (self._with_features or self._fields.any()):
            return
        rows, version = block.outcomes, expansion.version
        told = np.isfinite(loss) & (rows.sign > 0)
        if not told.any():
            return
        segments = self._segment_codes(expansion, len(version))
        if not self._with_features:
            count = self._fields[version]
            for number in np.unique(count[told & (count > 0)]).tolist():
                mine = np.flatnonzero(told & (count == number))
                self._take(block, version, mine, loss, segments[mine, :number])
            return
        for series in np.unique(version[told]).tolist():
            bins, kept = self._shift.bins(series), self._kept.get(series)
            if bins is None or kept is None:
                continue
            mine = np.flatnonzero(told & (version == series))
            found, cells = kept.find(rows.id_hash[mine])
            mine = mine[found]
            codes: Ints = np.column_stack((segments[mine, : self._fields[series]], cells))
            self._take(block, version, mine, loss, codes)

    def rows(self, series: int) -> Rows | None:
        """Return the rows of a version; None where it has none after the reference."""
        store = self._stores.get(len(self._columns.get(series, ())))
        if store is None or not store.window.size(series):
            return None
        reference = store.reference.latest(series, self._capacity)
        window = store.window.latest(series, self._capacity)
        return Rows(reference, window, self._columns[series], int(self._fields[series]))

    def forget(self, series: int) -> None:
        """Drop the rows of a version; its next outcomes are a new reference."""
        store = self._stores.get(len(self._columns.pop(series, ())))
        if store is not None:
            store.reference.forget(series)
            store.window.forget(series)
        self._kept.pop(series, None)
        self._seen[series : series + 1] = 0

    def adopt(self, series: int) -> None:
        """Start anew where a version's features have got other bins."""
        if self._with_features:
            self.forget(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        seen = np.flatnonzero(self._seen)
        return {
            "columns": [[series, list(names)] for series, names in self._columns.items()],
            "seen": np.stack((seen, self._seen[seen]), axis=1),
            "stores": [[width, *(table.state() for table in store)] for width, store in self._stores.items()],
            "kept": [[series, kept.state()] for series, kept in self._kept.items()],
            "capacity": self._capacity,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned.

        Versions that have other columns now start anew, and all do where another number of rows is set.
        """
        self._meet()
        if state["capacity"] != self._capacity:
            return
        seen = np.array(state["seen"], np.int64).reshape(-1, 2)
        self._seen = grown(self._seen, int(seen[:, 0].max(initial=-1)) + 1, 0)
        self._seen[seen[:, 0]] = seen[:, 1]
        for width, reference, window in state["stores"]:
            store = self._store(width)
            store.reference.restore(reference)
            store.window.restore(window)
        for series, kept in state["kept"]:
            self._kept[series] = KeptRows(KEPT_ROWS, kept["cells"].shape[1])
            self._kept[series].restore(kept)
        for series, names in state["columns"]:
            self._columns[series] = tuple(names)
        for series in list(self._columns):
            if self._columns[series] != self._names(series):
                self.forget(series)

    def _take(self, block: Block, version: Ints, mine: Ints, loss: Floats, codes: Ints) -> None:
        """Take rows at `mine` with codes [n, columns]: first labels in order, then corrections."""
        rows, store = block.outcomes, self._store(codes.shape[1])
        matrix = np.column_stack((loss[mine], rows.predicted_at_ms[mine], codes)).astype(np.float64)
        series, ids = version[mine], rows.id_hash[mine]
        is_first = rows.revision[mine] == 0
        first = np.flatnonzero(is_first)
        if len(first):
            runs = Runs(series[first])
            self._seen = grown(self._seen, int(runs.series.max()) + 1, 0)
            for number in runs.series[self._seen[runs.series] == 0].tolist():
                self._columns[number] = self._names(number)
            early = self._seen[series[first]] + runs.rank < self._capacity
            self._seen[runs.series] += runs.sizes
            for table, chosen in ((store.reference, first[early]), (store.window, first[~early])):
                table.append(series[chosen], ids[chosen], matrix[chosen])
        for which in np.flatnonzero(~is_first).tolist():
            store.window.replace(int(series[which]), int(ids[which]), matrix[which])

    def _segment_codes(self, expansion: Expansion, rows: int) -> Ints:
        """Return the series [rows, fields] of each row's segments, NOWHERE without one."""
        codes = np.full((rows, int(self._fields.max(initial=0))), NOWHERE, np.int64)
        place = self._place[expansion.series]
        is_segment = place >= 0
        codes[expansion.row[is_segment], place[is_segment]] = expansion.series[is_segment]
        return codes

    def _meet(self) -> None:
        """Learn of the series that are new where each stands among the columns of its version."""
        every = self._roster.series
        self._place, self._fields = (grown(each, len(every), 0) for each in (self._place, self._fields))
        for series in range(self._known, len(every)):
            fields = self._settings.model(every[series].model_id).segments
            name = (every[series].segment or "").partition("=")[0]
            self._place[series] = fields.index(name) if name in fields else NOWHERE
            self._fields[series] = len(fields)
        self._known = len(every)

    def _names(self, series: int) -> tuple[str, ...]:
        """Return what the columns of a version are called now."""
        if self._settings.drift.attribution == "none":
            return ()
        fields = self._settings.model(self._roster.series[series].model_id).segments
        bins = self._shift.bins(series) if self._with_features else None
        features = bins.names if bins else ()
        return (*fields, *(f"features.{name}" if name in fields else name for name in features))

    def _store(self, columns: int) -> _Store:
        if columns not in self._stores:
            reference, window = (RingTable(self._capacity, CODES + columns) for _ in range(2))
            self._stores[columns] = _Store(reference, window)
        return self._stores[columns]
