"""One promise, at most one false alarm per so many days of a version, shared among all that may raise one.

A detector with average run length A raises a false alarm each A outcomes or later, on average. A share s of
the promise is kept by A = outcomes a day x days / s; shares add up to 1, so do the rates of false alarms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

MS_PER_DAY = 86_400_000

Watched = Literal["error", "segments", "calibration", "features", "prediction"]
SHARES: Mapping[Watched, float] = {
    "error": 0.2,
    "segments": 0.2,
    "calibration": 0.2,
    "features": 0.2,
    "prediction": 0.2,
}


def run_length(days: float, per_day: float, share: float) -> float:
    """Return the average run length, in outcomes, that keeps a share of one false alarm in `days`.

    Never less than 1: a detector cannot be asked for more than an alarm an outcome.

    >>> run_length(days=30, per_day=1_000, share=0.2)
    150000.0
    """
    return max(1.0, days * per_day / share)


def features_share(pairs: bool) -> float:
    """Return the share of a version's features, and that of their pairs where `pairs` are watched too.

    >>> features_share(pairs=False), features_share(pairs=True)
    (0.2, 0.1)
    """
    return SHARES["features"] / (2 if pairs else 1)


def scores_share(watched: int) -> float:
    """Return the share of each of `watched` detectors of labels: beside scores, and of how late they come.

    >>> [round(scores_share(watched), 4) for watched in (1, 2, 3)]
    [0.2, 0.1, 0.0667]
    """
    return SHARES["calibration"] / max(watched, 1)


def segment_share(place: int) -> float:
    """Return the share of a version's segment by its place, from 1 on, in the order of first appearance.

    1 / (place (place + 1)) of what segments have together: however many there come to be, they use it up.

    >>> [round(segment_share(place), 4) for place in (1, 2, 3)]
    [0.1, 0.0333, 0.0167]
    """
    return SHARES["segments"] / (place * (place + 1))


def probability(alpha: float, share: float) -> float:
    """Return the part of a probability that a series has whose error has a share of the promise.

    What is shared out to errors, those of a version and its segments, is the whole then.

    >>> round(probability(0.05, SHARES["error"]), 4)
    0.025
    """
    return alpha * share / (SHARES["error"] + SHARES["segments"])


def per_day(count: int, first_ms: int, last_ms: int) -> float | None:
    """Return the rate of `count` outcomes between two event times; None where no time passed.

    >>> per_day(500, 0, MS_PER_DAY // 2)
    1000.0
    """
    return count * MS_PER_DAY / (last_ms - first_ms) if last_ms > first_ms else None
