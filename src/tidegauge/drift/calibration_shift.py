"""A change of what scores mean, with a promised average run length: concept drift, whatever the scores do.

The e-detector of `error_shift` with other bets: on each label, against the mean that its own score had in the
reference. A bet on odds o times as great multiplies its capital by (1 + (o - 1) y) / (1 + (o - 1) p), the
likelihood ratio of a label y of 0 or 1, whose mean is at most 1 while that of y is at most p. So rows may
come with any scores in any proportion: evidence grows only where labels break with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.calibration_curve import Curve, Lines, learn
from tidegauge.drift.capital import play
from tidegauge.drift.detectors import E_SR
from tidegauge.drift.onset import Path, Trail
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]
How = Literal["more", "fewer", "flatter", "sharper"]

VERSION = 1
BLOCK = 10  # outcomes a step
ODDS = (1.28, 1.65, 2.72)  # changes of the odds bet on: logits of 1/4, 1/2 and 1
MIDDLE = 1  # the bet that dates a change
MOST_OWNED = 1e200
MOST = 1e30  # of a score that is a number
# Labels come more or less often than scores say; or they differ less than scores do, or more.
WAYS: tuple[How, ...] = ("more", "fewer", "flatter", "sharper")
BETS = len(WAYS) * len(ODDS)
_ABOVE = [0, 0, 1, 1]  # of each way: whether rows above the pivot tell of it, or all
_UP, _DOWN = np.array(ODDS)[:, None] - 1, 1 / np.array(ODDS)[:, None] - 1


class CalibrationTerms(NamedTuple):
    """What a detector is asked for."""

    reference: int = 1_000  # first outcomes, from which the meaning of scores is learned
    tolerance: float = 0.0  # difference of a label's mean that is nobody's business
    probability: bool = True  # scores are probabilities of `came`, not other numbers
    run_length: float | None = None  # outcomes


class Break(NamedTuple):
    """Labels that broke with their scores.

    Means are those of the most suspicious run that ends now, of the rows above the pivot where labels have
    become flatter or sharper.
    """

    seen: int  # outcomes since the detector's beginning, this one included
    how: How
    expected: float | None
    came: float | None


class _State(msgspec.Struct):
    version: int
    seen: int
    breaks: int
    last: Break | None
    took: int
    curve: Curve | None
    held: bytes  # of float32 [2, n]
    owned: list[float]
    paths: list[Path]


class CalibrationShift:
    """The detector of one version: what scores meant, what the bettors own, what was signalled so far.

    The same rows give the same breaks however they are cut into updates. About 0.2 us an outcome.

    >>> rng = np.random.default_rng(1)
    >>> scores = rng.random(3_000)
    >>> detector = CalibrationShift(CalibrationTerms(run_length=10_000))
    >>> detector.update(scores, (rng.random(3_000) < scores).astype(float))
    []
    >>> detector.update(scores[:500], (rng.random(500) < scores[:500] / 2).astype(float))[0].how
    'fewer'
    """

    name = E_SR

    def __init__(self, terms: CalibrationTerms) -> None:
        self.terms = terms
        self.seen = 0  # outcomes
        self.breaks = 0
        self.last: Break | None = None
        self.took = 0  # outcomes from the change, as dated, or the alarm before, to the last alarm
        self.run_length = terms.run_length  # outcomes; may be set anew between updates
        self._lines: Lines | None = None
        # Scores and labels [2, n]: the reference while it is learned, then less than a block.
        self._held = np.zeros((2, 0), np.float32)
        self._owned = [0.0] * BETS
        self._paths = [Path() for _ in WAYS]

    @property
    def curve(self) -> Curve | None:
        """What scores have meant; None while that is learned."""
        return self._lines.curve if self._lines else None

    def update(self, scores: Floats, came: Floats) -> list[Break]:
        """Take finite scores [n] and labels [n] between 0 and 1 in order; return the breaks among them.

        Scores count with the precision of float32, those beyond MOST as that.
        """
        rows = np.stack((np.clip(scores, -MOST, MOST), came)).astype(np.float32)
        learned = self._learn(rows) if self._lines is None else 0
        self.seen += learned
        return self._bet(rows[:, learned:], self._lines) if self._lines else []

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `load` reads back."""
        counts = self.seen, self.breaks, self.last, self.took
        kept = self._held.tobytes(), self._owned, self._paths
        state = _State(VERSION, *counts, self.curve, *kept)
        plain: dict[str, Any] = msgspec.to_builtins(state, builtin_types=(bytes,))
        return plain

    @classmethod
    def load(cls, state: Mapping[str, Any], terms: CalibrationTerms) -> CalibrationShift:
        """Return the detector that `dump` wrote; raises SnapshotError where it is something else."""
        try:
            read = msgspec.convert(state, _State)
            held = np.frombuffer(read.held, np.float32).reshape(2, -1)
        except ValueError as error:
            raise SnapshotError(f"calibration: {error}") from error
        if read.version != VERSION or len(read.owned) != BETS or len(read.paths) != len(WAYS):
            raise SnapshotError(f"calibration: expected version {VERSION}, got {read.version}")
        found = cls(terms)
        found.seen, found.breaks, found.last, found.took = read.seen, read.breaks, read.last, read.took
        found._lines = Lines(read.curve) if read.curve else None
        found._held = held
        found._owned, found._paths = read.owned, read.paths
        return found

    def _learn(self, rows: Rows) -> int:
        """Return how many of the rows belong to the reference; with the last of them its curve is frozen."""
        count = max(min(int(rows.shape[1]), self.terms.reference - int(self._held.shape[1])), 0)
        self._held = np.concatenate((self._held, rows[:, :count]), axis=1)
        if self._held.shape[1] >= self.terms.reference:
            scores, came = self._held.astype(np.float64)
            self._lines = Lines(learn(scores, came, self.terms.probability))
            self._held = self._held[:, :0].copy()
            self._paths = [Path(outcomes=self.terms.reference) for _ in WAYS]
        return count

    def _bet(self, rows: Rows, lines: Lines) -> list[Break]:
        before = self.seen - self._held.shape[1]
        self.seen += rows.shape[1]
        rows = np.concatenate((self._held, rows), axis=1)
        whole = rows.shape[1] // BLOCK * BLOCK
        self._held = rows[:, whole:].copy()
        if not whole:
            return []
        scores, came = rows[:, :whole].astype(np.float64)
        earned, sums = step_earnings(lines, scores, came, self.terms)
        trail = Trail(self._paths, np.log(earned[:, MIDDLE :: len(ODDS)]), sums, before, BLOCK)
        enough = (self.run_length or MOST_OWNED) / BLOCK * BETS
        found = []
        for part in play(self._owned, earned, np.ones(len(earned)), enough):
            self._owned = part.owned
            if part.alarm:
                found.append(self._broken(trail, part.end))
        self._paths = trail.end()
        return found

    def _broken(self, trail: Trail, step: int) -> Break:
        size = len(ODDS)
        shares = [sum(self._owned[way * size : (way + 1) * size]) for way in range(len(WAYS))]
        way = max(range(len(WAYS)), key=shares.__getitem__)
        outcomes, (rows, expected, came) = trail.since(way, step)
        seen = trail.before + step * BLOCK
        self.breaks += 1
        self.took = min(outcomes, seen - self.last.seen) if self.last else outcomes
        known = rows > 0
        self.last = Break(seen, WAYS[way], expected / rows if known else None, came / rows if known else None)
        self._owned = [0.0] * BETS
        return self.last


