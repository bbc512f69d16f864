"""Who raises alerts: rules against baselines, detectors on the error, drift of the data.

Everything is judged at block boundaries and in event time, so a replay raises the same alerts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.baseline_file import BaselineFile
from tidegauge.block import Floats, Ints
from tidegauge.config import Rule, Settings, duration_ms
from tidegauge.drift import budget, detectors
from tidegauge.drift.baseline import Baseline, Baselines
from tidegauge.drift.detectors import E_SR, Detector
from tidegauge.drift.error_baseline import Terms
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.metrics.value import Value
from tidegauge.monitor import moving, proxies
from tidegauge.monitor.calibrated import Calibrated
from tidegauge.monitor.carriers import Carriers, Span
from tidegauge.monitor.delays import Delays
from tidegauge.monitor.estimates import Estimates
from tidegauge.monitor.expectations import by_error, by_rule, expected
from tidegauge.monitor.first_labels import FirstLabels
from tidegauge.monitor.quality import Quality
from tidegauge.monitor.roster import Roster, SeriesKey
from tidegauge.monitor.shift import FEATURES, PAIRS, PREDICTION, Shift
from tidegauge.monitor.signs import Signs
from tidegauge.monitor.traffic import Traffic
from tidegauge.monitor.watched import Watched, restored, saved
from tidegauge.policy import directions
from tidegauge.policy.alerts import build_alert, closing_alert
from tidegauge.policy.diagnosis import any_of
from tidegauge.policy.incidents import OPEN, IncidentKey, Incidents, Step, Test
from tidegauge.policy.rules import (
    Judgement,
    judge,
    judge_delay,
    judge_detector,
    judge_error,
    judge_pairs,
    judge_psi,
    judge_scores,
    judge_shift,
    rule_name,
)
from tidegauge.records import Alert, Diagnosis, Sign
from tidegauge.windows import Backlog, Runs, grown

_LOSSES = frozenset({"regression", "ranking"})  # tasks whose error is no 0 or 1
_TYPICAL = re.compile(r"latency_|(kpi|resource)\..*\.mean$|kpi\..*\.per_outcome$|diversity$|novelty$")
_HELD = 64  # errors; none waits longer than a judgement of its series


class Stepped(NamedTuple):
    """An alert that is due, before it is known what else moved."""

    series: int
    key: IncidentKey
    step: Step
    judgement: Judgement


class Watch:
    """Baselines, detectors and incidents of every series."""

    def __init__(
        self,
        settings: Settings,
        roster: Roster,
        quality: Quality,
        traffic: Traffic,
        shift: Shift,
        carriers: Carriers,
        calibrated: Calibrated,
        delays: Delays,
        estimates: Estimates,
    ) -> None:
        self._settings = settings
        self._carriers = carriers
        self._roster, self._quality, self._traffic, self._shift = roster, quality, traffic, shift
        self._calibrated, self._delays, self._estimates = calibrated, delays, estimates
        self._signs = Signs(settings, roster, traffic, shift)
        self._longest = max(settings.monitor.time_windows, key=duration_ms, default=None)
        self._watched: dict[int, Watched] = {}
        self._segments: dict[tuple[str, str], int] = {}  # of each version, how many have been watched
        self._errors = Backlog(_HELD, 1)  # of series that get few at once
        self._frozen: NDArray[np.bool_] = np.zeros(0, np.bool_)  # by series: its baselines are
        # By series: outcomes since each rule, and at the end the detectors, were judged; how many it takes.
        self._every = np.array([*(r.every_outcomes for r in settings.rules), settings.drift.every_outcomes])
        self._since: Ints = np.zeros((0, len(self._every)), np.int64)
        self._incidents = Incidents()
        self._silent_until: dict[tuple[str, str], int] = {}

    def observe(self, came: Ints, told: FirstLabels) -> None:
        """Count first labels that came, by series [m], for the rules; show those `told` to the detectors."""
        series, error, runs = told.series, told.loss, Runs(told.series)
        arrived = runs if came is series else Runs(came)
        self._reach(max(int(one.series.max(initial=-1)) for one in (runs, arrived)) + 1)
        self._since[arrived.series, :-1] += arrived.sizes[:, None]
        self._since[runs.series, -1] += runs.sizes
        known = np.isfinite(error)
        if not known.all():
            series, error = series[known], error[known]
            runs = Runs(series)
        fits = self._errors.fits(runs)
        for which in np.flatnonzero(~fits).tolist():
            number = int(runs.series[which])
            self._flush(number)
            self._take(number, error[runs.place == which])
        few = np.flatnonzero(fits[runs.place])
        if len(few) < len(series):
            error, runs = error[few], Runs(series[few])
        for number in self._errors.add(runs, error[:, None]).tolist():
            self._flush(number)

    def evaluate(self, touched: Ints) -> list[Alert]:
        """Return the alerts that the series touched by a block, each once, call for now.

        Cost: a look at a row of numbers for each, and what is due for those of which something is.
        """
        self._reach(int(touched.max(initial=-1)) + 1)
        drifting = self._shift.due(touched)
        fresh = self._quality.has_baseline(touched) & ~self._frozen[touched]
        due = self._since[touched] >= self._every
        stepped: list[Stepped] = []
        for place in np.flatnonzero(drifting | fresh | due.any(1) | self._delays.due(touched)).tolist():
            series = int(touched[place])
            self._since[series, due[place]] = 0
            if fresh[place]:
                self._freeze(series)
            judgements = self._judgements(series, due[place].tolist(), bool(drifting[place]))
            for key, judgement, needed in judgements:
                stepped += self._step(series, key, judgement, needed)
        return self._alerts(stepped)

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

    def moving(self, series: int, rule: Rule) -> Value | None:
        """Return the rolling or seasonal baseline of a rule; None without one, or on too few outcomes.

        A seasonal one takes LEAST_WEEKS weeks that have outcomes. Some 0.1 ms.
        """
        if rule.baseline == "first":
            return None
        spans = moving.spans(rule, self._settings.monitor, self._roster.watermark(series))
        least = moving.LEAST_WEEKS if rule.baseline == "seasonal" else 1
        found = self._quality.over(series, spans, rule.metric, least)
        return found if found is not None and found.n >= rule.min_samples else None

    def moving_baselines(self, series: int) -> list[tuple[Rule, Value | None]]:
        """Return the rules of a series whose baseline moves with time, and what it is now."""
        rules = (rule for rule in self._settings.rules if rule.baseline != "first")
        return [(rule, self.moving(series, rule)) for rule in rules if self._applies(rule, series)]

    def adopt(self, series: int, file: BaselineFile, at_run_time: bool) -> None:
        """Measure a series against the reference metrics of a file."""
        metrics = {name: metric.value for name, metric in file.metrics.items()}
        self.watched(series).baselines.take_file(metrics, at_run_time)

    def silence(self, model_id: str, version: str, until_ms: int) -> None:
        """Judge nothing of a version before event time `until_ms`."""
        self._silent_until[model_id, version] = until_ms

    def forget(self, model_id: str, version: str, now_ms: int) -> list[Alert]:
        """Forget a version; return the alerts that resolve its open incidents."""
        for series in self._roster.version_series(model_id, version):
            self._watched.pop(series, None)
            self._reach(series + 1)
            self._since[series], self._frozen[series] = 0, False
            self._errors.take(series)
            self._signs.forget(series)
        gone = self._incidents.forget(model_id, version)
        return [closing_alert(key, step, now_ms) for key, step in gone]

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
        silent = [[*version, until_ms] for version, until_ms in self._silent_until.items()]
        return {
            "watched": watched,
            "since": self._since,
            "errors": self._errors.state(),
            "incidents": self._incidents.snapshot(),
            "silent": silent,
            "signs": self._signs.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned.

        Detectors that are no longer set are left out; one that river can no longer read starts anew.
        """
        self._incidents = Incidents.restore(state["incidents"])
        self._silent_until = {(model, version): until for model, version, until in state["silent"]}
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
            if len(kept.get("since", ())) == len(self._every):  # layout 1
                self._since[series] = kept["since"]
        if "since" in state and state["since"].shape[1] == len(self._every):
            self._since = state["since"].copy()
        if "errors" in state:
            self._errors.restore(state["errors"])
        self._signs.restore(state.get("signs", []))
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

    def _freeze(self, series: int) -> None:
        """Keep the metrics of early production as baseline: there are enough outcomes."""
        early = self._quality.baseline(series)
        if early is not None:
            self.watched(series).baselines.freeze(early | self._early(series))
            self._frozen[series] = True

    def _proxy(self, series: int) -> str | None:
        return self._settings.model(self._roster.series[series].model_id).error

    def _take(self, series: int, errors: Floats) -> None:
        watched, task = self.watched(series), self._task(series)
        if watched.detectors is None:
            watched.detectors = self._detectors(series, task)
        self._promise(series, watched)
        proxy = self._proxy(series)
        watched.falls = proxy is not None and proxy.startswith(proxies.FALLS)
        scaled = proxy is not None or task == "regression"
        watched.take(errors, self._settings.monitor.baseline_outcomes, scaled)

    def _flush(self, series: int) -> None:
        """Show the detectors what waits for them."""
        errors = self._errors.take(series)[:, 0]
        if len(errors):
            self._take(series, errors)

    def _reach(self, size: int) -> None:
        self._since, self._frozen = grown(self._since, size, 0), grown(self._frozen, size, 0)

    def _early(self, series: int) -> dict[str, Value]:
        """Return what traffic says of early production that does not depend on the window's length."""
        values = self._traffic.values(series, self._longest) if self._longest else {}
        return {name: value for name, value in values.items() if _TYPICAL.match(name)}

    def _judgements(
        self, series: int, due: list[bool], drifting: bool
    ) -> Iterator[tuple[IncidentKey, Judgement, int]]:
        """Yield what is due of a series: what it is about, what was found, how often in a row it takes."""
        drift = self._settings.drift
        rules = zip(self._settings.rules, due, strict=False)  # the last is that of the detectors
        for rule, value in self._judged(series, [rule for rule, now in rules if now]):
            found = judge(rule, value, self._baseline(series, rule), self._coverage(series, rule.window))
            yield self._key(series, "rule", rule_name(rule), rule.metric), found, rule.consecutive
        if due[-1]:
            self._flush(series)
            self._calibrated.settle(series)
        if due[-1] or drifting:
            self._shift.settle(series)
        for detector in self.detectors(series) if due[-1] else ():
            key = self._key(series, "detector", detector.name, "error")
            if isinstance(detector, ErrorShift):
                yield key, judge_error(detector, drift.resolve_after), 1
            else:
                found = judge_detector(detector, drift.min_samples, drift.resolve_after)
                yield key, found, drift.consecutive
        for about, by in self._calibrated.detectors(series).items() if due[-1] else ():
            yield self._key(series, about, by.name, about), judge_scores(by, drift.resolve_after), 1
        delay = self._delays.judged(series)
        if delay is not None:
            yield self._key(series, "label_delay", delay.name, "label_delay"), judge_delay(delay), 1
        for is_prediction, moved, n in self._shift.shifted(series) if drifting or due[-1] else ():
            shift: Test = "prediction_shift" if is_prediction else "feature_shift"
            key = self._key(series, shift, "e_d_bh", PREDICTION if is_prediction else FEATURES)
            yield key, judge_shift(moved, n, is_prediction), 1
        pairs = self._shift.pairs_shifted(series) if drifting or due[-1] else None
        if pairs is not None:
            yield self._key(series, "pair_shift", "e_d_bh", PAIRS), judge_pairs(pairs), 1
        for verdict in self._shift.verdicts(series) if drifting and drift.features == "psi" else ():
            is_prediction = verdict.drift_type == "prediction_drift"
            feature = None if is_prediction else verdict.name
            found = judge_psi(verdict.found, drift.window, feature, verdict.cell, verdict.baseline)
            test: Test = "prediction_psi" if is_prediction else "feature_psi"
            key = self._key(series, test, f"psi@{drift.window}", feature or PREDICTION)
            yield key, found, drift.consecutive

    def _step(self, series: int, key: IncidentKey, judgement: Judgement, needed: int) -> list[Stepped]:
        now_ms = self._roster.watermark(series)
        if now_ms < self._silent_until.get((key.model_id, key.model_version), 0):
            return []
        step = self._incidents.step(key, judgement.verdict, now_ms, needed)
        if judgement.verdict != "undecided":
            self._signs.note(series, key, self._incidents.state(key) in OPEN, now_ms)
        if step is None:
            return []
        if step.status == "firing":
            judgement = self._attributed(series, key, judgement)
        return [Stepped(series, key, step, judgement)]

    def _alerts(self, stepped: list[Stepped]) -> list[Alert]:
        """Return the alerts of steps: all of them know what moved in any of them."""
        diagnoses: dict[int, Diagnosis] = {}
        alerts = []
        for series, key, step, judgement in stepped:
            now_ms = self._roster.watermark(series)
            if series not in diagnoses:
                diagnoses[series] = self._signs.diagnosis(series, self._estimate(key), now_ms)
            alerts.append(build_alert(key, step, judgement, now_ms, diagnoses[series]))
        return alerts

    def _estimate(self, key: IncidentKey) -> Sign:
        """Return whether a version is estimated to be worse than its baselines."""
        series = self._roster.version_series(key.model_id, key.model_version)[0]
        watched = self.watched(series)
        values = expected(self._estimates.all(series), self._settings)
        applying = (rule for rule in self._settings.rules if self._applies(rule, series))
        signs = [by_rule(rule, values, self._baseline(series, rule)) for rule in applying]
        own = [one for one in watched.detectors or () if isinstance(one, ErrorShift)]
        if self._proxy(series) is None:
            signs += [by_error(values, one.baseline, watched.scale) for one in own]
        return any_of(signs)

    def _attributed(self, series: int, key: IncidentKey, judgement: Judgement) -> Judgement:
        """Return a judgement of the error with what carries its change, where that is kept."""
        span = self._span(series, key, judgement)
        found = self._carriers.find(series, span) if span else None
        if found is None:
            return judgement
        return judgement._replace(evidence=msgspec.structs.replace(judgement.evidence, attribution=found))

    def _span(self, series: int, key: IncidentKey, judgement: Judgement) -> Span | None:
        """Return the outcomes that a judgement is about; None where it is not about the loss that is kept."""
        if key.test == "detector":
            own = next((one for one in self.detectors(series) if one.name == key.rule), None)
            if isinstance(own, ErrorShift) and own.last:
                return Span(last=own.took + own.seen - own.last.seen)
            return Span()
        window, proxy = judgement.evidence.window, self._proxy(series)
        subject = f"{proxy.removeprefix(proxies.FALLS)}." if proxy else None
        if key.test != "rule" or (subject is not None and not key.subject.startswith(subject)):
            return None
        if subject is None and key.subject not in self._quality.values(series, window, only={key.subject}):
            return None
        if window in self._settings.monitor.time_windows:
            return Span(since_ms=self._roster.watermark(series) - duration_ms(window))
        return Span(last=int(window))

    def _applies(self, rule: Rule, series: int) -> bool:
        return not rule.models or self._roster.series[series].model_id in rule.models

    def _judged(self, series: int, due: list[Rule]) -> Iterator[tuple[Rule, Value]]:
        """Yield the rules among those due that apply to a series, with the value each judges.

        A window is read once for all of its rules; a metric that the task has not is left out.
        """
        rules = [rule for rule in due if self._applies(rule, series)]
        wanted: dict[str, set[str]] = {}
        for rule in rules:
            wanted.setdefault(rule.window, set()).add(rule.metric)
        found = {
            window: self._quality.values(series, window, only=metrics) for window, metrics in wanted.items()
        }
        for rule in rules:
            values = found[rule.window]
            if rule.metric not in values and rule.window in self._settings.monitor.time_windows:
                values = self._traffic.values(series, rule.window)
            if rule.metric in values:
                yield rule, values[rule.metric]

    def _baseline(self, series: int, rule: Rule) -> Baseline | None:
        """Return what a rule compares with: what moves with time where that is set and there is enough."""
        found = self.moving(series, rule)
        if found is not None and found.value is not None:
            return Baseline(found.value, rule.baseline)
        return self.watched(series).baselines.get(rule.metric)

    def _coverage(self, series: int, window: str) -> float | None:
        """Return the share of labels that have come: of a time window, for others of the longest of these."""
        of = window if window in self._settings.monitor.time_windows else self._longest
        return self._traffic.coverage(series, of) if of else None

    def _key(self, series: int, test: Test, rule: str, subject: str) -> IncidentKey:
        return IncidentKey(*self._roster.series[series], test, rule, subject)


def check(settings: Settings) -> None:
    """Raise ConfigError where a rule or a detector is not what its metric or task allows."""
    directions.check(settings.rules, settings.monitor.ranking_k)
    moving.check(settings)
    detectors.check(settings.drift.detectors, binary_errors=True)
    for model_id, model in settings.models.items():
        key = f"models.{model_id}.detectors"
        binary_errors = model.task not in _LOSSES and model.error is None
        detectors.check(model.detectors, binary_errors=binary_errors, key=key)
