"""What goes wrong on the way: who sends twice, corrects, forgets, comes early, late or broken.

A plan is a table of messages without their bytes, so that a stream of millions stays small.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tidegauge.simulate.spoil import KINDS

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SOUND = -1
NEVER = -1  # labelled_at_ms of a row that no one labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Mischief:
    """Shares of the rows that meet each defect; a row meets at most one of the label defects."""

    duplicate_predictions: float = 0.01
    duplicate_labels: float = 0.01
    corrections: float = 0.01  # a wrong label first, the right one later
    stale: float = 0.002  # corrected, then the wrong label is sent again
    missing: float = 0.02  # never labelled, beyond those that nobody could label
    beyond_horizon: float = 0.002  # labelled, but too late to count
    orphans: float = 0.002  # labels of predictions that do not exist
    label_first: float = 0.01  # the prediction's message comes after its label's
    broken: float = 0.003  # of each side, beside the sound message


@dataclass(frozen=True, slots=True)
class Plan:
    """Columns [messages], sorted by `time_ms`."""

    time_ms: Ints  # of the record
    row: Ints  # of the source
    label: Flags  # the side: a label, not a prediction
    labelled_at_ms: Ints  # of labels
    wrong: Flags  # a label to be corrected later
    orphan: Flags  # a label under an id that no prediction has
    spoil: Ints  # index into spoil.KINDS, or SOUND

    def __len__(self) -> int:
        return len(self.time_ms)

    def take(self, where: Ints | Flags | slice) -> Plan:
        """Return the messages at `where`, in that order."""
        return Plan(*(getattr(self, field.name)[where] for field in fields(self)))


def draw(
    predicted_at_ms: Ints,
    labelled_at_ms: Ints,
    latency_ms: Ints,
    horizon_ms: int,
    mischief: Mischief,
    seed: int,
) -> Plan:
    """Return the messages about the rows [rows]: the same for the same arguments.

    `labelled_at_ms` is NEVER where no label exists; `latency_ms` is from a prediction to its record.
    What comes again or is corrected comes within a small part of the horizon (of 7 days: in ten
    minutes, in ten minutes to five hours), and what comes too late does so by less than a tenth of it.
    """
    random = np.random.default_rng(seed)
    rows = np.arange(len(predicted_at_ms))

    def some(share: float) -> Flags:
        return random.random(len(rows)) < share

    def later(least: float, most: float) -> Ints:
        return random.integers(int(horizon_ms * least) + 1, int(horizon_ms * most) + 2, len(rows))

    fate = _fates(random, mischief, labelled_at_ms)
    labelled = labelled_at_ms != NEVER
    on_time = np.isin(fate, (_PLAIN, _CORRECTED, _STALE))
    corrected = np.isin(fate, (_CORRECTED, _STALE))
    right_at_ms = labelled_at_ms + np.where(corrected, later(0.001, 0.03), 0)
    beyond_ms = predicted_at_ms + horizon_ms + later(0.0005, 0.07)
    sent_ms = predicted_at_ms + latency_ms
    held_back = some(mischief.label_first) & labelled & on_time
    sent_ms = np.where(held_back, labelled_at_ms + later(0.0001, 0.001), sent_ms)
    again_ms = later(0, 0.001)

    def predictions(where: Flags, time_ms: Ints, spoil: int | Ints = SOUND) -> Plan:
        return _messages(rows[where], time_ms[where], False, time_ms[where], spoil=spoil)

    def labels(where: Flags, at_ms: Ints, time_ms: Ints, **kinds: bool | int | Ints) -> Plan:
        return _messages(rows[where], time_ms[where], True, at_ms[where], **kinds)

    broken_predictions, broken_labels = some(mischief.broken), some(mischief.broken) & labelled
    parts = (
        predictions(rows >= 0, sent_ms),
        predictions(some(mischief.duplicate_predictions), sent_ms + again_ms),
        predictions(broken_predictions, sent_ms, spoil=_kinds(random, broken_predictions)),
        labels(on_time & labelled, right_at_ms, right_at_ms),
        labels(corrected, labelled_at_ms, labelled_at_ms, wrong=True),
        labels(fate == _STALE, labelled_at_ms, right_at_ms + again_ms, wrong=True),
        labels(fate == _BEYOND, beyond_ms, beyond_ms),
        labels(some(mischief.duplicate_labels) & on_time & labelled, right_at_ms, right_at_ms + again_ms),
        labels(broken_labels, labelled_at_ms, labelled_at_ms, spoil=_kinds(random, broken_labels)),
        labels(some(mischief.orphans) & labelled, labelled_at_ms, labelled_at_ms, orphan=True),
    )
    return merge(parts)


def merge(parts: tuple[Plan, ...] | list[Plan]) -> Plan:
    """Return the messages of all parts by time; equal times keep the order of the parts."""
    whole = Plan(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Plan)))
    return whole.take(np.argsort(whole.time_ms, kind="stable"))


_PLAIN, _CORRECTED, _STALE, _MISSING, _BEYOND = range(5)


def _fates(random: np.random.Generator, mischief: Mischief, labelled_at_ms: Ints) -> Ints:
    """Return what happens to each row's label; rows without one are missing."""
    shares = (mischief.corrections, mischief.stale, mischief.missing, mischief.beyond_horizon)
    edges = np.cumsum((1 - sum(shares), *shares))[:-1]
    fate = np.searchsorted(edges, random.random(len(labelled_at_ms)), side="right")
    return np.where(labelled_at_ms == NEVER, _MISSING, fate)


def _kinds(random: np.random.Generator, where: Flags) -> Ints:
    return random.integers(0, len(KINDS), int(where.sum()))


def _messages(
    row: Ints,
    time_ms: Ints,
    label: bool,
    labelled_at_ms: Ints,
    wrong: bool | int | Ints = False,
    orphan: bool | int | Ints = False,
    spoil: bool | int | Ints = SOUND,
) -> Plan:
    def column(value: bool | int | Ints, dtype: type) -> NDArray[np.generic]:
        return np.broadcast_to(np.asarray(value, dtype), row.shape)

    flags = (column(value, np.bool_) for value in (label, wrong, orphan))
    is_label, is_wrong, is_orphan = flags
    return Plan(time_ms, row, is_label, labelled_at_ms, is_wrong, is_orphan, column(spoil, np.int64))  # type: ignore[arg-type]
