"""How late labels are: a detector for each version, of its predictions and first labels.

A block has all its predictions before its outcomes, and may be of many days. So its rows are taken in
the order of their own times: a prediction at its time, a label at its. Detectors see them _HELD at a time,
no more and no less, because the rate of panes is taken each time: all cuts of a stream give the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Floats, Ints
from tidegauge.config import Settings
from tidegauge.drift import budget
from tidegauge.drift.label_delay import DelayTerms, LabelDelay
from tidegauge.errors import SnapshotError
from tidegauge.monitor.expansion import Expansion
from tidegauge.monitor.first_labels import FirstLabels
from tidegauge.monitor.roster import Roster
from tidegauge.windows import Backlog, Runs, grown

_HELD = 64  # rows; a version is looked at when it has so many


class Delays:
    """The detectors of versions; segments have none."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._settings, self._roster = settings, roster
        self._on = settings.drift.label_delay != "none"
        self._rows = Backlog(_HELD, 2)  # time of the prediction, and of the label, NaN for a prediction
        self._came: list[tuple[Ints, Ints, Floats]] = []  # of the block: series, time, time of the label
        self._kept: dict[int, LabelDelay] = {}
        self._moved: NDArray[np.bool_] = np.zeros(0, np.bool_)  # by series: panes were judged

    def predictions(self, at_ms: Ints, expansion: Expansion) -> None:
        """Note the prediction rows [rows] of a block."""
        if self._on:
            self._came.append((expansion.version, at_ms, np.full(len(at_ms), np.nan)))

    def outcomes(self, first: FirstLabels, expansion: Expansion) -> None:
        """Note first labels of a block, of which those of versions count."""
        if self._on and len(first.series):
            own = np.flatnonzero(np.isin(first.series, expansion.version))
            labelled = first.labelled_at_ms[own].astype(np.float64)
            self._came.append((first.series[own], first.at_ms[own], labelled))

    def advance(self) -> None:
        """Show the rows of the block to their detectors, in the order of time. Cost: O(n log n)."""
        if self._came:
            series, at_ms, labelled_at_ms = (
                np.concatenate(column) for column in zip(*self._came, strict=True)
            )
            self._came.clear()
            order = np.argsort(np.fmax(labelled_at_ms, at_ms), kind="stable")
            self._add(series[order], at_ms[order], labelled_at_ms[order])

    def due(self, touched: Ints) -> NDArray[np.bool_]:
        """Return which of the series [n] have panes that were not judged when their detector last was."""
        self._moved = grown(self._moved, int(touched.max(initial=-1)) + 1, 0)
        found: NDArray[np.bool_] = self._moved[touched]
        return found

    def judged(self, series: int) -> LabelDelay | None:
        """Return the detector of a version that is due, after which it is not; None for others."""
        if series >= len(self._moved) or not self._moved[series]:
            return None
        self._moved[series] = False
        return self._kept[series]

    def detector(self, series: int) -> LabelDelay | None:
        """Return the detector of a version; it has not seen the last rows."""
        return self._kept.get(series)

    def forget(self, series: int) -> None:
        """Drop what was learned of a version."""
        self._kept.pop(series, None)
        self._rows.take(series)
        self._moved[series : series + 1] = False

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        kept = [[series, one.dump()] for series, one in self._kept.items()]
        return {"kept": kept, "rows": self._rows.state(), "moved": np.flatnonzero(self._moved)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state that `state()` returned; a detector that cannot be read starts anew."""
        if not self._on:
            return
        for series, saved in state["kept"]:
            with suppress(SnapshotError):
                self._kept[series] = LabelDelay.load(saved, self._terms(series))
        self._rows.restore(dict(state["rows"]))
        moved = np.array([one for one in state["moved"].tolist() if one in self._kept], np.int64)
        self._moved = grown(self._moved, int(moved.max(initial=-1)) + 1, 0)
        self._moved[moved] = True

    def _add(self, series: Ints, at_ms: Ints, labelled_at_ms: Floats) -> None:
        rows, runs = np.stack((at_ms.astype(np.float64), labelled_at_ms), axis=1), Runs(series)
        fits = self._rows.fits(runs)
        for which in np.flatnonzero(~fits).tolist():
            number = int(runs.series[which])
            mine = np.concatenate((self._rows.take(number), rows[runs.place == which]))
            whole = len(mine) // _HELD * _HELD
            for start in range(0, whole, _HELD):
                self._take(number, mine[start : start + _HELD])
            self._rows.add(Runs(np.full(len(mine) - whole, number)), mine[whole:])
        few = np.flatnonzero(fits[runs.place])
        if len(few) < len(series):
            rows, runs = rows[few], Runs(series[few])
        for number in self._rows.add(runs, rows).tolist():
            self._take(number, self._rows.take(number))

    def _take(self, series: int, rows: Floats) -> None:
        kept = self._kept.get(series)
        if kept is None:
            kept = self._kept[series] = LabelDelay(self._terms(series))
        self._promise(kept)
        before = kept.shift.seen
        kept.update(rows[:, 0].astype(np.int64), rows[:, 1])
        if kept.shift.seen > before:
            self._moved = grown(self._moved, series + 1, 0)
            self._moved[series] = True

    def _promise(self, kept: LabelDelay) -> None:
        """Give a detector its share of the promise, at the rate of panes so far."""
        drift = self._settings.drift
        rate = None
        if kept.first_ms is not None:
            rate = budget.per_day(kept.shift.seen, kept.first_ms, kept.clock_ms)
        if rate:
            share = budget.scores_share(labels_watched(self._settings))
            kept.shift.run_length = budget.run_length(drift.days_per_false_alarm, rate, share)

    def _terms(self, series: int) -> DelayTerms:
        drift = self._settings.drift
        own = self._settings.model(self._roster.series[series].model_id).label_age_seconds
        age = drift.label_age_seconds if own is None else own
        grace_ms = 1_000 * drift.label_grace_seconds
        return DelayTerms(1_000 * age or None, grace_ms, drift.reference_outcomes)


def labels_watched(settings: Settings) -> int:
    """Return how many detectors share what labels of a version have, beside its error.

    >>> labels_watched(Settings())
    2
    """
    drift = settings.drift
    return sum(one != "none" for one in (drift.calibration, drift.separation, drift.label_delay))
