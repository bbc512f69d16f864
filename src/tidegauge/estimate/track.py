"""How good the estimates were: what was said of a cohort before its labels, and what was realised."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tidegauge.metrics.value import ANY, NON_NEGATIVE, Value, normal, wilson


class Judged(NamedTuple):
    """One metric of one cohort: the estimate with its interval, and the realised value."""

    estimated: float
    low: float
    high: float
    realised: float


def judge(said: Mapping[str, Value], realised: Mapping[str, Value]) -> dict[str, Judged]:
    """Return the metrics that have both an estimate with an interval and a realised value.

    >>> judge({"f1": Value(0.8, 9, 0.7, 0.9)}, {"f1": Value(0.75, 9, None, None)})
    {'f1': Judged(estimated=0.8, low=0.7, high=0.9, realised=0.75)}
    """
    found = {}
    for name in said.keys() & realised.keys():
        (value, _, low, high), (came, *_) = said[name], realised[name]
        if value is not None and low is not None and high is not None and came is not None:
            found[name] = Judged(value, low, high, came)
    return dict(sorted(found.items()))


def errors(name: str, judged: Iterable[Judged], z: float) -> dict[str, Value]:
    """Return over cohorts the estimator's own mean absolute error, its bias, and how often its interval held.

    The error has the chance in a cohort's labels in it, so it is above zero for a perfect estimator too;
    `held` should be near the confidence of the intervals. n counts cohorts; empty without any.

    >>> found = errors("f1", [Judged(0.8, 0.7, 0.9, 0.75), Judged(0.8, 0.7, 0.9, 0.95)], 1.96)
    >>> {key: round(value.value, 3) for key, value in found.items()}
    {'f1.error': 0.1, 'f1.bias': -0.05, 'f1.held': 0.5}
    """
    cohorts = list(judged)
    if not cohorts:
        return {}
    n = len(cohorts)
    gaps = [one.estimated - one.realised for one in cohorts]
    held = sum(one.low <= one.realised <= one.high for one in cohorts) / n
    return {
        f"{name}.error": _mean([abs(gap) for gap in gaps], z, NON_NEGATIVE),
        f"{name}.bias": _mean(gaps, z, ANY),
        f"{name}.held": Value(held, n, *wilson(held, n, z)),
    }


def _mean(values: list[float], z: float, legal: tuple[float, float]) -> Value:
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return Value(mean, n, None, None)
    error = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
    return Value(mean, n, *normal(mean, error, z, legal))
