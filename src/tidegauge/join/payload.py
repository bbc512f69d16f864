"""Under what the window stores an event, and what it stores of a label, as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np

from tidegauge.block import Floats, Labelled
from tidegauge.block_builder import item_text
from tidegauge.join.answers import EXACT_INTEGER
from tidegauge.join.partial import is_partial, pack_partial, unpack_partial

KEY_BYTES = 16
_FLOAT_BYTES = 10
_FLOAT_HEAD = b"\x91\xcb"  # msgpack of a list of one float64, which follows in big endian


def key_of(prediction_id: str) -> bytes:
    """Return the 16 bytes under which a prediction id is stored."""
    return blake2b(prediction_id.encode(), digest_size=KEY_BYTES).digest()


def keys_of(prediction_ids: Iterable[str]) -> bytes:
    """Return the keys of all, one after the other. A copy of a hash costs half of a new one.

    >>> keys_of(["a", "b"]) == key_of("a") + key_of("b")
    True
    """
    empty, keys = blake2b(digest_size=KEY_BYTES), []
    for each in prediction_ids:
        hashed = empty.copy()
        hashed.update(each.encode())
        keys.append(hashed.digest())
    return b"".join(keys)


def pack_labelled(labelled: Labelled) -> bytes:
    """Return the bytes the window stores of a label: equal for equal labels (1, 1.0 and true are)."""
    label, weight, kpis, partial = labelled
    if partial:
        assert isinstance(label, list | dict)  # the decoder takes no other
        return pack_partial(label)
    parts: list[Any] = [_plain(label)]
    if weight != 1 or kpis:
        parts += [_whole(weight), {name: _whole(kpi) for name, kpi in kpis.items()}]
    return msgspec.msgpack.encode(parts, order="sorted")


def pack_labels(labels: Sequence[Any]) -> list[bytes]:
    """Return what `pack_labelled` makes of labels that have no weight and no KPIs."""
    if not {list, dict}.isdisjoint(map(type, labels)):
        return [pack_labelled(Labelled(label, 1.0, {})) for label in labels]
    packed = {label: pack_labelled(Labelled(label, 1.0, {})) for label in dict.fromkeys(labels)}
    return [packed[label] for label in labels]


def unpack_labelled(payload: bytes) -> Labelled:
    """Return a label equal to the one that `pack_labelled` packed."""
    if is_partial(payload):
        return Labelled(unpack_partial(payload), 1.0, {}, partial=True)
    label, *rest = msgspec.msgpack.decode(payload)
    weight, kpis = rest or (1.0, {})
    return Labelled(label, weight, kpis)


def unpack_floats(payloads: Sequence[bytes]) -> Floats | None:
    """Return the labels [n] where all are floats without weight or KPIs, else None.

    >>> unpack_floats([pack_labelled(Labelled(0.5, 1.0, {}))]).tolist()
    [0.5]
    """
    if set(map(len, payloads)) != {_FLOAT_BYTES}:
        return None
    rows = np.frombuffer(b"".join(payloads), [("head", f"S{len(_FLOAT_HEAD)}"), ("number", ">f8")])
    return rows["number"].astype(np.float64) if (rows["head"] == _FLOAT_HEAD).all() else None


def _plain(label: Any) -> Any:
    """Return a label such that equal ones are the same: relevant items have no order."""
    if isinstance(label, dict):
        return {item: _whole(gain) for item, gain in label.items()}
    if isinstance(label, list):
        return sorted({item_text(item) for item in label})
    return label if isinstance(label, str) else _whole(label)


def _whole(number: bool | int | float) -> int | float:
    """Return the number as an integer where it is one: what is equal gets equal bytes."""
    return int(number) if number == number // 1 and abs(number) < EXACT_INTEGER else float(number)
