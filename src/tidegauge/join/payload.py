"""What the window stores of an event, as bytes."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from tidegauge.block import Labelled, Predicted

KEY_BYTES = 16
_EXACT_INTEGER = 2.0**53  # float64 tells whole numbers apart below this


def key_of(prediction_id: str) -> bytes:
    """Return the 16 bytes under which a prediction id is stored."""
    return blake2b(prediction_id.encode(), digest_size=KEY_BYTES).digest()


def pack_predicted(predicted: Predicted) -> bytes:
    """Return the bytes the window stores of a prediction. Its time is stored beside them."""
    model, version, segments, _, prediction, proba, value = predicted
    parts = [model, version, [text for pair in segments for text in pair], prediction, proba, value]
    while parts[-1] is None:
        parts.pop()
    return msgspec.msgpack.encode(parts, order="sorted")


def unpack_predicted(payload: bytes, predicted_at_ms: int) -> Predicted:
    """Return what `pack_predicted` packed."""
    model, version, flat, prediction, *rest = msgspec.msgpack.decode(payload)
    proba, value = (*rest, None, None)[:2]
    segments = tuple(zip(flat[::2], flat[1::2], strict=True))
    return Predicted(model, version, segments, predicted_at_ms, prediction, proba, value)


def pack_labelled(labelled: Labelled) -> bytes:
    """Return the bytes the window stores of a label: equal for equal labels (1, 1.0 and true are)."""
    label, weight, kpis = labelled
    plain = label if isinstance(label, list | str) else _whole(label)
    parts: list[Any] = [plain]
    if weight != 1 or kpis:
        parts += [_whole(weight), {name: _whole(kpi) for name, kpi in kpis.items()}]
    return msgspec.msgpack.encode(parts, order="sorted")


def unpack_labelled(payload: bytes) -> Labelled:
    """Return a label equal to the one that `pack_labelled` packed."""
    label, *rest = msgspec.msgpack.decode(payload)
    weight, kpis = rest or (1.0, {})
    return Labelled(label, weight, kpis)


def _whole(number: bool | int | float) -> int | float:
    """Return the number as an integer where it is one: what is equal gets equal bytes."""
    return int(number) if number == number // 1 and abs(number) < _EXACT_INTEGER else float(number)
