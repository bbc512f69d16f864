"""Judgements: what a value, a distance or a detector says about one thing at one evaluation.

Every judgement is `healthy`, `breach` or `undecided`. Undecided has a reason and changes nothing: what is
undefined, rests on too few rows or has nothing to be compared with neither fires nor resolves.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from tidegauge.config import Rule
from tidegauge.drift.baseline import Baseline
from tidegauge.drift.calibration_shift import CalibrationShift
from tidegauge.drift.detectors import Detector
from tidegauge.drift.distances import FeatureDrift
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.drift.label_delay import LabelDelay
from tidegauge.drift.multivariate import PairMoved
from tidegauge.drift.separation_shift import SeparationShift
from tidegauge.metrics.value import Value
from tidegauge.policy.directions import BETTER_ABOVE, direction
from tidegauge.records import Evidence

Verdict = Literal["healthy", "breach", "undecided"]
Reason = Literal["undefined", "few_samples", "incomplete", "no_baseline", "zero_baseline"]


QUIET = 3
QUIET_PANES = 24  # of labels' delay: usually a day
NAMED_PAIRS = 5  # that a judgement tells


class Shifted(NamedTuple):
    """What e-d-BH has named among the features of a version, those with the most evidence first."""

    names: tuple[str, ...]
    evidence: float | None
    threshold: float | None


class PairsShifted(NamedTuple):
    """What e-d-BH has named among the pairs of a version's features, those with the most evidence first."""

    moved: tuple[PairMoved, ...]
    threshold: float | None
    n: int  # rows since healthy pairs are known


class Judgement(NamedTuple):
    """What one evaluation found, with the numbers it rests on."""

    verdict: Verdict
    evidence: Evidence
    reason: Reason | None = None  # of undecided
    rule: Rule | None = None  # of a metric
    note: str | None = None  # where the baseline came from, or which cell moved most


def rule_name(rule: Rule) -> str:
    """Return the name of a rule in alerts and incident ids.

    >>> rule_name(Rule(metric="f1")), rule_name(Rule(metric="mae", window="24h", factor=1.1))
    ('f1@1000 < 0.9*baseline', 'mae@24h > 1.1*baseline')
    """
    moves = "" if rule.baseline == "first" else f"{rule.baseline} "
    return f"{rule.metric}@{rule.window} {'<' if falls(rule) else '>'} {rule.factor:g}*{moves}baseline"


def falls(rule: Rule) -> bool:
    """Return whether the rule's metric gets worse by falling."""
    return BETTER_ABOVE.get(direction(rule.metric) or "factor", rule.factor < 1)


def threshold(rule: Rule, baseline: float) -> float:
    """Return the worst value that is still healthy.

    It is baseline * factor, and for a negative baseline the same distance to its worse side. Bias is judged
    by its absolute value.

    >>> threshold(Rule(metric="r2"), 0.5), threshold(Rule(metric="r2"), -0.5)
    (0.45, -0.55)
    >>> threshold(Rule(metric="bias", factor=1.5), -2.0)
    3.0
    """
    if direction(rule.metric) == "zero":
        return abs(baseline) * rule.factor
    if baseline >= 0:
        return baseline * rule.factor
    return baseline + (rule.factor - 1) * abs(baseline)


def judge(rule: Rule, value: Value, baseline: Baseline | None, coverage: float | None = None) -> Judgement:
    """Return whether a metric is worse than its rule allows.

    Undecided where it is undefined, on fewer than `min_samples` rows, while less than `min_complete` of the
    labels have come, without a baseline, or with a baseline of zero for what should not rise: no factor of
    zero says how much is too much.

    >>> judge(Rule(metric="f1"), Value(0.7, 1000, 0.67, 0.73), Baseline(0.9, "configured")).verdict
    'breach'
    """
    limit = None if baseline is None else threshold(rule, baseline.value)
    evidence = Evidence(
        metric=rule.metric,
        window=rule.window,
        n=value.n,
        coverage=coverage,
        current=value.value,
        low=value.low,
        high=value.high,
        baseline=None if baseline is None else baseline.value,
        baseline_source=None if baseline is None else baseline.source,
        threshold=limit,
    )
    reason = _reason(rule, value, limit, coverage)
    if reason or value.value is None or limit is None or baseline is None:
        return Judgement("undecided", evidence, reason, rule)
    current = abs(value.value) if direction(rule.metric) == "zero" else value.value
    worse = current < limit if falls(rule) else current > limit
    return Judgement("breach" if worse else "healthy", evidence, None, rule, baseline.source)


