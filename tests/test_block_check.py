"""A block from outside is used only if every column is what a reader will take it for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tidegauge.block import Block, Labelled, Layout, Predicted, Trigger
from tidegauge.block_builder import DTYPES, BlockBuilder
from tidegauge.block_check import _CODES, _RANGES, check
from tidegauge.errors import SnapshotError


def block() -> Block:
    builder = BlockBuilder()
    for row in range(3):
        what = Predicted("churn", "v1", (("country", "FR"),), row, row, {"a": 0.5, "b": 0.5}, None)
        features = {"age": row, "plan": "free", "gap": None}
        trigger = Trigger("predictions", 0, row)
        builder.prediction(f"p{row}", row, trigger, what, features, None, {"cpu": 0.5}, "me")
        label: Any = {"i": 1.0, "j": 2.0} if row else "x"
        builder.outcome(f"p{row}", row, trigger, what, Labelled(label, 1.0, {"eur": 2.0}), row, 0, 1)
    return builder.build()


def outcomes(name: str, column: Any) -> Callable[[Block], Block]:
    return lambda found: replace(found, outcomes=replace(found.outcomes, **{name: column}))


def predictions(name: str, column: Any) -> Callable[[Block], Block]:
    return lambda found: replace(found, predictions=replace(found.predictions, **{name: column}))


def relevant(**parts: Any) -> Callable[[Block], Block]:
    return lambda found: outcomes("relevant", replace(found.outcomes.relevant, **parts))(found)


def features(**parts: Any) -> Callable[[Block], Block]:
    return lambda found: predictions("features", replace(found.predictions.features, **parts))(found)


def test_what_a_builder_builds_is_a_block() -> None:
    check(block())
    check(BlockBuilder().build())


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (outcomes("model", np.array([0, 99, 0], np.int32)), "outcomes.model: expected numbers from 0 to"),
        (outcomes("model", np.array([0, -1, 0], np.int32)), "outcomes.model"),
        (outcomes("label_text", np.array([-2, 0, 0], np.int32)), "outcomes.label_text"),
        (outcomes("source", np.array([1, 0, 0], np.int32)), "outcomes.source: expected numbers from 0 to 0"),
        (outcomes("segments", np.array([7, 0, 0], np.int32)), "outcomes.segments"),
        (outcomes("number", np.zeros(3, np.int32)), "outcomes.number: expected 3 numbers of float64"),
        (outcomes("number", np.zeros(2)), "outcomes.number: expected 3 numbers"),
        (outcomes("number", np.zeros((3, 1))), "outcomes.number: expected 3 numbers"),
        (outcomes("number", [0.0, 0.0, 0.0]), "outcomes.number: expected 3 numbers"),
        (outcomes("number", np.array([np.inf, 0, 0])), "outcomes.number"),
        (outcomes("weight", np.array([0.0, 1, 1])), "outcomes.weight"),
        (outcomes("weight", np.array([np.nan, 1, 1])), "outcomes.weight"),
        (outcomes("revision", np.array([-1, 0, 0], np.int32)), "outcomes.revision"),
        (outcomes("sign", np.array([0.5, 1, 1])), "outcomes.sign: expected -1 or"),
        (outcomes("score", np.array([1.5, 0, 0])), "outcomes.score: expected numbers from 0 to 1"),
        (outcomes("labelled_at_ms", np.array([2**60, 0, 0])), "outcomes.labelled_at_ms"),
        (outcomes("prediction_id", (1, "b", "c")), "outcomes.prediction_id: expected texts"),
        (outcomes("kpis", np.zeros(3)), "outcomes.kpis: expected maps"),
        (predictions("offset", np.array([-1, 0, 0])), "predictions.offset"),
        (features(layout=np.array([0, 0, 5], np.int32)), "predictions.features"),
        (features(values=np.zeros(4)), "predictions.features: expected 9 numbers"),
        (features(values=np.array([1, 0.5, 1] * 3)), "predictions.features: expected codes"),
        (features(values=np.array([1, 99.0, 1] * 3)), "predictions.features"),
        (features(values=np.array([1, np.nan, 1] * 3)), "predictions.features"),
        (features(layouts=(Layout(("a", "b", "c"), (False, True)),)), "expected a flag for each name"),
        (features(layouts=(Layout(("a", "b", "c"), (0, 1, 0)),)), "expected a flag for each name"),  # type: ignore[arg-type]
        (features(layouts=(Layout(("a", "b", 3), (False, True, False)),)), "expected texts"),  # type: ignore[arg-type]
        (outcomes("relevant", np.zeros(3)), "outcomes.relevant: expected lists, got ndarray"),
        (relevant(sizes=np.array([0, 2], np.int32)), "outcomes.relevant: expected 3 numbers of int32"),
        (relevant(sizes=np.array([-2, 2, 2], np.int32)), "outcomes.relevant: expected numbers from -1"),
        (relevant(sizes=np.array([2**31 - 1] * 3, np.int32)), "outcomes.relevant: expected 6442450941"),
        (relevant(items=np.zeros(3, np.int32)), "outcomes.relevant: expected 4 numbers"),
        (relevant(items=np.array([0, 1, 99, 0], np.int32)), "outcomes.relevant: expected numbers from 0 to"),
        (relevant(items=np.array([0, 1, -1, 0], np.int32)), "outcomes.relevant: expected numbers from 0 to"),
        (relevant(gains=np.ones(3)), "outcomes.relevant: expected 4 numbers of float64"),
        (relevant(gains=np.array([1.0, -1, 1, 1])), "outcomes.relevant: expected numbers from 0"),
        (relevant(gains=np.array([1.0, np.nan, 1, 1])), "outcomes.relevant: expected numbers from 0"),
        (lambda found: replace(found, strings=(1, *found.strings)), "strings: expected texts"),
        (lambda found: replace(found, segments=((("country", 3),),)), "segments: expected texts"),
        (lambda found: replace(found, sources=((7, 0),)), "sources: expected texts"),
        (lambda found: replace(found, sources=(("predictions", "0"),)), "sources: expected numbers"),
    ],
)
def test_a_column_that_cannot_be_a_block_s_is_named(broken: Callable[[Block], Block], says: str) -> None:
    with pytest.raises(SnapshotError, match=says.replace("[", r"\[")):
        check(broken(block()))


def test_every_column_of_numbers_is_of_a_dictionary_or_has_a_range_or_takes_any_number() -> None:
    columns = {name for table in DTYPES.values() for name, dtype in table.items() if dtype is not None}
    assert columns - _CODES.keys() - _RANGES.keys() == {"id_hash", "again"}
