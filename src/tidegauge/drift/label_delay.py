"""Labels that come later than they did, or not at all, with a promised average run length.

Labels that came first are the quick ones, so no label is looked at by itself. Predictions are taken by panes
of their time. A pane is judged once a prediction is later than its end by the label age and by a grace for
topics that are not read evenly; its value is the share of its predictions whose label did not come within the
age. A prediction without a label counts as one whose label is late. The values go to the e-detector of
`error_shift`: a pane is one value between 0 and 1, however many predictions it has, so what its labels have
in common is no evidence; what panes have in common slows evidence down there.

The age is the AGE_QUANTILE of the first labels' delays. That these are the quick ones costs power and nothing
else: any age is fair, because reference and later panes are judged at the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.detectors import E_SR, Change
from tidegauge.drift.error_baseline import Terms
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Marks = NDArray[np.bool_]

VERSION = 1
REFERENCE = 168  # panes: a week of hours, as people who label have a weekend
LEAST_PANE_MS = 3_600_000  # in shorter ones what labels of an hour have in common would look like evidence
LEAST_SPAN_MS = 86_400_000  # of first labels: a whole day of them
AGE_QUANTILE = 0.9  # what comes later than that tells little: it is late anyway
LET_BE = 0.05  # of the share of late labels: a rise up to it is nobody's business
BUCKET = 1.02  # the ratio of neighbouring delays that are told apart while the age is learned
NO_CLOCK = -(1 << 62)


class DelayTerms(NamedTuple):
    """What a detector is asked for."""

    age_ms: int | None = None  # None: learned from the first labels
    grace_ms: int = 43_200_000  # past the age, in which a label may still be read
    labels: int = 1_000  # first ones, from which the age is learned
    reference: int = REFERENCE  # panes with predictions
    run_length: float | None = None  # panes with predictions


class _State(msgspec.Struct):
    version: int
    age_ms: int | None
    clock_ms: int
    first_ms: int | None
    begun_ms: int | None
    delays: dict[int, int]
    next_pane: int
    panes: dict[int, tuple[int, int]]
    unseen: int
    shift: dict[str, Any]


class LabelDelay:
    """The detector of one version: its label age, the panes that are open, and what is known of closed ones.

    The same rows give the same alarms however they are cut into updates; rows of predictions and labels may
    trade places as long as none comes later than the grace.

    >>> at = np.arange(20 * 86_400, step=300) * 1_000  # of 20 days
    >>> def labelled(at, delay_s):
    ...     rows = [(at, np.full(len(at), np.nan)), (at, at + delay_s * 1_000.0)]
    ...     return [np.concatenate(column) for column in zip(*rows)]
    >>> detector = LabelDelay(DelayTerms(grace_ms=86_400_000, run_length=50_000))
    >>> for day in range(20):
    ...     today = at[288 * day : 288 * (day + 1)]
    ...     found = detector.update(*labelled(today, 7_200 if day == 18 else 3_600))
    >>> detector.age_ms, len(found) > 0, round(detector.share_before, 2), round(detector.share_after, 2)
    (3634721, True, 0.99, 0.2)
    """

    name = E_SR

    def __init__(self, terms: DelayTerms) -> None:
        self.terms = terms
        self.age_ms = terms.age_ms
        self.first_ms: int | None = None  # the clock when the age was known
        self.unseen = 0  # rows of panes that were judged, or began before the age was known
        self._begun_ms: int | None = None  # the first row
        self._clock_ms = NO_CLOCK  # the latest prediction
        self._delays: dict[int, int] = {}  # labels by the logarithm of their delay
        self._next = NO_CLOCK  # the first pane that is not judged
        self._panes: dict[int, tuple[int, int]] = {}  # predictions, and those with their label in time
        self.shift = ErrorShift(Terms(terms.reference, None, LET_BE, run_length=terms.run_length))

    @property
    def pane_ms(self) -> int:
        """The length of a pane: a reference is a week of them, or an age where that is longer."""
        return max(LEAST_PANE_MS, -(-(self.age_ms or 0) // REFERENCE))

    @property
    def clock_ms(self) -> int:
        """The time of the latest prediction."""
        return self._clock_ms

    @property
    def share_before(self) -> float | None:
        """The share of predictions whose label came within the age, healthy; None while that is learned."""
        return 1 - self.shift.baseline.mean if self.shift.baseline else None

    @property
    def share_after(self) -> float | None:
        """The same since the change of the last alarm; None without one."""
        last = self.shift.last
        return None if last is None or last.after is None else 1 - last.after

    def update(self, at_ms: Ints, labelled_at_ms: Floats) -> list[Change]:
        """Take rows [n] in order; return the alarms among the panes that they close.

        A row has the time of a prediction and that of its label, NaN where the row is the prediction itself.
        Cost: O(n + open panes).
        """
        clock = np.maximum.accumulate(np.concatenate(([self._clock_ms], at_ms)))
        delay = np.maximum(labelled_at_ms - at_ms, 0)
        learned = self._learn(at_ms, labelled_at_ms, clock) if self.first_ms is None else 0
        self._clock_ms = int(clock[-1])
        if self.first_ms is None:
            return []
        self._count(clock[learned:-1], at_ms[learned:], delay[learned:])
        return self._close()

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `load` reads back."""
        age = self.age_ms, self._clock_ms, self.first_ms, self._begun_ms, self._delays
        state = _State(VERSION, *age, self._next, self._panes, self.unseen, self.shift.dump())
        plain: dict[str, Any] = msgspec.to_builtins(state)
        return plain

    @classmethod
    def load(cls, state: Mapping[str, Any], terms: DelayTerms) -> LabelDelay:
        """Return the detector that `dump` wrote; raises SnapshotError where it is something else.

        So it does where another age is asked for: shares within one age say nothing of another.
        """
        try:
            read = msgspec.convert(state, _State)
        except msgspec.ValidationError as error:
            raise SnapshotError(f"label delay: {error}") from error
        if read.version != VERSION or terms.age_ms not in (None, read.age_ms):
            raise SnapshotError(f"label delay: expected version {VERSION} at {terms.age_ms} ms")
        found = cls(terms)
        found.age_ms, found._clock_ms, found.first_ms = read.age_ms, read.clock_ms, read.first_ms
        found._begun_ms, found._delays = read.begun_ms, read.delays
        found._next, found._panes = read.next_pane, read.panes
        found.unseen, found.shift = read.unseen, ErrorShift.load(read.shift, found.shift.terms)
        return found

    def _learn(self, at_ms: Ints, labelled_at_ms: Floats, clock: Ints) -> int:
        """Return how many rows it takes until the age is known; panes that begin after them are counted."""
        if not len(at_ms):
            return 0
        self._begun_ms = int(at_ms[0]) if self._begun_ms is None else self._begun_ms
        label = np.flatnonzero(np.isfinite(labelled_at_ms))
        seen = np.arange(1, len(label) + 1) + sum(self._delays.values())
        enough = (seen >= self.terms.labels) & (labelled_at_ms[label] - self._begun_ms >= LEAST_SPAN_MS)
        rows = int(label[np.argmax(enough)]) + 1 if enough.any() else len(at_ms)
        if self.terms.age_ms is None:
            self._note(labelled_at_ms[:rows] - at_ms[:rows])
            if not enough.any():
                return rows
            self.age_ms, self._delays = quantile_ms(self._delays), {}
        else:
            rows = 1
        self.first_ms = int(clock[rows])
        self._next = self.first_ms // self.pane_ms + 1
        return rows

    def _note(self, delay: Floats) -> None:
        buckets, counts = np.unique(bucket(delay[np.isfinite(delay)]), return_counts=True)
        for each, count in zip(buckets.tolist(), counts.tolist(), strict=True):
            self._delays[each] = self._delays.get(each, 0) + count

    def _count(self, clock: Ints, at_ms: Ints, delay: Floats) -> None:
        """Count rows [n] in their panes; one that the clock before a row has closed takes it no more."""
        pane, label = at_ms // self.pane_ms, np.isfinite(delay)
        is_open = pane >= np.maximum(self._next, self._closed(clock))
        self.unseen += int(np.count_nonzero(~is_open))
        predicted, in_time = is_open & ~label, is_open & label & (delay <= (self.age_ms or 0))
        for column, rows in enumerate((predicted, in_time)):
            panes, counts = np.unique(pane[rows], return_counts=True)
            for each, more in zip(panes.tolist(), counts.tolist(), strict=True):
                n, k = self._panes.get(each, (0, 0))
                self._panes[each] = (n, k + more) if column else (n + more, k)

    def _close(self) -> list[Change]:
        """Show the detector the panes that the clock has closed, in their order."""
        self._next = max(self._next, int(self._closed(np.array([self._clock_ms]))[0]))
        closed = sorted(pane for pane in self._panes if pane < self._next)
        counts = (self._panes.pop(pane) for pane in closed)
        late = [1 - min(k, n) / n for n, k in counts if n]  # without predictions there is no share
        return self.shift.update(np.array(late)) if late else []

    def _closed(self, clock_ms: Ints) -> Ints:
        """Return up to which pane, itself not among them, panes are judged at these times [n]."""
        found: Ints = (clock_ms - (self.age_ms or 0) - self.terms.grace_ms) // self.pane_ms
        return found


def bucket(delay_ms: Floats) -> Ints:
    """Return the bucket of each delay in ms [n]: those of one differ by less than 2 %, below a second not.

    >>> bucket(np.array([0.0, 999.0, 1_000.0, 3_600_000.0])).tolist()
    [0, 0, 0, 413]
    """
    found: Ints = np.floor(np.log(np.maximum(delay_ms, 1_000) / 1_000) / np.log(BUCKET)).astype(np.int64)
    return found


def quantile_ms(delays: Mapping[int, int]) -> int:
    """Return a delay in ms that the AGE_QUANTILE of counted ones does not pass: the end of its bucket.

    >>> quantile_ms({0: 89, 413: 11}), quantile_ms({0: 90, 413: 10})
    (3634721, 1020)
    """
    buckets = sorted(delays)
    reached = np.cumsum([delays[each] for each in buckets])
    place = int(np.searchsorted(reached, AGE_QUANTILE * reached[-1]))
    return round(1_000 * BUCKET ** (buckets[place] + 1))
