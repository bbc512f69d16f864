"""Maps of features are read as dicts would be, whatever their models sent before."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge import intake
from tidegauge.block import Ragged
from tidegauge.block_columns import Dictionary, Given
from tidegauge.config import Limits
from tidegauge.errors import Rejected
from tidegauge.events import Decoder
from tidegauge.explain import UNREADABLE
from tidegauge.feature_maps import FeatureReader
from tidegauge.records import Scalar

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9), st.sampled_from(["x", "é"])
)
NAMES = st.sampled_from(["age", "plan", 'quo"te', "back\\slash", "é", "", "\n"])
MAPS = st.one_of(
    st.dictionaries(NAMES, SCALARS, max_size=4),
    st.fixed_dictionaries({"age": SCALARS, "plan": SCALARS}),
    st.sampled_from([None, [], {"age": {}}, {"age": [1]}]),
)


def maps_of(given: Given) -> list[dict[str, Any]]:
    values = [np.frombuffer(each).tolist() if isinstance(each, bytes) else each for each in given.values]
    return [dict(zip(*pair, strict=True)) for pair in zip(given.names, values, strict=True)]


@given(st.lists(st.tuples(st.sampled_from("ab"), MAPS), max_size=12), st.integers(0, 12))
def test_a_map_is_read_as_a_dict_is(sent: list[tuple[str, Any]], half: int) -> None:
    reader, exact = FeatureReader(Limits()), msgspec.json.Decoder(dict[str, Scalar | None])
    for part in (sent[:half], sent[half:]):
        texts = [json.dumps(each).encode() for _, each in part]
        found, wrong = reader.read([(model, "v1") for model, _ in part], texts)
        for place, (text, mapping, values) in enumerate(
            zip(texts, maps_of(found), found.values, strict=True)
        ):
            if place in wrong:
                with pytest.raises(UNREADABLE):
                    exact.decode(text)
                continue
            wanted = exact.decode(text)
            assert mapping == wanted
            assert isinstance(values, bytes) == {str, type(None)}.isdisjoint(map(type, wanted.values()))


def test_names_in_another_order_are_the_same_names() -> None:
    texts = [b'{"a": 1, "b": 2}', b'{"a": 1, "b": 2}', b'{"b": 2, "a": 1}', b'{"a": 0, "b": 2, "a": 1}']
    found, _ = FeatureReader(Limits()).read([("m", "v1")] * 4, texts)
    assert found == Given([("a", "b")] * 4, [np.array([1.0, 2.0]).tobytes()] * 4)


@given(st.lists(st.tuples(st.sampled_from("ab"), MAPS), max_size=12))
def test_a_column_has_what_was_given_row_by_row(sent: list[tuple[str, Any]]) -> None:
    texts = [json.dumps(each).encode() for _, each in sent]
    found, _ = FeatureReader(Limits()).read([(model, "v1") for model, _ in sent], texts)
    words = Dictionary()
    column = words.given(found)
    assert rows_of(column, list(words)) == [
        {name: float(value) if isinstance(value, bool | int) else value for name, value in each.items()}
        for each in maps_of(found)
    ]


def rows_of(column: Ragged, strings: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{} for _ in column.layout]
    for layout, rows, values in column.groups():
        for row, numbers in zip(rows.tolist(), values.tolist(), strict=True):
            found[row] = {
                name: (strings[int(number)] if number >= 0 else None)
                if text
                else (None if np.isnan(number) else number)
                for name, text, number in zip(layout.names, layout.text, numbers, strict=True)
            }
    return found


def test_a_message_is_read_with_the_names_that_its_own_model_sends_in_their_order() -> None:
    event = {"prediction_id": "a", "model_version": "v1", "prediction": 1}
    one, other = (
        json.dumps(event | {"model_id": model, "features": features}).encode()
        for model, features in (("m", {"a": 1, "b": 2}), ("n", {"b": 2, "a": 1}))
    )
    decoder, times = Decoder(Limits()), np.full(3, 1_357_000_000_000)
    for value, names in ((one, ("a", "b")), (one, ("a", "b")), (other, ("b", "a")), (one, ("a", "b"))):
        taken = intake.predictions(decoder, [value] * 3, times)
        assert taken.features is not None
        assert taken.features.names == [names] * 3
        assert maps_of(taken.features) == [{"a": 1, "b": 2}] * 3


@pytest.mark.parametrize(
    "features",
    [
        {f"f{number}": number for number in range(9)},
        {"a": "x" * 41},
        {"x" * 41: 1},
        {f"f{number}": number for number in range(8)},
        {"a": "x" * 40, "b": None},
        {"a": {}},
        None,
    ],
)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_long_message_is_rejected_where_it_is_by_itself(features: Any, times: int) -> None:
    decoder = Decoder(Limits(features=8, text_bytes=40, id_bytes=40))
    event = {"prediction_id": "a", "model_id": "m", "model_version": "v1", "prediction": 1}
    value = json.dumps(event | {"features": features, "seen": "." * 500}).encode()
    assert len(value) > decoder.short_message
    taken = intake.predictions(decoder, [value] * times, np.full(times, 1_357_000_000_000))
    try:
        record = decoder.prediction_record(value)
    except Rejected as reason:
        assert not taken.events
        assert [str(each) for each in taken.rejected.values()] == [str(reason)] * times
    else:
        assert taken.features is not None
        assert maps_of(taken.features) == [record.features] * times
