"""Broken messages: each kind takes a sound event and gives bytes that must be rejected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

Event = dict[str, Any]
_encode = msgspec.json.encode


def _truncated(event: Event) -> bytes:
    whole = _encode(event)
    return whole[: len(whole) // 2]


def _not_a_number(event: Event) -> bytes:
    """JSON has no NaN, but Python's json writes it."""
    field = "prediction" if "prediction" in event else "label"
    return _encode(event | {field: "@"}).replace(b'"@"', b"NaN")


def _wrong_type(event: Event) -> bytes:
    return _encode(event | {"prediction_id": 12345})


def _no_id(event: Event) -> bytes:
    return _encode({name: value for name, value in event.items() if name != "prediction_id"})


def _not_utf8(event: Event) -> bytes:
    return _encode(event).replace(b'"prediction_id":"', b'"prediction_id":"\xff\xfe', 1)


def _not_an_object(event: Event) -> bytes:
    return _encode([event])


def _from_the_future(event: Event) -> bytes:
    field = "predicted_at" if "prediction" in event else "labelled_at"
    return _encode(event | {field: "2100-01-01T00:00:00Z"})


KINDS: tuple[Callable[[Event], bytes], ...] = (
    _truncated,
    _not_a_number,
    _wrong_type,
    _no_id,
    _not_utf8,
    _not_an_object,
    _from_the_future,
)
