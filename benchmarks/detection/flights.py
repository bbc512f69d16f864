"""Real labels that come hours late: a year of flights, by the order of labels and by that of predictions.

The model is the demo's: trained on January and February, it says at departure who will be late; the label
comes with the arrival, for short flights first. Weather comes and goes, so alarms on flights as they were
are not all false. In random order, where each flight keeps its own error and delay, nothing changes all
year: what is left is the delay of labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from river import drift

from benchmarks.detection.peers import alarms
from tidegauge.config import Drift, Settings
from tidegauge.demo import flights, train
from tidegauge.drift.error_baseline import Terms
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.monitor.cohorts import Cohorts
from tidegauge.monitor.first_labels import FirstLabels, joined
from tidegauge.monitor.roster import ModelState, Roster

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PROMISED = 100_000  # outcomes
AGE_QUANTILE = 0.95  # of the delays of labels: the age at which cohorts are compared
FLIPPED = 0.1  # of the labels of the second half
DENSER = 30  # a year's flights in ten days
AT_ONCE = 500  # outcomes of a block
HOUR_MS, FIRST_HOURS = 3_600_000, 3
DETECTORS = {
    "e_sr, reference 1000": Terms(reference=1_000, run_length=PROMISED),
    "e_sr, reference 9000, tolerance .05": Terms(reference=9_000, tolerance=0.05, run_length=PROMISED),
    "ADWIN": None,
}


class Rows(NamedTuple):
    """Flights [n] by departure: when, when the label came, and whether the model erred."""

    at_ms: Ints
    labelled_at_ms: Ints
    error: Floats


class Found(NamedTuple):
    """What a detector says of a stream in one order."""

    used: float  # share of the labels
    healthy: int  # alarms on labels as they were
    hours: float  # from the change that was planted to its first alarm; infinite without one


@cache
def flown() -> Rows:
    """Return the flights that the model was not trained on, and that arrived. Some ten seconds."""
    every = flights.load()
    said = train.train(every).late_probability >= 0.5
    known = ~np.isin(every.month, train.TRAINING_MONTHS) & (every.arrived_at_ms != flights.NEVER)
    error = (said != (every.delay_minutes > train.LATE_MINUTES))[known].astype(np.float64)
    return Rows(every.departed_at_ms[known], every.arrived_at_ms[known], error)


def in_random_order(rows: Rows, seed: int, denser: int = 1) -> Rows:
    """Return the same flights, each with its delay and error, at departures drawn anew."""
    order = np.random.default_rng(seed).permutation(len(rows.error))
    at_ms = rows.at_ms[0] + (rows.at_ms - rows.at_ms[0]) // denser
    return Rows(at_ms, at_ms + (rows.labelled_at_ms - rows.at_ms)[order], rows.error[order])


def label_age(rows: Rows) -> int:
    """Return the quantile of the labels' delays in whole seconds."""
    return int(np.quantile(rows.labelled_at_ms - rows.at_ms, AGE_QUANTILE)) // 1_000


def delays(rows: Rows) -> tuple[float, float]:
    """Return the median of the labels' delays, and the quantile that is the label age, in hours."""
    median, late = np.quantile(rows.labelled_at_ms - rows.at_ms, (0.5, AGE_QUANTILE)) / HOUR_MS
    return float(median), float(late)


def early(rows: Rows) -> tuple[float, float]:
    """Return the mean error of labels that came within FIRST_HOURS, and of all."""
    soon = rows.labelled_at_ms - rows.at_ms <= FIRST_HOURS * HOUR_MS
    return float(rows.error[soon].mean()), float(rows.error.mean())


def as_they_come(rows: Rows) -> tuple[Ints, Ints]:
    """Return the places of outcomes in the order of their labels, and the time at which each is seen."""
    order = np.argsort(rows.labelled_at_ms, kind="stable")
    return order, rows.labelled_at_ms[order]


def by_cohort(rows: Rows, age_seconds: int) -> tuple[Ints, Ints]:
    """Return the same of those that go on, through the monitor's own cohorts."""
    settings = Settings(drift=Drift(label_age_seconds=age_seconds))
    roster = Roster(settings)
    model = ["flights", ModelState().plain() | {"watermark_ms": 0}]
    roster.restore({"models": [model], "series": [["flights", "v1", None]]})
    order, parts, seen = as_they_come(rows)[0], [], []
    cohorts = Cohorts(settings, roster)
    for start in range(0, len(order), AT_ONCE):
        places = order[start : start + AT_ONCE]
        parts.append(cohorts.observe(_labels(rows, places)))
        seen.append(np.full(len(parts[-1].series), rows.labelled_at_ms[places[-1]]))
    return joined(parts).loss.astype(np.int64), np.concatenate(seen)


def found(rows: Rows, places: Ints, seen_ms: Ints, terms: Terms | None, seed: int) -> Found:
    """Return what a detector says of outcomes at `places`, seen at these times, as they are and changed."""
    since = len(rows.error) // 2
    flip = np.random.default_rng(seed).random(len(rows.error)) < FLIPPED
    flip[:since] = False
    healthy = _alarms(rows.error[places], terms)
    changed = _alarms(np.abs(rows.error - flip)[places], terms)
    after = seen_ms[changed] - rows.at_ms[since]
    after = after[after > 0]
    hours = float(after[0]) / HOUR_MS if len(after) else np.inf
    return Found(len(places) / len(rows.error), len(healthy), hours)


def measured(rows: Rows, seed: int) -> Iterator[tuple[str, str, Found]]:
    """Yield the order of outcomes, the detector, and what it says."""
    orders = {"as labels come": as_they_come(rows), "cohorts": by_cohort(rows, label_age(rows))}
    for order, (places, seen_ms) in orders.items():
        for detector, terms in DETECTORS.items():
            yield order, detector, found(rows, places, seen_ms, terms, seed)


def _labels(rows: Rows, places: Ints) -> FirstLabels:
    at_ms, labelled_at_ms = rows.at_ms[places], rows.labelled_at_ms[places]
    nothing = np.full((len(places), 2), np.nan)
    ids = places.astype(np.uint64)
    return FirstLabels(np.zeros_like(places), at_ms, labelled_at_ms, ids, places.astype(np.float64), nothing)


def _alarms(errors: Floats, terms: Terms | None) -> list[int]:
    if terms is None:
        return alarms(drift.ADWIN(), errors)
    return [change.at for change in ErrorShift(terms).update(errors)]
