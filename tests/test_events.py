"""Events: what is taken, what is refused and why, and that nothing else can happen."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge import intake
from tidegauge.block import Labelled, Predicted
from tidegauge.config import Limits
from tidegauge.errors import Rejected
from tidegauge.events import Decoder, LabelEvent, PredictionEvent, dead_letter, read
from tidegauge.records import REASONS, Control

RECORD_MS = 1_357_000_000_000
LIMITS = Limits()
SMALL = Limits(
    message_bytes=2_000,
    id_bytes=8,
    features=3,
    segments=2,
    classes=2,
    text_bytes=10,
    list_items=3,
    future_seconds=60,
)
PREDICTION = {"prediction_id": "a", "model_id": "m", "model_version": "v", "prediction": 1}
LABEL = {"prediction_id": "a", "label": 1}


def encoded(event: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({**event, **more}, allow_nan=False).encode()


def predicted(limits: Limits = LIMITS, **more: Any) -> PredictionEvent:
    return Decoder(limits).prediction(encoded(PREDICTION, **more), RECORD_MS)


def labelled(limits: Limits = LIMITS, **more: Any) -> LabelEvent:
    return Decoder(limits).label(encoded(LABEL, **more), RECORD_MS)


def refused(value: bytes | None, limits: Limits = LIMITS) -> Rejected:
    with pytest.raises(Rejected) as caught:
        Decoder(limits).prediction(value, RECORD_MS)
    assert caught.value.reason in REASONS
    return caught.value


def why(limits: Limits = LIMITS, **more: Any) -> tuple[str, str]:
    rejected = refused(encoded(PREDICTION, **more), limits)
    return rejected.reason, rejected.path


# --- what is taken -------------------------------------------------------------------------------


def test_a_full_prediction_comes_through_whole() -> None:
    event = Decoder(LIMITS).prediction(
        encoded(
            PREDICTION,
            predicted_at="2013-01-31T08:00:00.250+01:00",
            prediction="late",
            prediction_proba={"late": 0.75, "on time": 0.25},
            features={"hour": 8, "far": True, "carrier": "UA", "wind": None, "delay": 2.5},
            segments={"origin": "JFK", "carrier": "UA"},
            entity_id="flight 1",
            latency_ms=3.5,
            resources={"cpu": 0.5},
            value=120,
        ),
        -1,
    )
    assert event == PredictionEvent(
        prediction_id="a",
        predicted=Predicted(
            model_id="m",
            model_version="v",
            segments=(("carrier", "UA"), ("origin", "JFK")),
            predicted_at_ms=1_359_615_600_250,
            prediction="late",
            proba={"late": 0.75, "on time": 0.25},
            business_value=120.0,
        ),
        features={"hour": 8, "far": True, "carrier": "UA", "wind": None, "delay": 2.5},
        latency_ms=3.5,
        resources={"cpu": 0.5},
        entity_id="flight 1",
    )


def test_a_full_label_comes_through_whole() -> None:
    event = labelled(label=False, labelled_at=1_356_999_999, kpis={"revenue": 12.5}, weight=2)
    assert event == LabelEvent("a", Labelled(False, 2.0, {"revenue": 12.5}), 1_356_999_999_000)


@pytest.mark.parametrize("value", [True, False, 1, 1.5, "1", ["x", 1, 2.5], -(2**63), 2**63 - 1])
def test_a_value_keeps_its_type(value: Any) -> None:
    for came in (predicted(prediction=value).predicted.prediction, labelled(label=value).labelled.label):
        assert (came, type(came)) == (value, type(value))


def test_fields_nobody_knows_are_left_out_without_complaint() -> None:
    value = b'{"extra": [{"deep": 1e400}], "label": 1, "prediction_id": "a"}'
    assert Decoder(LIMITS).label(value, RECORD_MS).labelled == Labelled(1, 1.0, {})


@pytest.mark.parametrize(
    ("time", "at_ms"),
    [
        ("2012-12-31T23:59:59Z", 1_356_998_399_000),
        ("2012-12-31T23:59:59.0015+00:00", 1_356_998_399_002),
        (1_356_998_399, 1_356_998_399_000),
        (1_356_998_399.25, 1_356_998_399_250),
        (1_356_998_399_250, 1_356_998_399_250),
        (1_356_998_399_250.0, 1_356_998_399_250),
        (0, 0),
        (99_999_999_999 / 1_000, 99_999_999_999 // 1_000 * 1_000 + 999),
        (100_000_000_000, 100_000_000_000),
        (None, RECORD_MS),
    ],
)
def test_a_time_is_text_or_seconds_or_from_1e11_on_milliseconds_or_that_of_the_record(
    time: Any, at_ms: int
) -> None:
    assert predicted(predicted_at=time).predicted.predicted_at_ms == at_ms
    assert labelled(labelled_at=time).labelled_at_ms == at_ms


def test_an_id_may_have_as_many_bytes_as_the_limit_says() -> None:
    assert predicted(SMALL, prediction_id="é" * 4).prediction_id == "é" * 4
    assert why(SMALL, prediction_id="é" * 4 + "x") == ("out_of_range", "$.prediction_id")


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (None, "tombstone"),
        (b"", "empty"),
        (b"null", "object"),
        (b"[]", "object"),
        (b'{"prediction_id": "a"', "truncated"),
        (encoded(PREDICTION)[:-1], "truncated"),
        (encoded(PREDICTION) + b"x", "trailing"),
        (b"\xff\xfe{}", "malformed"),
        (encoded(PREDICTION).replace(b'"a"', b'"\xff"'), "in UTF-8: .*(?i:utf-8)"),
        (encoded(PREDICTION).replace(b'"a"', b'"\\ud800"'), "JSON object"),
        (encoded(PREDICTION).replace(b"1", b"NaN"), "malformed"),
        (encoded(PREDICTION).replace(b"1", b"-Infinity"), "malformed"),
        (b'{"a":' * 40_000, "deeply"),
        (b'{"extra":' + b"[" * 100_000, "deeply"),
        (encoded(PREDICTION).replace(b"1}", b'1,"prediction":"' + b"\xff" + b'"}'), "in UTF-8: .*(?i:utf-8)"),
    ],
)
def test_what_is_no_json_object_is_malformed(value: bytes | None, detail: str) -> None:
    rejected = refused(value)
    assert (rejected.reason, rejected.path) == ("malformed", "$")
    assert re.search(detail, rejected.detail)


def test_a_field_that_comes_twice_and_is_wrong_once_is_malformed() -> None:
    rejected = refused(encoded(PREDICTION).replace(b"{", b'{"model_id": 7,', 1))
    assert (rejected.reason, rejected.detail) == ("malformed", "expected a JSON object with each field once")


@pytest.mark.parametrize("name", PREDICTION)
def test_a_missing_field_is_named(name: str) -> None:
    event = {key: value for key, value in PREDICTION.items() if key != name}
    rejected = refused(encoded(event))
    assert (rejected.reason, rejected.path) == ("missing_field", f"$.{name}")


@pytest.mark.parametrize(
    ("more", "path", "detail"),
    [
        ({"prediction_id": 7}, "$.prediction_id", "expected text, got number"),
        ({"model_id": None}, "$.model_id", "expected text, got null"),
        ({"prediction": None}, "$.prediction", "expected boolean or list or number or text, got null"),
        ({"prediction": {}}, "$.prediction", "expected boolean or list or number or text, got object"),
        ({"prediction": ["x", True]}, "$.prediction[1]", "expected number or text, got boolean"),
        ({"prediction_proba": "0.5"}, "$.prediction_proba", "expected null or number or object, got text"),
        ({"prediction_proba": {"x": "y"}}, "$.prediction_proba.x", "expected number, got text"),
        ({"features": []}, "$.features", "expected object, got list"),
        (
            {"features": {"b": 1, "a": [1]}},
            "$.features.a",
            "expected boolean or null or number or text, got list",
        ),
        ({"segments": {"carrier": 7}}, "$.segments.carrier", "expected text, got number"),
        ({"latency_ms": True}, "$.latency_ms", "expected null or number, got boolean"),
        ({"predicted_at": False}, "$.predicted_at", "expected null or number or text, got boolean"),
    ],
)
def test_a_wrong_type_is_told_with_its_path(more: dict[str, Any], path: str, detail: str) -> None:
    rejected = refused(encoded(PREDICTION, **more))
    assert (rejected.reason, rejected.path, rejected.detail) == ("wrong_type", path, detail)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"prediction_id": ""}, "$.prediction_id"),
        ({"model_version": ""}, "$.model_version"),
        ({"prediction": 2**63}, "$.prediction"),
        ({"prediction": 10**400}, "$.prediction"),
        ({"prediction": ["x", -(10**30)]}, "$.prediction[1]"),
        ({"features": {"a": 2**64}}, "$.features.a"),
        ({"latency_ms": -0.1}, "$.latency_ms"),
        ({"prediction_proba": 1.01}, "$.prediction_proba"),
        ({"prediction_proba": {"x": 0.5, "y": -0.5}}, "$.prediction_proba.y"),
        ({"predicted_at": -1}, "$.predicted_at"),
        ({"predicted_at": 10**30}, "$.predicted_at"),
        ({"predicted_at": "yesterday"}, "$.predicted_at"),
        ({"predicted_at": "2013-02-30T00:00:00Z"}, "$.predicted_at"),
        ({"predicted_at": "0001-01-01T00:00:00+14:00"}, "$.predicted_at"),
    ],
)
def test_a_value_out_of_range_is_told_with_its_path(more: dict[str, Any], path: str) -> None:
    assert why(**more) == ("out_of_range", path)


def test_a_number_that_is_not_finite_is_out_of_range() -> None:
    for path, value in (("$.prediction", b"1e400"), ("$.prediction[1]", b"[1, -1e400]")):
        rejected = refused(encoded(PREDICTION).replace(b"1", value))
        assert (rejected.reason, rejected.path) == ("out_of_range", path)


def test_a_time_without_a_zone_is_refused_with_what_to_add() -> None:
    rejected = refused(encoded(PREDICTION, predicted_at="2013-01-31T08:00:00"))
    assert (rejected.reason, rejected.path) == ("out_of_range", "$.predicted_at")
    assert "expected a zone" in rejected.detail


def test_a_weight_is_more_than_zero() -> None:
    with pytest.raises(Rejected, match=r"out_of_range at \$\.weight"):
        labelled(weight=0)


def test_relevant_items_are_a_list_or_a_map_of_gains() -> None:
    assert labelled(label=["i7", 7, 0.5]).labelled.label == ["i7", 7, 0.5]
    assert labelled(label={"i7": 1, "i9": 0.5}).labelled.label == {"i7": 1, "i9": 0.5}
    assert labelled(label=[]).labelled.label == []


@pytest.mark.parametrize(
    ("label", "reason", "path"),
    [
        ({"i7": -1}, "out_of_range", "$.label.i7"),
        ({"item": "i7"}, "wrong_type", "$.label.item"),
        (["i7", None], "wrong_type", "$.label[1]"),
        ({f"i{number}": 1 for number in range(4)}, "too_many", "$.label"),
        ([1, 2, 3, 4], "too_many", "$.label"),
        ({"é" * 40: 1}, "out_of_range", "$.label." + "é" * 40),
    ],
)
def test_what_is_no_set_of_relevant_items_is_told_with_its_path(label: Any, reason: str, path: str) -> None:
    with pytest.raises(Rejected) as caught:
        labelled(SMALL, label=label)
    assert (caught.value.reason, caught.value.path) == (reason, path)


def test_a_partial_label_is_a_list_or_a_map_and_says_nothing_else() -> None:
    assert labelled(label=["i7"], partial=True).labelled == Labelled(["i7"], 1.0, {}, partial=True)
    assert labelled(label={"i7": 2}, partial=True, kpis={}, weight=1).labelled.partial
    assert labelled(label=1, partial=False).labelled == Labelled(1, 1.0, {})


@pytest.mark.parametrize(
    ("more", "reason", "path"),
    [
        ({"label": 1}, "wrong_type", "$.label"),
        ({"label": True}, "wrong_type", "$.label"),
        ({"label": "i7"}, "wrong_type", "$.label"),
        ({"label": [1, 2, 3, 4]}, "too_many", "$.label"),
        ({"label": ["i7"], "kpis": {"clicks": 1}}, "out_of_range", "$.kpis"),
        ({"label": ["i7"], "weight": 2}, "out_of_range", "$.weight"),
        ({"label": ["i7"], "partial": 1}, "wrong_type", "$.partial"),
    ],
)
def test_what_does_not_add_up_is_told_with_its_path(more: dict[str, Any], reason: str, path: str) -> None:
    with pytest.raises(Rejected) as caught:
        labelled(SMALL, **({"partial": True} | more))
    assert (caught.value.reason, caught.value.path) == (reason, path)
    values = [encoded(LABEL, **({"partial": True} | more))]
    assert intake.labels(Decoder(SMALL), values, np.array([RECORD_MS])).rejected[0].path == path


def test_a_time_may_be_ahead_of_the_record_by_the_limit_alone() -> None:
    ahead_ms = SMALL.future_seconds * 1_000
    assert labelled(SMALL, labelled_at=RECORD_MS + ahead_ms).labelled_at_ms == RECORD_MS + ahead_ms
    with pytest.raises(Rejected, match=r"from_the_future at \$\.labelled_at") as caught:
        labelled(SMALL, labelled_at=RECORD_MS + ahead_ms + 1)
    assert caught.value.reason == "from_the_future"


def test_an_event_without_a_time_needs_a_record_that_has_one() -> None:
    with pytest.raises(Rejected) as caught:
        Decoder(LIMITS).label(encoded(LABEL), -1)
    assert (caught.value.reason, caught.value.path) == ("missing_field", "$.labelled_at")


def test_a_record_without_a_time_is_no_measure_of_the_future() -> None:
    value = encoded(LABEL, labelled_at="2999-01-01T00:00:00Z")
    assert Decoder(LIMITS).label(value, -1).labelled_at_ms == 32_472_144_000_000


@pytest.mark.parametrize(
    ("more", "reason", "path"),
    [
        ({"extra": "x" * 2_000}, "too_large", "$"),
        ({"model_id": "x" * 9}, "out_of_range", "$.model_id"),
        ({"model_version": "x" * 9}, "out_of_range", "$.model_version"),
        ({"entity_id": "x" * 9}, "out_of_range", "$.entity_id"),
        ({"features": {"a": 1, "b": 1, "c": 1, "d": 1}}, "too_many", "$.features"),
        ({"resources": {"a": 1, "b": 1, "c": 1, "d": 1}}, "too_many", "$.resources"),
        ({"segments": {"a": "", "b": "", "c": ""}}, "too_many", "$.segments"),
        ({"prediction_proba": {"a": 0, "b": 0, "c": 0}}, "too_many", "$.prediction_proba"),
        ({"prediction": [1, 2, 3, 4]}, "too_many", "$.prediction"),
        ({"prediction": "x" * 11}, "out_of_range", "$.prediction"),
        ({"prediction": ["x", "x" * 11]}, "out_of_range", "$.prediction[1]"),
        ({"features": {"a": "x" * 11}}, "out_of_range", "$.features.a"),
        ({"features": {"x" * 11: 1}}, "out_of_range", "$.features." + "x" * 11),
        ({"segments": {"a": "x" * 11}}, "out_of_range", "$.segments.a"),
    ],
)
def test_every_limit_is_kept(more: dict[str, Any], reason: str, path: str) -> None:
    assert why(SMALL, **more) == (reason, path)


def test_the_limits_hold_for_labels() -> None:
    for more, path in (
        ({"prediction_id": "x" * 9}, r"\$\.prediction_id"),
        ({"label": "x" * 11}, r"\$\.label"),
        ({"label": [1] * 4}, r"\$\.label"),
        ({"kpis": {"a": 1, "b": 1, "c": 1, "d": 1}}, r"\$\.kpis"),
    ):
        with pytest.raises(Rejected, match=path):
            labelled(SMALL, **more)


def test_what_is_just_within_the_limits_is_taken() -> None:
    event = predicted(
        SMALL,
        prediction=["x" * 10, 1, 2],
        prediction_proba={"a": 0, "b": 1},
        features={"a": "é" * 5, "b": None, "c": 1},
        segments={"a": "x" * 10, "b": ""},
        resources={"a": 1, "b": 1, "c": 1},
    )
    assert event.predicted.prediction == ["x" * 10, 1, 2]


def test_a_segment_limit_holds_in_a_message_too_short_to_measure() -> None:
    many = {f"s{number}": "" for number in range(17)}
    assert why(segments=many) == ("too_many", "$.segments")


# --- dead letters --------------------------------------------------------------------------------


def test_a_dead_letter_says_why_where_and_what() -> None:
    value = b'{"prediction_id": 7}'
    letter = dead_letter(refused(value), "predictions", 3, 17, value)
    assert (letter.topic, letter.partition, letter.offset) == ("predictions", 3, 17)
    assert (letter.reason, letter.path) == ("wrong_type", "$.prediction_id")
    assert base64.b64decode(letter.value_base64 or "") == value
    assert dead_letter(refused(None), "predictions", 3, 18, None).value_base64 is None


def test_a_dead_letter_is_smaller_than_what_was_too_large() -> None:
    value = encoded(PREDICTION, extra="x" * 5_000)
    assert dead_letter(refused(value, SMALL), "predictions", 0, 0, value).value_base64 is None
    long_name = refused(encoded(PREDICTION, features={"x" * 5_000: 1}))
    assert len(dead_letter(long_name, "predictions", 0, 0, None).path) <= 200


# --- whatever the bytes are ----------------------------------------------------------------------

VALID = [
    encoded(
        PREDICTION,
        predicted_at="2013-01-31T08:00:00Z",
        prediction_proba={"a": 0.5, "b": 0.5},
        features={"a": 1, "b": "x", "c": None, "d": True, "e": 2.5},
        segments={"s": "t"},
        resources={"cpu": 1},
        latency_ms=1.5,
        value=3,
        entity_id="e",
    ),
    encoded(LABEL, labelled_at=1_357_000_000, kpis={"revenue": 1.5}, weight=2.0),
    encoded(PREDICTION, prediction=["x", 1, 2.5], prediction_proba=0.5),
]
PIECES = [
    b"\\ud800",
    b"\xff",
    b"NaN",
    b"1e400",
    b"1" * 400,
    b"[" * 2_000,
    b'{"a":' * 2_000,
    b"null",
    b"true",
    b'""',
    b"-1",
    b"{}",
    b'"x"',
    b",",
    b"0001-01-01T00:00:00+14:00",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    value = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.integers(start, min(len(value), start + 8)))
        value = value[:start] + draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + value[end:]
    return value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def reassembled(draw: st.DrawFn) -> bytes:
    """A valid event with some of its fields' values replaced by any JSON, or by what Python calls so."""
    event = json.loads(draw(st.sampled_from(VALID)))
    for name in draw(st.lists(st.sampled_from(sorted(event)), max_size=3)):
        event[name] = draw(JSON)
    return json.dumps(event).encode()


