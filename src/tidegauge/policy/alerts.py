"""Alerts from evidence: the record on the topic, and the sentence a person reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from tidegauge.config import Rule
from tidegauge.policy.directions import direction
from tidegauge.policy.incidents import IncidentKey, Status, Step, Test
from tidegauge.policy.rules import Judgement, falls
from tidegauge.records import Alert, Diagnosis, Evidence
from tidegauge.redact import printable

NOTHING_LEFT = "the version was reset, nothing is known of it now"
NAMED = 5  # features that a message names
DriftType = Literal["data_drift", "concept_drift", "prediction_drift", "label_delay"]


def build_alert(
    key: IncidentKey, step: Step, judgement: Judgement, now_ms: int, diagnosis: Diagnosis | None = None
) -> Alert:
    """Return the alert of a step, with the judgement that caused it as its evidence."""
    about = ABOUT[key.test]
    return Alert(
        alert_id=step.alert_id,
        incident_id=step.incident_id,
        status=step.status,
        kind=about.kind,
        drift_type=about.drift_type,
        rule=key.rule,
        model_id=key.model_id,
        model_version=key.model_version,
        segment=key.segment,
        raised_at_ms=now_ms,
        opened_at_ms=step.opened_at_ms,
        message=printable(about.message(step.status, judgement) + _carried(judgement.evidence)),
        evidence=judgement.evidence,
        diagnosis=diagnosis,
    )


def closing_alert(key: IncidentKey, step: Step, now_ms: int) -> Alert:
    """Return the alert that resolves an incident because its version was reset: there is no evidence left."""
    nothing = Evidence(metric=key.subject, window="none", n=0)
    return build_alert(key, step, Judgement("undecided", nothing, "undefined"), now_ms)


def _carried(found: Evidence) -> str:
    """Return the words for the first carrier of a change; none where nothing stands out."""
    if found.attribution is None or not found.attribution.carriers:
        return ""
    change = found.attribution.after - found.attribution.before
    first = found.attribution.carriers[0]
    where = " and ".join(f"{name}={value}" for name, value in first.where.items())
    share = first.part / change if change else 0.0
    much = (
        f"{share:.0%} of the change of the {found.attribution.loss} lies in" if 0 < share <= 1 else "worst in"
    )
    return f"; {much} {where} (n={first.n})"


def _rule_message(status: Status, judgement: Judgement) -> str:
    found, rule = judgement.evidence, judgement.rule
    if rule is None:
        return f"{found.metric}: {NOTHING_LEFT}"
    is_now, beyond = _WORDS[status]
    side = "further from 0 than" if direction(rule.metric) == "zero" else "below" if falls(rule) else "above"
    limit = f"{_number(found.threshold)} = {_factor(rule, found)} baseline {_number(found.baseline)}"
    return (
        f"{found.metric} {_over(found.window)} {is_now} {_number(found.current)}{_interval(found)}, "
        f"{beyond}{side} {limit} from {_source(judgement)} ({_rows(found)})"
    )


def _source(judgement: Judgement) -> str:
    """Return where a baseline is from, and that it stands for one that there is not enough of yet."""
    source, wanted = judgement.note or "configured", judgement.rule.baseline if judgement.rule else "first"
    missing = "" if wanted in ("first", source) else f", too little for the {wanted} one"
    return f"{_SOURCES[source]}{missing}"


def _psi_message(status: Status, judgement: Judgement) -> str:
    found = judgement.evidence
    if judgement.reason:
        return f"PSI of {found.metric}: {NOTHING_LEFT}"
    is_now, beyond = _WORDS[status]
    what = "the predictions" if found.feature is None else f"feature {found.feature}"
    most = f", most of it in '{judgement.note}'" if judgement.note and status == "firing" else ""
    return (
        f"PSI of {what} {_over(found.window)} {is_now} {_number(found.current)}, {beyond}above "
        f"{_number(found.threshold)}{most} ({_rows(found)})"
    )


def _detector_message(status: Status, judgement: Judgement) -> str:
    found = judgement.evidence
    if judgement.reason:
        return f"{found.metric}: {NOTHING_LEFT}"
    means = ""
    if found.baseline is not None and found.current is not None:
        means = f" (last change: from {_number(found.baseline)} to {_number(found.current)})"
    says = "found that the error rose" if status == "firing" else "finds no further rise of the error"
    return f"{found.detector} {says}{means} ({_rows(found)})"


def _calibration_message(status: Status, judgement: Judgement) -> str:
    found = judgement.evidence
    about, ways = _BREAKS.get(found.metric, _BREAKS["calibration"])
    if judgement.reason or judgement.note is None:
        return f"{about}: {NOTHING_LEFT}"
    if status == "resolved":
        return f"{about} mean again what they meant ({_rows(found)})"
    shares = f"a share of {_number(found.current)} came where {_number(found.baseline)} was meant"
    return f"{found.detector} found that {ways[judgement.note]}: {shares} ({_rows(found)})"


def _separation_message(status: Status, judgement: Judgement) -> str:
    found = judgement.evidence
    if judgement.reason:
        return f"scores of the two classes: {NOTHING_LEFT}"
    if status == "resolved":
        return f"scores tell the two classes apart as they did ({_rows(found)})"
    areas = f"ROC AUC from {_number(found.baseline)} to {_number(found.current)}"
    return f"{found.detector} found that scores tell the two classes apart less: {areas} ({_rows(found)})"


def _delay_message(status: Status, judgement: Judgement) -> str:
    found = judgement.evidence
    if judgement.reason:
        return f"delay of labels: {NOTHING_LEFT}"
    if status == "resolved":
        return f"labels come as soon as they did again ({_rows(found)})"
    before, after = _number(found.baseline), _number(found.current)
    shares = f"a share of {after} came within {judgement.note} where {before} did"
    return f"{found.detector} found that labels come later, or not at all: {shares} ({_rows(found)})"


def _shift_message(status: Status, judgement: Judgement) -> str:
    found = judgement.evidence
    what = "the predictions" if found.metric.startswith("prediction") else "features"
    if judgement.reason:
        return f"{what}: {NOTHING_LEFT}"
    names = (judgement.note or "").split(", ") if judgement.note and found.feature else []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    listed = f" {', '.join(names[:NAMED])}{more}" if names else ""
    says = "moved from the reference" if status == "firing" else "look like the reference again"
    return f"{what}{listed} {says}{_odds(found) if status == 'firing' else ''} ({_rows(found)})"


def _pairs_message(status: Status, judgement: Judgement) -> str:
    found = judgement.evidence
    if judgement.reason:
        return f"pairs of features: {NOTHING_LEFT}"
    if status == "resolved":
        return f"pairs of features go together as in the reference again ({_rows(found)})"
    return f"correlation of {judgement.note} moved from the reference{_odds(found)} ({_rows(found)})"


def _odds(found: Evidence) -> str:
    return f": evidence {_number(found.current)}, {_number(found.threshold)} is enough for one"


class About(NamedTuple):
    """What an alert of a test is called, and how it is put into words."""

    kind: Literal["performance", "drift"]
    drift_type: DriftType | None
    message: Callable[[Status, Judgement], str]


ABOUT: Mapping[Test, About] = {
    "rule": About("performance", None, _rule_message),
    "feature_psi": About("drift", "data_drift", _psi_message),
    "prediction_psi": About("drift", "prediction_drift", _psi_message),
    "detector": About("drift", "concept_drift", _detector_message),
    "calibration": About("drift", "concept_drift", _calibration_message),
    "separation": About("drift", "concept_drift", _separation_message),
    "label_delay": About("drift", "label_delay", _delay_message),
    "feature_shift": About("drift", "data_drift", _shift_message),
    "prediction_shift": About("drift", "prediction_drift", _shift_message),
    "pair_shift": About("drift", "data_drift", _pairs_message),
}
_WORDS = {"firing": ("is", ""), "resolved": ("is back to", "no longer ")}
_BREAKS: Mapping[str, tuple[str, Mapping[str, str]]] = {  # what is spoken of, and how labels break with it
    "calibration": (
        "probabilities",
        {
            "more": "classes come more often than their probabilities have meant",
            "fewer": "classes come less often than their probabilities have meant",
            "flatter": "probabilities have become over-confident",
            "sharper": "probabilities have become under-confident",
        },
    ),
    "residual_sign": (
        "predicted numbers",
        {
            "more": "the truth is above its prediction more often than it was",
            "fewer": "the truth is below its prediction more often than it was",
            "flatter": "predicted numbers lie too far apart",
            "sharper": "predicted numbers lie too close together",
        },
    ),
}
_SOURCES = {
    "configured": "the configuration",
    "file": "the baseline file",
    "control_file": "the baseline file",
    "early_production": "early production",
    "control": "a control message",
    "rolling": "the time before",
    "seasonal": "the same hours of the weeks before",
}


def _factor(rule: Rule, found: Evidence) -> str:
    """Return what the threshold is of its baseline; below zero it lies as far to the worse side."""
    if found.baseline is not None and found.baseline < 0 and direction(rule.metric) != "zero":
        return f"{abs(1 - rule.factor):.0%} worse than"
    return f"{rule.factor:g} x"


def _over(window: str) -> str:
    return f"over the last {window}{' outcomes' if window.isdecimal() else ''}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _interval(found: Evidence) -> str:
    if found.low is None or found.high is None:
        return ""
    return f" [{_number(found.low)}, {_number(found.high)}]"


def _rows(found: Evidence) -> str:
    coverage = "" if found.coverage is None else f", coverage {found.coverage:.2f}"
    return f"n={found.n}{coverage}"
