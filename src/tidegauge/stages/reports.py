"""What a MONITOR tells of its partitions: which of them next, how much at once, and when.

Metric state goes out in pieces, the partitions in turn and of each the series that wait longest. A piece is
followed by a rest: a short one where all that changed went with it, so that a label shows within a blink; a
long one where more waits than went with it, or the stage lags behind: writing leaves time for the rest then.
Drift, estimates, baselines and history follow once a second, likewise one partition at a time, and more often
where not all of them fit. While the store works on a report, the next is made, or blocks are observed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tidegauge import keys
from tidegauge.errors import TidegaugeError, Unavailable
from tidegauge.monitor import Monitor, Report
from tidegauge.ports import Publishing, Store

Load = Literal["quiet", "busy", "behind"]

_SOONEST_SECONDS = 0.04  # from one piece to the next: nobody sees it sooner
_WHOLE_SECONDS = 1.0  # from one piece of a partition with drift and estimates to its next, at most
_WHOLE_REST = 6  # times what such a piece took, where more of them wait
_PIECE_SECONDS = 0.05  # what a piece should take: the larger, the less a series costs
_PIECE_SERIES = (16, 512)  # at least and at most
_RESTS: dict[Load, tuple[int, int]] = {  # times what the piece took; the second where more waits
    "quiet": (1, 0),
    "busy": (1, 4),
    "behind": (19, 19),
}


@dataclass(slots=True)
class Owned:
    """A partition that is this worker's: its monitor, its epoch, and how far it has read."""

    monitor: Monitor
    epoch: int
    next_offset: int
    saved_offset: int
    saved_at: float = 0.0  # by the stage's clock
    named: set[str] = field(default_factory=set)  # models that were put into the set of all lately


class Writing(NamedTuple):
    """A report that is on its way to the store."""

    partition: int
    report: Report
    ended: Publishing


