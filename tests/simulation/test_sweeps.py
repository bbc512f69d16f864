"""A worker sweeps until nothing can be due any more, and again after whatever came."""

from __future__ import annotations

from tests.simulation.server import SimWindow
from tests.simulation.world import ROLES, Action, Ports, World

SEND, STEP, LOSE_ALL = Action("send"), Action("step"), Action("lose")


class CountingWindow(SimWindow):
    """Counts its sweeps."""

    sweeps = 0

    def sweep(self, watermark_ms: int, buckets: int = 1) -> bool:
        CountingWindow.sweeps += 1
        return super().sweep(watermark_ms, buckets)


def sweeps_in(world: World, *actions: Action) -> int:
    """Return how many sweeps there are while these things happen."""
    before = CountingWindow.sweeps
    for action in actions:
        world._do(action)
    return CountingWindow.sweeps - before


def test_a_quiet_worker_comes_to_rest_until_something_happens():
    world = World(Ports(window=CountingWindow), workers=(f"{ROLES[0]} 1",))
    assert sweeps_in(world, SEND, *[STEP] * 6) >= 2
    assert sweeps_in(world, *[STEP] * 6) == 0
    assert sweeps_in(world, SEND, *[STEP] * 6) >= 2
    assert sweeps_in(world, *[STEP] * 6) == 0
    assert sweeps_in(world, Action("wait", number=99), *[STEP] * 6) == 1  # somebody else may be gone
    assert sweeps_in(world, LOSE_ALL, *[STEP] * 12) >= 2
    assert sweeps_in(world, *[STEP] * 6) == 0
