"""A rise of the error against the baseline of healthy outcomes, with a promised average run length.

The e-detector of Shiryaev-Roberts type (Shin, Ramdas and Rinaldo 2024): at every step a new bettor starts
with capital 1 against "the mean is at most m", and the evidence is what all of them own together. While that
is true the sum grows by at most 1 a step on average, so it takes A steps or more on average to own A: an
alarm at A has an average run length of A or more, whatever the law of the values. Steps are blocks of BLOCK
outcomes, so nothing depends on how the outcomes are cut into updates.

Where the probability of any false alarm, ever, is promised instead, new bettors start with less and less,
with 1 in all. The expectation of what they own is at most 1 then at every time, so the probability that it
ever comes to 1 / alpha is at most alpha (Ville 1939), and that alarm is the only one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.drift import bets
from tidegauge.drift.capital import play
from tidegauge.drift.detectors import E_SR, Change
from tidegauge.drift.error_baseline import Baseline, Learning, Terms, learn, settle, step_earnings
from tidegauge.drift.onset import MOST_OWNED, Run
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]

NAME = E_SR
VERSION = 2
READ_VERSIONS = (1, 2)  # 1: the baseline was that of the reference for good
BLOCK = 5  # outcomes a step: single ones would find a doubled error 5 % sooner, at four times the cost
MIDDLE = len(bets.ODDS) // 2  # the bet that dates a change


def newcomers(first: int, count: int, terms: Terms) -> Floats:
    """Return what new bettors start with in steps [count] from `first` on, counted from 0.

    1 for a run length. For a probability 1 / (1 + log2(t)) - 1 / (1 + log2(t + 1)) in the t-th step from 1
    on, whose sum is 1: half of it at once, later about 1.4 / (t log2(t)^2), so that late changes are found.

    >>> newcomers(0, 3, Terms(ever=0.05)).round(3).tolist()
    [0.5, 0.113, 0.054]
    """
    if terms.ever is None:
        return np.ones(count)
    left: Floats = 1 / (1 + np.log2(np.arange(first + 1, first + count + 2)))
    return left[:-1] - left[1:]


class _State(msgspec.Struct):
    version: int
    seen: int
    changes: int
    last: Change | None
    took: int
    baseline: Baseline | None
    held: list[float]
    owned: list[float]
    runs: list[Run]
    ever: float | None = None  # what was promised; evidence for one promise is none for another
    learning: Learning | None = None


class ErrorShift:
    """The detector of one series: what it learned, owns and has signalled so far.

    The same values give the same changes however they are cut into updates. About 0.3 us an outcome.

    >>> detector = ErrorShift(Terms(reference=0, mean=0.1, run_length=10_000))
    >>> [(change.seen, change.worse) for change in detector.update(np.repeat([0.0, 1.0], [200, 20]))]
    [(210, True), (220, True)]
    """

    name = NAME

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.seen = 0  # values
        self.changes = 0
        self.last: Change | None = None
        self.took = 0  # outcomes from the change, as dated, or the alarm before, to the last alarm
        self.run_length = terms.run_length  # outcomes; may be set anew between updates
        self.baseline: Baseline | None = None
        self._held: list[float] = []  # the reference while it is learned, then less than a block
        self._owned: list[float] = []
        self._runs: list[Run] = []
        self._learning: Learning | None = None  # of a baseline that is learned on
        if terms.mean is not None and not terms.reference:
            self._start(learn(np.empty(0), terms))

    @property
    def final(self) -> bool:
        """Whether there was the one alarm that a probability allows."""
        return self.terms.ever is not None and self.changes > 0

    def update(self, values: Floats) -> list[Change]:
        """Take losses [n] between 0 and 1 in order; return the changes signalled among them.

        Raises ValueError where there are others.
        """
        if len(values) and not (values.min() >= 0 and values.max() <= 1):
            raise ValueError(f"{NAME}: expected losses from 0 to 1, got {values.min()} to {values.max()}")
        learned = self._learn(values) if self.baseline is None else 0
        self.seen += learned
        found = self._bet(values[learned:], self.baseline) if self.baseline else []
        return [change._replace(at=change.at + learned) for change in found]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `load` reads back."""
        counts = self.seen, self.changes, self.last, self.took
        state = _State(VERSION, *counts, self.baseline, self._held, self._owned, self._runs, self.terms.ever)
        state.learning = self._learning
        plain: dict[str, Any] = msgspec.to_builtins(state)
        return plain

    @classmethod
    def load(cls, state: Mapping[str, Any], terms: Terms) -> ErrorShift:
        """Return the detector that `dump` wrote; raises SnapshotError where it is something else."""
        try:
            read = msgspec.convert(state, _State)
        except msgspec.ValidationError as error:
            raise SnapshotError(f"{NAME}: {error}") from error
        if read.version not in READ_VERSIONS:
            expected = " or ".join(map(str, READ_VERSIONS))
            raise SnapshotError(f"{NAME}: expected version {expected}, got {read.version}")
        if read.ever != terms.ever:
            raise SnapshotError(f"{NAME}: expected evidence for {terms.ever}, got {read.ever}")
        detector = cls(terms)
        detector.seen, detector.changes, detector.last, detector.took = (
            read.seen,
            read.changes,
            read.last,
            read.took,
        )
        detector.baseline, detector._held = read.baseline, read.held
        detector._owned, detector._runs = read.owned, read.runs
        detector._learning = read.learning
        return detector

    def _learn(self, values: Floats) -> int:
        """Return how many of the values belong to the reference; with the last of them it is frozen."""
        count = min(len(values), self.terms.reference - len(self._held))
        self._held += values[:count].tolist()
        if len(self._held) == self.terms.reference:
            reference = np.array(self._held)
            self._start(learn(reference, self.terms))
            self._learning = Learning.after(reference) if self.terms.learns_on else None
        return count

    def _start(self, baseline: Baseline) -> None:
        self.baseline, self._held = baseline, []
        self._owned = [0.0] * len(baseline.stakes)
        self._runs = [Run() for _ in range(len(baseline.stakes) // len(bets.ODDS))]

    def _bet(self, values: Floats, baseline: Baseline) -> list[Change]:
        held = len(self._held)
        values = np.concatenate((self._held, values)) if held else values
        count = len(values) // BLOCK
        blocks = values[: count * BLOCK].reshape(count, BLOCK)
        before = self.seen - held
        self._held = values[count * BLOCK :].tolist()
        self.seen = before + len(values)
        first = (before - self.terms.reference) // BLOCK
        found, start = [], 0
        while start < count:
            part = blocks[start : start + self._until_learned(count - start)]
            for end in self._play(part, baseline, first + start):
                at = (start + end) * BLOCK
                found.append(self._changed(at - held - 1, before + at, baseline.mean))
            baseline = self._sharpen(part, baseline)
            start += len(part)
        self.baseline = baseline
        return found

    def _until_learned(self, most: int) -> int:
        """Return how many of at most so many blocks meet the baseline as it is."""
        lacking = self._learning.lacking if self._learning else None
        return most if lacking is None else min(most, -(-lacking // BLOCK))

    def _play(self, blocks: Floats, baseline: Baseline, first: int) -> Iterator[int]:
        """Let all bettors bet on blocks, from step `first` on; yield after how many there was an alarm."""
        if self.final:
            return
        enough = (self.terms.evidence or (self.run_length or MOST_OWNED) / BLOCK) * len(baseline.stakes)
        earned = step_earnings(
            blocks, np.array(baseline.means), np.array(baseline.stakes), baseline.inflation
        )
        totals, outcomes = _totals(blocks), [BLOCK] * len(blocks)
        dated = earned[:, MIDDLE :: len(bets.ODDS)].T.tolist()
        for part in play(self._owned, earned, newcomers(first, len(blocks), self.terms), enough):
            steps = slice(part.start, part.end)
            self._runs = [
                run.through(gains[steps], totals[steps], outcomes[steps])
                for run, gains in zip(self._runs, dated, strict=True)
            ]
            self._owned = part.owned
            if part.alarm:
                yield part.end
                if self.final:
                    return

    def _sharpen(self, blocks: Floats, baseline: Baseline) -> Baseline:
        """Return the baseline after blocks, which may end a batch of learning."""
        learning = self._learning
        lacking = learning.lacking if learning else None
        if learning is None or lacking is None:
            return baseline
        batch = learning.batch.taking(blocks)
        if lacking > blocks.size:
            self._learning = msgspec.structs.replace(learning, batch=batch)
            return baseline
        self._learning = learning.closed(batch)
        return settle(self._learning, self.terms)

    def _changed(self, at: int, seen: int, before: float) -> Change:
        worse = 2 * sum(self._owned[: len(bets.ODDS)]) >= sum(self._owned)
        run = self._runs[0 if worse else -1]
        self.changes += 1
        self.took = min(run.n, seen - self.last.seen) if self.last else run.n
        self.last = Change(at, seen, worse, before, run.total / run.n if run.n else None)
        self._owned = [0.0] * len(self._owned)
        return self.last


def _totals(blocks: Floats) -> list[float]:
    """Return the sums of blocks, added in one order however many there are."""
    summed: list[float] = np.add.accumulate(blocks, axis=1)[:, -1].tolist()
    return summed