@pytest.mark.parametrize("limits", [LIMITS, SMALL])
@given(value=st.none() | st.binary(max_size=60) | mutated() | reassembled(), record_ms=st.integers(-1, 2**42))
def test_any_bytes_are_an_event_or_rejected_with_a_reason(
    limits: Limits, value: bytes | None, record_ms: int
) -> None:
    decoder = Decoder(limits)
    decodes: list[Callable[[bytes | None, int], PredictionEvent | LabelEvent]] = [
        decoder.prediction,
        decoder.label,
    ]
    for decode in decodes:
        try:
            event = decode(value, record_ms)
        except Rejected as rejected:
            assert rejected.reason in REASONS
            letter = dead_letter(rejected, "t", 0, 0, value)
            json.dumps([letter.detail, letter.path], ensure_ascii=False).encode()
        else:
            assert isinstance(event, PredictionEvent | LabelEvent)
            assert 0 < len(event.prediction_id.encode()) <= limits.id_bytes


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "malformed"),
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"\xff", "malformed"),
        (b'{"a":' * 100_000, "malformed"),
        (b"[]", "wrong_type"),
        (b'{"action": "explode", "model_id": "a", "model_version": "b"}', "wrong_type"),
    ],
)
def test_a_record_that_cannot_be_read_is_rejected_with_a_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        read(value, Control)
    assert rejected.value.reason == reason
