"""A batch of arrivals, and what became of them, as columns.

Each is a sequence of the tuples of `words.py` too, made where somebody asks for one: the window in memory
and a refill take them one by one, the ordinary path of a batch never does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Ints
from tidegauge.join.payload import KEY_BYTES
from tidegauge.join.words import Arrival, OutcomeRow, Resolution, Side, Verdict

Flags = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

VERDICTS = (
    Verdict.WAITING,
    Verdict.MATCHED,
    Verdict.DUPLICATE,
    Verdict.CORRECTED,
    Verdict.SUPERSEDED,
    Verdict.LATE,
    Verdict.REJECTED,
    Verdict.REPLAY,
)
_CODES = {verdict: code for code, verdict in enumerate(VERDICTS)}
_NO_KEY = bytes(KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Arrivals(Sequence[Arrival]):
    """Columns [n] of `Arrival`; the key of a rejected one is zeros here."""

    sides: Bytes
    keys: bytes  # n * KEY_BYTES
    partitions: Ints
    offsets: Ints
    at_ms: Ints
    payloads: Sequence[bytes]
    names: Sequence[str]
    rejected: Flags
    contexts: Ints  # places in `texts` of what follows the payload, -1 for nothing
    texts: Sequence[bytes] = ()

    @classmethod
    def of(cls, arrivals: Sequence[Arrival]) -> Arrivals:
        """Return the columns of arrivals, whatever they come in."""
        if isinstance(arrivals, Arrivals):
            return arrivals
        columns: Any = list(zip(*arrivals, strict=True)) or [()] * len(Arrival._fields)
        sides, keys, partitions, offsets, at_ms, payloads, names, rejected = columns
        return cls(
            np.array(sides, np.uint8),
            b"".join([key or _NO_KEY for key in keys]),
            np.array(partitions, np.int64),
            np.array(offsets, np.int64),
            np.array(at_ms, np.int64),
            payloads,
            names,
            np.array(rejected, np.bool_),
            np.full(len(sides), -1),
        )

    def payload(self, place: int) -> bytes:
        """Return the whole payload of an arrival."""
        context = int(self.contexts[place])
        return self.payloads[place] + (self.texts[context] if context >= 0 else b"")

    def payloads_at(self, places: Ints) -> list[bytes]:
        """Return the whole payloads of the arrivals at these places [m]."""
        if (self.contexts[places] >= 0).any():
            return [self.payload(place) for place in places.tolist()]
        return [self.payloads[place] for place in places.tolist()]

    def __len__(self) -> int:
        return len(self.payloads)

    @overload
    def __getitem__(self, place: int) -> Arrival: ...
    @overload
    def __getitem__(self, place: slice) -> list[Arrival]: ...
    def __getitem__(self, place: int | slice) -> Arrival | list[Arrival]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        rejected = bool(self.rejected[place])
        return Arrival(
            Side(int(self.sides[place])),
            b"" if rejected else self.keys[place * KEY_BYTES :][:KEY_BYTES],
            int(self.partitions[place]),
            int(self.offsets[place]),
            int(self.at_ms[place]),
            self.payload(place),
            self.names[place],
            rejected,
        )


class Matched(NamedTuple):
    """Outcomes [n] of revision 0, each completed by an arrival that is one half of it."""

    places: Ints  # of the arrivals, ascending
    predicted: Sequence[bytes]
    predicted_at_ms: Ints
    labels: Sequence[bytes]
    labelled_at_ms: Ints
    partitions: Ints  # of the other half
    offsets: Ints


_NO_INTS = np.zeros(0, np.int64)
_NOTHING_MATCHED = Matched(_NO_INTS, (), _NO_INTS, (), _NO_INTS, _NO_INTS, _NO_INTS)


@dataclass(frozen=True, slots=True)
class Resolutions(Sequence[Resolution]):
    """Columns [n] of `Resolution`: the ordinary matches as columns, other outcomes each by itself."""

    verdicts: Bytes  # places in VERDICTS
    emitted: Flags  # the prediction is to be emitted
    replayed: Flags
    matched: Matched = _NOTHING_MATCHED
    others: dict[int, Resolution] = field(default_factory=dict)  # with outcomes, or some instead

    @classmethod
    def of(cls, resolutions: Sequence[Resolution]) -> Resolutions:
        """Return the columns of resolutions, whatever they come in."""
        if isinstance(resolutions, Resolutions):
            return resolutions
        return cls(
            np.array([_CODES[each.verdict] for each in resolutions], np.uint8),
            np.array([each.emit_prediction for each in resolutions], np.bool_),
            np.array([each.replay for each in resolutions], np.bool_),
            others={place: each for place, each in enumerate(resolutions) if each.outcomes or each.instead},
        )

    def refused(self, verdicts: Iterable[Verdict]) -> list[tuple[int, Verdict]]:
        """Return the places of what has one of these verdicts, in order."""
        wanted = [_CODES[verdict] for verdict in verdicts]
        places = np.flatnonzero(np.isin(self.verdicts, wanted))
        return [(place, VERDICTS[self.verdicts[place]]) for place in places.tolist()]

    def __len__(self) -> int:
        return len(self.verdicts)

    @overload
    def __getitem__(self, place: int) -> Resolution: ...
    @overload
    def __getitem__(self, place: slice) -> list[Resolution]: ...
    def __getitem__(self, place: int | slice) -> Resolution | list[Resolution]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        if place in self.others:
            return self.others[place]
        found = Resolution(
            VERDICTS[self.verdicts[place]], bool(self.emitted[place]), replay=bool(self.replayed[place])
        )
        at = int(np.searchsorted(self.matched.places, place))
        if at == len(self.matched.places) or self.matched.places[at] != place:
            return found
        matched = self.matched
        outcome = OutcomeRow(0, 1, int(matched.labelled_at_ms[at]), matched.labels[at])
        return found._replace(
            outcomes=(outcome,),
            predicted=matched.predicted[at],
            predicted_at_ms=int(matched.predicted_at_ms[at]),
            partner=(int(matched.partitions[at]), int(matched.offsets[at])),
        )
