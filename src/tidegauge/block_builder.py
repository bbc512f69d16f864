"""Builds blocks row by row: where decoded events become columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from tidegauge.block import (
    NO_LIST,
    NO_TEXT,
    Block,
    Labelled,
    Layout,
    Lists,
    OutcomeRows,
    Predicted,
    PredictionRows,
    Ragged,
    Scalar,
    Trigger,
)


class RaggedBuilder:
    """Collects maps and builds their column; `code` gives a text its code."""

    def __init__(self, code: Any) -> None:
        self._code = code
        self._layouts: dict[Layout, int] = {}
        self._layout: list[int] = []
        self._values: list[float] = []
        self._text_names: set[str] = set()  # a missing value of these is a missing text

    def append(self, mapping: Mapping[str, Any]) -> None:
        """Append the map of a row."""
        values = mapping.values()
        names = tuple(mapping)
        text = tuple([isinstance(value, str) for value in values])
        if True in text or None in values:
            self._text_names.update(name for name, is_text in zip(names, text, strict=True) if is_text)
            text = tuple(
                [
                    is_text or (value is None and name in self._text_names)
                    for name, is_text, value in zip(names, text, values, strict=True)
                ]
            )
            self._values += [
                self._number(value, is_text) for value, is_text in zip(values, text, strict=True)
            ]
        else:
            self._values += values
        layout = Layout(names, text)
        self._layout.append(self._layouts.setdefault(layout, len(self._layouts)))

    def _number(self, value: Any, is_text: bool) -> float:
        if is_text:
            return float(NO_TEXT if value is None else self._code(value))
        return np.nan if value is None else value

    def build(self) -> Ragged:
        """Return the column of all maps appended so far."""
        return Ragged(
            tuple(self._layouts),
            np.array(self._layout, np.int32),
            np.array(self._values, np.float64),
        )


_TEXT = frozenset({str})


def item_text(item: str | int | float) -> str:
    """Return the text that names an item: a whole number loses its fraction.

    >>> item_text("i7"), item_text(7), item_text(7.0)
    ('i7', '7', '7')
    """
    if isinstance(item, str):
        return item
    return str(int(item)) if item == item // 1 else repr(item)


def list_column(values: Sequence[Any], code: Callable[[str], int]) -> Lists:
    """Return the column of what is a list, or a map of items to gains; other values have none.

    An item that is repeated stands at its first place, and one without a gain is left out.

    >>> column = list_column([["b", "a", "b"], 0.5, {"a": 2.0}], {"a": 0, "b": 1}.__getitem__)
    >>> column.sizes.tolist(), column.items.tolist(), column.gains.tolist()
    ([2, -1, 1], [1, 0, 0], [1.0, 1.0, 2.0])
    """
    if {list, dict}.isdisjoint(map(type, values)):
        return Lists.none()
    gains = [_gains(value) for value in values]
    sizes = [NO_LIST if each is None else len(each) for each in gains]
    some = [each for each in gains if each]
    items = list(chain.from_iterable(some))
    code_of = {item: code(item) for item in dict.fromkeys(items)}
    codes = np.fromiter(map(code_of.__getitem__, items), np.int32, len(items))
    weighed = dict in set(map(type, values))
    flat = list(chain.from_iterable([each.values() for each in some])) if weighed else []
    return Lists(np.array(sizes, np.int32), codes, np.array(flat, np.float64))


def _gains(value: Any) -> dict[str, float] | None:
    if isinstance(value, list):
        return dict.fromkeys(value if set(map(type, value)) <= _TEXT else map(item_text, value), 1.0)
    return {item: gain for item, gain in value.items() if gain > 0} if isinstance(value, dict) else None


@dataclass(slots=True)
class BlockBuilder:
    """Collects rows and builds a block of them; the rows keep the order of the calls.

    >>> from tidegauge.block import Labelled, Predicted, Trigger
    >>> builder = BlockBuilder()
    >>> what = Predicted("churn", "v1", (), 0, 1, 0.9, None)
    >>> builder.outcome("a", 7, Trigger("labels", 0, 5), what, Labelled(True, 1.0, {}), 60_000, 0, 1)
    >>> builder.build().outcomes.score.tolist()
    [0.9]
    """

    _strings: dict[str, int] = field(default_factory=dict)
    _segments: dict[tuple[tuple[str, str], ...], int] = field(default_factory=dict)
    _sources: dict[tuple[str, int], int] = field(default_factory=dict)
    _predictions: list[tuple[Any, ...]] = field(default_factory=list)
    _outcomes: list[tuple[Any, ...]] = field(default_factory=list)
    _maps: dict[str, RaggedBuilder] = field(default_factory=dict)
    _lists: dict[str, list[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._predictions) + len(self._outcomes)

    def prediction(
        self,
        prediction_id: str,
        id_hash: int,
        trigger: Trigger,
        predicted: Predicted,
        features: Mapping[str, Scalar | None],
        latency_ms: float | None,
        resources: Mapping[str, float],
        entity_id: str | None,
    ) -> None:
        """Append the row of an accepted prediction."""
        self._map("predictions.features", features)
        self._map("predictions.resources", resources)
        self._predictions.append(
            (
                *self._shared("predictions", prediction_id, id_hash, trigger, predicted),
                np.nan if latency_ms is None else latency_ms,
                NO_TEXT if entity_id is None else self._code(entity_id),
            )
        )

    def outcome(
        self,
        prediction_id: str,
        id_hash: int,
        trigger: Trigger,
        predicted: Predicted,
        labelled: Labelled,
        labelled_at_ms: int,
        revision: int,
        sign: int,
        again: bool = False,
    ) -> None:
        """Append the row of an outcome, or with sign -1 of one that a correction takes back."""
        self._map("outcomes.kpis", labelled.kpis)
        self._lists.setdefault("outcomes.relevant", []).append(labelled.label)
        self._outcomes.append(
            (
                *self._shared("outcomes", prediction_id, id_hash, trigger, predicted),
                *self._number_and_text(labelled.label),
                labelled_at_ms,
                labelled.weight,
                revision,
                sign,
                again,
            )
        )

    def build(self) -> Block:
        """Return the block of all rows appended so far."""
        return Block(
            predictions=self._columns(PredictionRows, "predictions", self._predictions),
            outcomes=self._columns(OutcomeRows, "outcomes", self._outcomes),
            strings=tuple(self._strings),  # last: items of lists have their codes now
            segments=tuple(self._segments),
            sources=tuple(self._sources),
        )

    def _shared(
        self, table: str, prediction_id: str, id_hash: int, trigger: Trigger, row: Predicted
    ) -> tuple[Any, ...]:
        source = (trigger.topic, trigger.partition)
        proba = row.proba
        by_class = proba if isinstance(proba, dict) and not isinstance(row.prediction, list) else {}
        self._map(f"{table}.proba", by_class)
        self._lists.setdefault(f"{table}.items", []).append(row.prediction)
        return (
            self._sources.setdefault(source, len(self._sources)),
            trigger.offset,
            self._code(row.model_id),
            self._code(row.model_version),
            self._segments.setdefault(row.segments, len(self._segments)),
            id_hash,
            prediction_id,
            row.predicted_at_ms,
            *self._number_and_text(row.prediction),
            np.nan if proba is None or isinstance(proba, dict) else proba,
            np.nan if row.business_value is None else row.business_value,
        )

    def _code(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def _number_and_text(self, value: Scalar | list[Any] | dict[str, float]) -> tuple[float, int]:
        if isinstance(value, str):
            return np.nan, self._code(value)
        return np.nan if isinstance(value, list | dict) else float(value), NO_TEXT

    def _map(self, name: str, mapping: Mapping[str, Any]) -> None:
        builder = self._maps.get(name)
        if builder is None:
            builder = self._maps[name] = RaggedBuilder(self._code)
        builder.append(mapping)

    def _columns(self, rows_class: Any, table: str, rows: list[tuple[Any, ...]]) -> Any:
        columns = list(zip(*rows, strict=True)) or [()] * len(DTYPES[table])
        named: dict[str, Any] = {
            name: tuple(column) if dtype is None else np.array(column, dtype)
            for (name, dtype), column in zip(DTYPES[table].items(), columns, strict=True)
        }
        for name in MAPS[table]:
            builder = self._maps.get(f"{table}.{name}") or RaggedBuilder(self._code)
            named[name] = builder.build()
        for name in LISTS[table]:
            named[name] = list_column(self._lists.get(f"{table}.{name}", []), self._code)
        return rows_class(**named)


_SHARED: dict[str, Any] = {
    "source": np.int32,
    "offset": np.int64,
    "model": np.int32,
    "version": np.int32,
    "segments": np.int32,
    "id_hash": np.uint64,
    "prediction_id": None,
    "predicted_at_ms": np.int64,
    "number": np.float64,
    "text": np.int32,
    "score": np.float64,
    "business_value": np.float64,
}
DTYPES: dict[str, dict[str, Any]] = {
    "predictions": _SHARED | {"latency_ms": np.float64, "entity": np.int32},
    "outcomes": _SHARED
    | {
        "label_number": np.float64,
        "label_text": np.int32,
        "labelled_at_ms": np.int64,
        "weight": np.float64,
        "revision": np.int32,
        "sign": np.float64,
        "again": np.bool_,
    },
}
LISTS = {"predictions": ("items",), "outcomes": ("items", "relevant")}
MAPS = {"predictions": ("proba", "features", "resources"), "outcomes": ("proba", "kpis")}
