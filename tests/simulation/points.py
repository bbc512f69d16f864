"""Where a process can be struck: every port call passes points, and a fault waits at one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tidegauge.errors import Unavailable

if TYPE_CHECKING:
    from tests.simulation.world import World

MOST_POINTS = 2_000  # of one step: more, and it does not come to an end

Kind = Literal["kill", "pause", "away", "refused"]


class Killed(BaseException):
    """The process is gone; nothing of it may run on."""


class Stuck(AssertionError):
    """A step does not come to an end."""


class Fault(NamedTuple):
    """What strikes a process at the `at`-th point of its next step.

    `number` means: actions of others while it pauses, calls in a row that find the server away. `part`
    says how much of what was queued has been delivered at that moment.
    """

    kind: Kind
    at: int
    number: int = 1
    part: int = 0


class Process:
    """One life of a worker: from when its stage is built until it is killed, fails, or stops."""

    def __init__(self, world: World, role: str) -> None:
        self.world = world
        self.role = role
        self.dead = False
        self.busy = False
        self.fault: Fault | None = None
        self.points = 0
        self.stage: Any = None
        self.consumer: Any = None
        self.producer: Any = None
        self._away = 0

    def expect(self, fault: Fault | None) -> None:
        """Begin a step, with what strikes in it."""
        self.fault, self.points, self._away = fault, 0, 0

    def point(self, name: str) -> str | None:
        """Pass a point; returns `refused` where the server shall refuse this call."""
        if self.dead:
            raise Killed
        self.points += 1
        if self.points > MOST_POINTS:
            raise Stuck(f"{self.role} does not get past {name}")
        if self._away and name != "rest":
            self._away -= 1
            raise Unavailable(f"{name}: away")
        fault = self.fault
        if fault is None or self.points <= fault.at:
            return None
        if fault.kind == "refused" and name not in ("flush", "commit"):
            return None  # waits for a call that can be refused
        self.fault = None
        if self.producer is not None:
            self.producer.some(fault.part)
        return self._strike(fault, name)

    def _strike(self, fault: Fault, name: str) -> str | None:
        self.world.struck[fault.kind] += 1
        if fault.kind == "kill":
            self.dead = True
            raise Killed
        if fault.kind == "pause":
            self.world.others(fault.number)
            return None
        if fault.kind == "away":
            if name == "rest":
                return None
            self._away = fault.number - 1
            raise Unavailable(f"{name}: away")
        return "refused"
