"""Labels that add up: relevant items that come a few at a time, and what several of them say together.

A partial label is stored as it came, and its bytes can be joined to those of others: a byte that msgpack
never begins with, then of each item its length(4), its text and its gain(8), in big endian. Together they
say the greatest gain of each item, so neither their order nor one that comes twice makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Any

from tidegauge.block_builder import item_text

_MARK = b"\xc1"
_LENGTH, _GAIN = Struct(">I"), Struct(">d")


def pack_partial(label: list[Any] | dict[str, float]) -> bytes:
    """Return the bytes of a partial label: equal for equal ones. A gain of 0 says nothing.

    >>> pack_partial(["b", "a"]) == pack_partial({"a": 1, "b": 1.0, "c": 0})
    True
    """
    said = label if isinstance(label, dict) else dict.fromkeys(map(item_text, label), 1.0)
    parts = [_MARK]
    for item, gain in sorted(said.items()):
        if gain > 0:
            text = item.encode()
            parts += [_LENGTH.pack(len(text)), text, _GAIN.pack(gain)]
    return b"".join(parts)


def is_partial(payload: bytes) -> bool:
    """Return whether the payload is that of a partial label, or of several together."""
    return payload[:1] == _MARK


def together(payloads: Iterable[bytes]) -> bytes:
    """Return the payload that says what these of partial labels say."""
    return _MARK + b"".join([payload[1:] for payload in payloads])


def gains(payload: bytes) -> dict[str, float]:
    """Return the greatest gain of each item.

    >>> gains(together([pack_partial(["a"]), pack_partial({"a": 3, "b": 0.5})]))
    {'a': 3.0, 'b': 0.5}
    """
    found: dict[str, float] = {}
    at = len(_MARK)
    while at < len(payload):
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(payload, at)[0]
        item, (gain,) = payload[start:end].decode(), _GAIN.unpack_from(payload, end)
        found[item] = max(gain, found.get(item, 0.0))
        at = end + _GAIN.size
    return found


def adds(payload: bytes, known: bytes) -> bool:
    """Return whether a partial label says anything that is not known.

    >>> adds(pack_partial(["a"]), pack_partial({"a": 2})), adds(pack_partial(["b"]), pack_partial([]))
    (False, True)
    """
    before = gains(known)
    return any(gain > before.get(item, 0.0) for item, gain in gains(payload).items())


def unpack_partial(payload: bytes) -> list[str] | dict[str, float]:
    """Return the label that a payload says: a list of items where each has gain 1.

    >>> unpack_partial(pack_partial({"a": 1.0, "b": 1.0})), unpack_partial(pack_partial({"a": 2}))
    (['a', 'b'], {'a': 2.0})
    """
    found = gains(payload)
    return sorted(found) if set(found.values()) <= {1.0} else found
