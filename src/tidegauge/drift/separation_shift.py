"""A fall of how well scores separate two classes, with a promised average run length.

The e-detector of `error_shift` on the area under the ROC curve. A step takes rows until it has CLASS of each
class. Its positives have placement values among the negatives of their own step, not among those of the
reference: so their mean is the area whatever scores have come to be, and all that is conceded is what the
reference's area may be wrong by. Each positive is laid beside another group of negatives, in every rotation;
the product of bets on the pairs of one rotation is fair, so is the mean over rotations, and it is steadier.
Where positives are the many, it is negatives that are laid beside groups of them.

How long a step takes depends on the labels alone. It brings as many new bettors as it has outcomes, so the
run length is one in outcomes though the share of the classes changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.drift import bets
from tidegauge.drift.capital import play
from tidegauge.drift.detectors import E_SR
from tidegauge.drift.onset import MOST_OWNED, Run
from tidegauge.drift.placement import Separation, learn
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = NDArray[np.float32]

VERSION = 1
CLASS = 5  # rows of the rarer class a step; its rotations
MOST_GROUP = 8  # rows of the other class beside one of the rarer: the last ones, more tell little more
LEAST_EACH = 20  # rows of each class in a reference
MIDDLE = len(bets.ODDS) // 2  # the bet that dates a change
MOST = 1e30  # of a score
_GROUP = np.array([0, 1, 2, 2, 4, 4, 4, 4, MOST_GROUP])  # powers of 2, so that all groups are as long


class SeparationTerms(NamedTuple):
    """What a detector is asked for."""

    reference: int = 1_000  # first outcomes, more where these have not LEAST_EACH of each class
    tolerance: float = 0.0  # fall of the area that is nobody's business
    run_length: float | None = None  # outcomes


class Fall(NamedTuple):
    """An alarm: the area in the reference, and in the most suspicious run that ends now."""

    seen: int  # outcomes since the detector's beginning, this one included
    before: float
    after: float | None


class Steps(NamedTuple):
    """Where the steps among rows end."""

    end: Ints  # [steps] rows up to there
    many: Ints  # [steps] rows of the class that there are more of, in the step
    last: Ints  # [steps, 2] positives and negatives up to there
    up: NDArray[np.bool_]  # [steps] there are more negatives


class _State(msgspec.Struct):
    version: int
    seen: int
    falls: int
    last: Fall | None
    took: int
    reference: Separation | None
    held: bytes  # of float32 [2, n]
    waited: int
    owned: list[float]
    run: Run


class SeparationShift:
    """The detector of one version: what its area was, what the bettors own, what was signalled so far.

    The same rows give the same falls however they are cut into updates. About 0.4 us an outcome.

    >>> rng = np.random.default_rng(1)
    >>> came = rng.random(4_000) < 0.3
    >>> detector = SeparationShift(SeparationTerms(run_length=10_000))
    >>> detector.update(rng.normal(2.0 * came), came)
    []
    >>> fall = detector.update(rng.normal(0.5 * came), came)[0]
    >>> fall.seen - 4_000 < 200, round(fall.before, 2)
    (True, 0.92)
    """

    name = E_SR

    def __init__(self, terms: SeparationTerms) -> None:
        self.terms = terms
        self.seen = 0  # outcomes
        self.falls = 0
        self.last: Fall | None = None
        self.took = 0  # outcomes from the change, as dated, or the alarm before, to the last alarm
        self.run_length = terms.run_length  # outcomes; may be set anew between updates
        self.reference: Separation | None = None
        # Scores and labels [2, n]: the reference while it is learned, then what may count in the next step.
        self._held = np.zeros((2, 0), np.float32)
        self._waited = 0  # outcomes since the last step
        self._owned = [0.0] * len(bets.ODDS)
        self._run = Run()

    def update(self, scores: Floats, came: NDArray[Any]) -> list[Fall]:
        """Take finite scores [n] and labels [n], 0 or 1, in order; return the falls among them.

        Scores count with the precision of float32, those beyond MOST as that.
        """
        rows = np.stack((np.clip(scores, -MOST, MOST), came)).astype(np.float32)
        learned = self._learn(rows) if self.reference is None else 0
        self.seen += learned
        return self._bet(rows[:, learned:], self.reference) if self.reference else []

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `load` reads back."""
        counts = self.seen, self.falls, self.last, self.took
        kept = self._held.tobytes(), self._waited, self._owned, self._run
        state = _State(VERSION, *counts, self.reference, *kept)
        plain: dict[str, Any] = msgspec.to_builtins(state, builtin_types=(bytes,))
        return plain

    @classmethod
    def load(cls, state: Mapping[str, Any], terms: SeparationTerms) -> SeparationShift:
        """Return the detector that `dump` wrote; raises SnapshotError where it is something else."""
        try:
            read = msgspec.convert(state, _State)
            held = np.frombuffer(read.held, np.float32).reshape(2, -1)
        except ValueError as error:
            raise SnapshotError(f"separation: {error}") from error
        if read.version != VERSION or len(read.owned) != len(bets.ODDS):
            raise SnapshotError(f"separation: expected version {VERSION}, got {read.version}")
        found = cls(terms)
        found.seen, found.falls, found.last, found.took = read.seen, read.falls, read.last, read.took
        found.reference, found._held, found._waited = read.reference, held, read.waited
        found._owned, found._run = read.owned, read.run
        return found

    def _learn(self, rows: Rows) -> int:
        """Return how many of the rows belong to the reference; with the last of them it is frozen.

        Of a class that goes on while the other is awaited, as many rows are kept as the reference has.
        """
        before = self._held.shape[1]
        rows = np.concatenate((self._held, rows), axis=1)
        came = rows[1] > 0
        each = np.where(came, np.cumsum(came), np.cumsum(~came))
        enough = np.minimum(np.cumsum(came), np.cumsum(~came)) >= LEAST_EACH
        enough &= self.seen + np.arange(1 - before, len(came) - before + 1) >= self.terms.reference
        count = int(np.argmax(enough)) + 1 if enough.any() else len(came)
        self._held = rows[:, :count][:, each[:count] <= max(self.terms.reference, LEAST_EACH)]
        if enough.any():
            self.reference = learn(self._held[0].astype(np.float64), self._held[1] > 0, self.terms.tolerance)
            self._held = self._held[:, :0].copy()
        return count - before

    def _bet(self, rows: Rows, reference: Separation) -> list[Fall]:
        before = self.seen - self._held.shape[1]
        self.seen += rows.shape[1]
        rows = np.concatenate((self._held, rows), axis=1)
        steps = find_steps(rows[1] > 0)
        lasted = np.diff(steps.end, prepend=self._held.shape[1] - self._waited)
        whole = int(steps.end[-1]) if len(steps.end) else 0
        self._waited = rows.shape[1] - whole if whole else self._waited + rows.shape[1] - self._held.shape[1]
        self._held = _latest(rows[:, whole:])
        beside = side_by_side(rows, steps)
        areas = (beside.sum(axis=(1, 2)) / CLASS**2 * lasted).tolist()  # exact in any order but the last
        earned, outcomes = step_earnings(beside, reference), lasted.tolist()
        dated, enough = earned[:, MIDDLE].tolist(), (self.run_length or MOST_OWNED) * len(self._owned)
        found = []
        for part in play(self._owned, earned, lasted.astype(np.float64), enough):
            taken = slice(part.start, part.end)
            self._run = self._run.through(dated[taken], areas[taken], outcomes[taken])
            self._owned = part.owned
            if part.alarm:
                found.append(self._fallen(before + int(steps.end[part.end - 1]), reference.auc))
        return found

    def _fallen(self, seen: int, before: float) -> Fall:
        run = self._run
        self.falls += 1
        self.took = min(run.n, seen - self.last.seen) if self.last else run.n
        self.last = Fall(seen, before, run.total / run.n if run.n else None)
        self._owned = [0.0] * len(self._owned)
        return self.last


