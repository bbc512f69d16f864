"""The tail of Fisher's F, from the incomplete beta function."""

from __future__ import annotations

import math

MOST_TERMS = 500
SMALLEST = 1e-300  # stands for 0 in a denominator (Lentz 1976)


def f_tail(value: float, first: int, second: int) -> float:
    """Return the probability that an F variable of `first` and `second` degrees of freedom exceeds value.

    To about 12 digits (Abramowitz and Stegun 26.6.2).

    >>> round(f_tail(3.0, 2, 10), 6)
    0.095367
    """
    if value <= 0:
        return 1.0
    return incomplete_beta(second / (second + first * value), second / 2, first / 2)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function at x in [0, 1], for a and b > 0.

    By its continued fraction (26.5.8), turned round where that converges faster.

    >>> round(incomplete_beta(0.5, 2.0, 2.0), 12)
    0.5
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - math.exp(log_front) * _fraction(1 - x, b, a) / b
    return math.exp(log_front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction by Lentz's algorithm."""
    found, c, d = 1.0, 1.0, 0.0
    for term in range(MOST_TERMS):
        half, odd = divmod(term, 2)
        place = a + 2 * half
        if term == 0:
            numerator = 1.0
        elif odd:
            numerator = -(a + half) * (a + b + half) * x / (place * (place + 1))
        else:
            numerator = half * (b - half) * x / ((place - 1) * place)
        d = 1 / _not_zero(1 + numerator * d)
        c = _not_zero(1 + numerator / c)
        found *= c * d
        if term and abs(c * d - 1) < 1e-15:
            break
    return found - 1


def _not_zero(value: float) -> float:
    return value if abs(value) > SMALLEST else SMALLEST
