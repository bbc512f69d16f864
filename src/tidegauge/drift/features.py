"""Reference bins of all features of one version, as slices of one row of cells.

A histogram of every feature is a row of `width` cells, so a window adds, subtracts and merges rows.
A feature that a row's map does not name is null there; a feature that the reference did not have is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Layout
from tidegauge.drift import reference
from tidegauge.drift.reference import Cells, Floats, Reference
from tidegauge.errors import SnapshotError

VERSION = 1
MOST_EDGES_COMPARED = 100  # past it a binary search a value is quicker than a comparison an edge (measured)
CHUNK_VALUES = 65_536  # values compared at once: half a megabyte, which stays in a core's cache
MOST_PLANS = 256  # layouts remembered; nulls in text features make many


class _Plan(NamedTuple):
    """What to do with a matrix of one layout: its numeric columns in one go, its text columns one by one."""

    numeric: NDArray[np.int64]  # columns of the matrix
    numeric_features: NDArray[np.int64]
    edges: Floats  # [numeric columns, most edges], padded with NaN, which no value reaches
    single: tuple[tuple[int, int, bool], ...]  # (column, feature, is text)


class FeatureBins:
    """The frozen bins of named features; feature f owns the cells from starts[f] to starts[f + 1]."""

    def __init__(self, references: Mapping[str, Reference]) -> None:
        self.names = tuple(references)
        self.references = tuple(references.values())
        widths = np.array([bins.width for bins in self.references], np.int64)
        self.starts = np.concatenate(([0], np.cumsum(widths)))[:-1].astype(np.int64)
        self.width = int(widths.sum())
        self.counts: Floats = np.concatenate([bins.counts for bins in self.references] or [np.empty(0)])
        nulls = np.array([bins.null for bins in self.references], np.int64)
        self._nulls = (self.starts + nulls).astype(np.int32)
        self._plans: dict[Layout, _Plan] = {}

    def cells(self, layout: Layout, values: Floats, strings: Sequence[str] = ()) -> Cells:
        """Return the cells [rows, features] of a matrix [rows, names] of one layout.

        Text values are codes into `strings`. About 6 ns a number and 15 ns a text.

        >>> bins = FeatureBins({"age": reference.fit([20.0, 30.0], [], 0, bins=4, max_categories=9)})
        >>> bins.cells(Layout(("age",), (False,)), np.array([[20.0], [99.0], [np.nan]])).tolist()
        [[1], [4], [5]]
        """
        plan = self._plan(layout)
        cells = np.empty((len(self.names), len(values)), np.int32)
        cells[:] = self._nulls[:, None]
        self._fill_numeric(plan, values, cells)
        for column, feature, is_text in plan.single:
            of = self.references[feature].cells(values[:, column], strings if is_text else None)
            cells[feature] = of + np.int32(self.starts[feature])
        return cells.T

    def recounted(self, counts: Floats) -> FeatureBins:
        """Return the same bins with other reference counts [width]."""
        bins = copy(self)
        bins.counts = counts
        return bins

    def dump(self) -> dict[str, Any]:
        """Return the bins as plain data that `load` reads back."""
        features = {name: bins.dump() for name, bins in zip(self.names, self.references, strict=True)}
        return {"version": VERSION, "features": features}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> FeatureBins:
        """Return the bins that `dump` wrote; raises SnapshotError where it is something else."""
        features = state.get("features")
        if state.get("version") != VERSION or not isinstance(features, dict):
            raise SnapshotError(f"feature bins: expected version {VERSION}, got {state.get('version')!r}")
        return cls({str(name): reference.load(bins) for name, bins in features.items()})

    def _fill_numeric(self, plan: _Plan, values: Floats, cells: Cells) -> None:
        if not len(plan.numeric) or not len(values):
            return
        columns = np.ascontiguousarray(values.T[plan.numeric])
        places = _place(columns, plan.edges) + self.starts[plan.numeric_features, None].astype(np.int32)
        missing = np.isnan(columns)
        if missing.any():
            places = np.where(missing, self._nulls[plan.numeric_features, None], places)
        cells[plan.numeric_features] = places

    def _plan(self, layout: Layout) -> _Plan:
        plan = self._plans.get(layout)
        if plan is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            plan = self._plans[layout] = self._plan_for(layout)
        return plan

    def _plan_for(self, layout: Layout) -> _Plan:
        numeric: list[tuple[int, int]] = []
        single: list[tuple[int, int, bool]] = []
        column_of = {name: column for column, name in enumerate(layout.names)}
        for feature, (name, bins) in enumerate(zip(self.names, self.references, strict=True)):
            column = column_of.get(name)
            if column is None:
                continue
            if layout.text[column] or bins.kind == "categorical" or len(bins.edges) > MOST_EDGES_COMPARED:
                single.append((column, feature, layout.text[column]))
            else:
                numeric.append((column, feature))
        pairs = np.array(numeric, np.int64).reshape(-1, 2)
        edges = _padded([self.references[feature].edges for _, feature in numeric])
        return _Plan(pairs[:, 0], pairs[:, 1], edges, tuple(single))


def _padded(edges: Sequence[Floats]) -> Floats:
    padded = np.full((len(edges), max(map(len, edges), default=0)), np.nan)
    for row, values in zip(padded, edges, strict=True):
        row[: len(values)] = values
    return padded


def _place(columns: Floats, edges: Floats) -> NDArray[np.int32]:
    """Return how many of each row's edges [k, E] its values [k, rows] reach, by a comparison an edge."""
    places = np.zeros(columns.shape, np.uint8)
    rows = max(1, CHUNK_VALUES // columns.shape[1])
    reached = np.empty((rows, columns.shape[1]), np.bool_)
    for start in range(0, len(columns), rows):
        part = slice(start, start + rows)
        values, counts = columns[part], places[part]
        hit = reached[: len(values)]
        hits = hit.view(np.uint8)
        for edge in edges[part].T[:, :, None]:
            np.greater_equal(values, edge, out=hit)
            np.add(counts, hits, out=counts)
    return places.astype(np.int32)
