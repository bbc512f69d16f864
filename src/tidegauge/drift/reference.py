"""Reference bins of one feature: frozen once, then every value has a cell.

Cells of a numeric feature with E edges: below the first edge (under-range), E - 1 cells between edges,
at or above the last (over-range), null, changed type (text where numbers were).
Cells of a categorical feature with K known levels: the levels, other, unseen, null, changed type (a number).
Out-of-range, null, new and mistyped values are cells like any other, so a distance sees them too.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]
Cells = NDArray[np.int32]
Kind = Literal["numeric", "categorical"]

VERSION = 1
OUTSIDE_NUMERIC = 2  # null, changed
OUTSIDE_CATEGORICAL = 4  # other, unseen, null, changed


@dataclass(frozen=True, eq=False)
class Reference:
    """Frozen bins of one feature and the counts [width] that its reference values had in them."""

    kind: Kind
    edges: Floats  # [E], ascending; a value belongs above every edge that is not greater
    levels: tuple[str, ...]
    counts: Floats  # [width]

    @property
    def width(self) -> int:
        return len(self.counts)

    @property
    def null(self) -> int:
        """The cell of missing values."""
        return self.width - 2

    @property
    def changed(self) -> int:
        """The cell of values of the other type."""
        return self.width - 1

    def cells(self, values: Floats, strings: Sequence[str] | None = None) -> Cells:
        """Return the cell of each value [n]: numbers, or with `strings` codes into it (-1 or NaN: null)."""
        if strings is None:
            return self._cells_of_numbers(values)
        return self._cells_of_codes(values, strings)

    def names(self) -> tuple[str, ...]:
        """Return what each cell holds, for people.

        >>> fit([1.0, 1.0, 2.0, 2.0], [], nulls=0, bins=10, max_categories=100).names()
        ('< 1', '1', '1 to 2', '2', '> 2', 'null', 'changed type')
        """
        if self.kind == "categorical":
            return (*self.levels, "other", "unseen", "null", "changed type")
        return (*_interval_names(self.edges), "null", "changed type")

    def dump(self) -> dict[str, Any]:
        """Return the reference as plain data that `load` reads back."""
        return {
            "version": VERSION,
            "kind": self.kind,
            "edges": self.edges.tolist(),
            "levels": list(self.levels),
            "counts": self.counts.tolist(),
        }

    def _cells_of_numbers(self, values: Floats) -> Cells:
        missing = np.isnan(values)
        if self.kind == "categorical":
            return np.where(missing, self.null, self.changed).astype(np.int32)
        cells = np.searchsorted(self.edges, values, side="right").astype(np.int32)
        cells[missing] = self.null
        return cells

    def _cells_of_codes(self, values: Floats, strings: Sequence[str]) -> Cells:
        codes = np.where(np.isnan(values), -1, values).astype(np.int64)
        table = np.full(len(strings) + 1, self.changed, np.int32)
        table[-1] = self.null
        if self.kind == "categorical":
            seen = np.zeros(len(table), np.bool_)
            seen[codes] = True
            used = np.flatnonzero(seen[:-1]).tolist()
            cell_of, unknown = self._cell_of.get, self._unknown_text
            table[used] = [cell_of(strings[code], unknown) for code in used]
        return table[codes]

    @cached_property
    def _cell_of(self) -> dict[str, int]:
        return {text: cell for cell, text in enumerate(self.levels)}

    @property
    def _unknown_text(self) -> int:
        other = len(self.levels)
        return other if self.counts[other] > 0 else other + 1


def fit(
    numbers: Iterable[float], texts: Iterable[str], nulls: int, bins: int, max_categories: int
) -> Reference:
    """Return the bins of a feature whose reference values were these numbers, texts and nulls.

    The feature is categorical when texts are in the majority. Numbers: about `bins` quantile bins; a value
    that alone fills a bin, and each value of a feature with at most `bins` values, has a cell of its own.
    Texts: the most frequent levels, at most `max_categories`, that were seen twice or more. A level seen once
    tells more of the levels not seen yet than of itself (Good 1953): it counts as `other`, and where the
    reference has an `other`, a new level is expected and counts there too; where not, it is `unseen`.

    >>> reference = fit([], ["a", "a", "b", "b", "c"], nulls=1, bins=10, max_categories=2)
    >>> dict(zip(reference.names(), reference.counts.tolist()))
    {'a': 2.0, 'b': 2.0, 'other': 1.0, 'unseen': 0.0, 'null': 1.0, 'changed type': 0.0}
    """
    column = np.fromiter(numbers, np.float64)
    column = column[~np.isnan(column)]
    levels = Counter(texts)
    if levels.total() > len(column):
        return _fit_categorical(levels, len(column), nulls, max_categories)
    edges = quantile_edges(column[np.isfinite(column)], bins)
    empty = Reference("numeric", edges, (), np.zeros(len(edges) + 1 + OUTSIDE_NUMERIC))
    counts = np.bincount(empty.cells(column), minlength=empty.width).astype(np.float64)
    counts[empty.null], counts[empty.changed] = nulls, levels.total()
    return Reference("numeric", edges, (), counts)


def _fit_categorical(levels: Counter[str], numbers: int, nulls: int, max_categories: int) -> Reference:
    frequent = sorted(levels.items(), key=lambda item: (-item[1], item[0]))
    known = [(text, count) for text, count in frequent if count > 1][:max_categories]
    shares = [count for _, count in known]
    counts = np.array([*shares, levels.total() - sum(shares), 0, nulls, numbers], np.float64)
    return Reference("categorical", np.empty(0), tuple(text for text, _ in known), counts)


def quantile_edges(values: Floats, bins: int) -> Floats:
    """Return ascending edges that cut finite values [n] into about `bins` cells of equal count.

    A value with n / bins copies or more is cut out alone, from itself to the next float; between such values
    the others are cut at quantiles. The first edge is the least value, the last the float above the greatest.

    >>> quantile_edges(np.arange(10.0), 2).round(6).tolist()
    [0.0, 5.0, 9.0]
    """
    distinct, counts = np.unique(values, return_counts=True)
    if not len(distinct):
        return np.empty(0)
    alone = (counts * bins >= len(values)) | (len(distinct) <= bins)
    points = distinct[alone]
    ends = np.array([distinct[0], np.nextafter(distinct[-1], np.inf)])
    between = distinct[~alone][_run_starts(alone, counts, len(values) / bins)]
    return np.unique(np.concatenate((ends, points, np.nextafter(points, np.inf), between)))


def _run_starts(alone: NDArray[np.bool_], counts: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Return for each value that is not alone whether a bin starts at it.

    Values between two lonely ones are a run; a run has as many bins as its count holds whole shares, or one.
    """
    run = np.cumsum(alone)[~alone]
    weight = counts[~alone]
    totals = np.bincount(run, weights=weight)
    rank = np.cumsum(weight) - weight - (np.cumsum(totals) - totals)[run]
    pieces = np.maximum(1, np.rint(totals / share))[run]
    piece = np.floor(rank * pieces / totals[run])
    starts = np.zeros(len(run), np.bool_)
    starts[1:] = (piece[1:] != piece[:-1]) & (run[1:] == run[:-1])
    return starts


