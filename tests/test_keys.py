"""Keys of Redis: what is written can be found and taken apart again."""

from __future__ import annotations

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from tidegauge import keys

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(ids)
def test_an_encoded_id_decodes_to_itself_and_holds_no_separator_or_wildcard(text: str) -> None:
    encoded = keys.encoded(text)
    assert keys.decoded(encoded) == text
    assert not set(encoded) & set(":=*?[]{}\\ \n")


@given(ids, ids, ids, ids)
def test_a_segment_is_found_by_its_versions_pattern_and_read_from_its_key(
    model: str, version: str, name: str, value: str
) -> None:
    key = keys.metrics_key(model, version, (name, value))
    assert keys.segment_of(key) == (name, value)
    assert fnmatch.fnmatchcase(key, keys.segments_pattern(model, version))


@given(ids, ids)
def test_a_whole_version_has_no_segment(model: str, version: str) -> None:
    assert keys.segment_of(keys.metrics_key(model, version)) is None


@given(ids, ids, ids, ids)
def test_two_series_never_share_a_key(a: str, b: str, c: str, d: str) -> None:
    pairs = {(a, b), (c, d), (b, a)}
    assert len({keys.metrics_key(*pair) for pair in pairs}) == len(pairs)


@given(ids, st.sampled_from(["1000", "1h", "24h", "7d"]), st.sampled_from(["value", "lo", "hi", "n"]))
def test_a_metric_field_is_taken_apart_whatever_the_metric_is_called(
    metric: str, window: str, part: keys.Part
) -> None:
    assert keys.split_field(keys.metric_field(metric, window, part)) == (metric, window, part)


def test_fields_that_are_no_metric_are_none() -> None:
    assert keys.split_field(keys.UPDATED) is None
    assert keys.split_field("f1@1h.other") is None


@given(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**53)))
def test_a_number_reads_back_exactly(value: float | None) -> None:
    assert keys.number(keys.number_text(value)) == value


def test_what_is_undefined_or_not_finite_is_null_and_never_zero() -> None:
    assert {keys.number_text(value) for value in (None, float("nan"), float("inf"))} == {"null"}
    assert keys.number("null") is None
    assert keys.number(None) is None


def test_history_is_kept_by_the_utc_day() -> None:
    before, after = 1_356_998_399_999, 1_356_998_400_000
    assert keys.series_key("m", "v", before) == "tg:series:m:v:20121231"
    assert keys.series_key("m", "v", after) == "tg:series:m:v:20130101"


def test_ids_are_encoded_in_every_key() -> None:
    made = [keys.model_key("a:b"), keys.drift_key("a:b", "1"), keys.baseline_key("a:b", "1")]
    assert made == ["tg:model:a%3Ab", "tg:drift:a%3Ab:1", "tg:baseline:a%3Ab:1"]
