"""Blocks: observations on their way from the join to a monitor, as columns.

A block holds the rows of many models: predictions, and outcomes (a prediction with its label).
A text stands once in the block's dictionary and is a code in the columns; a small map
(features, resources, KPIs, class probabilities) is a layout of names and a run of numbers.
A ranked list, or a set of relevant items, is a run of codes. A correction is two outcome rows: the old one
with `sign` -1, then the new one with +1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Floats = NDArray[np.float64]

NO_TEXT = -1
NO_LIST = -1  # the size of a list that is missing; an empty one has 0
Scalar = bool | int | float | str


class Layout(NamedTuple):
    """The names of a map's values, and for each whether it holds a text code."""

    names: tuple[str, ...]
    text: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Ragged:
    """A column of maps: row i has the names of `layouts[layout[i]]`, its numbers lie flat in `values`.

    A missing number is NaN, a missing text the code -1; both stand as float64.
    """

    layouts: tuple[Layout, ...]
    layout: Codes  # [rows]
    values: Floats  # [sum of the rows' widths]

    def groups(self) -> Iterator[tuple[Layout, Ints, Floats]]:
        """Yield for each layout in use: it, its rows' indices, and their values [rows, names]."""
        if len(self.layouts) == 1 and len(self.layout):
            width = len(self.layouts[0].names)
            yield self.layouts[0], np.arange(len(self.layout)), self.values.reshape(len(self.layout), width)
            return
        widths = np.array([len(layout.names) for layout in self.layouts], np.int64)
        starts = np.concatenate(([0], np.cumsum(widths[self.layout])))[:-1]
        for code, layout in enumerate(self.layouts):
            rows = np.flatnonzero(self.layout == code)
            if len(rows):
                yield layout, rows, self.values[starts[rows, None] + np.arange(widths[code])]

    def take(self, rows: Ints) -> Ragged:
        """Return the column of the rows at these indices [n]."""
        widths = np.array([len(layout.names) for layout in self.layouts], np.int64)[self.layout]
        places = places_of((np.cumsum(widths) - widths)[rows], widths[rows])
        return Ragged(self.layouts, self.layout[rows], self.values[places])


@dataclass(frozen=True, slots=True)
class Lists:
    """A column of lists: row i has `sizes[i]` distinct items, which lie flat in `items`, best first.

    `sizes` is empty where no row has a list, `gains` where every item counts 1.
    """

    sizes: Codes  # [rows], NO_LIST for a row without a list
    items: Codes  # [sum of the sizes] text codes
    gains: Floats  # [sum of the sizes]

    @classmethod
    def none(cls) -> Lists:
        """Return the column of rows that have no list."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0))

    def counts(self, rows: int) -> tuple[NDArray[np.bool_], Ints]:
        """Return which of so many rows have a list, and how many items each has, 0 without one."""
        if not len(self.sizes):
            return np.zeros(rows, np.bool_), np.zeros(rows, np.int64)
        return self.sizes > NO_LIST, np.maximum(self.sizes, 0).astype(np.int64)

    def take(self, rows: Ints) -> Lists:
        """Return the column of the rows at these indices [n]."""
        if not len(self.sizes):
            return self
        _, counts = self.counts(len(self.sizes))
        places = places_of((np.cumsum(counts) - counts)[rows], counts[rows])
        return Lists(
            self.sizes[rows], self.items[places], self.gains[places] if len(self.gains) else self.gains
        )


def places_of(starts: Ints, counts: Ints) -> Ints:
    """Return the places of runs that begin at `starts` [n], one after the other."""
    places: Ints = np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    return places


@dataclass(frozen=True, slots=True)
class PredictionRows:
    """Columns [rows] of accepted predictions."""

    source: Codes  # code in Block.sources: where the trigger was read
    offset: Ints  # the trigger's offset
    model: Codes  # text code
    version: Codes  # text code
    segments: Codes  # code in Block.segments
    id_hash: NDArray[np.uint64]
    prediction_id: tuple[str, ...]
    predicted_at_ms: Ints
    number: Floats  # the prediction where it is a number or boolean, else NaN
    text: Codes  # the prediction where it is text, else -1
    score: Floats  # prediction_proba where it is one number, else NaN
    proba: Ragged  # prediction_proba where it is a map
    business_value: Floats
    features: Ragged
    latency_ms: Floats
    resources: Ragged
    entity: Codes  # text code or -1
    items: Lists = field(default_factory=Lists.none)  # the prediction where it is a list


@dataclass(frozen=True, slots=True)
class OutcomeRows:
    """Columns [rows] of outcomes; the prediction's columns as it was stored in the window."""

    source: Codes
    offset: Ints
    model: Codes
    version: Codes
    segments: Codes
    id_hash: NDArray[np.uint64]
    prediction_id: tuple[str, ...]
    predicted_at_ms: Ints
    number: Floats
    text: Codes
    score: Floats
    proba: Ragged
    business_value: Floats
    label_number: Floats
    label_text: Codes
    labelled_at_ms: Ints
    weight: Floats
    kpis: Ragged
    revision: Codes  # 0 for the first label
    sign: Floats  # +1, or -1 for an outcome that a correction takes back
    again: NDArray[np.bool_]  # may be known under another trigger: compare what it says
    items: Lists = field(default_factory=Lists.none)  # the prediction where it is a list
    relevant: Lists = field(default_factory=Lists.none)  # the label where it is a list or a map of gains


