"""Who raises alerts: what is due of a series is judged, and steps of its incidents are told.

Everything is judged at block boundaries and in event time, so a replay raises the same alerts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np

from tidegauge.block import Ints
from tidegauge.config import Settings, duration_ms
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.monitor import judges, proxies, standards
from tidegauge.monitor.carriers import Carriers, Span
from tidegauge.monitor.estimates import Estimates
from tidegauge.monitor.expectations import by_error, by_rule, expected
from tidegauge.monitor.first_labels import FirstLabels
from tidegauge.monitor.judges import Judges
from tidegauge.monitor.quality import Quality
from tidegauge.monitor.roster import Roster
from tidegauge.monitor.signs import Signs
from tidegauge.monitor.standards import Standards
from tidegauge.policy.alerts import build_alert, closing_alert
from tidegauge.policy.diagnosis import any_of
from tidegauge.policy.incidents import OPEN, IncidentKey, Incidents, Step
from tidegauge.policy.rules import Judgement
from tidegauge.records import Alert, Diagnosis, Sign
from tidegauge.windows import Runs, grown


class Stepped(NamedTuple):
    """An alert that is due, before it is known what else moved."""

    series: int
    key: IncidentKey
    step: Step
    judgement: Judgement


class Watch:
    """When each series is judged, and the incidents that follow."""

    def __init__(
        self,
        settings: Settings,
        roster: Roster,
        quality: Quality,
        carriers: Carriers,
        estimates: Estimates,
        signs: Signs,
        standards: Standards,
        judges: Judges,
    ) -> None:
        self._settings = settings
        self._roster, self._quality, self._carriers = roster, quality, carriers
        self._estimates, self._signs = estimates, signs
        self._standards, self._judges = standards, judges
        # By series: outcomes since each rule, and at the end the detectors, were judged; how many it takes.
        self._every = np.array([*(r.every_outcomes for r in settings.rules), settings.drift.every_outcomes])
        self._since: Ints = np.zeros((0, len(self._every)), np.int64)
        self._incidents = Incidents()
        self._silent_until: dict[tuple[str, str], int] = {}

    def observe(self, arrived: Runs, told: FirstLabels, runs: Runs) -> None:
        """Count first labels that arrived for the rules; show those `told`, with their runs, to detectors."""
        self._reach(max(runs.top, arrived.top))
        self._since[arrived.series, :-1] += arrived.sizes[:, None]
        self._since[runs.series, -1] += runs.sizes
        self._standards.observe(told.loss, runs)

    def evaluate(self, touched: Ints) -> list[Alert]:
        """Return the alerts that the series touched by a block, each once, call for now.

        Cost: a look at a row of numbers for each, and what is due for those of which something is.
        """
        self._reach(int(touched.max(initial=-1)) + 1)
        (drifting, delayed), fresh = self._judges.moved(touched), self._standards.ripe(touched)
        due = self._since[touched] >= self._every
        stepped: list[Stepped] = []
        for place in np.flatnonzero(drifting | fresh | due.any(1) | delayed).tolist():
            series = int(touched[place])
            self._since[series, due[place]] = 0
            if fresh[place]:
                self._standards.freeze(series)
            for judged in self._judges.judge(series, due[place].tolist(), bool(drifting[place])):
                stepped += self._step(series, *judged)
        return self._alerts(stepped)

    def silence(self, model_id: str, version: str, until_ms: int) -> None:
        """Judge nothing of a version before event time `until_ms`."""
        self._silent_until[model_id, version] = until_ms

    def forget(self, model_id: str, version: str, now_ms: int) -> list[Alert]:
        """Forget a version; return the alerts that resolve its open incidents."""
        for series in self._roster.version_series(model_id, version):
            self._standards.forget(series)
            self._reach(series + 1)
            self._since[series] = 0
            self._signs.forget(series)
        gone = self._incidents.forget(model_id, version)
        return [closing_alert(key, step, now_ms) for key, step in gone]

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        silent = [[*version, until_ms] for version, until_ms in self._silent_until.items()]
        return self._standards.state() | {
            "since": self._since,
            "incidents": self._incidents.snapshot(),
            "silent": silent,
            "signs": self._signs.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        self._standards.restore(state)
        self._incidents = Incidents.restore(state["incidents"])
        self._silent_until = {(model, version): until for model, version, until in state["silent"]}
        for series, kept in state["watched"]:
            if len(kept.get("since", ())) == len(self._every):  # layout 1
                self._reach(series + 1)
                self._since[series] = kept["since"]
        if "since" in state and state["since"].shape[1] == len(self._every):
            self._since = state["since"].copy()
        self._signs.restore(state.get("signs", []))
        self._reach(len(self._roster.series))

    def _reach(self, size: int) -> None:
        self._since = grown(self._since, size, 0)

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
        watched = self._standards.watched(series)
        values = expected(self._estimates.all(series), self._settings)
        applying = (rule for rule in self._settings.rules if self._judges.applies(rule, series))
        signs = [by_rule(rule, values, self._judges.baseline(series, rule)) for rule in applying]
        own = [one for one in watched.detectors or () if isinstance(one, ErrorShift)]
        if self._standards.proxy(series) is None:
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
            own = next((one for one in self._standards.detectors(series) if one.name == key.rule), None)
            if isinstance(own, ErrorShift) and own.last:
                return Span(last=own.took + own.seen - own.last.seen)
            return Span()
        window, proxy = judgement.evidence.window, self._standards.proxy(series)
        subject = f"{proxy.removeprefix(proxies.FALLS)}." if proxy else None
        if key.test != "rule" or (subject is not None and not key.subject.startswith(subject)):
            return None
        if subject is None and key.subject not in self._quality.values(series, window, only={key.subject}):
            return None
        if window in self._settings.monitor.time_windows:
            return Span(since_ms=self._roster.watermark(series) - duration_ms(window))
        return Span(last=int(window))


def check(settings: Settings) -> None:
    """Raise ConfigError where a rule or a detector is not what its metric or task allows."""
    judges.check(settings)
    standards.check(settings)
