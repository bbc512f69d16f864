"""A metric's value with its interval, and the interval of each kind of statistic, one place each.

Every interval is two-sided, asymptotic and clipped to the metric's legal range. Weighted rows count as
n_eff = (sum w)^2 / sum w^2 rows (Kish 1965). Up to one effective row there is no interval.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

Interval = tuple[float | None, float | None]
NO_INTERVAL: Interval = (None, None)
UNIT = (0.0, 1.0)
SIGNED_UNIT = (-1.0, 1.0)
NON_NEGATIVE = (0.0, math.inf)
ANY = (-math.inf, math.inf)


class Value(NamedTuple):
    """A metric, the unweighted rows it rests on, and its interval; None where undefined."""

    value: float | None
    n: int
    low: float | None
    high: float | None


def undefined(n: int = 0) -> Value:
    """Return the value of a metric that n rows do not define.

    >>> undefined(3)
    Value(value=None, n=3, low=None, high=None)
    """
    return Value(None, n, None, None)


def normal_quantile(confidence: float) -> float:
    """Return z such that a standard normal lies within +-z with probability `confidence`.

    >>> round(normal_quantile(0.95), 4)
    1.96
    """
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def effective(weight: float, squares: float) -> float:
    """Return n_eff of rows whose weights sum to `weight` and whose squared weights sum to `squares`.

    >>> effective(4.0, 4.0), effective(4.0, 8.0)
    (4.0, 2.0)
    """
    return weight * weight / squares if squares > 0 else 0.0


def normal(value: float, error: float, z: float, legal: tuple[float, float] = ANY) -> tuple[float, float]:
    """Return value +- z * error (a standard error) within `legal`.

    >>> normal(0.5, 0.1, 2.0)
    (0.3, 0.7)
    """
    return max(value - z * error, legal[0]), min(value + z * error, legal[1])


def wilson(share: float, n_eff: float, z: float) -> Interval:
    """Return the score interval of a proportion (Wilson 1927, JASA 22:209).

    >>> low, high = wilson(0.9, 100, 1.96)
    >>> round(low, 4), round(high, 4)
    (0.8256, 0.9448)
    """
    if n_eff <= 1:
        return NO_INTERVAL
    ratio = z * z / n_eff
    centre = (share + ratio / 2) / (1 + ratio)
    half = math.sqrt(max(share * (1 - share), 0.0) * ratio + ratio * ratio / 4) / (1 + ratio)
    return min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)


def proportion(part: float, whole: float, squares: float, n: int, z: float) -> Value:
    """Return part / whole (sums of weights; `squares` of the whole's) with Wilson's interval.

    >>> proportion(3.0, 4.0, 4.0, 4, 1.96).value
    0.75
    """
    if n == 0:
        return undefined()
    share = min(max(part / whole, 0.0), 1.0)
    return Value(share, n, *wilson(share, effective(whole, squares), z))


def f1(hit: float, relevant: float, squares: float, n: int, z: float) -> Value:
    """Return F1 = 2J / (1 + J), where J = hit / relevant and relevant = hits, false alarms and misses.

    J is a proportion of the n relevant rows, and F1 rises with it: the interval is Wilson's of J, mapped.

    >>> f1(8.0, 12.0, 12.0, 12, 1.96).value
    0.8
    """
    share, n, low, high = proportion(hit, relevant, squares, n, z)
    return Value(*(_f1(share), n, _f1(low), _f1(high)))


def _f1(jaccard: float | None) -> float | None:
    return None if jaccard is None else 2 * jaccard / (1 + jaccard)


class Sums(NamedTuple):
    """What a weighted mean rests on: n rows, sum w, sum w^2, sum w*x, sum w*x^2."""

    n: int
    weight: float
    squares: float
    total: float
    total_squares: float


def mean(sums: Sums, z: float, legal: tuple[float, float] = ANY) -> Value:
    """Return the weighted mean with a normal interval from n_eff, the sum and the sum of squares.

    >>> mean(Sums(4, 4.0, 4.0, 10.0, 30.0), 1.96).value
    2.5
    """
    if sums.n == 0:
        return undefined()
    centre = min(max(sums.total / sums.weight, legal[0]), legal[1])
    spread = sums.total_squares / sums.weight - centre * centre
    error = standard_error(spread, effective(sums.weight, sums.squares))
    return Value(centre, sums.n, *(NO_INTERVAL if error is None else normal(centre, error, z, legal)))


def standard_error(variance: float, n_eff: float) -> float | None:
    """Return the standard error of a mean of n_eff rows with this population variance.

    >>> standard_error(4.0, 17.0), standard_error(4.0, 1.0)
    (0.5, None)
    """
    return None if n_eff <= 1 else math.sqrt(max(variance, 0.0) / (n_eff - 1))


def fisher(correlation: float, n: int, z: float) -> Interval:
    """Return the interval of a Pearson correlation by Fisher's transformation; none up to 3 rows.

    >>> low, high = fisher(0.5, 103, 1.96)
    >>> round(low, 4), round(high, 4)
    (0.3393, 0.6323)
    """
    if n <= 3:
        return NO_INTERVAL
    if abs(correlation) >= 1:
        return correlation, correlation
    half = z / math.sqrt(n - 3)
    return math.tanh(math.atanh(correlation) - half), math.tanh(math.atanh(correlation) + half)


def logit_normal(value: float, error: float, z: float) -> Interval:
    """Return the interval of a value inside (0, 1) that is normal on the logit scale.

    >>> low, high = logit_normal(0.9, 0.03, 1.96)
    >>> round(low, 4), round(high, 4)
    (0.824, 0.9453)
    """
    centre, half = math.log(value / (1 - value)), z * error / (value * (1 - value))
    return _sigmoid(centre - half), _sigmoid(centre + half)


def _sigmoid(x: float) -> float:
    return (1 + math.tanh(x / 2)) / 2


def log_normal(value: float, error: float, z: float) -> tuple[float, float]:
    """Return the interval of a positive value that is normal on the log scale.

    >>> low, high = log_normal(2.0, 0.1, 1.96)
    >>> round(low, 4), round(high, 4)
    (1.8133, 2.2059)
    """
    factor = math.exp(min(z * error / value, 700.0))
    return value / factor, value * factor


def roc_auc_interval(auc: float, error: float, pairs: float, z: float) -> Interval:
    """Return the interval of a ROC AUC with DeLong's standard error, on the logit scale.

    `pairs` is n_eff of the smaller class. Where the error vanishes (perfect separation) that many
    disjoint pairs, each a trial with probability AUC, give Wilson's interval.

    >>> low, high = roc_auc_interval(1.0, 0.0, 40.0, 1.96)
    >>> round(low, 4), high
    (0.9124, 1.0)
    """
    if pairs <= 1:
        return NO_INTERVAL
    if error <= 1e-12 or not 0 < auc < 1:
        return wilson(auc, pairs, z)
    return logit_normal(auc, error, z)


def pr_auc_interval(precision: float, positives: float, z: float) -> Interval:
    """Return the logit interval of an average precision over `positives` effective positive rows.

    Source: Boyd, Eng, Page 2013, "Area under the precision-recall curve", eq. 6-7.

    >>> low, high = pr_auc_interval(0.8, 100.0, 1.96)
    >>> round(low, 4), round(high, 4)
    (0.7102, 0.8672)
    """
    if positives <= 1:
        return NO_INTERVAL
    if not 0 < precision < 1:
        return wilson(min(max(precision, 0.0), 1.0), positives, z)
    return logit_normal(precision, math.sqrt(precision * (1 - precision) / positives), z)
