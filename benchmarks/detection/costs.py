"""What the detectors cost, in nanoseconds of processor time: the best of a few repeats."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.detection import features
from tidegauge.config import Drift, Settings
from tidegauge.drift.calibration_shift import CalibrationShift, CalibrationTerms
from tidegauge.drift.error_baseline import Terms
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.drift.feature_shift import FeatureShift
from tidegauge.drift.separation_shift import SeparationShift, SeparationTerms
from tidegauge.monitor.cohorts import MOST_WAITING, Cohorts
from tidegauge.monitor.delays import Delays
from tidegauge.monitor.expansion import Expansion
from tidegauge.monitor.first_labels import FirstLabels
from tidegauge.monitor.roster import ModelState, Roster

ROWS = 4_000  # one batch of the join
REPEATS = 20
FEW, MANY = 1_000, MOST_WAITING - ROWS  # outcomes that wait


def error_ns() -> float:
    """Return the time of one outcome."""
    values = (np.random.default_rng(1).random(ROWS) < 0.1).astype(np.float64)
    detector = ErrorShift(Terms(run_length=1e9))
    return _best(lambda: detector.update(values)) / ROWS


def calibration_ns() -> float:
    """Return the time of one outcome with a score."""
    rng = np.random.default_rng(1)
    scores = rng.random(ROWS)
    came = (rng.random(ROWS) < scores).astype(np.float64)
    detector = CalibrationShift(CalibrationTerms(run_length=1e9))
    return _best(lambda: detector.update(scores, came)) / ROWS


def separation_ns() -> float:
    """Return the time of one outcome of two classes with a score."""
    rng = np.random.default_rng(1)
    scores = rng.random(ROWS)
    came = (rng.random(ROWS) < scores).astype(np.float64)
    detector = SeparationShift(SeparationTerms(run_length=1e9))
    return _best(lambda: detector.update(scores, came)) / ROWS


def cohort_ns(waiting: int) -> float:
    """Return the time of one outcome that waits for its label age together with so many others."""
    settings = Settings(drift=Drift(label_age_seconds=waiting))  # a prediction a second
    cohorts, rng, second = Cohorts(settings, _roster(settings)), np.random.default_rng(1), 0

    def observe(rows: int) -> None:
        nonlocal second
        at_ms = 1_000 * np.arange(second, second + rows)
        second += rows
        ids, scored = rng.integers(1 << 63, size=rows, dtype=np.uint64), np.zeros((rows, 2))
        cohorts.observe(
            FirstLabels(np.zeros(rows, np.int64), at_ms, at_ms + 1_000, ids, scored[:, 0], scored)
        )

    observe(waiting)
    return _best(lambda: observe(ROWS)) / ROWS


def label_delay_ns() -> float:
    """Return the time of one prediction, or one first label, whose delay is watched."""
    settings = Settings(drift=Drift(label_delay="e_sr", label_age_seconds=600))  # a prediction a second
    delays, second = Delays(settings, _roster(settings)), 0
    one = np.zeros(ROWS, np.int64)
    expansion = Expansion(one, one, np.arange(ROWS), one, one, one)

    def observe() -> None:
        nonlocal second
        at_ms = 1_000 * np.arange(second, second + ROWS)
        second += ROWS
        delays.predictions(at_ms, expansion)
        scored, ids = np.zeros((ROWS, 2)), np.zeros(ROWS, np.uint64)
        delays.outcomes(FirstLabels(one, at_ms, at_ms + 300_000, ids, scored[:, 0], scored), expansion)
        delays.advance()

    return _best(observe) / (2 * ROWS)


def feature_ns() -> float:
    """Return the time of one value of 200 features: its cell and its part of the evidence."""
    known = features.healthy(1, 5_000)
    values = np.random.default_rng(1).random((ROWS, features.FEATURES))
    shift = FeatureShift(known.bins, features.PATIENCE)
    return _best(lambda: shift.add(known.bins.cells(known.layout, values))) / values.size


def _roster(settings: Settings) -> Roster:
    """Return a roster that knows one version."""
    roster = Roster(settings)
    model = ["a", ModelState().plain() | {"watermark_ms": 0}]
    roster.restore({"models": [model], "series": [["a", "v1", None]]})
    return roster


def _best(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time_ns()
        call()
        best = min(best, time.process_time_ns() - start)
    return best