def _reason(rule: Rule, value: Value, limit: float | None, coverage: float | None) -> Reason | None:
    if value.value is None:
        return "undefined"
    if value.n < rule.min_samples:
        return "few_samples"
    if (coverage or 0.0) < rule.min_complete:
        return "incomplete"
    if limit is None:
        return "no_baseline"
    return "zero_baseline" if limit == 0 and not falls(rule) else None


def judge_psi(
    found: FeatureDrift,
    window: str,
    feature: str | None,
    cell: str | None = None,
    baseline: str | None = None,
) -> Judgement:
    """Return the judgement of a feature's index, or of the prediction's own (feature None).

    `cell` is the name of the cell that contributes most, `baseline` what the window is compared with.
    """
    evidence = Evidence(
        metric="psi" if feature is not None else "prediction.psi",
        window=window,
        n=found.n,
        current=found.psi,
        baseline_source=baseline,
        threshold=found.threshold,
        feature=feature,
    )
    if found.drift is None:
        return Judgement("undecided", evidence, "undefined" if found.psi is None else "few_samples")
    return Judgement("breach" if found.drift else "healthy", evidence, note=cell)


def judge_detector(detector: Detector, min_samples: int, resolve_after: int) -> Judgement:
    """Return the judgement of a sequential detector on the error of a series.

    A breach from a change for the worse until a change for the better, or until `resolve_after` more outcomes
    without a change: by then the detector takes the new level for the usual one. Undecided up to
    `min_samples` outcomes.
    """
    last = detector.last
    evidence = Evidence(
        metric="error",
        window="all",
        n=detector.seen,
        current=last.after if last else None,
        baseline=last.before if last else None,
        detector=detector.name,
    )
    if detector.seen < min_samples:
        return Judgement("undecided", evidence, "few_samples")
    recent = last is not None and last.worse and detector.seen - last.seen < resolve_after
    return Judgement("breach" if recent else "healthy", evidence)


def judge_error(detector: ErrorShift, resolve_after: int) -> Judgement:
    """Return the judgement of the e-detector on the error of a series.

    A breach from an alarm for the worse on. Alarms go on while the error is up; it is over when none came for
    `resolve_after` outcomes and for QUIET times as many as the last one took to come. A final alarm stands.
    """
    last, quiet = detector.last, max(resolve_after, QUIET * detector.took)
    evidence = Evidence(
        metric="error",
        window="all",
        n=detector.seen,
        current=last.after if last else None,
        baseline=detector.baseline.mean if detector.baseline else None,
        detector=detector.name,
    )
    if detector.baseline is None:
        return Judgement("undecided", evidence, "few_samples")
    stands = last is not None and (detector.final or detector.seen - last.seen < quiet)
    recent = stands and last is not None and last.worse
    return Judgement("breach" if recent else "healthy", evidence)


def judge_scores(detector: CalibrationShift | SeparationShift, resolve_after: int) -> Judgement:
    """Return the judgement of an e-detector that looks at labels beside their scores."""
    if isinstance(detector, SeparationShift):
        return judge_separation(detector, resolve_after)
    return judge_calibration(detector, resolve_after)


