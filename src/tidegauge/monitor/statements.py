"""What an outcome says, as a number: the same label, weight and KPIs say the same.

Needed where the join's window lost writes and emits outcomes again: a monitor then counts those that
it has not counted, whatever event completed them this time.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import NO_TEXT, Block, Floats, OutcomeRows

Hashes = NDArray[np.uint64]

_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: neighbours end far apart


def statements(block: Block) -> Hashes:
    """Return a hash of label, weight and KPIs of each outcome row [n]; the same in every block."""
    rows = block.outcomes
    texts = np.zeros(len(rows.offset), np.uint64)
    for code in np.unique(rows.label_text).tolist():
        if code != NO_TEXT:
            texts[rows.label_text == code] = zlib.crc32(block.strings[code].encode()) + 1
    said = (_bits(rows.label_number) + _sets(block)) * _SPREAD + texts
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


def unsaid(
    rows: OutcomeRows, said: Hashes, new: NDArray[np.bool_], counted: dict[int, tuple[int, int]]
) -> NDArray[np.bool_]:
    """Return which outcome rows [n] are not counted yet: `new` ones, and of those that come again, these.

    `counted` is what the outcome of each prediction says, and when it was labelled. An outcome is new where
    its prediction has none. A correction (its -1 row, then its +1 row) is new where what it takes back is
    what was counted, and not later; or where that is so long ago that it is forgotten, but not if it takes
    back its own revision: then it stands in the place of what may never have been told.
    """
    fresh = new & ~rows.again
    columns = (rows.id_hash, rows.revision, rows.sign, said, rows.labelled_at_ms, rows.again)
    taken_back: int | None = None
    instead_of = -1  # revision that is taken back
    for place, (prediction, revision, sign, what, at_ms, again) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        if sign < 0:
            taken_back, instead_of = what, revision
            continue
        known, known_at_ms = counted.get(prediction, (None, 0))
        forgotten = known is None and instead_of != revision
        if again and (forgotten or (known == taken_back != what and known_at_ms <= at_ms)):
            fresh[place] = True
            fresh[place - 1 : place] |= taken_back is not None
        if fresh[place] and at_ms >= known_at_ms:  # a correction may come before what it corrects
            counted[prediction] = (what, at_ms)
        taken_back, instead_of = None, -1
    return fresh


def _bits(numbers: Floats) -> Hashes:
    return np.ascontiguousarray(numbers, np.float64).view(np.uint64)
