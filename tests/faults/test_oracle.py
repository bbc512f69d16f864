"""The oracle on streams small enough to judge by eye."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.faults import oracle
from tests.faults.generator import LABELS, PREDICTIONS, Sent, Spec, stream

HOUR_MS = 3_600_000


def made(name: str, at_ms: int, prediction: Any = True, model: str = "m") -> Sent:
    event = {"prediction_id": name, "model_id": model, "model_version": "v1", "prediction": prediction}
    return Sent(PREDICTIONS, name.encode(), json.dumps({**event, "predicted_at": at_ms}).encode())


def told(name: str, at_ms: int, label: Any) -> Sent:
    event = {"prediction_id": name, "label": label, "labelled_at": at_ms}
    return Sent(LABELS, name.encode(), json.dumps(event).encode())


def test_the_newest_label_within_the_horizon_stands_whatever_the_order() -> None:
    events = [made("a", 0), told("a", 5, False), told("a", 9, True), told("a", HOUR_MS + 1, False)]
    for order in (events, events[::-1]):
        truth = oracle.tell(order, HOUR_MS)
        assert truth.outcomes == {"a": True}
        assert truth.counts["labels.matched"] == 1
        assert truth.counts["labels.corrected"] == 1
        assert truth.counts["labels.late"] == 1


def test_what_never_meets_expires_and_what_cannot_be_read_is_rejected() -> None:
    events = [
        made("a", 0),
        made("a", 0),
        told("b", 0, True),
        Sent(LABELS, b"x", b"{"),
        Sent(PREDICTIONS, b"x", b"[1]"),
        Sent(PREDICTIONS, b"x", b'{"prediction_id": 7, "model_id": "m"}'),
    ]
    counts = oracle.tell(events, HOUR_MS).counts
    assert counts["predictions.received"] == 4
    assert (counts["predictions.duplicate"], counts["predictions.expired"]) == (1, 1)
    assert (counts["predictions.rejected"], counts["labels.rejected"]) == (2, 1)
    assert counts["labels.late"] == 1


def test_windows_end_with_the_newest_prediction_of_the_model() -> None:
    events = [made("old", 0), told("old", 1, True), made("new", 2 * HOUR_MS), told("new", 2 * HOUR_MS, False)]
    fields = oracle.expected_metrics(oracle.tell(events, HOUR_MS))["m"]
    assert (fields["n@1h"], fields["n@24h"], fields["predictions@7d"]) == (1, 2, 2)
    assert (fields["accuracy@1h"], fields["accuracy@24h"]) == (0.0, 0.5)
    assert fields["confusion@24h"] == {("1", "1"): 1, ("0", "1"): 1}


def test_regressions_have_errors() -> None:
    events = [made("a", 0, 2.0), told("a", 1, 1.0), made("b", 0, 2.0), told("b", 1, 5.0)]
    fields = oracle.expected_metrics(oracle.tell(events, HOUR_MS))["m"]
    assert (fields["mae@7d"], fields["bias@7d"]) == (2.0, -1.0)
    assert fields["rmse@7d"] == pytest.approx(5**0.5)


def test_counters_are_compared_one_by_one_or_as_a_sum_where_the_order_decides() -> None:
    expected = Counter({"labels.matched": 3, "labels.corrected": 2})
    assert oracle.difference(expected, {"labels.matched": 3, "labels.duplicate": 2, "watermark_ms": 9}) == {}
    off = oracle.difference(expected, {"labels.matched": 2, "labels.duplicate": 3})
    assert off == {"labels.matched": -1, "labels.corrected+labels.superseded+labels.duplicate": 1}


def test_counters_that_do_not_add_up_are_named() -> None:
    assert oracle.unbalanced({"labels.received": 2, "labels.matched": 2}) == []
    assert oracle.unbalanced({"labels.received": 2, "labels.matched": 1}) == ["labels"]


def test_the_oracle_s_own_counters_add_up_on_a_generated_stream() -> None:
    spec = Spec(seed=1, predictions=2_000, start_ms=0)
    assert oracle.unbalanced(dict(oracle.tell(stream(spec), spec.horizon_ms).counts)) == []


def test_floats_agree_to_nine_digits_and_matrices_exactly() -> None:
    assert oracle.same(0.1, "0.1000000000001")
    assert not oracle.same(0.1, "0.1001")
    assert not oracle.same(0.1, None)
    text = json.dumps({"classes": ["0", "1"], "counts": [[2, 0], [1, 0]]})
    assert oracle.same({("0", "0"): 2, ("1", "0"): 1}, text)
    assert not oracle.same({("0", "0"): 2}, text)