def step_earnings(
    lines: Lines, scores: Floats, came: Floats, terms: CalibrationTerms
) -> tuple[Floats, Floats]:
    """Return what bets earn [steps, BETS] on rows [steps * BLOCK], and sums of the rows [steps, WAYS, 3].

    Sums are of rows, of expected and of actual labels that the curve knows: all of them, for flatter and
    sharper those above the pivot.
    """
    found = lines.expect(scores, terms.probability, terms.tolerance)
    up = _earned(came, found.high, _UP, found.known)
    down = _earned(came, found.low, _DOWN, found.known)
    ways = (up, down, np.where(found.upper, down, up), np.where(found.upper, up, down))
    earned = _folded(np.concatenate(ways), np.multiply)
    known = found.known.astype(np.float64)
    rows: Floats = np.stack((known, found.mean * known, came * known))
    sums = _folded(np.concatenate((rows, rows * found.upper)), np.add).reshape(2, len(rows), -1)
    return np.power(earned, 1 / lines.curve.inflation).T, sums[_ABOVE].transpose(2, 0, 1)


def _earned(came: Floats, mean: Floats, more: Floats, known: NDArray[np.bool_]) -> Floats:
    """Return what bets earn on labels [n] against means [n]: [odds, n], with `more` = odds - 1."""
    found: Floats = (1 + more * (came * known)) / (1 + more * (mean * known))
    return found


def _folded(rows: Floats, fold: np.ufunc) -> Floats:
    """Return rows [m, steps * BLOCK] folded by steps [m, steps], in one order however many there are."""
    by_place = np.ascontiguousarray(rows.reshape(-1, BLOCK).T)
    found: Floats = fold.reduce(by_place, axis=0)  # across rows of memory: place by place
    return found.reshape(len(rows), -1)
