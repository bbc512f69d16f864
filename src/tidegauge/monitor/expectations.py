"""Whether estimates say that a model has got worse than its baselines."""

from __future__ import annotations

from collections.abc import Mapping

from tidegauge.config import Rule, Settings, duration_ms
from tidegauge.drift.baseline import Baseline
from tidegauge.drift.error_baseline import Baseline as ErrorBaseline
from tidegauge.metrics.value import Value
from tidegauge.policy.rules import judge
from tidegauge.records import Sign

_SIGNS: Mapping[str, Sign] = {"breach": "moved", "healthy": "still", "undecided": "unknown"}


def expected(estimates: Mapping[str, Mapping[str, Value]], settings: Settings) -> Mapping[str, Value]:
    """Return the estimates of the shortest window with at least `drift.min_samples` rows; empty without one.

    >>> few, enough = {"mae": Value(0.1, 9, 0.0, 0.2)}, {"mae": Value(0.1, 9_000, 0.0, 0.2)}
    >>> expected({"24h": enough, "1h": few}, Settings()) == enough
    True
    """
    least = settings.drift.min_samples
    for window in sorted(settings.monitor.time_windows, key=duration_ms):
        values = estimates.get(window, {})
        if max((one.n for one in values.values()), default=0) >= least:
            return values
    return {}


def by_rule(rule: Rule, values: Mapping[str, Value], baseline: Baseline | None) -> Sign:
    """Return whether an estimate is worse than its rule allows.

    >>> by_rule(Rule(metric="mae", factor=1.1), {"mae": Value(2.0, 900, 1.9, 2.1)}, Baseline(1.0, "file"))
    'moved'
    """
    value = values.get(rule.metric)
    return "unknown" if value is None else _SIGNS[judge(rule, value, baseline, coverage=1.0).verdict]


def by_error(values: Mapping[str, Value], baseline: ErrorBaseline | None, scale: float | None) -> Sign:
    """Return whether the estimated error lies above what the e-detector of the error bets against.

    For sure, by the interval: a certain rise may be too small for a rule.

    >>> learned = ErrorBaseline(0.1, 1.0, (0.12,), (1.0,))
    >>> by_error({"accuracy": Value(0.8, 900, 0.78, 0.82)}, learned, None)
    'moved'
    >>> by_error({"accuracy": Value(0.87, 900, 0.85, 0.89)}, learned, None)
    'still'
    """
    if baseline is None:
        return "unknown"
    accuracy, loss = values.get("accuracy"), values.get("mae")
    least = None
    if accuracy is not None and accuracy.high is not None:
        least = 1.0 - accuracy.high
    elif loss is not None and loss.low is not None and scale:
        least = loss.low / scale
    if least is None:
        return "unknown"
    return "moved" if least > baseline.means[0] else "still"
