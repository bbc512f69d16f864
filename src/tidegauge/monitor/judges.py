"""What is due of a series, judged: rules against baselines, detectors, drift of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Ints
from tidegauge.config import Rule, Settings, duration_ms
from tidegauge.drift.baseline import Baseline
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.metrics.value import Value
from tidegauge.monitor import moving
from tidegauge.monitor.calibrated import Calibrated
from tidegauge.monitor.delays import Delays
from tidegauge.monitor.quality import Quality
from tidegauge.monitor.roster import Roster
from tidegauge.monitor.shift import FEATURES, PAIRS, PREDICTION, Shift
from tidegauge.monitor.standards import Standards
from tidegauge.monitor.traffic import Traffic
from tidegauge.policy import directions
from tidegauge.policy.incidents import IncidentKey, Test
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

Bools = NDArray[np.bool_]


class Judged(NamedTuple):
    """What was found of a subject, and how often in a row it takes to be believed."""

    key: IncidentKey
    judgement: Judgement
    needed: int


class Judges:
    """Judge every series by its standards, and by what is watched of its version."""

    def __init__(
        self,
        settings: Settings,
        roster: Roster,
        quality: Quality,
        traffic: Traffic,
        shift: Shift,
        calibrated: Calibrated,
        delays: Delays,
        standards: Standards,
    ) -> None:
        self._settings, self._roster, self._standards = settings, roster, standards
        self._quality, self._traffic, self._shift = quality, traffic, shift
        self._calibrated, self._delays = calibrated, delays
        self._longest = max(settings.monitor.time_windows, key=duration_ms, default=None)

    def moved(self, series: Ints) -> tuple[Bools, Bools]:
        """Return of which series [n] features, and of which label delay, have something new to judge."""
        return self._shift.due(series), self._delays.due(series)

    def judge(self, series: int, due: list[bool], drifting: bool) -> Iterator[Judged]:
        """Yield what was found of a series.

        `due` says of each rule, and at the end of the detectors, whether it is their turn; `drifting` whether
        it is that of features and predictions.
        """
        rules = zip(self._settings.rules, due, strict=False)  # the last is that of the detectors
        yield from self._by_rules(series, [rule for rule, now in rules if now])
        if due[-1]:
            self._standards.settle(series)
            self._calibrated.settle(series)
            yield from self._by_detectors(series)
        delay = self._delays.judged(series)
        if delay is not None:
            yield Judged(self._key(series, "label_delay", delay.name, "label_delay"), judge_delay(delay), 1)
        if drifting or due[-1]:
            self._shift.settle(series)
            yield from self._by_shift(series)
        if drifting and self._settings.drift.features == "psi":
            yield from self._by_psi(series)

    def applies(self, rule: Rule, series: int) -> bool:
        """Return whether a rule is about a series."""
        return not rule.models or self._roster.series[series].model_id in rule.models

    def baseline(self, series: int, rule: Rule) -> Baseline | None:
        """Return what a rule compares with: what moves with time where that is set and there is enough."""
        found = self._moving(series, rule)
        if found is not None and found.value is not None:
            return Baseline(found.value, rule.baseline)
        return self._standards.watched(series).baselines.get(rule.metric)

    def moving_baselines(self, series: int) -> list[tuple[Rule, Value | None]]:
        """Return the rules of a series whose baseline moves with time, and what it is now."""
        rules = (rule for rule in self._settings.rules if rule.baseline != "first")
        return [(rule, self._moving(series, rule)) for rule in rules if self.applies(rule, series)]

    def _by_rules(self, series: int, due: list[Rule]) -> Iterator[Judged]:
        coverage: dict[str, float | None] = {}
        for rule, value in self._values(series, due):
            if rule.window not in coverage:
                coverage[rule.window] = self._coverage(series, rule.window)
            found = judge(rule, value, self.baseline(series, rule), coverage[rule.window])
            yield Judged(self._key(series, "rule", rule_name(rule), rule.metric), found, rule.consecutive)

    def _by_detectors(self, series: int) -> Iterator[Judged]:
        drift = self._settings.drift
        for detector in self._standards.detectors(series):
            key = self._key(series, "detector", detector.name, "error")
            if isinstance(detector, ErrorShift):
                yield Judged(key, judge_error(detector, drift.resolve_after), 1)
            else:
                found = judge_detector(detector, drift.min_samples, drift.resolve_after)
                yield Judged(key, found, drift.consecutive)
        for about, by in self._calibrated.detectors(series).items():
            yield Judged(self._key(series, about, by.name, about), judge_scores(by, drift.resolve_after), 1)

    def _by_shift(self, series: int) -> Iterator[Judged]:
        for is_prediction, moved, n in self._shift.shifted(series):
            shift: Test = "prediction_shift" if is_prediction else "feature_shift"
            key = self._key(series, shift, "e_d_bh", PREDICTION if is_prediction else FEATURES)
            yield Judged(key, judge_shift(moved, n, is_prediction), 1)
        pairs = self._shift.pairs_shifted(series)
        if pairs is not None:
            yield Judged(self._key(series, "pair_shift", "e_d_bh", PAIRS), judge_pairs(pairs), 1)

    def _by_psi(self, series: int) -> Iterator[Judged]:
        drift = self._settings.drift
        for verdict in self._shift.verdicts(series):
            is_prediction = verdict.drift_type == "prediction_drift"
            feature = None if is_prediction else verdict.name
            found = judge_psi(verdict.found, drift.window, feature, verdict.cell, verdict.baseline)
            test: Test = "prediction_psi" if is_prediction else "feature_psi"
            key = self._key(series, test, f"psi@{drift.window}", feature or PREDICTION)
            yield Judged(key, found, drift.consecutive)

    def _values(self, series: int, due: list[Rule]) -> Iterator[tuple[Rule, Value]]:
        """Yield the rules among those due that apply to a series, with the value each judges.

        A window is read once for all of its rules; a metric that the task has not is left out.
        """
        rules = [rule for rule in due if self.applies(rule, series)]
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

    def _moving(self, series: int, rule: Rule) -> Value | None:
        """Return the rolling or seasonal baseline of a rule; None without one, or on too few outcomes.

        A seasonal one takes LEAST_WEEKS weeks that have outcomes. Some 0.1 ms.
        """
        if rule.baseline == "first":
            return None
        spans = moving.spans(rule, self._settings.monitor, self._roster.watermark(series))
        least = moving.LEAST_WEEKS if rule.baseline == "seasonal" else 1
        found = self._quality.over(series, spans, rule.metric, least)
        return found if found is not None and found.n >= rule.min_samples else None

    def _coverage(self, series: int, window: str) -> float | None:
        """Return the share of labels that have come: of a time window, for others of the longest of these."""
        of = window if window in self._settings.monitor.time_windows else self._longest
        return self._traffic.coverage(series, of) if of else None

    def _key(self, series: int, test: Test, rule: str, subject: str) -> IncidentKey:
        return IncidentKey(*self._roster.series[series], test, rule, subject)


def check(settings: Settings) -> None:
    """Raise ConfigError where a rule is not what its metric allows."""
    directions.check(settings.rules, settings.monitor.ranking_k)
    moving.check(settings)
