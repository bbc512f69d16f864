"""The ten months after training as raw events, in true order, with seeded defects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.demo.flights import NUMBERS, TEXTS, Flights
from tidegauge.demo.train import LATE_MINUTES, TRAINING_MONTHS, VERSION, Trained
from tidegauge.simulate.mischief import Flags, Ints, Mischief, Plan, draw
from tidegauge.simulate.raw import RawEvent
from tidegauge.simulate.stream import stream

LATE = "late_arrival"
DELAY = "arrival_delay"
MODELS = (LATE, DELAY)  # row = flight * 2 + place here
_SUFFIX = (":late", ":delay")
SEED = 2013


@dataclass(frozen=True, slots=True)
class FlightSource:
    """Rows [flights * 2]: each flight is predicted by both models at its departure."""

    flights: Flights
    late_probability: NDArray[np.float64]
    delay_minutes: NDArray[np.float64]
    latency_ms: NDArray[np.float64]  # simulated: the data has none
    cpu: NDArray[np.float64]  # seconds of processor, simulated

    def predictions(self, rows: Ints) -> list[dict[str, Any]]:
        """Return the prediction events of the rows."""
        flight, model = rows // 2, rows % 2
        part = self.flights.take(flight)
        columns = (
            part.flight_id.tolist(),
            model.tolist(),
            part.departed_at_ms.tolist(),
            zip(self.late_probability[flight].tolist(), self.delay_minutes[flight].tolist(), strict=True),
            zip(part.origin.tolist(), part.carrier.tolist(), strict=True),
            _nullable(part.numbers),
            zip(self.latency_ms[rows].tolist(), self.cpu[rows].tolist(), strict=True),
            part.seats.tolist(),
        )
        return [_prediction(*values) for values in zip(*columns, strict=True)]

    def labels(self, rows: Ints, wrong: Flags, labelled_at_ms: Ints) -> list[dict[str, Any]]:
        """Return the label events of the rows: a wrong one says late for on time, or half an hour more."""
        flight, model = rows // 2, rows % 2
        part = self.flights.take(flight)
        minutes = part.delay_minutes
        late = (minutes > LATE_MINUTES) ^ wrong
        times = np.datetime_as_string(labelled_at_ms.astype("datetime64[ms]"), unit="ms", timezone="UTC")
        columns = (
            part.flight_id.tolist(),
            model.tolist(),
            late.tolist(),
            (minutes + 30 * wrong).tolist(),
            times.tolist(),
            (np.maximum(minutes, 0) * part.seats / 60).round(3).tolist(),
        )
        return [_label(*values) for values in zip(*columns, strict=True)]


def plan_year(
    flights: Flights, trained: Trained, horizon_ms: int, seed: int = SEED
) -> tuple[FlightSource, Plan]:
    """Return the rows after the training months, and the messages about them, defects included."""
    after = ~np.isin(flights.month, TRAINING_MONTHS)
    flown = flights.take(after)
    random = np.random.default_rng(seed)
    source = FlightSource(
        flown,
        trained.late_probability[after],
        trained.delay_minutes[after],
        latency_ms=random.lognormal(np.log(12), 0.5, 2 * len(flown)).round(3),
        cpu=random.gamma(4, 0.002, 2 * len(flown)).round(6),
    )
    arrived = np.repeat(flown.arrived_at_ms, 2)
    latency = np.ceil(source.latency_ms).astype(np.int64)
    plan = draw(np.repeat(flown.departed_at_ms, 2), arrived, latency, horizon_ms, Mischief(), seed + 1)
    return source, plan


def events(source: FlightSource, plan: Plan) -> Iterator[list[RawEvent]]:
    """Yield the planned messages in chunks, in true time order."""
    return stream(source, plan)


def _nullable(numbers: NDArray[np.float64]) -> list[list[float | None]]:
    return np.where(np.isnan(numbers), None, numbers).tolist()  # type: ignore[call-overload,no-any-return]


def _prediction(
    flight_id: str,
    model: int,
    departed_at_ms: int,
    answers: tuple[float, float],  # probability of being late, minutes
    place: tuple[str, str],  # origin, carrier
    numbers: list[float | None],
    cost: tuple[float, float],  # latency, processor
    seats: float,
) -> dict[str, Any]:
    probability, minutes = answers
    event = {
        "prediction_id": flight_id + _SUFFIX[model],
        "model_id": MODELS[model],
        "model_version": VERSION,
        "predicted_at": departed_at_ms,
        "prediction": minutes,
        "features": dict(zip((*NUMBERS, *TEXTS), (*numbers, *place), strict=True)),
        "segments": {"origin": place[0], "carrier": place[1]},
        "latency_ms": cost[0],
        "resources": {"cpu": cost[1]},
        "value": seats,
    }
    if model == 0:
        event |= {"prediction": probability >= 0.5, "prediction_proba": probability}
    return event


def _label(
    flight_id: str, model: int, late: bool, minutes: float, labelled_at: str, passenger_hours: float
) -> dict[str, Any]:
    """Return a label; its KPI is the time that the passengers of a full aircraft lost."""
    return {
        "prediction_id": flight_id + _SUFFIX[model],
        "label": minutes if model else late,
        "labelled_at": labelled_at,
        "kpis": {"passenger_hours": passenger_hours},
    }
