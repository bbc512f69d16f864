"""What an outcome says, as a number: the same label, weight and KPIs say the same.

Needed where the join's window lost writes and emits outcomes again: a monitor then counts those that
it has not counted, whatever event completed them this time.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import NO_TEXT, Block, Floats, OutcomeRows
from tidegauge.windows import RecentTable

Hashes = NDArray[np.uint64]
Marks = NDArray[np.bool_]

_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: neighbours end far apart


def statements(block: Block) -> Hashes:
    """Return a hash of label, weight and KPIs of each outcome row [n]; the same in every block."""
    rows = block.outcomes
    said = (_bits(rows.label_number) + _sets(block)) * _SPREAD
    is_text = rows.label_text != NO_TEXT
    for code in np.unique(rows.label_text[is_text]).tolist() if is_text.any() else ():
        said[rows.label_text == code] += np.uint64(zlib.crc32(block.strings[code].encode()) + 1)
    said = (said ^ _bits(rows.weight)) * _SPREAD
    for layout, where, values in rows.kpis.groups():
        for column, name in enumerate(layout.names):
            salt = np.uint64(zlib.crc32(name.encode()))
            said[where] += (_bits(values[:, column]) ^ salt) * _SPREAD
    return said


def _sets(block: Block) -> Hashes:
    """Return a hash of the relevant items and their gains of each row [n], whatever their order."""
    lists, count = block.outcomes.relevant, len(block.outcomes.offset)
    known, sizes = lists.counts(count)
    found = known.astype(np.uint64)
    if len(lists.items):
        used, place = np.unique(lists.items, return_inverse=True)
        words = [zlib.crc32(block.strings[code].encode()) for code in used.tolist()]
        gains = lists.gains if len(lists.gains) else np.ones(len(lists.items))
        terms = ((np.array(words, np.uint64)[place] + np.uint64(1)) * _SPREAD ^ _bits(gains)) * _SPREAD
        np.add.at(found, np.repeat(np.arange(count), sizes), terms)
    return found


class Counted:
    """What was counted of each prediction lately: the statement that stands, and those that are owed.

    A correction may be counted before what it takes back, where two workers send them. That is owed then.
    """

    def __init__(self, recent: RecentTable) -> None:
        identities, said, at_ms, sign = recent.in_time()
        corrected = np.isin(identities, np.unique(identities[sign < 0]))
        self._sums: dict[int, dict[int, tuple[int, int]]] = {}  # of the corrected: said -> sum of signs, time
        plain = (column[~corrected].tolist() for column in (identities, said, at_ms))
        self._plain = {identity: (what, when) for identity, what, when in zip(*plain, strict=True)}
        for row in zip(
            *(column[corrected].tolist() for column in (identities, said, at_ms, sign)), strict=True
        ):
            self.add(*row)

    def add(self, prediction: int, what: int, at_ms: int, sign: int) -> None:
        """Note a row that is counted."""
        sums = self._sums.get(prediction)
        if sums is None:
            known = self._plain.pop(prediction, None)
            sums = self._sums[prediction] = {} if known is None else {known[0]: (1, known[1])}
        total, latest_ms = sums.get(what, (0, 0))
        sums[what] = (total + sign, max(latest_ms, at_ms))

    def newest(self, prediction: int) -> tuple[int | None, int]:
        """Return what stands, and when it was labelled; None where nothing does."""
        if prediction in self._plain:
            return self._plain[prediction]
        standing = [
            (at_ms, what) for what, (total, at_ms) in self._sums.get(prediction, {}).items() if total > 0
        ]
        at_ms, newest = max(standing, default=(0, None))
        return newest, at_ms

    def owes(self, prediction: int, what: int | None = None) -> bool:
        """Return whether a statement was taken back that was not counted: this one, or any."""
        sums = self._sums.get(prediction, {})
        if what is not None:
            return what in sums and sums[what][0] < 0
        return bool(sums) and sum(total for total, _ in sums.values()) <= 0


def unsaid(rows: OutcomeRows, said: Hashes, new: Marks, counted: Counted) -> tuple[Marks, Marks]:
    """Return which outcome rows [n] are not counted yet, and which -1 rows [n] give back what is owed.

    Not counted are `new` ones, and of those that come again, these. An outcome, where its prediction has
    none, or owes this one. A correction (its -1 row, then its +1 row), where what it takes back is what
    stands, and not later; or where that is so long ago that it is forgotten, but not if it takes
    back its own revision: then it stands in the place of what may never have been told.

    Where an outcome says something else than what is owed, what stands in the place of the owed one tells it:
    its -1 row is to be counted as +1.
    """
    fresh, given_back = new & ~rows.again, np.zeros(len(said), np.bool_)
    columns = (rows.id_hash, rows.revision, rows.sign, said, rows.labelled_at_ms, rows.again)
    taken_back: tuple[int, int, int] | None = None  # what, when, revision
    refused: int | None = None  # prediction that owes something else than was just told
    for place, (prediction, revision, sign, what, at_ms, again) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        if sign < 0:
            taken_back = what, at_ms, revision
            continue
        known, known_at_ms = counted.newest(prediction)
        if taken_back is None:
            if again:
                fresh[place] = known is None or counted.owes(prediction, what)
                refused = prediction if counted.owes(prediction) and not fresh[place] else None
        elif again:
            old, _, instead_of = taken_back
            forgotten = known is None and instead_of != revision
            if forgotten or (known == old != what and known_at_ms <= at_ms):
                fresh[place - 1 : place + 1] = True
            elif prediction == refused and counted.owes(prediction, old):
                given_back[place - 1] = True
        if fresh[place]:
            counted.add(prediction, what, at_ms, 1)
        if taken_back is not None and (fresh[place] or given_back[place - 1]):
            counted.add(prediction, *taken_back[:2], -1 if fresh[place] else 1)
        taken_back = None
    return fresh, given_back


def _bits(numbers: Floats) -> Hashes:
    return np.ascontiguousarray(numbers, np.float64).view(np.uint64)