def load(state: Mapping[str, Any]) -> Reference:
    """Return the reference that `dump` wrote; raises SnapshotError where it is something else."""
    try:
        if state["version"] != VERSION:
            raise SnapshotError(f"reference bins: expected version {VERSION}, got {state['version']!r}")
        edges = np.array(state["edges"], np.float64)
        levels = tuple(str(level) for level in state["levels"])
        counts = np.array(state["counts"], np.float64)
        kind: Kind = "numeric" if state["kind"] == "numeric" else "categorical"
    except (KeyError, TypeError, ValueError) as error:
        raise SnapshotError(f"reference bins: {error!r}") from error
    outside = 1 + OUTSIDE_NUMERIC if kind == "numeric" else OUTSIDE_CATEGORICAL
    width = len(edges) + len(levels) + outside
    if counts.shape != (width,) or edges.ndim != 1 or (np.diff(edges) <= 0).any():
        raise SnapshotError(f"reference bins: edges, levels and {counts.shape} counts do not fit together")
    return Reference(kind, edges, levels, counts)


def _interval_names(edges: Floats) -> list[str]:
    if not len(edges):
        return ["any number"]
    inner = [_interval_name(low, high) for low, high in pairwise(edges)]
    return [f"< {edges[0]:g}", *inner, f"> {np.nextafter(edges[-1], -np.inf):g}"]


def _interval_name(low: float, high: float) -> str:
    if math.nextafter(low, math.inf) == high:
        return f"{low:g}"
    start = 0.0 if abs(low) < sys.float_info.min else low  # the float after 0 reads as 0
    return f"{start:g} to {high:g}"