def find_steps(came: NDArray[np.bool_]) -> Steps:
    """Return the steps among labels [n]: each ends where it has CLASS of both classes.

    >>> find_steps(np.tile([True, False, False], 10)).end.tolist()
    [13, 28]
    """
    positives, negatives = (np.flatnonzero(which).tolist() for which in (came, ~came))
    up_to, down_to = (np.cumsum(which).tolist() for which in (came, ~came))
    up, down, ends = 0, 0, []
    while up + CLASS <= len(positives) and down + CLASS <= len(negatives):
        end = max(positives[up + CLASS - 1], negatives[down + CLASS - 1])
        up, down = up_to[end], down_to[end]
        ends.append(end)
    rows = np.array(ends, np.int64) + 1
    positive = np.cumsum(came)[rows - 1]
    last: Ints = np.stack((positive, rows - positive), axis=1)
    sizes = np.diff(last, axis=0, prepend=0)
    return Steps(rows, sizes.max(axis=1, initial=0), last, sizes[:, 1] >= sizes[:, 0])


def side_by_side(rows: Rows, steps: Steps) -> Floats:
    """Return how often positives lie above negatives [steps, CLASS, CLASS], ties by halves.

    Of each row of the rarer class beside each group of the other: the last ones of the step, as many in a
    group as there are, up to MOST_GROUP.
    """
    came = rows[1] > 0
    scores = np.concatenate((rows[0, came], rows[0, ~came]))
    ends = steps.last + np.array([0, int(came.sum())])
    rarer, other = np.where(steps.up[:, None], ends, ends[:, ::-1]).T
    size = _GROUP[np.minimum(steps.many // CLASS, MOST_GROUP)][:, None, None]
    group, place = np.arange(CLASS)[:, None], np.arange(MOST_GROUP)
    one = scores[rarer[:, None] - CLASS + np.arange(CLASS)][:, :, None, None]
    many = scores[other[:, None, None] - (CLASS - group) * size + place % size][:, None]
    twice = np.count_nonzero(one > many, axis=3) + np.count_nonzero(one >= many, axis=3)
    above: Floats = twice / (2 * MOST_GROUP)
    return np.where(steps.up[:, None, None], above, 1 - above)


def step_earnings(beside: Floats, reference: Separation) -> Floats:
    """Return what bets earn [steps, bets] on `side_by_side` [steps, CLASS, CLASS]: the mean of rotations."""
    place, turn = np.arange(CLASS)[:, None], np.arange(CLASS)
    value = beside.transpose(1, 2, 0)[place, (place + turn) % CLASS, :, None]  # [pairs, rotations, steps, 1]
    earned = 1 + np.array(reference.stakes) * (value - reference.low)
    total: Floats = earned.prod(axis=0).sum(axis=0)
    return np.power(total / CLASS, 1 / reference.inflation)


def _latest(rows: Rows) -> Rows:
    """Return the rows that may count in a step: of each class the latest that fill its groups."""
    came = rows[1, ::-1] > 0
    back = np.where(came, np.cumsum(came), np.cumsum(~came))[::-1]
    return rows[:, back <= CLASS * MOST_GROUP].copy()
