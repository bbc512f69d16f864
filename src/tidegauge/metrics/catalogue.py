"""What lists show of a catalogue: how many items, how unlike each other's lists, how far from the usual ones.

Items fall in a fixed number of cells by a hash, and a cell counts how often its items were shown. So windows
are sums of panes whatever the catalogue's size; two items in one cell are what the estimates have to bear.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import value as of
from tidegauge.metrics.value import Value, undefined

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TOTALS = 2  # cells after those of items: lists, items shown in them
_MIX = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)  # finalizer of MurmurHash3: every bit depends on every bit


@dataclass(frozen=True)
class Catalogue:
    """Cells: how often items of each hash were shown, lists, and items shown."""

    size: int = 4_096

    @property
    def width(self) -> int:
        """Number of cells."""
        return self.size + _TOTALS

    def places(self, items: Sequence[str]) -> Ints:
        """Return the cell of each item [n], the same in every block. Cost: .3 us an item.

        >>> len(set(Catalogue().places([f"i{number}" for number in range(100)]).tolist())) > 90
        True
        """
        hashes = np.array([zlib.crc32(item.encode()) for item in items], np.uint64)
        for factor in _MIX:
            hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(factor)
        return ((hashes ^ (hashes >> np.uint64(33))) % np.uint64(self.size)).astype(np.int64)

    def totals(self, shown: Ints) -> tuple[Ints, Floats]:
        """Return the cells and amounts [n, 2] of lists that show so many items [n], beside those of items."""
        index = np.repeat(np.array([[self.size, self.size + 1]]), len(shown), axis=0)
        return index, np.stack((np.ones(len(shown)), shown), axis=1)

    def values(
        self, cells: Floats, catalogue_items: int | None = None, confidence: float = 0.95
    ) -> dict[str, Value]:
        """Return catalogue_items, catalogue_coverage (of `catalogue_items`), diversity and novelty.

        >>> family = Catalogue(size=64)
        >>> cells = np.zeros(family.width)
        >>> cells[[3, 9, 40]], cells[family.size :] = [2.0, 1.0, 1.0], [2.0, 4.0]  # a b, a c
        >>> found = family.values(cells, catalogue_items=6)
        >>> {name: round(each.value, 2) for name, each in found.items()}
        {'catalogue_items': 3.07, 'catalogue_coverage': 0.51, 'diversity': 0.54, 'novelty': 0.5}
        """
        counts, (lists, shown) = cells[: self.size], cells[self.size :].tolist()
        items = self._items(counts, round(lists), of.normal_quantile(confidence))
        return {
            "catalogue_items": items,
            "catalogue_coverage": _coverage(items, catalogue_items),
            "diversity": self._diversity(counts, lists, shown),
            "novelty": _novelty(counts, lists, shown),
        }

    def _items(self, counts: Floats, n: int, z: float) -> Value:
        """Distinct items by linear counting: m ln(m / empty) (Whang, Vander-Zanden, Taylor 1990).

        Undefined without an empty cell: there are too many to be told.
        """
        used = int(np.count_nonzero(counts))
        if n == 0 or used == self.size:
            return undefined(n)
        load = math.log(self.size / (self.size - used))
        error = math.sqrt(self.size * max(math.expm1(load) - load, 0.0))
        found = self.size * load
        return Value(found, n, max(found - z * error, float(used)), found + z * error)

    def _diversity(self, counts: Floats, lists: float, shown: float) -> Value:
        """Mean share of a list that another list does not show (Zhou et al. 2010: personalization).

        The pairs of lists that share an item follow from the sum of squares of the items' counts; what items
        of one cell add to it is taken out in expectation.
        """
        n = round(lists)
        if n < 2 or shown == 0:
            return undefined(n)
        squares = (self.size * float(counts @ counts) - shown * shown) / (self.size - 1)
        overlap = (squares - shown) / (lists - 1) / shown
        return Value(min(max(1.0 - overlap, 0.0), 1.0), n, None, None)


def _coverage(items: Value, size: int | None) -> Value:
    if size is None:
        return undefined(items.n)
    each = (items.value, items.low, items.high)
    share, low, high = (None if x is None else min(x / size, 1.0) for x in each)
    return Value(share, items.n, low, high)


def _novelty(counts: Floats, lists: float, shown: float) -> Value:
    """Mean self-information of the items shown, in bits (Zhou et al. 2010: surprisal).

    The popularity of an item is the share of the lists that show it: who chose it is not known before labels.
    """
    n = round(lists)
    if n == 0 or shown == 0:
        return undefined(n)
    some = counts[counts > 0]
    return Value(float(some @ np.maximum(np.log2(lists / some), 0.0)) / shown, n, None, None)
