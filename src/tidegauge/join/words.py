"""The words of the join: what arrives, what is stored, what follows, and how it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Side(IntEnum):
    """Which topic an event came from."""

    PREDICTION = 0
    LABEL = 1

    @property
    def plural(self) -> str:
        """The name of the side in counters."""
        return "labels" if self else "predictions"


class Verdict(StrEnum):
    """What became of an event. All but `replay` are counters as well."""

    WAITING = "waiting"
    MATCHED = "matched"
    DUPLICATE = "duplicate"
    CORRECTED = "corrected"
    SUPERSEDED = "superseded"
    LATE = "late"
    REJECTED = "rejected"
    REPLAY = "replay"
    EXPIRED = "expired"  # a prediction that waited in vain
    ORPHAN = "orphan"  # a label that waited in vain


# received = the sum of the others; `waiting` is what waits now.
COUNTERS: Mapping[Side, tuple[Verdict, ...]] = {
    Side.PREDICTION: (
        Verdict.MATCHED,
        Verdict.WAITING,
        Verdict.EXPIRED,
        Verdict.DUPLICATE,
        Verdict.REJECTED,
    ),
    Side.LABEL: (
        Verdict.MATCHED,
        Verdict.WAITING,
        Verdict.CORRECTED,
        Verdict.DUPLICATE,
        Verdict.SUPERSEDED,
        Verdict.LATE,
        Verdict.ORPHAN,
        Verdict.REJECTED,
    ),
}
COUNTER_NAMES = tuple(
    f"{side.plural}.{name}" for side, names in COUNTERS.items() for name in ("received", *names)
)


class Arrival(NamedTuple):
    """An event on its way into the window. A rejected one has no key and is only counted."""

    side: Side
    key: bytes
    partition: int
    offset: int
    at_ms: int
    payload: bytes
    prediction_id: str = ""  # of a label: it names the orphan that the label may become
    rejected: bool = False


class OutcomeRow(NamedTuple):
    """An outcome to emit; with sign -1 one that a correction takes back."""

    revision: int
    sign: int
    labelled_at_ms: int
    label: bytes


class Resolution(NamedTuple):
    """What became of an arrival and what is to be emitted for it, with it as the trigger.

    `predicted` and `predicted_at_ms` are those of the stored prediction, and `partner` is the source
    (partition, offset) of the event that the arrival met on the other side; all are given with outcomes.
    A replay carries its rows again; `late` and `rejected` are told again, so that no dead letter is
    lost. When in doubt a replayed label is told as such although it was a duplicate at first.
    `instead` is for those to whom another label was told, by a window that lost it: pairs of rows of one
    revision, that put the outcome that stands, with the time of the newest label that says it, in the place
    of another.
    """

    verdict: Verdict
    emit_prediction: bool = False
    outcomes: tuple[OutcomeRow, ...] = ()
    predicted: bytes = b""
    predicted_at_ms: int = 0
    replay: bool = False
    partner: tuple[int, int] | None = None
    instead: tuple[OutcomeRow, ...] = ()


class Orphan(NamedTuple):
    """A label whose prediction did not come within the horizon."""

    partition: int
    offset: int
    labelled_at_ms: int
    prediction_id: str


class Position(NamedTuple):
    """The place of an event in the order of newness."""

    at_ms: int
    partition: int
    offset: int


class Held(NamedTuple):
    """A stored event."""

    position: Position
    payload: bytes
    prediction_id: str = ""


@dataclass(slots=True)
class Entry:
    """What is stored of one prediction id.

    Without a prediction the labels wait, oldest first; with it they are the revisions, and `newest`
    is the newest label that said what the last revision says.
    """

    prediction: Held | None = None
    labels: list[Held] = field(default_factory=list)
    newest: Position | None = None
    by_prediction: bool = False  # the prediction completed revision 0


@dataclass(frozen=True, slots=True)
class Rules:
    """`revisions` is how many corrections of a label are kept, `items` how many items add up."""

    horizon_ms: int
    lateness_ms: int
    revisions: int = 32
    items: int = 1_000

    def within(self, one: Position, other: Position) -> bool:
        return abs(one.at_ms - other.at_ms) <= self.horizon_ms

    def due(self, position: Position, watermark_ms: int) -> bool:
        """Tell whether no partner of an event at this time can come any more."""
        return position.at_ms + self.horizon_ms + self.lateness_ms < watermark_ms
