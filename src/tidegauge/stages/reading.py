"""Where the join stands in its topics: what it reads next, what is done, and what the window lacks.

A window has a name: that of the server process that holds it, and of its filling. Who works on it says
the name, and the window refuses every other: a server that restarted, that was promoted, or that was
emptied may have lost writes, and has another name. Then the window is recognised anew, and given again
whatever was committed (`refill.py`) before anything new enters it.

With each offset the group keeps a note: the name of the window in which everything below it was
resolved, the offset below which rows may have been delivered under another name before, and the offset
that was committed before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from tidegauge.config import Join
from tidegauge.errors import Unavailable, WentBack
from tidegauge.join import Side
from tidegauge.ports import Committed, JoinGroup, Ownership, Partition, Record, Records, Window
from tidegauge.stages.refill import Refill

_BATCHES = 5  # of a step at most: its end waits for Kafka and Redis, and a crash repeats it


class Note(NamedTuple):
    """What the group keeps beside a committed offset."""

    window: str
    again_until: int
    before: int

    def text(self) -> str:
        return f"{self.window} {self.again_until} {self.before}"

    @classmethod
    def of(cls, text: str) -> Note | None:
        """Return the note of a text; None for another's, or of a broker that keeps none.

        >>> Note.of(Note("a7", 20, 10).text())
        Note(window='a7', again_until=20, before=10)
        """
        words = text.split(" ")
        if len(words) != 3 or not (words[1] + words[2]).isdigit():
            return None
        return cls(words[0], int(words[1]), int(words[2]))


class Reading:
    """The join's membership of its group. Calls raise Unavailable, and those to the window WentBack."""

    def __init__(
        self,
        join: Join,
        join_group: JoinGroup,
        window: Window,
        sides: Mapping[str, Side],
        partitions: Callable[[str], int],
    ) -> None:
        self._batch = join.batch
        self._most = _BATCHES * join.batch  # events of a step
        self._linger_seconds = join.linger_ms / 1_000
        self._window = window
        self._sides = sides
        self._partitions = partitions  # of a topic, as the broker says now
        self._name = self._taken_under = window.recognise()
        self._batches = 0  # that this step has taken
        self._ends: dict[Partition, int] = {}  # of what it has taken of the partitions owned
        self._next: dict[Partition, int] = {}  # of the partitions owned
        self._idle: set[Partition] = set()  # of the partitions owned: read to their end
        self._reached: dict[Partition, int] = {}  # of the partitions owned: the newest time delivered
        self._to_commit: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}  # as this member knows it
        self._unread: dict[Partition, int] = {}  # of the partitions owned: nobody has read of them yet
        self._again_until: dict[Partition, int] = {}  # rows of events below may have been delivered before
        self.refill: Refill | None = None  # while the window lacks what was committed
        self.joined = False
        self.watermark_ms = window.watermark({})
        self.consumer = join_group(Ownership(gained=self._gain, given_up=self._drop, lost=self._drop))

    def take(self) -> Records:
        """Return the first batch of a step, and remember under which name of the window it came."""
        self._taken_under = self._name
        self._batches, self._ends = 0, {}
        return self._note_taken(self.consumer.take(self._batch, self._linger_seconds))

    def more(self, before: Records) -> Records | None:
        """Return what comes after a batch in the same step, None where the step ends.

        A full batch is followed by another while Redis works on it; partitions may come and go, see `hold`.
        """
        if len(before) < self._batch or self._batches == _BATCHES:
            return None
        return self._note_taken(self.consumer.more(self._batch))

    def _note_taken(self, records: Sequence[Record]) -> Records:
        taken = Records.of(records)
        self._batches += 1
        self._ends |= taken.ends()
        return taken

    def again_until(self, partition: Partition) -> int:
        """Return the offset below which a monitor must know the rows of an event by what they say.

        What the window tells again has the trigger it had. What is new to it may have been delivered
        before, if it was lost.
        """
        return self._again_until.get(partition, 0)

    def begin(self) -> None:
        """Commit where partitions begin that nobody has read, so that their first batch has a note too.

        Raises Unavailable while the group takes no offsets.
        """
        notes = {each: Committed(first, self._note(each, first)) for each, first in self._unread.items()}
        if not self.consumer.commit(notes):
            raise Unavailable("the group takes no offsets now")
        self._unread.clear()

    def hold(self) -> None:
        """Raise WentBack where the window has another name than when the step began, or lacks something.

        A rebalance during an outage may have recognised it anew: it lacks what was committed, perhaps, and
        nothing of the step may enter it.
        """
        if self._taken_under != self._name or self.refill is not None:
            raise WentBack("the window was lost while a batch was on its way")

    def done(self) -> None:
        """Note that the step is delivered. Raises WentBack where its window has been lost meanwhile."""
        self.hold()
        owned = {each: offset for each, offset in self._ends.items() if each in self._next}
        self._next |= owned
        self._to_commit |= owned

    def commit(self) -> None:
        """Commit what is done; where the group refuses, again with the next step."""
        if self._to_commit and self.consumer.commit(
            {each: Committed(offset, self._note(each, offset)) for each, offset in self._to_commit.items()}
        ):
            self._committed |= self._to_commit
            self._to_commit.clear()

    def wake(self, partitions: Iterable[Partition]) -> None:
        """Let partitions that had been read to their end hold the watermark back again.

        Otherwise another worker's time could let go of what this batch matches, before a replay of it.
        """
        woken = self._idle.intersection(partitions)
        if woken:
            self._window.watermark({_mark(each): 0 for each in woken})
            self._idle -= woken

    def advance(self, reached: Mapping[Partition, int | None]) -> None:
        """Move the watermark: `reached` are the newest times of a batch, None where it had none."""
        advances: dict[str, int | None] = {
            _mark(each): at_ms for each, at_ms in reached.items() if at_ms is not None
        }
        for partition in self._next.keys() - reached.keys():
            end = self.consumer.end_offset(partition)
            if end is not None and self._next[partition] >= end:
                advances[_mark(partition)] = None
                self._idle.add(partition)
        self._idle -= reached.keys()
        self.watermark_ms = self._window.watermark(advances)
        self._align({each: at_ms for each, at_ms in reached.items() if at_ms is not None})

    def _align(self, reached: Mapping[Partition, int]) -> None:
        """Withhold labels that are further in event time than predictions of which many more are to come.

        Read as fast as it goes, the topic with the shorter messages would run ahead: most labels would wait
        for their predictions, at twice the cost.
        """
        self._reached |= {each: at_ms for each, at_ms in reached.items() if each in self._next}
        lagging = [at_ms for each, at_ms in reached.items() if self._is_prediction(each) and self._lags(each)]
        behind = min(lagging, default=math.inf)
        ahead = [each for each, at_ms in self._reached.items() if at_ms > behind]
        self.consumer.withhold([each for each in ahead if not self._is_prediction(each)])

    def _is_prediction(self, partition: Partition) -> bool:
        return self._sides[partition[0]] is Side.PREDICTION

    def _lags(self, partition: Partition) -> bool:
        """Return whether a partition has a batch or more to read, as of the last fetch."""
        end = self.consumer.end_offset(partition)
        return end is not None and partition in self._next and end - self._next[partition] >= self._batch

    def look_again(self) -> None:
        """Recognise a window that has another name, and begin to give it what it lacks."""
        self._recognise()
        self._begin_refill(self._all_committed())

    def missing(self, refill: Refill) -> dict[Partition, int]:
        """Return what the window lacks still; where a side's turn begins, it is read from there on."""
        missing = refill.missing(self._window.applied())
        self.consumer.withhold(())
        if refill.wants(missing) is not refill.turn:
            for partition in missing.keys() & self._next.keys():
                self.consumer.seek(partition, max(missing[partition], self.consumer.bounds(partition)[0]))
            refill.turn = refill.wants(missing)
        return missing

    def go_on(self, refill: Refill) -> None:
        """Read on where the window was when it was lost: all that was committed is in it."""
        for partition in self._next.keys() & refill.resumes.keys():
            self._next[partition] = refill.resumes[partition]
            self.consumer.seek(partition, self._next[partition])
        self.refill = None

    def _gain(self, partitions: list[Partition]) -> dict[Partition, int | None]:
        while True:
            try:
                starts = self._begin(partitions)
            except WentBack:  # once more
                continue
            self.joined = True
            return starts

    def _begin(self, partitions: list[Partition]) -> dict[Partition, int | None]:
        """Return where to read on: what was committed, or before it what the window lacks.

        The name is asked for before the offsets: what is committed by then is applied, or was lost.
        """
        before = self._name
        self._recognise()
        committed = self._all_committed()
        refill = self._refill_of(committed)
        missing = refill.missing(self._window.applied())
        if missing or self._name != before:
            self._begin_refill(committed)
        else:
            self._hold_back()
        starts: dict[Partition, int | None] = {}
        for partition in partitions:
            found = committed.get(partition)
            starts[partition] = missing.get(partition, found.offset if found else None)
            first, end = self.consumer.bounds(partition)
            if found is None:
                self._unread[partition] = first
            self._next[partition] = first if found is None else found.offset
            self._committed[partition] = self._next[partition]
            self._again_until[partition] = self._until(found, end)
        return starts

    def _until(self, found: Committed | None, end: int) -> int:
        """Return the offset below which rows may have been delivered and lost from the window since."""
        if found is None:  # what is applied has been committed before: see `begin`
            return 0
        note = Note.of(found.note)
        if note is not None and note.window == self._name:
            return note.again_until
        return max(end, found.offset + self._most)

    def _drop(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            for kept in (
                self._next,
                self._unread,
                self._ends,
                self._reached,
                self._to_commit,
                self._committed,
                self._again_until,
            ):
                kept.pop(partition, None)
            self._idle.discard(partition)

    def _recognise(self) -> None:
        self._name = self._window.recognise()

    def _begin_refill(self, committed: Mapping[Partition, Committed]) -> None:
        """Give the window again what it lacks; rows above may have been delivered, of all partitions."""
        refill = self._refill_of(committed)
        applied = self._window.applied()
        for partition, read in self._next.items():  # of those that nothing was committed of
            first, end = self.consumer.bounds(partition)
            known = applied.get((self._sides[partition[0]], partition[1]), -1) + 1
            refill.resumes.setdefault(partition, max(min(read, known), first))
            self._again_until[partition] = max(end, read + self._most)
        self._to_commit.clear()
        self._idle.clear()
        self.refill = refill
        self._hold_back()

    def _hold_back(self) -> None:
        """Let every partition hold the watermark back, until its owner says how far it has come.

        Those of others too: an owner who has not seen yet that the window was lost has no mark in it, and
        one worker's time must not let go of what comes there.
        """
        every = ((topic, number) for topic in self._sides for number in range(self._partitions(topic)))
        self.watermark_ms = self._window.watermark({_mark(each): 0 for each in every})

    def _refill_of(self, committed: Mapping[Partition, Committed]) -> Refill:
        """Return a refill of what was committed and is still in the topics."""
        kept = {
            each: found for each, found in committed.items() if self.consumer.bounds(each)[0] < found.offset
        }
        settled = {}
        for each, found in kept.items():
            note = Note.of(found.note)
            if note is None:
                settled[each] = found.offset - self._most
            else:
                settled[each] = found.offset if note.window == self._name else note.before
        return Refill({each: found.offset for each, found in kept.items()}, settled, self._sides)

    def _note(self, partition: Partition, offset: int) -> str:
        before = self._committed.get(partition, offset)
        return Note(self._name, self._again_until.get(partition, 0), before).text()

    def _all_committed(self) -> dict[Partition, Committed]:
        return {
            (topic, number): found
            for topic in self._sides
            for number, found in self.consumer.committed(topic, self._partitions(topic)).items()
        }


def _mark(partition: Partition) -> str:
    """Return the name under which the window keeps how far a source partition has come in event time."""
    return f"{partition[0]}-{partition[1]}"
