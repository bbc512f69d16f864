"""Raw events: what a producer sends, in true time order, and a file that keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import IO, NamedTuple

PREDICTIONS = "predictions"
LABELS = "labels"

_SIDES = (PREDICTIONS, LABELS)
_HEAD = Struct("<BqHI")  # side, time_ms, bytes of the key, bytes of the value
_BUFFER_BYTES = 1 << 20


class RawEvent(NamedTuple):
    """One message: its side (`predictions` or `labels`), key, bytes, and the time of its record."""

    side: str
    key: bytes
    value: bytes
    time_ms: int


def write(events: Iterable[RawEvent], file: IO[bytes]) -> None:
    """Append the events to a file that `read` gives back."""
    for event in events:
        file.write(_HEAD.pack(_SIDES.index(event.side), event.time_ms, len(event.key), len(event.value)))
        file.write(event.key)
        file.write(event.value)


def read(path: Path) -> Iterator[RawEvent]:
    """Yield the events that `write` wrote, byte for byte and in that order."""
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        while head := file.read(_HEAD.size):
            side, time_ms, key_bytes, value_bytes = _HEAD.unpack(head)
            yield RawEvent(_SIDES[side], file.read(key_bytes), file.read(value_bytes), time_ms)
