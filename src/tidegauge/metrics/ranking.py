"""Ranking: what a list is worth once its relevant items are known, and the cells that means rest on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import value as of
from tidegauge.metrics.value import Value

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Ints = NDArray[np.int64]

AT_CUTOFF = ("precision", "recall", "ndcg", "hit_rate")  # <metric>@<k>: of the first k items
WHOLE = ("map", "mrr")  # of the whole list
NEEDS_RELEVANT = frozenset({"recall", "ndcg", "map"})  # undefined for a row without a relevant item
_ROWS = 3  # cells of the rows of a kind: n, sum w, sum w^2


class Items(NamedTuple):
    """Items of rows end to end, those of a row distinct: a list best first, or the relevant ones."""

    row: Ints  # [m] rising
    item: Codes  # [m]


def ranks(row: Ints) -> Ints:
    """Return the place of each item [m] among those of its row, from 1; rows rise.

    >>> ranks(np.array([0, 0, 2, 2, 2])).tolist()
    [1, 2, 1, 2, 3]
    """
    return np.arange(1, len(row) + 1) - np.searchsorted(row, row)


@dataclass(frozen=True)
class Ranking:
    """Cells: of all rows and of those with a relevant item n, sum w, sum w^2; of each metric w x, w x^2."""

    cutoffs: tuple[int, ...] = (5, 10)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every metric, in the order of the columns of `judged`."""
        return (*(f"{metric}@{k}" for k in self.cutoffs for metric in AT_CUTOFF), *WHOLE)

    @property
    def width(self) -> int:
        """Number of cells."""
        return 2 * _ROWS + 2 * len(self.names)

    @property
    def main(self) -> str:
        """The metric that stands for the others: NDCG of the longest cutoff."""
        return f"ndcg@{max(self.cutoffs)}"

    def judged(self, known: NDArray[np.bool_], shown: Items, relevant: Items, gain: Floats) -> Floats:
        """Return the metrics of rows [n, names], NaN where undefined.

        known [n]: whether a row has both a list and a label; shown: the lists; relevant: the items with a
        gain > 0 [m], whether they were shown or not. NDCG (Jarvelin, Kekalainen 2002) has linear gains and
        the discount 1 / log2(1 + rank), as in scikit-learn.
        Cost: one sort of the relevant items.

        >>> one, items = np.zeros(3, np.int64), Items(np.zeros(2, np.int64), np.array([4, 9], np.int32))
        >>> shown = Items(one, np.array([7, 4, 5], np.int32))
        >>> family = Ranking(cutoffs=(2,))
        >>> rows = family.judged(np.array([True]), shown, items, np.ones(2))
        >>> dict(zip(family.names, rows[0].round(4).tolist()))
        {'precision@2': 0.5, 'recall@2': 0.5, 'ndcg@2': 0.3869, 'hit_rate@2': 1.0, 'map': 0.25, 'mrr': 0.5}
        """
        n = len(known)
        rank, worth = ranks(shown.row), _worth(shown, relevant, gain, n)
        hit = worth > 0
        there = np.bincount(relevant.row, minlength=n).astype(np.float64)
        some = np.where(there > 0, there, np.nan)
        running: Ints = (
            np.cumsum(hit) - np.concatenate(([0], np.cumsum(hit)))[np.searchsorted(shown.row, shown.row)]
        )
        best = np.lexsort((-gain, relevant.row))
        ideal_row, ideal = (
            relevant.row[best],
            _scaled(relevant.row, gain, n)[best] / np.log2(1.0 + ranks(relevant.row)),
        )
        columns = []
        for k in self.cutoffs:
            top, top_ideal = rank <= k, ranks(ideal_row) <= k
            hits = np.bincount(shown.row[top], hit[top], n)
            gained = np.bincount(shown.row[top], (worth / np.log2(1.0 + rank))[top], n)
            most = np.bincount(ideal_row[top_ideal], ideal[top_ideal], n)
            share = np.divide(gained, most, out=np.full(n, np.nan), where=most > 0)
            columns += [hits / k, hits / some, share, hits > 0]
        columns.append(np.bincount(shown.row, hit * running / rank, n) / some)
        columns.append(np.bincount(shown.row, (hit & (running == 1)) / rank, n))
        found: Floats = np.where(known[:, None], np.stack(columns, axis=1), np.nan)
        return found

    def cells(self, values: Floats, weight: Floats) -> tuple[Codes, Floats]:
        """Return the cells [n, m] that each row adds to, and what it adds: what is undefined adds nothing.

        values [n, names]: as `judged` returns them; weight [n] > 0.

        >>> index, amount = Ranking().cells(np.full((1, 10), np.nan), np.ones(1))
        >>> index.shape == (1, Ranking().width), float(amount.sum())
        (True, 0.0)
        """
        defined = ~np.isnan(values)
        kinds = (defined.any(1), defined.all(1))  # of a row with a relevant item everything is defined
        x = np.where(defined, values, 0.0) * weight[:, None]
        rows = [kind * power for kind in kinds for power in (np.ones_like(weight), weight, weight * weight)]
        amount = np.concatenate((np.stack(rows), x.T, (x * np.where(defined, values, 0.0)).T))
        index = np.repeat(np.arange(self.width, dtype=np.int32), len(weight)).reshape(self.width, -1)
        return index.T, amount.T

    def values(
        self, cells: Floats, confidence: float = 0.95, only: Collection[str] | None = None
    ) -> dict[str, Value]:
        """Return the metrics of summed cells [width], or those in `only`; docs/metrics.md defines them.

        >>> index, amount = Ranking((1,)).cells(np.array([[1.0, 0.5, 1.0, 1.0, 0.5, 1.0]]), np.ones(1))
        >>> Ranking((1,)).values(amount[0], only={"map"})
        {'map': Value(value=0.5, n=1, low=None, high=None)}
        """
        z = of.normal_quantile(confidence)
        totals = cells[2 * _ROWS :].reshape(2, -1)
        return {
            name: self._value(cells, name, float(total), float(squares), z)
            for name, total, squares in zip(self.names, *totals, strict=True)
            if only is None or name in only
        }

    def _value(self, cells: Floats, name: str, total: float, total_squares: float, z: float) -> Value:
        metric = name.partition("@")[0]
        first = _ROWS * (metric in NEEDS_RELEVANT)
        count, weight, squares = cells[first : first + _ROWS].tolist()
        n = round(count)
        if metric == "hit_rate":
            return of.proportion(total, weight, squares, n, z)
        return of.mean(of.Sums(n, weight, squares, total, total_squares), z, of.UNIT)


def _worth(shown: Items, relevant: Items, gain: Floats, n: int) -> Floats:
    """Return the gain of each item shown [m], in parts of the greatest of its row; 0 for the others."""
    size = 1 + max(int(shown.item.max(initial=0)), int(relevant.item.max(initial=0)))
    wanted = relevant.row * size + relevant.item
    order = np.argsort(wanted, kind="stable")
    wanted = wanted[order]
    given = shown.row * size + shown.item
    place = np.searchsorted(wanted, given)
    found = np.zeros(len(given), np.bool_)
    inside = place < len(wanted)
    found[inside] = wanted[place[inside]] == given[inside]
    worth = np.zeros(len(given))
    worth[found] = _scaled(relevant.row, gain, n)[order[place[found]]]
    return worth


def _scaled(row: Ints, gain: Floats, n: int) -> Floats:
    """Return gains in parts of the greatest of their row: ratios stay, and no sum overflows."""
    most = np.zeros(n)
    np.maximum.at(most, row, gain)
    scaled: Floats = np.maximum(gain / most[row], np.finfo(np.float64).tiny)
    return scaled
