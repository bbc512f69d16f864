"""Why a message is not the record that it should be, down to the field, item or key.

Only a message that failed is read again, field by field.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from tidegauge.errors import Rejected

PATH_CHARACTERS = 200  # of a path in a dead letter
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_KINDS: dict[int, str] = {
    ord('"'): "text",
    ord("{"): "object",
    ord("["): "list",
    ord("t"): "boolean",
    ord("f"): "boolean",
    ord("n"): "null",
} | dict.fromkeys(b"-0123456789", "number")
_KIND_OF_TYPE: dict[Any, str] = {
    str: "text",
    dict: "object",
    list: "list",
    bool: "boolean",
    NoneType: "null",
    int: "number",
    float: "number",
}


def kind_of(value: Any) -> str:
    """Return the kind of JSON that a value is read from.

    >>> kind_of(True), kind_of(0.5), kind_of("late")
    ('boolean', 'number', 'text')
    """
    return _KIND_OF_TYPE[type(value)]


def malformed(error: Exception) -> Rejected:
    """Return why a message is no JSON object."""
    if isinstance(error, RecursionError):
        return Rejected("malformed", "expected a flat JSON object, got one nested too deeply")
    return Rejected("malformed", f"expected a JSON object in UTF-8: {_text(error)}")


def explained(value: bytes, shape: type[Any]) -> Rejected:
    """Return why `value` is not of this shape, down to the field, item or key."""
    try:
        raw_fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
        wanted = get_type_hints(shape, include_extras=True)
        for known in msgspec.structs.fields(shape):
            if known.name in raw_fields:
                fault = _fault(raw_fields[known.name], wanted[known.name], f"$.{known.name}")
            else:
                fault = _missing(known)
            if fault is not None:
                return fault
    except UNREADABLE as error:
        return malformed(error)
    return Rejected("malformed", "expected a JSON object with each field once")


def _missing(known: msgspec.structs.FieldInfo) -> Rejected | None:
    if not known.required:
        return None
    return Rejected("missing_field", "expected a value, got none", f"$.{known.name}")


def _fault(raw: msgspec.Raw, wanted: Any, path: str) -> Rejected | None:
    """Return why `raw` is not of the type `wanted`; None where it is."""
    try:
        msgspec.json.decode(raw, type=wanted)
    except msgspec.ValidationError as error:
        came = _KINDS[bytes(raw)[0]]
        member = _members(wanted).get(came)
        if member is None:
            expected = " or ".join(sorted(_members(wanted)))
            return Rejected("wrong_type", f"expected {expected}, got {came}", path)
        return _inner_fault(raw, member, path) or Rejected("out_of_range", _text(error), path)
    return None


def _inner_fault(raw: msgspec.Raw, member: Any, path: str) -> Rejected | None:
    items: Iterable[tuple[str, msgspec.Raw]] = ()
    if get_origin(member) is dict:
        fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        items = ((f".{name[:PATH_CHARACTERS]}", item) for name, item in fields.items())
    elif get_origin(member) is list:
        listed = msgspec.json.decode(raw, type=list[msgspec.Raw])
        items = ((f"[{index}]", item) for index, item in enumerate(listed))
    wanted = get_args(member)[-1:]
    faults = (_fault(item, wanted[0], path + step) for step, item in items)
    return next((fault for fault in faults if fault is not None), None)


def _members(wanted: Any) -> dict[str, Any]:
    """Return the members of a type by the kind of JSON that they are read from."""
    if hasattr(wanted, "__metadata__"):
        return _members(wanted.__origin__)
    if get_origin(wanted) in (dict, list) or wanted in _KIND_OF_TYPE:
        return {_KIND_OF_TYPE[get_origin(wanted) or wanted]: wanted}
    members: dict[str, Any] = {}
    for member in get_args(wanted):
        members |= _members(member)
    return members


def _text(error: Exception) -> str:
    """Return the message without msgspec's own path, which does not name keys."""
    return str(error).partition(" - at `")[0]
