"""A caller's values as the JSON of an event, judged by the rules that the join judges by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from tidegauge.errors import Rejected


def event_bytes(fields: Mapping[str, Any]) -> bytes:
    """Return the JSON of an event; what is None stays out.

    Scalars and arrays of numpy are taken, keys of maps become text as classes do, and a feature
    that is not finite is sent as null (missing). Raises Rejected for a value that JSON cannot tell.
    """
    plain = {
        name: _features(value) if name == "features" else _plain(value, f"$.{name}")
        for name, value in fields.items()
        if value is not None
    }
    try:
        return msgspec.json.encode(plain)
    except (UnicodeEncodeError, TypeError, OverflowError) as error:
        raise Rejected("wrong_type", str(error)) from error


def class_text(value: Any) -> str:
    """Return a class as text: `True` is `1`, whole numbers lose their `.0`, text stays itself.

    >>> class_text(True), class_text(1.0), class_text(7), class_text("late")
    ('1', '1', '7', 'late')
    """
    value = _scalar(value)
    if isinstance(value, bool | int):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _plain(value: Any, path: str) -> Any:
    value = _scalar(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise Rejected("out_of_range", f"expected a finite number, got {value}", path)
    if isinstance(value, Mapping):
        return {class_text(key): _plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return value


def _features(features: Any) -> Any:
    if not isinstance(features, Mapping):
        return features
    return {str(name): _feature(_scalar(value)) for name, value in features.items()}


def _feature(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _scalar(value: Any) -> Any:
    """Return what JSON has for a scalar or array of numpy or a time; anything else as it is."""
    if value is None or type(value) in (float, int, str, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    tolist = getattr(value, "tolist", None)
    return tolist() if tolist else value
