"""Labels beside scores: whether they keep to what scores have meant, and how well scores part two classes.

A detector of each for each version whose outcomes have scores; segments have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from tidegauge.block import Floats
from tidegauge.config import Drift, Settings
from tidegauge.drift import budget
from tidegauge.drift.calibration_shift import CalibrationShift, CalibrationTerms
from tidegauge.drift.separation_shift import SeparationShift, SeparationTerms
from tidegauge.errors import SnapshotError
from tidegauge.monitor.delays import labels_watched
from tidegauge.monitor.first_labels import FirstLabels
from tidegauge.monitor.roster import Roster
from tidegauge.windows import Backlog, Runs

_HELD = 128  # rows; none waits longer than a judgement of its version

About = Literal["calibration", "separation"]
ScoreDetector = CalibrationShift | SeparationShift


class _Kind(NamedTuple):
    """How a detector is made and read, and of which tasks there is one."""

    detector: Callable[[Any], ScoreDetector]
    load: Callable[[Mapping[str, Any], Any], ScoreDetector]
    terms: Callable[[Drift, str | None], Any]
    tasks: frozenset[str] | None = None  # None: all


_KINDS: Mapping[About, _Kind] = {
    "calibration": _Kind(
        CalibrationShift,
        CalibrationShift.load,
        lambda drift, task: CalibrationTerms(drift.reference_outcomes, drift.tolerance, task != "regression"),
    ),
    "separation": _Kind(
        SeparationShift,
        SeparationShift.load,
        lambda drift, _task: SeparationTerms(drift.reference_outcomes, drift.tolerance),
        frozenset({"binary"}),
    ),
}


@dataclass(slots=True)
class _Kept:
    task: str | None  # what scores speak of follows from it
    detector: ScoreDetector
    first_ms: int  # the watermark of the first rows


class Calibrated:
    """The detectors of versions, by what they are about."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._drift = settings.drift
        self._share = budget.scores_share(labels_watched(settings))
        self._roster = roster
        self._rows = Backlog(_HELD, 2)
        asked: Mapping[About, str] = {
            "calibration": settings.drift.calibration,
            "separation": settings.drift.separation,
        }
        self._kept: dict[About, dict[int, _Kept]] = {about: {} for about, by in asked.items() if by != "none"}

    def observe(self, told: FirstLabels, runs: Runs) -> None:
        """Show first labels, of which `runs` are known, to the detectors of their versions."""
        if not self._kept:
            return
        known, scored = np.isfinite(told.scored).all(axis=1), told.scored
        if not known.all():
            runs, scored = runs.take(np.flatnonzero(known)), scored[known]
        if not len(scored):
            return
        for number, rows in self._rows.offer(runs, scored):
            self._take(number, rows)

    def settle(self, series: int) -> None:
        """Show the detectors of a version what waits for them.

        Not whenever somebody looks: when they see a row must follow from the stream alone.
        """
        scored = self._rows.take(series)
        if len(scored):
            self._take(series, scored)

    def detectors(self, series: int) -> dict[About, ScoreDetector]:
        """Return the detectors of a version, none where no outcome had a score; see `settle`."""
        return {about: kept[series].detector for about, kept in self._kept.items() if series in kept}

    def forget(self, series: int) -> None:
        """Drop what was learned of a version."""
        for kept in self._kept.values():
            kept.pop(series, None)
        self._rows.take(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        saved: dict[str, Any] = {
            about: [[number, one.task, one.first_ms, one.detector.dump()] for number, one in kept.items()]
            for about, kept in self._kept.items()
        }
        return {"kept": saved.pop("calibration", []), **saved, "rows": self._rows.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; a detector that cannot be read starts anew."""
        for about, kept in self._kept.items():  # a snapshot may be older than `separation` is
            for series, task, first_ms, saved in state.get("kept" if about == "calibration" else about, ()):
                with suppress(SnapshotError):
                    kind = _KINDS[about]
                    kept[series] = _Kept(task, kind.load(saved, kind.terms(self._drift, task)), first_ms)
        self._rows.restore(state["rows"])

    def _take(self, series: int, scored: Floats) -> None:
        model = self._roster.models[self._roster.series_model[series]]
        now_ms = self._roster.watermark(series)
        for about, every in self._kept.items():
            kept, kind = every.get(series), _KINDS[about]
            if kind.tasks is not None and model.task not in kind.tasks:
                every.pop(series, None)
                continue
            if kept is None or kept.task != model.task:  # with a third class scores speak of something else
                fresh = kind.detector(kind.terms(self._drift, model.task))
                kept = every[series] = _Kept(model.task, fresh, now_ms)
            rate = budget.per_day(kept.detector.seen, kept.first_ms, now_ms)
            if rate:
                days = self._drift.days_per_false_alarm
                kept.detector.run_length = budget.run_length(days, rate, self._share)
            kept.detector.update(scored[:, 0], scored[:, 1])
