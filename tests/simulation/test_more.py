"""Partitions may go while the next batch is fetched: rows of the part under way keep their marks."""

from __future__ import annotations

import numpy as np

from tests.simulation.log import SimConsumer
from tests.simulation.world import ROLES, SETTINGS, Action, Ports, World
from tidegauge.adapters import block_codec

SEND, STEP, LOSE_ALL = Action("send"), Action("step"), Action("lose")


class LeavingConsumer(SimConsumer):
    """Gives all partitions up when it fetches ahead."""

    def ahead(self, count: int) -> None:
        super().ahead(count)
        going = list(self.owned)
        self._let_go(going)
        self._ownership.given_up(going)
        self.owned.clear()


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
