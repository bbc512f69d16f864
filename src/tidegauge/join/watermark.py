"""The watermark: the event time behind which nothing more is expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Mark(NamedTuple):
    """How far a source partition has come in event time, and whether it has been read to its end."""

    at_ms: int
    idle: bool


def advance(marks: dict[str, Mark], watermark_ms: int, advances: Mapping[str, int | None]) -> int:
    """Record the advances in `marks` and return the watermark: it never goes back.

    An advance is the greatest event time of a source partition in ms, or None where it has been read to
    its end: an idle partition does not hold the others back. A partition that has been assigned but not
    yet read advances to 0, and then holds back. With all of them idle the furthest counts.

    >>> advance({}, 0, {"predictions-0": 50, "predictions-1": 30, "labels-0": None})
    30
    """
    for source, at_ms in advances.items():
        before = marks.get(source, Mark(0, True)).at_ms
        marks[source] = Mark(before, True) if at_ms is None else Mark(max(before, at_ms), False)
    busy = [mark.at_ms for mark in marks.values() if not mark.idle]
    furthest = max((mark.at_ms for mark in marks.values()), default=0)
    return max(watermark_ms, min(busy) if busy else furthest)
