"""Numbers by series: columns that grow, rows of one key found together, numbers in their smallest type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Ints

_LEAST = 4  # rows by which a column grows
_DENSE = 8  # keys within so many times their count are marked in a table; sorting them costs more


def grown(column: NDArray[Any], size: int, empty: Any) -> NDArray[Any]:
    """Return a column of at least `size` rows, a quarter longer where it had to grow; keep no other view.

    A large column of zeros grows in place, which costs the new rows alone: the system moves its pages.

    >>> grown(np.array([1, 2]), 3, -1).tolist()[:3]
    [1, 2, -1]
    """
    before = len(column)
    if size <= before:
        return column
    shape = (max(size, before + before // 4 + _LEAST), *column.shape[1:])
    if empty == 0 and column.flags.owndata:
        column.resize(shape, refcheck=False)
        return column
    longer = np.full(shape, empty, column.dtype)
    longer[:before] = column
    return longer


def distinct(keys: Ints) -> tuple[Ints, Ints]:
    """Return where each distinct key [n] is first, by rising keys, and each row's place among them [n].

    Cost: O(n) where the keys are alike or lie close together, else O(n log n).

    >>> first, place = distinct(np.array([7, 5, 7]))
    >>> first.tolist(), place.tolist()
    ([1, 0], [1, 0, 1])
    """
    if not len(keys):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    low, high = int(keys.min()), int(keys.max())
    if low == high:
        return np.zeros(1, np.int64), np.zeros(len(keys), np.int64)
    if high - low < _DENSE * len(keys):
        near = keys - low
        found = np.full(high - low + 1, -1, np.int64)
        found[near[::-1]] = np.arange(len(keys) - 1, -1, -1)
        known = found >= 0
        return found[known], (np.cumsum(known) - 1)[near]
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    new = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    place = np.empty(len(keys), np.int64)
    place[order] = np.cumsum(new) - 1
    return order[new], place


class Runs:
    """The rows [n] of each series: which series, how many rows, and each row's rank in its series."""

    def __init__(self, series: Ints) -> None:
        first, self.place = distinct(series)
        self.series = series[first]  # rising
        self.top = int(self.series[-1]) + 1 if len(first) else 0  # numbers below it are enough for all
        self.sizes: Ints = np.bincount(self.place, minlength=len(first))
        if len(first) == 1:
            self.rank = np.arange(len(series))
        elif len(first) == len(series):
            self.rank = np.zeros(len(series), np.int64)
        else:
            order = np.argsort(self.place, kind="stable")
            self.rank = np.empty(len(series), np.int64)
            starts = np.cumsum(self.sizes) - self.sizes
            self.rank[order] = np.arange(len(series)) - np.repeat(starts, self.sizes)

    def take(self, rows: Ints) -> Runs:
        """Return the runs of the rows at these places [m]."""
        return Runs(self.series[self.place[rows]])


def smallest(numbers: NDArray[np.float64]) -> NDArray[Any]:
    """Return the same numbers in the smallest type that holds each exactly.

    >>> smallest(np.array([0.0, 255.0])).dtype.name, smallest(np.array([-1.0])).dtype.name
    ('uint8', 'float64')
    """
    if not len(numbers):
        return numbers
    for dtype in (np.uint8, np.uint16):
        if (numbers >= 0).all() and (numbers <= np.iinfo(dtype).max).all():
            small = numbers.astype(dtype)
            if (small == numbers).all() and not np.signbit(numbers).any():
                return small
    return numbers
