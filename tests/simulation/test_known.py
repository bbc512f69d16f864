"""Schedules, found by longer runs, that do not end well yet: who repairs one takes its mark away."""

from __future__ import annotations

import pytest

from tests.simulation.points import Fault
from tests.simulation.schedules import Violated, check
from tests.simulation.world import Action

ONE_JOIN = ("join 1", "monitor 1", "monitor 2")
REFUSED = Fault("refused", 0)
SEND, STEP, LOSE_ALL = Action("send"), Action("step"), Action("lose")

KNOWN = {
    "a loss makes another label the first one, and the monitor cannot take the old outcome back": [
        *(Action("send", more=1), Action("step", fault=Fault("refused", 0, part=1)), LOSE_ALL, SEND),
    ],
    "labels of one id in two partitions: a replay after a refused delivery tells them the other way round": [
        *(SEND, STEP, Action("send", 2, 6, 1), SEND, Action("step", 0, 1, 1, REFUSED)),
    ],
    "a second loss, of a tail, while the first is being repaired, is not noticed": [
        *(SEND, STEP, Action("send", 2), STEP, Action("send", 2), STEP),
        *(Action("lose", 0, 8), STEP, STEP, Action("lose", 0, 3)),
    ],
}

KNOWN_OF_TWO = {
    "a second loss, of all, while the first is being repaired, takes the marks of the partitions away": [
        *(Action("send", 1), STEP, LOSE_ALL, SEND, STEP, Action("leap"), LOSE_ALL, Action("send", 0, 1)),
    ],
}


@pytest.mark.xfail(raises=Violated, strict=True)
@pytest.mark.parametrize("schedule", KNOWN.values(), ids=KNOWN.keys())
def test_known_to_go_wrong(schedule: list[Action]) -> None:
    check(schedule, workers=ONE_JOIN)


@pytest.mark.xfail(raises=Violated, strict=True)
@pytest.mark.parametrize("schedule", KNOWN_OF_TWO.values(), ids=KNOWN_OF_TWO.keys())
def test_known_to_go_wrong_with_two_members(schedule: list[Action]) -> None:
    check(schedule)
