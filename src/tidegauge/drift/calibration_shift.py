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
from tidegauge.drift.detectors import E_SR
from tidegauge.drift.onset import Path, Trail
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]
How = Literal["more", "fewer", "flatter", "sharper"]

VERSION = 1
BLOCK = 10  # outcomes a step
ODDS = (1.28, 1.65, 2.72)  # changes of the odds bet on: logits of 1/4, 1/2 and 1
MIDDLE = 1  # the bet that dates a change
MOST_OWNED = 1e200
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
    scores: list[float]
    came: list[float]
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
        self._scores: list[float] = []  # the reference while it is learned, then less than a block
        self._came: list[float] = []
        self._owned = [0.0] * BETS
        self._paths = [Path() for _ in WAYS]

    @property
    def curve(self) -> Curve | None:
        """What scores have meant; None while that is learned."""
        return self._lines.curve if self._lines else None

    def update(self, scores: Floats, came: Floats) -> list[Break]:
        """Take finite scores [n] and labels [n] between 0 and 1 in order; return the breaks among them."""
        learned = self._learn(scores, came) if self._lines is None else 0
        self.seen += learned
        return self._bet(scores[learned:], came[learned:], self._lines) if self._lines else []

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `load` reads back."""
        counts = self.seen, self.breaks, self.last, self.took
        kept = self._scores, self._came, self._owned, self._paths
        plain: dict[str, Any] = msgspec.to_builtins(_State(VERSION, *counts, self.curve, *kept))
        return plain

    @classmethod
    def load(cls, state: Mapping[str, Any], terms: CalibrationTerms) -> CalibrationShift:
        """Return the detector that `dump` wrote; raises SnapshotError where it is something else."""
        try:
            read = msgspec.convert(state, _State)
        except msgspec.ValidationError as error:
            raise SnapshotError(f"calibration: {error}") from error
        if read.version != VERSION or len(read.owned) != BETS or len(read.paths) != len(WAYS):
            raise SnapshotError(f"calibration: expected version {VERSION}, got {read.version}")
        found = cls(terms)
        found.seen, found.breaks, found.last, found.took = read.seen, read.breaks, read.last, read.took
        found._lines = Lines(read.curve) if read.curve else None
        found._scores, found._came = read.scores, read.came
        found._owned, found._paths = read.owned, read.paths
        return found

    def _learn(self, scores: Floats, came: Floats) -> int:
        """Return how many of the rows belong to the reference; with the last of them its curve is frozen."""
        count = max(min(len(scores), self.terms.reference - len(self._scores)), 0)
        self._scores += scores[:count].tolist()
        self._came += came[:count].tolist()
        if len(self._scores) >= self.terms.reference:
            curve = learn(np.array(self._scores), np.array(self._came), self.terms.probability)
            self._lines = Lines(curve)
            self._scores, self._came = [], []
            self._paths = [Path(outcomes=self.terms.reference) for _ in WAYS]
        return count

    def _bet(self, scores: Floats, came: Floats, lines: Lines) -> list[Break]:
        held = len(self._scores)
        if held:
            scores, came = np.concatenate((self._scores, scores)), np.concatenate((self._came, came))
        count = len(scores) // BLOCK
        whole = count * BLOCK
        before = self.seen - held
        self._scores, self._came = scores[whole:].tolist(), came[whole:].tolist()
        self.seen = before + len(scores)
        if not count:
            return []
        earned, sums = step_earnings(lines, scores[:whole], came[:whole], self.terms)
        trail = Trail(self._paths, np.log(earned[:, MIDDLE :: len(ODDS)]), sums, before, BLOCK)
        alarm_at = (self.run_length or MOST_OWNED) / BLOCK * BETS
        found = []
        for index, gains in enumerate(earned.tolist()):
            self._owned = [gain * (1.0 + owned) for gain, owned in zip(gains, self._owned, strict=True)]
            if sum(self._owned) >= alarm_at:
                found.append(self._broken(trail, index + 1))
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
    blocks = rows.reshape(len(rows), -1, BLOCK)
    found = blocks[..., 0].copy()
    for place in range(1, BLOCK):
        fold(found, blocks[..., place], out=found)
    return found
