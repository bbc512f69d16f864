"""Where the join reads, when its window turns out to be another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
        self.ends: dict[Partition, int] = {}
        self.withheld: Collection[Partition] = ()

    def take(self, count: int, seconds: float) -> list[Record]:
        return []

    def more(self, count: int) -> list[Record]:
        return []

    def seek(self, partition: Partition, offset: int) -> None: ...

    def withhold(self, partitions: Collection[Partition]) -> None:
        self.withheld = partitions

    def end_offset(self, partition: Partition) -> int | None:
        return self.ends.get(partition)

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


def test_labels_wait_for_predictions_that_are_behind_them_and_still_come() -> None:
    group: Any = Group
    reading = Reading(Join(batch=9), group, MemoryWindow(Rules(100, 0)), SIDES, lambda topic: 1)
    member: Any = reading.consumer
    predictions, labels = ("predictions", 0), ("labels", 0)
    member.ownership.gained([predictions, labels])
    member.ends = {predictions: 9, labels: 9}
    reading.advance({predictions: 50, labels: 70})
    assert list(member.withheld) == [labels]
    reading.advance({predictions: 60})
    assert list(member.withheld) == [labels]
    reading.advance({predictions: 80})  # on a level
    assert list(member.withheld) == []
    reading.advance({labels: 90})
    reading.advance({predictions: 85, labels: 95})
    assert list(member.withheld) == [labels]
    reading.advance({})  # no prediction came
    assert list(member.withheld) == []
    member.ends = {predictions: 8, labels: 9}
    reading.advance({predictions: 88})  # few are to come
    assert list(member.withheld) == []
