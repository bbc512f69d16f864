"""The check's own reader of events: bytes to plain values, or nothing where the event is unusable.

It shares no code with the product; what it knows of an event is the documented schema.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

_SECONDS_BELOW = 1e11  # a number of seconds below, of milliseconds above: the year 5138, or 1973
_FUTURE_MS = 600_000


class Made(NamedTuple):
    """A prediction, as far as metrics need it."""

    model: str
    version: str
    segments: tuple[tuple[str, str], ...]
    at_ms: int
    prediction: Any
    proba: Any
    value: float | None
    latency_ms: float | None
    resources: dict[str, float]


class Told(NamedTuple):
    """A label; `what` is the part by which two labels are the same."""

    at_ms: int
    what: tuple[Any, float, tuple[tuple[str, float], ...]]  # label, weight, KPIs


class Unusable(Exception):
    """The event belongs in the dead-letter topic."""


class Reader:
    """Reads events; equal segments and names are kept once."""

    def __init__(self) -> None:
        self._decode = json.JSONDecoder(parse_constant=_refuse).decode
        self._known: dict[Any, Any] = {}

    def prediction(self, raw: bytes, time_ms: int) -> tuple[str, Made]:
        """Return the id and content of a prediction event. Raises Unusable."""
        event = self._object(raw)
        segments = tuple(sorted(_map(event, "segments", str).items()))
        latency_ms = _optional(event, "latency_ms")
        if latency_ms is not None and latency_ms < 0:
            raise Unusable("latency_ms")
        made = Made(
            self._once(_text(event, "model_id")),
            self._once(_text(event, "model_version")),
            self._once(segments),
            _time(event.get("predicted_at"), time_ms),
            _answer(event, "prediction"),
            _proba(event.get("prediction_proba")),
            _optional(event, "value"),
            latency_ms,
            _map(event, "resources", (int, float)),
        )
        return _text(event, "prediction_id"), made

    def label(self, raw: bytes, time_ms: int) -> tuple[str, Told]:
        """Return the id and content of a label event. Raises Unusable."""
        event = self._object(raw)
        weight = event.get("weight", 1.0)
        if not _number(weight) or weight <= 0:
            raise Unusable("weight")
        kpis = tuple(sorted(_map(event, "kpis", (int, float)).items()))
        what = (_answer(event, "label"), float(weight), kpis)
        return _text(event, "prediction_id"), Told(_time(event.get("labelled_at"), time_ms), what)

    def _object(self, raw: bytes) -> dict[str, Any]:
        try:
            event = self._decode(raw.decode("utf-8", "strict"))
        except (ValueError, RecursionError) as error:
            raise Unusable(str(error)) from error
        if not isinstance(event, dict):
            raise Unusable("not an object")
        return event

    def _once(self, part: Any) -> Any:
        return self._known.setdefault(part, part)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _text(event: dict[str, Any], name: str) -> str:
    text = event.get(name)
    if not isinstance(text, str) or not text:
        raise Unusable(name)
    return text


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _answer(event: dict[str, Any], name: str) -> Any:
    value = event.get(name)
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, bool | int | float | str):
        raise Unusable(name)
    return value


def _optional(event: dict[str, Any], name: str) -> float | None:
    value = event.get(name)
    if value is not None and not _number(value):
        raise Unusable(name)
    return value


def _map(event: dict[str, Any], name: str, kind: Any) -> dict[str, Any]:
    values = event.get(name, {})
    if not isinstance(values, dict) or not all(isinstance(value, kind) for value in values.values()):
        raise Unusable(name)
    return values


def _proba(value: Any) -> float | dict[str, float] | None:
    if isinstance(value, dict) and all(map(_number, value.values())):
        return value
    if value is None or _number(value):
        return value  # type: ignore[no-any-return]
    raise Unusable("prediction_proba")


def _time(value: Any, time_ms: int) -> int:
    at_ms = time_ms if value is None else _instant(value)
    if at_ms > time_ms + _FUTURE_MS:
        raise Unusable("from the future")
    return at_ms


def _instant(value: Any) -> int:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise Unusable(value) from error
        since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
    if not _number(value):
        raise Unusable("time")
    return int(value * 1_000 if value < _SECONDS_BELOW else value)