Rows = TypeVar("Rows", PredictionRows, OutcomeRows)


@dataclass(frozen=True, slots=True)
class Block:
    """Observations of many models in one order: see the module's text."""

    strings: tuple[str, ...]
    segments: tuple[tuple[tuple[str, str], ...], ...]  # (name, value) pairs, sorted
    sources: tuple[tuple[str, int], ...]  # (topic, partition)
    predictions: PredictionRows
    outcomes: OutcomeRows

    @property
    def rows(self) -> int:
        return len(self.predictions.offset) + len(self.outcomes.offset)

    def select(self, predictions: Ints | None, outcomes: Ints | None) -> Block:
        """Return the block of the rows at these indices; None takes all."""
        if predictions is None and outcomes is None:
            return self
        return replace(
            self,
            predictions=self.predictions if predictions is None else take(self.predictions, predictions),
            outcomes=self.outcomes if outcomes is None else take(self.outcomes, outcomes),
        )


def take(rows: Rows, index: Ints) -> Rows:
    """Return the rows at these indices [n]."""
    taken: Any = {name: _take(getattr(rows, name), index) for name in _NAMES[type(rows)]}
    return type(rows)(**taken)


def _take(column: Any, index: Ints) -> Any:
    if isinstance(column, Ragged | Lists):
        return column.take(index)
    if isinstance(column, tuple):
        return tuple([column[row] for row in index.tolist()])
    return column[index]


_NAMES: dict[type, tuple[str, ...]] = {
    kind: tuple([each.name for each in fields(kind)]) for kind in (PredictionRows, OutcomeRows, Ragged, Lists)
}


def to_tree(block: Block) -> dict[str, Any]:
    """Return the block as a tree of maps, lists, texts and arrays, for a codec."""
    return {
        "strings": block.strings,
        "segments": block.segments,
        "sources": block.sources,
        "predictions": _to_columns(block.predictions),
        "outcomes": _to_columns(block.outcomes),
    }


def from_tree(tree: Mapping[str, Any]) -> Block:
    """Return the block of a tree that `to_tree` gave."""
    return Block(
        strings=tuple(tree["strings"]),
        segments=tuple(tuple((name, value) for name, value in pairs) for pairs in tree["segments"]),
        sources=tuple((topic, partition) for topic, partition in tree["sources"]),
        predictions=PredictionRows(**_from_columns(tree["predictions"])),
        outcomes=OutcomeRows(**_from_columns(tree["outcomes"])),
    )


def _to_columns(rows: PredictionRows | OutcomeRows) -> dict[str, Any]:
    return {name: _column_tree(getattr(rows, name)) for name in _NAMES[type(rows)]}


def _column_tree(column: Any) -> Any:
    if isinstance(column, Ragged | Lists):
        return {name: getattr(column, name) for name in _NAMES[type(column)]}
    return column


def _from_columns(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _column(value) for name, value in columns.items()}


def _column(value: Any) -> Any:
    if not isinstance(value, dict):
        return tuple(value) if isinstance(value, list) else value
    if "sizes" in value:
        return Lists(value["sizes"], value["items"], value["gains"])
    layouts = tuple([Layout(tuple(names), tuple(text)) for names, text in value["layouts"]])
    return Ragged(layouts, value["layout"], value["values"])


class Trigger(NamedTuple):
    """The event that completed a row."""

    topic: str
    partition: int
    offset: int


class Predicted(NamedTuple):
    """The part of a prediction that an outcome needs: what the window stores."""

    model_id: str
    model_version: str
    segments: tuple[tuple[str, str], ...]
    predicted_at_ms: int
    prediction: Scalar | list[Any]
    proba: float | dict[str, float] | None
    business_value: float | None


class Labelled(NamedTuple):
    """The part of a label that makes its value: equal parts are the same label."""

    label: Scalar | list[Any] | dict[str, float]
    weight: float
    kpis: dict[str, float]
    partial: bool = False  # relevant items that are added to those known; with no weight or KPIs
