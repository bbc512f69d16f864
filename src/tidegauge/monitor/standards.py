"""What each series is judged by: its baselines, and detectors on its error."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.baseline_file import BaselineFile
from tidegauge.block import Floats, Ints
from tidegauge.config import Settings, duration_ms
from tidegauge.drift import budget, detectors
from tidegauge.drift.baseline import Baselines
from tidegauge.drift.detectors import E_SR, Detector
from tidegauge.drift.error_baseline import Terms
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.metrics.value import Value
from tidegauge.monitor import proxies
from tidegauge.monitor.quality import Quality
from tidegauge.monitor.roster import Roster, SeriesKey
from tidegauge.monitor.traffic import Traffic
from tidegauge.monitor.watched import Watched, restored, saved
from tidegauge.windows import Backlog, Runs, grown

_LOSSES = frozenset({"regression", "ranking"})  # tasks whose error is no 0 or 1
_TYPICAL = re.compile(r"latency_|(kpi|resource)\..*\.mean$|kpi\..*\.per_outcome$|diversity$|novelty$")
_HELD = 64  # errors; none waits longer than a judgement of its series


class Standards:
    """Baselines and error detectors of every series."""

    def __init__(self, settings: Settings, roster: Roster, quality: Quality, traffic: Traffic) -> None:
        self._settings = settings
        self._roster, self._quality, self._traffic = roster, quality, traffic
        self._longest = max(settings.monitor.time_windows, key=duration_ms, default=None)
        self._watched: dict[int, Watched] = {}
        self._segments: dict[tuple[str, str], int] = {}  # of each version, how many have been watched
        self._errors = Backlog(_HELD, 1)  # of series that get few at once
        self._frozen: NDArray[np.bool_] = np.zeros(0, np.bool_)  # by series: its baselines are

    def observe(self, error: Floats, runs: Runs) -> None:
        """Show errors [n], of which `runs` are known, to the detectors of their series."""
        known = np.isfinite(error)
        if not known.all():
            error, runs = error[known], runs.take(np.flatnonzero(known))
        for number, rows in self._errors.offer(runs, error[:, None]):
            self._take(number, rows[:, 0])

    def settle(self, series: int) -> None:
        """Show the detectors what waits for them."""
        errors = self._errors.take(series)[:, 0]
        if len(errors):
            self._take(series, errors)

    def detectors(self, series: int) -> list[Detector | ErrorShift]:
        """Return the detectors of a series; none while its task is open.

        They have seen every error when they were last judged, and not less since: when they see one must
        follow from the stream alone, not from who looks, or a replay would come to other alerts.
        """
        return self.watched(series).detectors or []

    def watched(self, series: int) -> Watched:
        """Return what is kept of a series, new where nothing is."""
        watched = self._watched.get(series)
        if watched is None:
            watched = self._watched[series] = self._new(series)
        return watched

    def proxy(self, series: int) -> str | None:
        """Return what stands for the error of a series where its model is given something else."""
        return self._settings.model(self._roster.series[series].model_id).error

    def ripe(self, series: Ints) -> NDArray[np.bool_]:
        """Return which of the series [n] have had enough outcomes for a baseline that is not kept yet."""
        self._reach(int(series.max(initial=-1)) + 1)
        ripe: NDArray[np.bool_] = self._quality.has_baseline(series) & ~self._frozen[series]
        return ripe

    def freeze(self, series: int) -> None:
        """Keep the metrics of early production as baseline: there are enough outcomes."""
        early = self._quality.baseline(series)
        if early is not None:
            self.watched(series).baselines.freeze(early | self._early(series))
            self._frozen[series] = True

    def adopt(self, series: int, file: BaselineFile, at_run_time: bool) -> None:
        """Measure a series against the reference metrics of a file."""
        metrics = {name: metric.value for name, metric in file.metrics.items()}
        self.watched(series).baselines.take_file(metrics, at_run_time)

    def forget(self, series: int) -> None:
        """Drop what a series was judged by."""
        self._watched.pop(series, None)
        self._reach(series + 1)
        self._frozen[series] = False
        self._errors.take(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        watched = [
            [
                series,
                {
                    "baselines": one.baselines.dump(),
                    "detectors": [saved(detector) for detector in one.detectors or ()],
                    "first_ms": one.first_ms,
                    "judged": one.detectors is not None,
                    "held": one.held,
                    "scale": one.scale,
                },
            ]
            for series, one in self._watched.items()
        ]
        return {"watched": watched, "errors": self._errors.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned.

        Detectors that are no longer set are left out; one that river can no longer read starts anew.
        """
        for series, kept in state["watched"]:
            watched = self._watched[series] = self._new(series, kept["baselines"])
            watched.held, watched.scale = list(kept["held"]), kept["scale"]
            watched.first_ms = kept.get("first_ms")
            if kept["judged"]:
                fresh = self._detectors(series, self._task(series))
                found = {one.name: one for one in restored(kept["detectors"], self._terms(watched.share))}
                watched.detectors = [found.get(one.name, one) for one in fresh]
            self._reach(series + 1)
            self._frozen[series] = watched.baselines.frozen
        if "errors" in state:
            self._errors.restore(state["errors"])
        self._reach(len(self._roster.series))

    def _new(self, series: int, kept: dict[str, Any] | None = None) -> Watched:
        key = self._roster.series[series]
        model = self._settings.model(key.model_id)
        configured = model.baseline if key.segment is None else {}
        baselines = Baselines.load(kept, configured) if kept else Baselines(configured)
        return Watched(baselines, self._share(key))

    def _detectors(self, series: int, task: str | None) -> list[Detector | ErrorShift]:
        model = self._settings.model(self._roster.series[series].model_id)
        names = model.detectors or self._settings.drift.detectors
        own = [ErrorShift(self._terms(self.watched(series).share))] if E_SR in names else []
        binary_errors = task not in _LOSSES and model.error is None
        return [*own, *map(Detector, detectors.fitting(names, binary_errors=binary_errors))]

    def _terms(self, share: float) -> Terms:
        drift = self._settings.drift
        once = drift.guarantee == "once"
        ever = budget.probability(drift.false_alarm_probability, share) if once else None
        return Terms(drift.reference_outcomes, None, drift.tolerance, drift.direction, ever=ever)

    def _promise(self, series: int, watched: Watched) -> None:
        """Give the e-detector of a series its share of the promise, at the rate of outcomes so far."""
        now_ms = self._roster.watermark(series)
        watched.first_ms = now_ms if watched.first_ms is None else watched.first_ms
        for detector in watched.detectors or ():
            rate = budget.per_day(detector.seen, watched.first_ms, now_ms)
            if isinstance(detector, ErrorShift) and rate:
                days = self._settings.drift.days_per_false_alarm
                detector.run_length = budget.run_length(days, rate, watched.share)

    def _share(self, key: SeriesKey) -> float:
        """Return a new series' share of the promise of its version."""
        if key.segment is None:
            return budget.SHARES["error"]
        place = self._segments[key[:2]] = self._segments.get(key[:2], 0) + 1
        return budget.segment_share(place)

    def _task(self, series: int) -> str | None:
        return self._roster.models[self._roster.series_model[series]].task

    def _take(self, series: int, errors: Floats) -> None:
        watched, task = self.watched(series), self._task(series)
        if watched.detectors is None:
            watched.detectors = self._detectors(series, task)
        self._promise(series, watched)
        proxy = self.proxy(series)
        watched.falls = proxy is not None and proxy.startswith(proxies.FALLS)
        scaled = proxy is not None or task == "regression"
        watched.take(errors, self._settings.monitor.baseline_outcomes, scaled)

    def _early(self, series: int) -> dict[str, Value]:
        """Return what traffic says of early production that does not depend on the window's length."""
        values = self._traffic.values(series, self._longest) if self._longest else {}
        return {name: value for name, value in values.items() if _TYPICAL.match(name)}

    def _reach(self, size: int) -> None:
        self._frozen = grown(self._frozen, size, 0)


def check(settings: Settings) -> None:
    """Raise ConfigError where a detector is not what its task allows."""
    detectors.check(settings.drift.detectors, binary_errors=True)
    for model_id, model in settings.models.items():
        key = f"models.{model_id}.detectors"
        binary_errors = model.task not in _LOSSES and model.error is None
        detectors.check(model.detectors, binary_errors=binary_errors, key=key)
