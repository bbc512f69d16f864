"""What a caller gives becomes JSON that the join accepts, or an error at the caller."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.client import LabelLogger, PredictionLogger
from tidegauge.client.wire import class_text, event_bytes
from tidegauge.config import Limits
from tidegauge.errors import Rejected
from tidegauge.events import Decoder
from tidegauge.records import Label, Prediction

NOWHERE = "127.0.0.1:1"  # nothing is sent: a rejected event is not queued
PREDICTION: dict[str, Any] = {
    "prediction_id": "a",
    "model_id": "m",
    "model_version": "1",
    "prediction": 1,
}
RECORD_MS = 1_769_846_400_000


def sent(fields: dict[str, Any]) -> Any:
    return json.loads(event_bytes(fields))


@pytest.mark.parametrize(("logger", "record"), [(PredictionLogger, Prediction), (LabelLogger, Label)])
def test_log_takes_exactly_the_fields_of_its_record(logger: Any, record: Any) -> None:
    wanted = set(record.__struct_encode_fields__)
    assert set(inspect.signature(logger.log).parameters) - {"self"} == wanted


def test_a_label_is_partial_only_where_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = []
    monkeypatch.setattr(LabelLogger, "_send", lambda self, key, event: events.append(json.loads(event)))
    logger = LabelLogger(NOWHERE, log_level=0)
    logger.log(prediction_id="a", label=["x"])
    logger.log(prediction_id="a", label={"y": 2}, partial=True)
    assert events == [
        {"prediction_id": "a", "label": ["x"]},
        {"prediction_id": "a", "label": {"y": 2}, "partial": True},
    ]


def test_what_is_none_stays_out() -> None:
    assert sent({**PREDICTION, "value": None, "features": None}) == PREDICTION


def test_numpy_scalars_and_arrays_are_taken() -> None:
    found = sent(
        {
            "prediction": np.bool_(True),
            "prediction_proba": {np.int64(0): np.float32(0.25), np.int64(1): np.float64(0.75)},
            "features": {"a": np.float32(0.5), "b": np.str_("x"), "c": np.int16(3)},
            "value": np.float64(1.5),
        }
    )
    assert found == {
        "prediction": True,
        "prediction_proba": {"0": 0.25, "1": 0.75},
        "features": {"a": 0.5, "b": "x", "c": 3},
        "value": 1.5,
    }
    assert sent({"prediction": np.array([3, 1, 2])}) == {"prediction": [3, 1, 2]}


@pytest.mark.parametrize("missing", [float("nan"), float("inf"), np.float32("nan"), None])
def test_a_feature_without_a_finite_value_is_missing(missing: Any) -> None:
    assert sent({"features": {"a": missing}}) == {"features": {"a": None}}


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("prediction", float("nan"), "$.prediction"),
        ("prediction_proba", np.float64("inf"), "$.prediction_proba"),
        ("prediction_proba", {"1": float("nan")}, "$.prediction_proba.1"),
        ("value", float("-inf"), "$.value"),
        ("prediction", [1.0, float("nan")], "$.prediction[1]"),
    ],
)
def test_what_is_not_finite_elsewhere_is_rejected_with_its_place(field: str, value: Any, path: str) -> None:
    with pytest.raises(Rejected) as error:
        event_bytes({field: value})
    assert (error.value.reason, error.value.path) == ("out_of_range", path)


def test_a_time_with_a_zone_reads_back_to_the_millisecond() -> None:
    moment = datetime(2026, 1, 31, 8, 0, 0, 123_000, UTC)
    event = event_bytes({**PREDICTION, "predicted_at": moment})
    found = Decoder(Limits()).prediction(event, RECORD_MS)
    assert found.predicted.predicted_at_ms == round(moment.timestamp() * 1_000)


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "1"), (False, "0"), (1.0, "1"), (0.5, "0.5"), (np.bool_(False), "0"), (7, "7"), ("a", "a")],
)
def test_classes_are_text_in_one_way(value: Any, text: str) -> None:
    assert class_text(value) == text


scalars = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)  # fmt: skip


@given(scalars, st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), scalars))
def test_every_event_the_client_makes_of_sound_values_is_accepted(prediction: Any, features: Any) -> None:
    event = event_bytes({**PREDICTION, "prediction": prediction, "features": features})
    found = Decoder(Limits()).prediction(event, RECORD_MS)
    assert (found.predicted.prediction, dict(found.features)) == (prediction, features)


@pytest.mark.parametrize(
    ("change", "reason", "path"),
    [
        ({"prediction_id": 42}, "wrong_type", "$.prediction_id"),
        ({"prediction_id": ""}, "out_of_range", "$.prediction_id"),
        ({"prediction_id": "x" * 300}, "out_of_range", "$.prediction_id"),
        ({"prediction": None}, "missing_field", "$.prediction"),
        ({"prediction": object()}, "wrong_type", "$"),
        ({"features": {"a": [1]}}, "wrong_type", "$.features.a"),
        ({"features": 3}, "wrong_type", "$.features"),
        ({"segments": {"a": 1}}, "wrong_type", "$.segments.a"),
        ({"latency_ms": -1}, "out_of_range", "$.latency_ms"),
        ({"predicted_at": datetime(2026, 1, 1)}, "out_of_range", "$.predicted_at"),
        ({"predicted_at": "2200-01-01T00:00:00Z"}, "from_the_future", "$.predicted_at"),
        ({"segments": {str(i): "a" for i in range(17)}}, "too_many", "$.segments"),
        ({"entity_id": "\ud800"}, "wrong_type", "$"),
    ],
)
def test_a_wrong_prediction_is_an_error_at_the_caller_and_is_not_sent(
    change: dict[str, Any], reason: str, path: str
) -> None:
    logger = PredictionLogger(NOWHERE, log_level=0)
    with pytest.raises(Rejected) as error:
        logger.log(**{**PREDICTION, **change})
    assert (error.value.reason, error.value.path) == (reason, path)
    assert logger.flush(0) == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weight": 0}, "out_of_range"),
        ({"kpis": {"a": "b"}}, "wrong_type"),
        ({"label": None}, "missing_field"),
        ({"partial": True}, "wrong_type"),
    ],
)
def test_a_wrong_label_is_an_error_at_the_caller(change: dict[str, Any], reason: str) -> None:
    logger = LabelLogger(NOWHERE, log_level=0)
    with pytest.raises(Rejected) as error:
        logger.log(**{"prediction_id": "a", "label": 1, **change})
    assert error.value.reason == reason


def test_limits_of_the_deployment_hold_at_the_caller() -> None:
    logger = PredictionLogger(NOWHERE, limits=Limits(id_bytes=4), log_level=0)
    with pytest.raises(Rejected, match="at most 4 bytes"):
        logger.log(**{**PREDICTION, "prediction_id": "abcde"})
