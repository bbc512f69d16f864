"""A chunk of mutated messages: the same for the same seed and number, on any number of processes."""

from __future__ import annotations

import contextlib
import random
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.fuzz.extremes import extremes
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import Target, check_refusal, targets, through_the_core
from tidegauge.events import LabelEvent, PredictionEvent

BOUND_SECONDS = 0.5  # of processor time for one message; the slowest honest ones take some milliseconds
_SOUND_EVERY = 32  # a sound message among the broken ones must be read as ever
_CORE_EVERY, _CORE_MOST = 7, 100  # which records, and how many of a chunk, go on through the core


class Fault(NamedTuple):
    """A message that was not handled as documented."""

    kind: str  # crash, hang or lost
    target: str
    message: bytes
    why: str


@dataclass(slots=True)
class Tally:
    """What became of messages: records + rejected + faults = messages."""

    messages: int = 0
    records: int = 0
    rejected: int = 0
    slowest_seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.messages += other.messages
        self.records += other.records
        self.rejected += other.rejected
        self.slowest_seconds = max(self.slowest_seconds, other.slowest_seconds)
        self.faults += other.faults

    def count(self, *kinds: str) -> int:
        return sum(fault.kind in kinds for fault in self.faults)


class Fuzz:
    """The targets, and what their sound messages are read as."""

    def __init__(self) -> None:
        self._targets = targets()
        self._sound = {
            data: repr(one.read(data)) for one in self._targets for data in one.corpus if one.equal
        }

    def run(self, seed: int, number: int, messages: int) -> Tally:
        """Return what became of the messages of one chunk."""
        draw = random.Random(f"{seed}/{number}")
        tally, events = Tally(), []
        chosen = draw.choices(self._targets, [target.share for target in self._targets], k=messages)
        for place, target in enumerate(chosen):
            sound = place % _SOUND_EVERY == 0
            data = draw.choice(target.corpus) if sound else mutated(draw, target.corpus)
            read = self._feed(target, data, sound, tally)
            if isinstance(read, PredictionEvent | LabelEvent) and place % _CORE_EVERY == 0:
                events.append(read)
        for name, kept in (("core", events[:_CORE_MOST]), ("core, extremes", extremes(draw))):
            self._through_the_core(f"{name}, chunk {number}", kept, draw, tally)
        return tally

    def _feed(self, target: Target, data: bytes, sound: bool, tally: Tally) -> Any:
        tally.messages += 1
        read = None
        begun = time.perf_counter()
        try:
            read = target.read(data)
        except target.refusals as refusal:
            took = time.perf_counter() - begun
            self._refused(target, data, sound, refusal, tally)
        except Exception as error:
            took = time.perf_counter() - begun
            tally.faults.append(Fault("crash", target.name, data, repr(error)[:500]))
        else:
            took = time.perf_counter() - begun
            if sound and target.equal and repr(read) != self._sound[data]:
                tally.faults.append(Fault("lost", target.name, data, f"it was read as {read!r}"[:500]))
            else:
                tally.records += 1
        tally.slowest_seconds = max(tally.slowest_seconds, took)
        if took > BOUND_SECONDS and (again := _processor_seconds(target, data)) > BOUND_SECONDS:
            tally.faults.append(Fault("hang", target.name, data, f"it takes {again:.1f} s"))
        return read

    def _refused(self, target: Target, data: bytes, sound: bool, refusal: Exception, tally: Tally) -> None:
        try:
            check_refusal(data, refusal)
        except Exception as error:
            tally.faults.append(Fault("lost", target.name, data, f"its dead letter: {error!r}"[:500]))
        else:
            if sound:
                tally.faults.append(Fault("lost", target.name, data, f"a sound message: {refusal}"[:500]))
            else:
                tally.rejected += 1

    def _through_the_core(self, name: str, events: list[Any], draw: random.Random, tally: Tally) -> None:
        try:
            through_the_core(events, draw)
        except Exception as error:
            message = repr(events)[:4_000].encode()
            tally.faults.append(Fault("crash", name, message, repr(error)[:500]))


def _processor_seconds(target: Target, data: bytes) -> float:
    """Return what reading costs without what other processes took meanwhile."""
    begun = time.thread_time()
    with contextlib.suppress(Exception):
        target.read(data)
    return time.thread_time() - begun
