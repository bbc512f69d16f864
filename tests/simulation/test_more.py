"""A step takes more as long as batches are full; partitions may go meanwhile."""

from __future__ import annotations

import numpy as np

from tests.simulation.log import SimConsumer
from tests.simulation.world import ROLES, SETTINGS, Action, Ports, World
from tidegauge.adapters import block_codec
from tidegauge.ports import Record
from tidegauge.stages import reading

SEND, STEP, LOSE_ALL = Action("send"), Action("step"), Action("lose")


class LeavingConsumer(SimConsumer):
    """Gives all partitions up when it takes more."""

    def more(self, count: int) -> list[Record]:
        going = list(self.owned)
        self._ownership.given_up(going)
        self.owned.clear()
        return []


def test_outcomes_that_may_have_been_delivered_before_a_loss_are_marked_so():
    world = World(Ports(consumer=LeavingConsumer), workers=(f"{ROLES[0]} 1",))
    observations = world.log.topics[SETTINGS.topics.observations]
    for action in (SEND, STEP, LOSE_ALL, *[STEP] * 8):  # known, lost, and given to the window again
        world._do(action)
    before = [len(partition) for partition in observations]
    for action in (*[SEND] * 6, STEP):  # a full batch
        world._do(action)
    blocks = [
        block_codec.decode(record.value)
        for partition, first in zip(observations, before, strict=True)
        for record in partition[first:]
    ]
    again = np.concatenate([block.outcomes.again for block in blocks])
    assert len(again) > 0
    assert again.all()


def test_a_step_takes_more_while_batches_are_full_and_not_without_an_end():
    world = World(Ports(), workers=(f"{ROLES[0]} 1",))
    world._do(STEP)
    process = world._process(STEP)
    for _ in range(60):
        world._do(SEND)
    sent = sum(
        map(len, world.log.topics[SETTINGS.topics.predictions] + world.log.topics[SETTINGS.topics.labels])
    )
    most = reading._BATCHES * SETTINGS.join.batch
    steps = [process.stage.step() for _ in range(5)]
    assert steps[0] == most < sent
    assert sum(steps) == sent
    assert sum(process.consumer.group.committed.values()) == sent