def judge_separation(detector: SeparationShift, resolve_after: int) -> Judgement:
    """Return the judgement of the e-detector on the area under the ROC curve.

    A breach from an alarm on, over as for `judge_error`.
    """
    last, quiet = detector.last, max(resolve_after, QUIET * detector.took)
    evidence = Evidence(
        metric="roc_auc",
        window="all",
        n=detector.seen,
        current=last.after if last else None,
        baseline=detector.reference.auc if detector.reference else None,
        detector=detector.name,
    )
    if detector.reference is None:
        return Judgement("undecided", evidence, "few_samples")
    recent = last is not None and detector.seen - last.seen < quiet
    return Judgement("breach" if recent else "healthy", evidence)


def judge_calibration(detector: CalibrationShift, resolve_after: int) -> Judgement:
    """Return the judgement of the e-detector on what scores mean.

    A breach from an alarm on, over as for `judge_error`. The note says how labels break with their scores.
    """
    last, quiet = detector.last, max(resolve_after, QUIET * detector.took)
    evidence = Evidence(
        metric="calibration" if detector.terms.probability else "residual_sign",
        window="all",
        n=detector.seen,
        current=last.came if last else None,
        baseline=last.expected if last else None,
        detector=detector.name,
    )
    if detector.curve is None:
        return Judgement("undecided", evidence, "few_samples")
    recent = last is not None and detector.seen - last.seen < quiet
    return Judgement("breach" if recent else "healthy", evidence, note=last.how if last else None)


def judge_delay(detector: LabelDelay) -> Judgement:
    """Return the judgement of the e-detector on how late labels are; its values are shares of panes.

    A breach from an alarm on, over when none came for QUIET_PANES and for QUIET times as many as the last one
    took to come. The note is the label age.
    """
    shift = detector.shift
    last, quiet = shift.last, max(QUIET_PANES, QUIET * shift.took)
    evidence = Evidence(
        metric="label_delay",
        window="all",
        n=shift.seen,
        current=detector.share_after,
        baseline=detector.share_before,
        detector=detector.name,
    )
    if shift.baseline is None or detector.age_ms is None:
        return Judgement("undecided", evidence, "few_samples")
    recent = last is not None and shift.seen - last.seen < quiet
    note = f"{detector.age_ms / 1_000:.0f} s"
    return Judgement("breach" if recent else "healthy", evidence, note=note)


def judge_shift(found: Shifted, n: int, prediction: bool) -> Judgement:
    """Return the judgement of e-d-BH on all features of a version, or on its prediction: n rows were seen.

    The evidence is that of the feature with the most; the names of the others are the judgement's note.
    """
    evidence = Evidence(
        metric="prediction.shift" if prediction else "shift",
        window="all",
        n=n,
        current=found.evidence,
        threshold=found.threshold,
        detector="e_d_bh",
        feature=found.names[0] if found.names and not prediction else None,
    )
    if not n:
        return Judgement("undecided", evidence, "few_samples")
    return Judgement("breach" if found.names else "healthy", evidence, note=", ".join(found.names))


def judge_pairs(found: PairsShifted) -> Judgement:
    """Return the judgement of e-d-BH on all pairs of a version's features.

    The evidence is that of the pair with the most; the note tells the pairs and their correlations.
    """
    most = found.moved[0] if found.moved else None
    evidence = Evidence(
        metric="pairs.shift",
        window="all",
        n=found.n,
        current=most.evidence if most else None,
        threshold=found.threshold,
        detector="e_d_bh",
        feature=" and ".join(most.features) if most else None,
    )
    if not found.n:
        return Judgement("undecided", evidence, "few_samples")
    told = [
        f"{' and '.join(one.features)} ({one.reference:.2f} to {one.correlation:.2f})" for one in found.moved
    ]
    more = f" and {len(told) - NAMED_PAIRS} more" if len(told) > NAMED_PAIRS else ""
    note = ", ".join(told[:NAMED_PAIRS]) + more
    return Judgement("breach" if found.moved else "healthy", evidence, note=note)
