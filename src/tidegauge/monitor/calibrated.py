"""Whether labels keep to what scores have meant: a detector for each version."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidegauge.block import Floats
from tidegauge.config import Settings
from tidegauge.drift import budget
from tidegauge.drift.calibration_shift import CalibrationShift, CalibrationTerms
from tidegauge.errors import SnapshotError
from tidegauge.monitor.first_labels import FirstLabels
from tidegauge.monitor.roster import Roster
from tidegauge.windows import Backlog, Runs

_HELD = 128  # rows; none waits longer than a judgement of its version


@dataclass(slots=True)
class _Kept:
    task: str | None  # what scores speak of follows from it
    detector: CalibrationShift
    first_ms: int  # the watermark of the first rows


class Calibrated:
    """The detectors of versions whose outcomes have scores; segments have none."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._drift = settings.drift
        self._roster = roster
        self._rows = Backlog(_HELD, 2)
        self._kept: dict[int, _Kept] = {}

    def observe(self, told: FirstLabels) -> None:
        """Show first labels to the detectors of their versions."""
        if self._drift.calibration == "none":
            return
        known = np.isfinite(told.scored).all(axis=1)
        series, scored = told.series[known], told.scored[known]
        if not len(series):
            return
        runs = Runs(series)
        fits = self._rows.fits(runs)
        for which in np.flatnonzero(~fits).tolist():
            number = int(runs.series[which])
            self.settle(number)
            self._take(number, scored[runs.place == which])
        few = np.flatnonzero(fits[runs.place])
        if len(few) < len(series):
            scored, runs = scored[few], Runs(series[few])
        for number in self._rows.add(runs, scored).tolist():
            self.settle(number)

    def settle(self, series: int) -> None:
        """Show the detector of a version what waits for it.

        Not whenever somebody looks: when it sees a row must follow from the stream alone.
        """
        scored = self._rows.take(series)
        if len(scored):
            self._take(series, scored)

    def detector(self, series: int) -> CalibrationShift | None:
        """Return the detector of a version, None where no outcome had a score; see `settle`."""
        kept = self._kept.get(series)
        return kept.detector if kept else None

    def forget(self, series: int) -> None:
        """Drop what was learned of a version."""
        self._kept.pop(series, None)
        self._rows.take(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        kept = [[number, one.task, one.first_ms, one.detector.dump()] for number, one in self._kept.items()]
        return {"kept": kept, "rows": self._rows.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; a detector that cannot be read starts anew."""
        for series, task, first_ms, detector in state["kept"]:
            with suppress(SnapshotError):
                read = CalibrationShift.load(detector, self._terms(task))
                self._kept[series] = _Kept(task, read, first_ms)
        self._rows.restore(state["rows"])

    def _take(self, series: int, scored: Floats) -> None:
        task, now_ms = (
            self._roster.models[self._roster.series_model[series]].task,
            self._roster.watermark(series),
        )
        kept = self._kept.get(series)
        if kept is None or kept.task != task:  # with a third class scores speak of something else
            kept = self._kept[series] = _Kept(task, CalibrationShift(self._terms(task)), now_ms)
        rate = budget.per_day(kept.detector.seen, kept.first_ms, now_ms)
        if rate:
            days, share = self._drift.days_per_false_alarm, budget.SHARES["calibration"]
            kept.detector.run_length = budget.run_length(days, rate, share)
        kept.detector.update(scored[:, 0], scored[:, 1])

    def _terms(self, task: str | None) -> CalibrationTerms:
        drift = self._drift
        return CalibrationTerms(drift.reference_outcomes, drift.tolerance, task != "regression")
