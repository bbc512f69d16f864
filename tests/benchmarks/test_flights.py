"""What the benchmark of late labels does with flights."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection import flights
from benchmarks.detection.flights import Rows
from tidegauge.drift.error_baseline import Terms

AT_MS = 60_000 * np.arange(2_000)
DELAY_MS = 1_000 * np.random.default_rng(1).integers(1, 20_000, 2_000)
ROWS = Rows(AT_MS, AT_MS + DELAY_MS, (DELAY_MS > 10_000_000).astype(np.float64))


def test_in_random_order_each_flight_keeps_its_delay_and_its_error() -> None:
    mixed = flights.in_random_order(ROWS, seed=1, denser=3)
    delay_ms = mixed.labelled_at_ms - mixed.at_ms
    assert sorted(delay_ms.tolist()) == sorted(DELAY_MS.tolist())
    assert np.array_equal(mixed.error, delay_ms > 10_000_000)
    assert mixed.at_ms[-1] == pytest.approx(AT_MS[-1] / 3, abs=1)


def test_cohorts_are_flights_in_their_order_whose_label_came_in_time() -> None:
    places, seen_ms = flights.by_cohort(ROWS, age_seconds=15_000)
    assert (np.diff(ROWS.at_ms[places]) > 0).all()
    in_time = np.flatnonzero(DELAY_MS <= 15_000_000)
    assert np.array_equal(places, in_time[: len(places)])
    assert (seen_ms > ROWS.at_ms[places] + 15_000_000).all()


def test_labels_of_easy_cases_that_come_first_are_told_apart_from_all() -> None:
    early, every = flights.early(ROWS)
    assert (early, every) == (pytest.approx(np.mean(ROWS.error[DELAY_MS <= 10_800_000])), ROWS.error.mean())
    assert early < every


def test_what_was_flipped_is_found_after_it_was() -> None:
    rows = ROWS._replace(error=np.zeros(2_000))
    places, seen_ms = flights.as_they_come(rows)
    found = flights.found(rows, places, seen_ms, Terms(reference=500, run_length=10_000), seed=1)
    assert (found.used, found.healthy) == (1.0, 0)
    assert 0 < found.hours < 16
