"""How good the models probably are, before their labels come: estimates of every version over every window.

Predictions fill score bins by window, labels a calibration: the first ones its reference, later ones its
live part. An hour's predictions are a cohort: when the hour is over its estimate is written down, and when
its labels have come it is compared with what was realised. Segments have no estimates of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tidegauge.baseline_file import BaselineFile
from tidegauge.block import Block, Floats, Ints
from tidegauge.config import Settings, duration_ms
from tidegauge.estimate import classification, track
from tidegauge.estimate.calibration import Calibration, blend, finer, monotone, monotones
from tidegauge.metrics.columns import Columns
from tidegauge.metrics.value import Value, normal_quantile
from tidegauge.monitor.expansion import Expansion
from tidegauge.monitor.featured import Featured
from tidegauge.monitor.ledger import HISTORY_PANE_MS
from tidegauge.monitor.quality import Quality
from tidegauge.monitor.roster import OTHER, Roster
from tidegauge.monitor.scored import OTHERS, OWN, SCORE, Scored, scored
from tidegauge.windows import PaneTable, grouped, grown, summed

COHORT = "1h"  # the window under which the estimator's own error stands
_ROWS = ("accuracy", "mae")  # one of them counts every outcome
_FOREVER_MS = 1 << 62
_HOUR_BITS = 42  # hours since the epoch, of any time in ms that 63 bits hold
_OPEN_COHORTS = 3  # hours that still take predictions
_NO_HOUR = 1 << 62
_FEW_NAMES = 16  # whose rows of the tables stand in a column by series: those of scores of two classes
_WEIGHT, _SQUARES = 0, 1  # halves of a labelled row of cells

Cohort = dict[str, Value]


class Estimates:
    """Estimated metrics of versions, and how good the estimates were."""

    def __init__(self, settings: Settings, roster: Roster, quality: Quality) -> None:
        self._settings = settings.estimates
        self._most_names = 2 * settings.monitor.classes
        self._bins = bins = settings.monitor.score_bins
        self._z = normal_quantile(settings.monitor.confidence)
        self._roster, self._quality = roster, quality
        panes = settings.monitor.panes
        widths = {name: duration_ms(name) for name in settings.monitor.time_windows}
        self._longest_ms = max(widths.values(), default=HISTORY_PANE_MS)
        self._windows = {name: PaneTable(bins, ms // panes, panes) for name, ms in widths.items()}
        self._cohorts = PaneTable(bins, HISTORY_PANE_MS, _OPEN_COHORTS)
        self._reference = PaneTable(2 * bins, _FOREVER_MS, 1)
        self._live = PaneTable(2 * bins, 1, 2)  # its time is the epoch: this one and the one before
        self._step_ms = math.gcd(*(table.pane_ms for table in (*self._windows.values(), self._cohorts)))
        self._labelled: Ints = np.zeros(0, np.int64)  # by version's series: labelled rows so far
        self._names: dict[int, dict[str, int]] = {}  # version's series -> name -> row of the tables
        self._name_count = 0
        self._columns: dict[str, Ints] = {}  # of few names: by version's series the row, -1 where not known
        self._featured = Featured(settings, roster)
        self._open: dict[int, set[int]] = {}  # version's series -> hours without an estimate yet
        self._oldest: Ints = np.zeros(0, np.int64)  # by version's series: of these hours, or _NO_HOUR
        self._noted: Ints = np.zeros(0, np.int64)  # by version's series: one of these hours, or _NO_HOUR
        self._touched: list[Ints] = []  # versions with predictions since `advance`, each once a block
        self._said: dict[int, dict[int, Cohort]] = {}  # ... -> hour -> what was said of it
        self._judged: dict[int, list[dict[str, track.Judged]]] = {}  # ... -> the last cohorts

    def predictions(self, block: Block, expansion: Expansion) -> None:
        """Count the prediction rows of a block."""
        if not self._settings.enabled:
            return
        rows, at_ms, watermark_ms = block.predictions, expansion.at_ms, expansion.watermark_ms
        for found in scored(block, rows, rows.number, rows.text, self._bins):
            row = found.row
            numbers = self._numbers(expansion.version[row], found)
            groups = grouped(numbers, at_ms[row], watermark_ms[row], self._step_ms)
            sums = summed(groups, found.bin[:, None], np.ones((len(row), 1)), self._bins)
            for table in (*self._windows.values(), self._cohorts):
                table.add_sums(groups, sums)
        self._featured.predictions(block, expansion)
        self._open_hours(expansion, at_ms // HISTORY_PANE_MS)

    def outcomes(self, block: Block, expansion: Expansion) -> None:
        """Refresh the calibrations with the outcome rows of a block."""
        if not self._settings.enabled:
            return
        rows = block.outcomes
        versions, inverse = expansion.versions.series, expansion.versions.place
        self._reach(expansion.versions.top)
        epoch = self._epochs(self._labelled[versions])[inverse]
        for found in scored(block, rows, rows.label_number, rows.label_text, self._bins):
            row = found.row
            numbers = self._numbers(expansion.version[row], found)
            index = found.bin[:, None] + np.array([0, self._bins], np.int32)
            weight = rows.weight[row]
            amount = np.stack((weight, weight * weight), axis=1) * rows.sign[row, None]
            for table, mine in ((self._reference, epoch[row] < 0), (self._live, epoch[row] >= 0)):
                if mine.any():
                    now = np.maximum(epoch[row][mine], 0)
                    table.add(numbers[mine], now, now, index[mine], amount[mine])
        self._featured.outcomes(block, expansion)
        fresh = (rows.revision == 0) & (rows.sign > 0)
        self._labelled[versions] += np.bincount(inverse[fresh], minlength=len(versions))

    def adopt(self, series: int, file: BaselineFile) -> None:
        """Take a file's labelled rows for the first ones of a version, where it has such rows."""
        if not file.scores or not self._settings.enabled:
            return
        for number in self._names.get(series, {}).values():
            self._reference.forget(number)
        for name, counts in file.scores.items():
            rows = np.array(counts, np.float64)[:, None].repeat(2, axis=1)  # weights are 1: so are squares
            bins = np.arange(len(rows))[:, None] + np.array([0, self._bins])
            zeros = np.zeros(len(rows), np.int64)
            self._reference.add(zeros + self._number(series, name), zeros, zeros, bins, rows)
        first = min(file.labelled, self._settings.reference_outcomes)
        self._reach(series + 1)
        self._labelled[series] = max(first, self._labelled[series])

    def advance(self) -> None:
        """Write down the estimates of hours that are over, and judge cohorts whose labels have come."""
        for series, now in self._versions_past_an_hour():
            hours = self._open[series]
            over = sorted(hour for hour in hours if hour < now)
            curves = self._curves(series)
            for hour in over:
                hours.discard(hour)
                at_ms = hour * HISTORY_PANE_MS
                said = self._estimate(series, self._cohorts, at_ms, curves)
                said |= self._featured.cohort(series, at_ms, self._z) if self._ready(series) else {}
                if any(value.value is not None for value in said.values()):
                    self._said.setdefault(series, {})[hour] = said
            self._oldest[series], self._noted[series] = min(hours, default=_NO_HOUR), _NO_HOUR
            self._judge(series, now)

    def tables(self, series: Ints) -> Iterator[tuple[Ints, str, Columns]]:
        """Yield the estimated metrics of versions of two classes among series [n], each once, over windows.

        Which of the series, the window, and its metrics. Cost: 100 us a version.
        """
        mine = [at for at, one in enumerate(series.tolist()) if self._is_binary(one) and self._ready(one)]
        mine = [at for at in mine if self._names.get(int(series[at])) and self._classes(int(series[at]))]
        if not mine or not self._windows:
            return
        two = [self._two(one) for one in series[mine].tolist()]
        epochs = np.array([max(self._epoch(one), 0) for one in series[mine].tolist()], np.int64)
        reference = self._sides(two, self._reference, np.zeros(len(mine), np.int64))
        live = self._sides(two, self._live, epochs)
        strength = float(self._settings.live_outcomes)
        cells = [
            blend(_labelled(first), _labelled(later), strength)
            for first, later in zip(reference, live, strict=True)
        ]
        curves = monotones(np.array(cells))
        watermark_ms = self._roster.watermarks(self._roster.columns.model[series[mine]])
        sides = [self._sides(two, table, watermark_ms)[:, :, 0] for table in self._windows.values()]
        rows = np.concatenate(sides)
        found = classification.binaries(rows[:, 0], rows[:, 1], curves * len(sides), self._z)
        for at, window in enumerate(self._windows):
            yield np.array(mine), window, found.rows(slice(at * len(mine), (at + 1) * len(mine)))

    def all(self, series: int) -> dict[str, dict[str, Value]]:
        """Return by window every estimated metric of a version, and how good they were; empty without any."""
        found = self.values(series)
        for _, window, columns in self.tables(np.array([series])):
            found[window] = columns.values() | found.get(window, {})
        return found

    def values(self, series: int) -> dict[str, dict[str, Value]]:
        """Return by window the other estimates of a version, and how good they were; empty without any."""
        told = self._is_binary(series)  # by `tables`
        curves = {} if told else self._curves(series)
        watermark_ms = self._roster.watermark(series)
        found: dict[str, dict[str, Value]] = {COHORT: {}}
        for name, table in self._windows.items() if self._ready(series) else ():
            found[name] = self._estimate(series, table, watermark_ms, curves)
            found[name] |= self._featured.losses(series, name, self._z)
            known = found[name] or (told and self._names.get(series) and self._classes(series))
            found[name] |= self._weighted(series, name) if known else {}
        cohorts = self._judged.get(series, [])
        for metric in sorted({name for cohort in cohorts for name in cohort}):
            judged = [cohort[metric] for cohort in cohorts if metric in cohort]
            found[COHORT] |= track.errors(metric, judged, self._z)
        return {window: values for window, values in found.items() if values}

    def forget(self, series: int) -> None:
        """Drop what was counted of a version; its next labels are a new reference."""
        for number in self._names.get(series, {}).values():
            for table in (*self._windows.values(), self._cohorts, self._reference, self._live):
                table.forget(number)
        self._featured.forget(series)
        for kept in (self._open, self._said, self._judged):
            kept.pop(series, None)
        self._labelled[series : series + 1] = 0
        self._oldest[series : series + 1] = self._noted[series : series + 1] = _NO_HOUR

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {
            "names": list(self._names.items()),
            "tables": {name: table.state() for name, table in self._tables().items()},
            "labelled": _pairs(self._labelled),
            "open": [[series, sorted(hours)] for series, hours in self._open.items()],
            "said": [
                [series, [[hour, dict(said)] for hour, said in hours.items()]]
                for series, hours in self._said.items()
            ],
            "judged": list(self._judged.items()),
            "featured": self._featured.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; windows no longer set are left out."""
        self._names = {series: dict(names) for series, names in state["names"]}
        self._name_count = sum(len(names) for names in self._names.values())
        for name, table in self._tables().items():
            if name in state["tables"]:
                table.restore(state["tables"][name])
        labelled = np.array(state["labelled"], np.int64).reshape(-1, 2)
        self._reach(int(labelled[:, 0].max(initial=-1)) + 1)
        self._labelled[labelled[:, 0]] = labelled[:, 1]
        self._open = {series: set(hours) for series, hours in state["open"]}
        self._reach(max(self._open, default=-1) + 1)
        for series, hours in self._open.items():
            self._oldest[series] = min(hours, default=_NO_HOUR)
        self._said = {
            series: {hour: {name: Value(*value) for name, value in said.items()} for hour, said in hours}
            for series, hours in state["said"]
        }
        self._judged = {
            series: [{name: track.Judged(*one) for name, one in cohort.items()} for cohort in cohorts]
            for series, cohorts in state["judged"]
        }

        self._featured.restore(state["featured"])

    def _tables(self) -> dict[str, PaneTable]:
        kept = {"cohorts": self._cohorts, "reference": self._reference, "live": self._live}
        return kept | {f"window/{name}": table for name, table in self._windows.items()}

    def _open_hours(self, expansion: Expansion, hour: Ints) -> None:
        """Keep the hours of prediction rows [n] until they are over."""
        version = expansion.version
        self._reach(expansion.versions.top)
        self._touched.append(expansion.versions.series)
        new = np.flatnonzero(self._noted[version] != hour)
        if not len(new):
            return
        for key in np.unique(version[new] << _HOUR_BITS | hour[new]).tolist():
            self._open.setdefault(key >> _HOUR_BITS, set()).add(key & ((1 << _HOUR_BITS) - 1))
        np.minimum.at(self._oldest, version[new], hour[new])
        self._noted[version[new]] = hour[new]

    def _versions_past_an_hour(self) -> list[tuple[int, int]]:
        """Return which versions with new predictions have an hour that is over, and the hour they are in."""
        if not self._touched:
            return []
        series = self._touched[0] if len(self._touched) == 1 else np.unique(np.concatenate(self._touched))
        self._touched.clear()
        now = self._roster.watermarks(self._roster.columns.model[series]) // HISTORY_PANE_MS
        past = np.flatnonzero(self._oldest[series] < now)
        return list(zip(series[past].tolist(), now[past].tolist(), strict=True))

    def _reach(self, size: int) -> None:
        self._labelled = grown(self._labelled, size, 0)
        self._oldest, self._noted = grown(self._oldest, size, _NO_HOUR), grown(self._noted, size, _NO_HOUR)

    def _epochs(self, labelled: Ints) -> Ints:
        """Return which epoch the labels after so many [n] belong to; -1 while they are the reference."""
        later = labelled - self._settings.reference_outcomes
        return np.where(later >= 0, later // self._settings.live_outcomes, -1)

    def _epoch(self, series: int) -> int:
        return int(self._epochs(self._labelled[series : series + 1]).max(initial=-1))

    def _numbers(self, series: Ints, found: Scored) -> Ints:
        size = len(found.names)
        if len({*self._columns, *found.names}) <= _FEW_NAMES:
            return self._numbers_of_few(series, found)
        keys, place = np.unique(series * size + found.name, return_inverse=True)
        numbers = [self._number(key // size, found.names[key % size]) for key in keys.tolist()]
        return np.array(numbers, np.int64)[place]

    def _numbers_of_few(self, series: Ints, found: Scored) -> Ints:
        numbers = np.empty(len(series), np.int64)
        for code, name in enumerate(found.names):
            mine = np.flatnonzero(found.name == code)
            own = series[mine]
            column = self._columns.get(name, np.zeros(0, np.int64))
            column = self._columns[name] = grown(column, int(own.max(initial=-1)) + 1, -1)
            known = column[own]
            if known.min(initial=0) < 0:
                for version in np.unique(own[known < 0]).tolist():
                    column[version] = self._number(version, name)
                known = column[own]
            numbers[mine] = known
        return numbers

    def _number(self, series: int, name: str) -> int:
        names = self._names.setdefault(series, {})
        if name not in names and len(names) >= self._most_names:
            name = f"{name.partition(':')[0]}:{OTHER}"
        if name not in names:
            names[name] = self._name_count
            self._name_count += 1
        return names[name]

    def _curves(self, series: int) -> dict[str, Calibration | None]:
        """Return the calibration of each class of a version; of two classes that of the positive one.

        Empty while too few labels came, and where predictions have no score.
        """
        if not self._ready(series) or not self._names.get(series):
            return {}
        return {name: monotone(self._calibration(series, name)) for name in self._classes(series)}

    def _calibration(self, series: int, name: str) -> Floats:
        """Return the labelled cells [3, bins] of a class."""
        epoch = max(self._epoch(series), 0)
        parts = []
        for table, now in ((self._reference, 0), (self._live, epoch)):
            sums = self._sums(series, table, now)
            own, other = _of_class(sums, name, self._is_binary(series))
            parts.append(_labelled(np.stack((own, other))))
        return blend(parts[0], parts[1], float(self._settings.live_outcomes))

    def _estimate(
        self, series: int, table: PaneTable, at_ms: int, curves: dict[str, Calibration | None]
    ) -> dict[str, Value]:
        """Return the estimates of the rows that a table has at a time; of cohorts, those of that hour."""
        if not curves:
            return {}
        sums = self._sums(series, table, at_ms)
        two = self._is_binary(series)
        pairs = [_of_class(sums, name, two) for name in curves]
        own = np.array([mine[0] for mine, _ in pairs])
        other = np.array([rest[0] for _, rest in pairs])
        if two:
            return classification.binary(own[0], other[0], next(iter(curves.values())), self._z)
        return classification.multiclass(own, other, list(curves.values()), self._z)

    def _ready(self, series: int) -> bool:
        return int(self._labelled[series : series + 1].sum()) >= self._settings.min_outcomes

    def _weighted(self, series: int, window: str) -> dict[str, Value]:
        """Return estimates with a calibration weighted by features, and how many labels are like the window.

        Undefined where too few labelled rows are like the window's: then nothing is known of them.
        """
        found = self._featured.weighted(series, window)
        if found is None:
            return {}
        (name,) = self._classes(series)
        sums = self._sums(series, self._windows[window], self._roster.watermark(series))
        own, other = (cells[0] for cells in _of_class(sums, name, two=True))
        curve = monotone(found.cells) if found.supported else None
        values = classification.binary(own, other, finer(curve, self._bins) if curve else None, self._z)
        support = Value(found.share, round(float((own + other).sum())), None, None)
        return {f"{metric}.weighted": value for metric, value in values.items()} | {"support": support}

    def _sums(self, series: int, table: PaneTable, at_ms: int) -> dict[str, Floats]:
        """Return the cells of a table [halves, bins] by name."""
        found = {}
        for name, number in self._names.get(series, {}).items():
            pane = table.pane(number, at_ms) if table is self._cohorts else table.window(number, at_ms)
            cells = np.zeros(table.width) if pane is None else pane
            found[name] = cells.reshape(-1, self._bins)
        return found

    def _two(self, series: int) -> list[tuple[int, bool]]:
        """Return the rows of the tables of a version of two classes, and whether each is of its own class."""
        (name,) = self._classes(series)
        found = []
        for key, number in self._names[series].items():
            kind, _, of = key.partition(":")
            if kind == SCORE or of == name:
                found.append((number, kind == OWN or (kind == SCORE and of == name)))
        return found

    def _sides(self, two: list[list[tuple[int, bool]]], table: PaneTable, at_ms: Ints) -> Floats:
        """Return the cells [versions, 2, halves, bins] of a class and of the rest, as `_of_class`."""
        version = np.repeat(np.arange(len(two)), [len(rows) for rows in two])
        flat = [row for rows in two for row in rows]
        numbers = np.array([number for number, _ in flat], np.int64)
        side = np.array([0 if own else 1 for _, own in flat], np.int64)
        found = np.zeros((len(two) * 2, table.width))
        np.add.at(found, version * 2 + side, table.windows(numbers, at_ms[version]))
        return found.reshape(len(two), 2, -1, self._bins)

    def _classes(self, series: int) -> list[str]:
        state = self._roster.models[self._roster.series_model[series]]
        if state.task == "binary" and len(state.classes) == 2:
            return [state.classes[state.positive_code]]
        return state.classes if state.task == "multiclass" else []

    def _is_binary(self, series: int) -> bool:
        return self._roster.models[self._roster.series_model[series]].task == "binary"

    def _judge(self, series: int, now: int) -> None:
        """Compare what was said of a version's hours with what was realised, where it is complete."""
        said = self._said.get(series, {})
        oldest = now - self._longest_ms // HISTORY_PANE_MS + 1
        for hour in sorted(said):
            realised = self._quality.history(series, hour * HISTORY_PANE_MS, {*said[hour], *_ROWS})
            labels = max((realised[name].n for name in _ROWS if name in realised), default=0)
            share = labels / max(value.n for value in said[hour].values())
            if share < self._settings.mature_share and hour > oldest:
                continue
            cohort = track.judge(said.pop(hour), realised)
            if cohort and share >= self._settings.mature_share / 2:
                self._judged.setdefault(series, []).append(cohort)
                del self._judged[series][: -self._settings.cohorts]


def _pairs(column: Ints) -> Ints:
    """Return where a column [n] is not 0, and what it is there [m, 2]."""
    places = np.flatnonzero(column)
    return np.stack((places, column[places]), axis=1)


def _labelled(sides: Floats) -> Floats:
    """Return the labelled cells [3, bins] of a class, from its rows and the rest [2, halves, bins]."""
    own, other = sides
    return np.stack(((own + other)[_WEIGHT], own[_WEIGHT], (own + other)[_SQUARES]))


def _of_class(sums: dict[str, Floats], name: str, two: bool) -> tuple[Floats, Floats]:
    """Return the cells of rows of a class and of the rest; a lone score is that of the positive of two."""
    empty = np.zeros_like(next(iter(sums.values())))
    own, other = sums.get(f"{OWN}:{name}", empty), sums.get(f"{OTHERS}:{name}", empty)
    for key, cells in sums.items() if two else ():
        kind, _, of = key.partition(":")
        if kind == SCORE:
            own, other = (own + cells, other) if of == name else (own, other + cells)
    return own, other