class Reports:
    """The reports of the partitions that a stage owns; those may come and go between calls."""

    def __init__(
        self, owned: Mapping[int, Owned], store: Store, longest_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._crowded = False  # more waits than went with the last piece
        self._owned = owned
        self._store = store
        self._longest_seconds = longest_seconds  # from one piece to the next
        self._clock = clock
        self._made: dict[int, Report] = {}  # and not on their way yet
        self._writing: Writing | None = None
        self._piece = _PIECE_SERIES[0]
        self._turn = self._whole_turn = -1  # the partition that was served last
        self._written = self._looked = self._whole = clock()
        self._whole_rest = _WHOLE_SECONDS
        self._whole_more = False
        self._took = 0.0  # seconds, the last piece

    def due_in(self) -> float:
        """Return the seconds until something is written if nothing comes; infinite where all is told."""
        at = self._written + self._rest("quiet")
        if not self._changed():
            if not any(owned.monitor.unread() for owned in self._owned.values()):
                return math.inf
            at = max(at, self._whole + self._rest_of_whole(idle=True))
        return max(at - self._clock(), 0.0)

    def due(self, load: Load) -> bool:
        """Return whether it is time for the next piece."""
        return self._clock() - self._written >= self._rest(load)

    def write(self) -> None:
        """Write a piece of what changed since the last time.

        Now and then write nothing of those that did not change: the store says then whether it lost writes.
        Raises Unavailable, and goes on where it was when it is called again; WentBack where writes were lost.
        """
        started = self._clock()
        changed = self._changed()
        self._write_in_turn(changed)
        self._write_whole(idle=not changed)
        if started - self._looked >= self._longest_seconds:
            for partition in self._owned.keys() - changed.keys():
                self._write_of(partition, 0)
            self._looked = started
        self._written = self._clock()
        self._took = self._written - started

    def write_all(self, partitions: Iterable[int], seconds: float) -> None:
        """Write all that changed in some partitions, as far as time allows."""
        until = self._clock() + seconds
        for partition in partitions:
            while self._unwritten(partition) and self._clock() < until:
                self._write_of(partition, self._piece)

    def settle(self) -> None:
        """Wait for the report that is on its way; one that could not be written is kept."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            written = writing.ended()
        except Unavailable:
            newer = self._made.get(writing.partition)
            self._made[writing.partition] = writing.report.then(newer) if newer else writing.report
            raise
        if not written:
            raise taken_over(writing.partition)

    def drop(self, partition: int) -> None:
        """Forget what is not written of a partition that is somebody else's."""
        self._made.pop(partition, None)
        if self._writing is not None and self._writing.partition == partition:
            self._writing = None  # refused, if somebody has claimed it since

    def _unwritten(self, partition: int) -> bool:
        """Return whether something of a partition is not on its way yet."""
        return partition in self._made or self._owned[partition].monitor.unreported() > 0

    def _rest(self, load: Load) -> float:
        """Return the seconds from the end of a piece to the next."""
        rest = _RESTS[load][self._crowded] * self._took
        soonest = 0.0 if self._crowded else _SOONEST_SECONDS
        return min(max(rest, soonest), self._longest_seconds)

    def _rest_of_whole(self, idle: bool) -> float:
        """Return the seconds from a whole report to the next; `idle` where no metrics are to be written."""
        return 0.0 if idle and self._whole_more else self._whole_rest

    def _changed(self) -> dict[int, int]:
        """Return the partitions that have metrics to write, and of how many series."""
        counts = {number: owned.monitor.unmeasured() for number, owned in self._owned.items()}
        return {number: count for number, count in counts.items() if count or number in self._made}

    def _write_in_turn(self, changed: Mapping[int, int]) -> None:
        """Write a piece of the metrics of partitions, of which so many series changed.

        One after the other, from the one whose turn it is: series are cheaper together than apart.
        """
        started, room, every = self._clock(), self._piece, sum(changed.values())
        for partition in _from(self._turn, changed):
            if room <= 0:
                break
            self._write_of(partition, room, whole=False)
            self._turn = partition
            room -= changed[partition]
        self._crowded = every > self._piece
        took = self._clock() - started
        if self._crowded or took > _PIECE_SECONDS:
            fitting = min(every, self._piece) * _PIECE_SECONDS / max(took, _PIECE_SECONDS / 2)
            self._piece = min(max(int(fitting), _PIECE_SERIES[0]), _PIECE_SERIES[1])

    def _write_whole(self, idle: bool) -> None:
        """Write a whole report of the partition whose turn it is, where it is time for one."""
        started = self._clock()
        if started - self._whole < self._rest_of_whole(idle):
            return
        unread = {number: owned.monitor.unread() for number, owned in self._owned.items()}
        for partition in _from(self._whole_turn, {number for number, count in unread.items() if count})[:1]:
            self._write_of(partition, self._piece, metrics=False)
            self._owned[partition].named.clear()  # somebody may delete the set
            self._whole, self._whole_turn = started, partition
            self._whole_more = more = self._owned[partition].monitor.unread() > 0
            took = self._clock() - started
            turn = _WHOLE_SECONDS / len(self._owned)
            self._whole_rest = min(turn, _WHOLE_REST * took if more else math.inf)
            self._crowded = self._crowded or (idle and sum(unread.values()) > self._piece)

    def _write_of(self, partition: int, limit: int, whole: bool = True, metrics: bool = True) -> None:
        """Begin to write a report; the one before is written by then."""
        owned = self._owned[partition]
        if partition not in self._made:
            self._made[partition] = owned.monitor.report(limit, whole, metrics)
        self.settle()
        report = self._made[partition]
        if not owned.named.issuperset(report.models):
            self._store.add_members(keys.MODELS, report.models)
            owned.named.update(report.models)
        ended = self._store.begin_publish(partition, owned.epoch, report.writes)
        self._writing = Writing(partition, report, ended)
        del self._made[partition]


def taken_over(partition: int) -> TidegaugeError:
    """Return the error of a stage that wrote for a partition which somebody else has claimed since."""
    return TidegaugeError(f"partition {partition} has a newer owner")


def _from(last: int, partitions: Iterable[int]) -> list[int]:
    """Return partitions in turn, from the one after the last."""
    return sorted(partitions, key=lambda number: (number <= last, number))
