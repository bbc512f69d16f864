"""Whatever bytes come, a reader returns a record or raises its documented error: `make fuzz` in small."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.chunk import Fuzz
from tests.fuzz.extremes import extremes
from tests.fuzz.mutate import MUTATIONS, mutated
from tests.fuzz.targets import Target, check_refusal, targets, through_the_core
from tidegauge.adapters import block_codec
from tidegauge.block import to_tree
from tidegauge.errors import SnapshotError

TARGETS = targets()
BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize("seed", range(3))
def test_mutated_messages_become_records_or_documented_refusals(seed: int) -> None:
    tally = Fuzz().run(seed, 0, 4_000)
    assert tally.faults == []
    assert tally.records + tally.rejected == tally.messages == 4_000
    assert tally.records > 200


def test_the_same_seed_and_chunk_make_the_same_messages_and_others_do_not() -> None:
    def messages(name: str) -> list[bytes]:
        draw = random.Random(name)
        return [mutated(draw, BY_NAME["label"].corpus) for _ in range(50)]

    assert messages("1/0") == messages("1/0")
    assert messages("1/0") != messages("1/1")


def test_the_shares_of_the_targets_add_up() -> None:
    assert sum(target.share for target in TARGETS) == pytest.approx(1)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_changes_most_messages(mutation: Any) -> None:
    draw, data = random.Random(1), BY_NAME["prediction"].corpus[1]
    assert sum(mutation(draw, data, BY_NAME["prediction"].corpus[0]) != data for _ in range(100)) > 60


def feed(target: Target, data: bytes) -> None:
    try:
        target.read(data)
    except target.refusals as refusal:
        check_refusal(data, refusal)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(sorted(BY_NAME)))
def test_any_bytes_are_a_record_or_refused(data: bytes, name: str) -> None:
    feed(BY_NAME[name], data)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["prediction", "label", "control", "alert"])
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_value_in_any_field_is_a_record_or_refused(name: str, data: st.DataObject) -> None:
    target = BY_NAME[name]
    event = msgspec.json.decode(data.draw(st.sampled_from(target.corpus)))
    event[data.draw(st.sampled_from(sorted(event)))] = data.draw(TREES)
    feed(target, msgspec.json.encode(event))


@pytest.mark.parametrize("table", ["predictions", "outcomes"])
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_block_with_any_number_in_any_column_is_refused_or_fit_for_a_monitor(
    table: str, data: st.DataObject
) -> None:
    tree = to_tree(block_codec.decode(BY_NAME["block"].corpus[1]))
    arrays = sorted(name for name, column in tree[table].items() if isinstance(column, np.ndarray))
    name = data.draw(st.sampled_from(arrays))
    column = tree[table][name].copy()
    if column.dtype == np.float64:
        column[0] = data.draw(st.floats())
    elif column.dtype == np.bool_:
        column[0] = data.draw(st.booleans())
    else:
        bounds = np.iinfo(column.dtype)
        column[0] = data.draw(st.integers(int(bounds.min), int(bounds.max)))
    tree[table] |= {name: column}
    feed(BY_NAME["block"], block_codec.pack({"version": block_codec.VERSION, **tree}))


@pytest.mark.parametrize("seed", range(40))
def test_a_monitor_bears_numbers_at_the_edges_of_float64(seed: int) -> None:
    through_the_core(extremes(random.Random(seed)), random.Random(seed))


FOUND = {  # by `make fuzz`, each once
    "maps nested deeper than Python's stack": b"\x81\xa1a" * 5_000,
    "an array where a map of columns belongs": block_codec.pack(
        {**to_tree(block_codec.decode(BY_NAME["block"].corpus[0])), "version": 1, "predictions": np.zeros(1)}
    ),
    "an array of objects": b"\xc7\x06\x01\x05\x92\xa2|O\x90",
    "an array without a head": b"\xc7\x00\x01",
}


@pytest.mark.parametrize("name", FOUND)
def test_what_the_fuzz_has_found_is_refused(name: str) -> None:
    with pytest.raises(SnapshotError):
        block_codec.decode(FOUND[name])
