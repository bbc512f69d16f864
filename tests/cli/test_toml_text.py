"""TOML that is written reads back."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidegauge.cli.toml_text import toml_text

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
scalars = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), texts
)
values = st.one_of(scalars, st.lists(scalars, max_size=3))
tables = st.dictionaries(texts, values, max_size=4)
trees = st.dictionaries(
    texts, st.one_of(values, tables, st.lists(tables, min_size=1, max_size=3)), max_size=4
)


@given(trees)
def test_what_is_written_reads_back(tree: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(tree)) == tree


def test_what_is_none_stays_out() -> None:
    assert tomllib.loads(toml_text({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}


def test_a_table_in_a_list_may_hold_nothing_but_tables() -> None:
    tree = {"rules": [{"a": {"b": 1}}, {}, {"a": {"b": 2}}]}
    assert tomllib.loads(toml_text(tree)) == tree
