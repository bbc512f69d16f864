"""Schedules: lists of actions, drawn so that a failing one shrinks to a few."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.simulation.checks import Watcher, violations
from tests.simulation.points import Fault
from tests.simulation.server import Server
from tests.simulation.world import PORTS, WORKERS, Action, Ports, World

LONG = os.environ.get("TIDEGAUGE_SCHEDULES")  # how many of each test, at random; else a few, always the same

_QUIET = ("nothing", *["send"] * 16, *["step"] * 16, *["wait"] * 3, "leap", "stop")
_ROUGH = ("expel", "rebalance", "damage")
_FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(("kill", "away", "pause", "refused")),
    at=st.integers(0, 24),
    number=st.integers(1, 6),
    part=st.integers(0, 99),
)


ZERO = st.just(0)
UNHARMED: st.SearchStrategy[Fault | None] = st.none()


class Violated(AssertionError):
    """A schedule ends in a state that must not be."""


# What is sent, and by which worker what else happens is done.
EVERY_EVENT = st.integers(0, 7)
CLICKS = st.sampled_from((0, 1, 2, 3, 8, 18, 9, 9, 19, 19))  # lists and clicks; few pairs and labels


def schedules(
    rough: bool = True, lossy: bool = True, worker: st.SearchStrategy[int] = EVERY_EVENT
) -> st.SearchStrategy[list[Action]]:
    """Return schedules: with faults where `rough`, with losses of the server where `lossy`."""
    names = _QUIET + (_ROUGH if rough else ()) + (("lose",) if lossy else ())
    action = st.builds(
        Action,
        name=st.sampled_from(names),
        worker=worker,
        number=st.integers(0, 11),
        more=st.integers(0, 11),
        fault=st.one_of(st.none(), st.none(), _FAULTS) if rough else st.none(),
    )
    return _lists(action)


def zombie_schedules() -> st.SearchStrategy[list[Action]]:
    """Return schedules in which monitors stop in the middle of their writes, and go on as zombies."""
    return st.lists(st.one_of(_scenes(), st.lists(_monitored(), max_size=8)), max_size=12).map(_joined)


def leap_schedules() -> st.SearchStrategy[list[Action]]:
    """Return schedules in which one batch holds events that lie far apart in time."""
    kill = st.builds(Fault, st.just("kill"), st.integers(0, 24), st.just(1), st.integers(0, 9))
    return _lists(
        st.one_of(
            st.just(Action("nothing")),
            st.just(Action("leap")),
            _actions("send", st.integers(0, 7), st.integers(0, 11), st.integers(0, 11)),
            _actions("send", st.integers(0, 3), st.integers(0, 11), st.integers(0, 11)),
            _actions("step", number=st.integers(0, 11), more=st.integers(0, 3), fault=st.none() | kill),
        )
    )


def _monitored() -> st.SearchStrategy[Action]:
    monitors = st.integers(2, 3)
    strike = st.builds(
        Fault, st.sampled_from(("pause", "kill")), st.integers(0, 12), st.integers(3, 9), st.integers(0, 9)
    )
    return st.one_of(
        st.just(Action("step", 0)),
        _actions("send", st.integers(0, 3), st.integers(0, 5), st.integers(0, 5)),
        _actions("wait", number=st.integers(0, 4)),
        _actions("expel", monitors, st.integers(0, 2)),
        _actions("step", monitors),
        _actions("step", monitors, fault=strike),
    )


@st.composite
def _scenes(draw: st.DrawFn) -> list[Action]:
    """One monitor stops before it writes; the other takes over; the first goes on."""
    first = draw(st.integers(2, 3))
    pause = Fault("pause", draw(st.integers(1, 8)), 6)
    more = [Action("send", 0, draw(st.integers(0, 3))), Action("step", 0)]
    other = Action("step", 5 - first)
    return [
        *(Action("step", first), *more, Action("wait", 0, 2), Action("step", first, fault=pause)),
        *(Action("expel", first, draw(st.integers(0, 1))), *more, other, Action("wait", 0, 2), other),
    ]


def _joined(scenes: list[list[Action]]) -> list[Action]:
    return [action for scene in scenes for action in scene]


def _actions(
    name: str,
    worker: st.SearchStrategy[int] = ZERO,
    number: st.SearchStrategy[int] = ZERO,
    more: st.SearchStrategy[int] = ZERO,
    fault: st.SearchStrategy[Fault | None] = UNHARMED,
) -> st.SearchStrategy[Action]:
    return st.builds(Action, st.just(name), worker, number, more, fault)


def _lists(action: st.SearchStrategy[Action]) -> st.SearchStrategy[list[Action]]:
    # Lists without a least size are short; from a long one what shrinks to "nothing" falls away.
    return st.lists(action, min_size=20, max_size=80).map(_happening)


def _happening(actions: list[Action]) -> list[Action]:
    return [action for action in actions if action.name != "nothing"]


def check(
    schedule: list[Action],
    ports: Ports = PORTS,
    server: type[Server] = Server,
    workers: Sequence[str] = WORKERS,
) -> None:
    """Run a schedule; raises Violated where something is wrong during it or after it."""
    world = World(ports, server, workers)
    watcher = Watcher(world)
    world.run(schedule)
    found = [*watcher.violations, *violations(world)]
    if found:
        raise Violated("\n".join(found[:20]))


def examples(count: int, shrink: bool = True) -> settings:
    """Return the settings of a test of so many schedules."""
    return settings(
        max_examples=int(LONG) if LONG and shrink else count,
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
    )
