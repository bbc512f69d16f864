"""Blocks: what goes in by rows comes out by columns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.adapters import block_codec
from tidegauge.block import (
    NO_TEXT,
    Block,
    Labelled,
    Lists,
    Predicted,
    Ragged,
    Trigger,
    from_tree,
    to_tree,
)
from tidegauge.block_builder import LISTS, BlockBuilder
from tidegauge.errors import SnapshotError

VALUES = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-1, 1), st.text(max_size=2))
MAPS = st.lists(st.dictionaries(st.text(max_size=2), VALUES, max_size=4), max_size=12)
PREDICTED = Predicted("churn", "v1", (("country", "de"),), 5, "yes", {"no": 0.25, "yes": 0.75}, None)


def built(maps: list[dict]) -> Block:
    builder = BlockBuilder()
    for number, features in enumerate(maps):
        trigger = Trigger("predictions", 0, number)
        builder.prediction(f"p{number}", number, trigger, PREDICTED, features, None, {"cpu": 0.5}, "user")
    return builder.build()


def maps_of(column: Ragged, strings: tuple[str, ...]) -> list[dict]:
    found: list[dict] = [{}] * len(column.layout)
    for layout, rows, values in column.groups():
        for row, numbers in zip(rows.tolist(), values.tolist(), strict=True):
            named = zip(layout.names, layout.text, numbers, strict=True)
            found[row] = {name: text_of(strings, x) if text else x for name, text, x in named}
    return found


def text_of(strings: tuple[str, ...], code: float) -> str | None:
    return None if code == NO_TEXT else strings[int(code)]


def same(came: dict, expected: dict) -> bool:
    return came.keys() == expected.keys() and all(
        came[name] is None or math.isnan(came[name]) if value is None else came[name] == value
        for name, value in expected.items()
    )


@given(MAPS)
def test_features_of_any_shape_survive_the_columns_and_the_bytes(maps):
    block = block_codec.decode(block_codec.encode(built(maps)))
    for came, expected in zip(maps_of(block.predictions.features, block.strings), maps, strict=True):
        assert same(came, expected)


ANSWERS = st.lists(
    st.one_of(
        st.sampled_from([0.5, True, "x"]),
        st.lists(st.sampled_from(["a", "b", 7, 7.0, 0.5, "7"]), max_size=4),
        st.dictionaries(st.sampled_from(["a", "b", "7"]), st.sampled_from([0, 1, 2.5]), max_size=3),
    ),
    max_size=12,
)


def gains_of(lists: Lists, strings: tuple[str, ...], rows: int) -> list[dict[str, float] | None]:
    known, counts = lists.counts(rows)
    ends = np.cumsum(counts)
    gains = lists.gains if len(lists.gains) else np.ones(len(lists.items))
    return [
        {strings[lists.items[at]]: float(gains[at]) for at in range(end - count, end)} if has else None
        for has, count, end in zip(known.tolist(), counts.tolist(), ends.tolist(), strict=True)
    ]


def expected_gains(answer: object) -> dict[str, float] | None:
    if isinstance(answer, list):
        return {item if isinstance(item, str) else f"{item:g}": 1.0 for item in answer}
    return {item: gain for item, gain in answer.items() if gain} if isinstance(answer, dict) else None


@given(ANSWERS, st.lists(st.integers(0, 11), max_size=20))
def test_lists_and_gains_survive_the_columns_the_bytes_and_a_choice_of_rows(answers, places):
    builder = BlockBuilder()
    for number, label in enumerate(answers):
        shown = label if isinstance(label, list) else 1
        what = PREDICTED._replace(prediction=shown)
        trigger = Trigger("labels", 0, number)
        builder.outcome(f"p{number}", number, trigger, what, Labelled(label, 1.0, {}), 9, 0, 1)
    rows = np.array([place for place in places if place < len(answers)], np.int64)
    block = block_codec.decode(block_codec.encode(builder.build())).select(None, rows)
    relevant = gains_of(block.outcomes.relevant, block.strings, len(rows))
    shown = gains_of(block.outcomes.items, block.strings, len(rows))
    assert relevant == [expected_gains(answers[row]) for row in rows.tolist()]
    for row, items in zip(rows.tolist(), shown, strict=True):
        wanted = expected_gains(answers[row]) if isinstance(answers[row], list) else None
        assert (items, list(items or ())) == (wanted, list(wanted or ()))


def test_a_block_of_before_there_were_lists_is_one_without_any() -> None:
    tree = to_tree(built([{}]))
    for table, names in LISTS.items():
        for name in names:
            del tree[table][name]
    assert not len(from_tree(tree).predictions.items.sizes)


@given(MAPS, st.lists(st.integers(0, 11), max_size=20))
def test_taken_rows_are_the_rows_at_their_places(maps, places):
    rows = np.array([place for place in places if place < len(maps)], np.int64)
    block = built(maps).select(rows, None)
    assert block.predictions.prediction_id == tuple(f"p{row}" for row in rows.tolist())
    taken = maps_of(block.predictions.features, block.strings)
    assert all(same(came, maps[row]) for came, row in zip(taken, rows.tolist(), strict=True))


def test_missing_texts_do_not_multiply_the_layouts():
    plans = ["free", None, "paid", None, None]
    block = built([{"plan": plan, "seats": 1} for plan in plans])
    assert len(block.predictions.features.layouts) == 1
    assert [row["plan"] for row in maps_of(block.predictions.features, block.strings)] == plans


def test_an_outcome_carries_the_prediction_as_it_was_stored_and_its_label():
    builder = BlockBuilder()
    labelled = Labelled(True, 2.0, {"revenue": 3.5})
    builder.outcome("p", 2**63 + 1, Trigger("labels", 3, 9), PREDICTED, labelled, 60_005, 1, -1)
    block = block_codec.decode(block_codec.encode(builder.build()))
    rows = block.outcomes
    assert block.sources[rows.source[0]] == ("labels", 3)
    assert (rows.offset[0], rows.id_hash[0], rows.revision[0], rows.sign[0]) == (9, 2**63 + 1, 1, -1)
    assert block.strings[rows.text[0]] == "yes"
    assert math.isnan(rows.number[0])
    assert (rows.label_number[0], rows.label_text[0]) == (1.0, NO_TEXT)
    assert (rows.weight[0], rows.labelled_at_ms[0], rows.predicted_at_ms[0]) == (2.0, 60_005, 5)
    assert block.segments[rows.segments[0]] == (("country", "de"),)
    assert maps_of(rows.proba, block.strings) == [{"no": 0.25, "yes": 0.75}]
    assert maps_of(rows.kpis, block.strings) == [{"revenue": 3.5}]


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\xc1", b"abc", b"\x80", block_codec.pack({"version": 99}), block_codec.pack({"version": 1})],
)
def test_bytes_that_are_no_block_are_named_as_such(damaged):
    with pytest.raises(SnapshotError):
        block_codec.decode(damaged)


def test_a_truncated_block_is_refused():
    whole = block_codec.encode(built([{"a": 1.0}]))
    for end in range(1, len(whole), 7):
        with pytest.raises(SnapshotError):
            block_codec.decode(whole[:end])
