"""Schedules that once ended badly, found by longer runs: by what was wrong."""

from __future__ import annotations

import pytest

from tests.simulation.points import Fault
from tests.simulation.schedules import check
from tests.simulation.world import Action

ONE_JOIN = ("join 1", "monitor 1", "monitor 2")
REFUSED = Fault("refused", 0)
SEND, STEP, LOSE_ALL = Action("send"), Action("step"), Action("lose")

ONCE = {
    "after a loss another label is the first one, and what was counted must be taken back": [
        *(Action("send", more=1), Action("step", fault=Fault("refused", 0, part=1)), LOSE_ALL, SEND),
    ],
    "labels of one id in two partitions: a replay after a refused delivery tells them the other way round": [
        *(SEND, STEP, Action("send", 2, 6, 1), SEND, Action("step", 0, 1, 1, REFUSED)),
    ],
    "a second loss, of a tail, while the first is being repaired, is noticed": [
        *(SEND, STEP, Action("send", 2), STEP, Action("send", 2), STEP),
        *(Action("lose", 0, 8), STEP, STEP, Action("lose", 0, 3)),
    ],
    "labels of one id in two partitions, both delivered before a kill, and lost": [
        *(STEP, SEND, Action("step", fault=Fault("kill", 10, 0)), Action("send", more=1), LOSE_ALL),
    ],
}

ONCE_OF_TWO = {
    "a second loss, of all, while the first is being repaired, takes the marks of the partitions away": [
        *(Action("send", 1), STEP, LOSE_ALL, SEND, STEP, Action("leap"), LOSE_ALL, Action("send", 0, 1)),
    ],
    "a tail is lost while an expelled member joins a newer label that says what the first one said": [
        *(Action("send", more=1), STEP, Action("send", 2, 6), Action("step", 1), Action("expel", 0, 1)),
        *(STEP, Action("lose", 0, 5), Action("send", more=1)),
    ],
    "a correction comes before what it corrects, and the next one must know it": [
        *(SEND, Action("step", fault=Fault("refused", 19, 0)), Action("lose", more=2)),
        *(Action("send", more=1), STEP, SEND),
    ],
    "a new member reads on after all is lost, before the old one has noticed and put its marks back": [
        *(Action("step", 1), SEND, STEP, LOSE_ALL, Action("step", fault=Fault("kill", 0))),
        *(Action("step", 1), Action("leap"), Action("send", 0, 1), LOSE_ALL),
    ],
    "the server is away in the moment in which a partition is to be read again": [
        *(SEND, Action("step", 1), LOSE_ALL, Action("step", 1), Action("step", 1, fault=Fault("away", 2))),
    ],
}


@pytest.mark.parametrize("schedule", ONCE.values(), ids=ONCE.keys())
def test_what_went_wrong_once_ends_well(schedule: list[Action]) -> None:
    check(schedule, workers=ONE_JOIN)


@pytest.mark.parametrize("schedule", ONCE_OF_TWO.values(), ids=ONCE_OF_TWO.keys())
def test_what_went_wrong_once_with_two_members_ends_well(schedule: list[Action]) -> None:
    check(schedule)
