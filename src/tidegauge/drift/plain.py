"""Objects as plain data: a state goes into an object that is there already, so data never names a class.

`load` walks a freshly built object of the same kind and fills its attributes. What the state holds beyond
them, or of another type, is refused; code is never run from it, as unpickling would.
"""

from __future__ import annotations

import random
from collections import deque
from types import MethodType
from typing import Any

from tidegauge.errors import SnapshotError

_NUMBERS = (bool, int, float)


def dump(found: object) -> dict[str, Any]:
    """Return the attributes of an object as plain data: numbers, text, bytes, lists and dicts of these."""
    return {name: _dump(value) for name, value in vars(found).items() if not isinstance(value, MethodType)}


def load(into: object, state: object) -> None:
    """Give the object the attributes that `dump` wrote; raises SnapshotError where they do not fit it."""
    kept = {name: value for name, value in vars(into).items() if not isinstance(value, MethodType)}
    if not isinstance(state, dict) or state.keys() != kept.keys():
        raise SnapshotError(f"state of {type(into).__name__}: expected attributes {', '.join(kept)}")
    for name, value in kept.items():
        setattr(into, name, _load(value, state[name], f"{type(into).__name__}.{name}"))


def _dump(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, _NUMBERS):  # numpy's float64 is a float; it travels as one
        return float(value) if isinstance(value, float) else value
    if isinstance(value, deque):
        return list(value)
    if isinstance(value, random.Random):
        return list(value.getstate()[1])
    return dump(value) if hasattr(value, "__dict__") else _native(value)


def _native(value: Any) -> bytes:
    """Return the state of an object written in another language, which gives its state as bytes."""
    state = value.__getstate__()
    if not isinstance(state, bytes):
        raise TypeError(f"expected an object whose state is bytes, got {type(value).__name__}")
    return state


def _load(value: Any, state: Any, where: str) -> Any:
    """Return `state` in the shape of the fresh `value`, or `value` itself filled with it."""
    if value is None or isinstance(value, _NUMBERS):
        return _scalar(state, where)
    if isinstance(value, str):
        return _same(value, state, where)
    if isinstance(value, deque):
        return deque((_scalar(item, where) for item in _list(state, where)), maxlen=value.maxlen)
    if isinstance(value, random.Random):
        return _random(value, state, where)
    if hasattr(value, "__dict__"):
        load(value, state)
        return value
    return _load_native(value, state, where)


def _scalar(state: Any, where: str) -> Any:
    if state is not None and not isinstance(state, _NUMBERS):
        raise SnapshotError(f"state of {where}: expected a number, got {type(state).__name__}")
    return state


def _same(value: str, state: Any, where: str) -> str:
    if state != value:
        raise SnapshotError(f"state of {where}: expected {value!r}, got {state!r}")
    return value


def _list(state: Any, where: str) -> list[Any]:
    if not isinstance(state, list):
        raise SnapshotError(f"state of {where}: expected a list, got {type(state).__name__}")
    return state


def _random(value: random.Random, state: Any, where: str) -> random.Random:
    version = value.getstate()[0]
    try:
        value.setstate((version, tuple(_list(state, where)), None))
    except (TypeError, ValueError, OverflowError) as error:
        raise SnapshotError(f"state of {where}: {error}") from error
    return value


def _load_native(value: Any, state: Any, where: str) -> Any:
    if not isinstance(state, bytes):
        raise SnapshotError(f"state of {where}: expected bytes, got {type(state).__name__}")
    try:
        value.__setstate__(state)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the native reader is no Exception
        raise SnapshotError(f"state of {where}: {error}") from error
    return value
