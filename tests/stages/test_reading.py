"""Where the join reads, when its window turns out to be another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tidegauge.config import Join
from tidegauge.errors import WentBack
from tidegauge.join import MemoryWindow, Rules, Side
from tidegauge.ports import Committed, Ownership, Partition, Record
from tidegauge.stages.reading import Reading

SIDES = {"predictions": Side.PREDICTION, "labels": Side.LABEL}


class Named(MemoryWindow):
    """A window that has the name it is given."""

    name = "first"

    def recognise(self) -> str:
        return self.name


class Group:
    """A group with one member and nothing committed."""

    def __init__(self, ownership: Ownership) -> None:
        self.ownership = ownership

    def take(self, count: int, seconds: float) -> list[Record]:
        return []

    def more(self, count: int) -> list[Record]:
        return []

    def seek(self, partition: Partition, offset: int) -> None: ...

    def bounds(self, partition: Partition) -> tuple[int, int]:
        return 0, 0

    def committed(self, topic: str, partitions: int) -> dict[int, Committed]:
        return {}

    def commit(self, offsets: Mapping[Partition, Committed]) -> bool:
        return True


def test_a_batch_is_given_up_when_a_rebalance_finds_another_window() -> None:
    window = Named(Rules(100, 0))
    group: Any = Group
    reading = Reading(Join(), group, window, SIDES, lambda topic: 1)
    member: Any = reading.consumer
    member.ownership.gained([("predictions", 0)])
    reading.take()
    reading.hold()
    window.name = "second"
    member.ownership.gained([("labels", 0)])
    for call in (reading.hold, reading.done):
        with pytest.raises(WentBack):
            call()
    reading.take()
    with pytest.raises(WentBack):  # what was committed may be lacking still
        reading.hold()
    assert reading.refill is not None
    reading.go_on(reading.refill)
    reading.take()
    reading.hold()
