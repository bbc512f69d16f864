import json

import pytest

from tidegauge.demo.oracle import Terms, Truth, differences, tell
from tidegauge.simulate.raw import LABELS, PREDICTIONS, RawEvent

TERMS = Terms(horizon_ms=1_000_000, lateness_ms=0, watermark_ms=10_000_000)
T = 5_000_000_000_000  # a time in ms that no one takes for seconds


def predicted(name: str, at_ms: int = 0, **more) -> RawEvent:
    event = {"prediction_id": name, "model_id": "m", "model_version": "v", "prediction": True}
    return RawEvent(
        PREDICTIONS, name.encode(), json.dumps(event | {"predicted_at": T + at_ms} | more).encode(), T + at_ms
    )


def labelled(name: str, value: object, at_ms: int, **more) -> RawEvent:
    event = {"prediction_id": name, "label": value, "labelled_at": T + at_ms} | more
    return RawEvent(LABELS, name.encode(), json.dumps(event).encode(), T + at_ms)


def truth(*events: RawEvent, watermark_ms: int = 10_000) -> Truth:
    return tell(events, Terms(1_000_000, 0, T + watermark_ms))


def counted(found: Truth, side: str) -> dict[str, int]:
    return {name.partition(".")[2]: n for name, n in found.counts.items() if name.startswith(side) and n}


def test_the_newest_label_within_the_horizon_stands():
    found = truth(predicted("a"), labelled("a", False, 10), labelled("a", True, 30), labelled("a", False, 20))
    assert found.outcomes["a"].what[0] is True
    assert counted(found, LABELS) == {"received": 3, "matched": 1, "corrected": 1, "superseded": 1}
    assert [told.what[0] for told in found.revisions["a"]] == [False, True]


def test_the_same_value_again_is_a_duplicate_and_so_is_a_second_prediction():
    found = truth(predicted("a"), predicted("a", prediction=False), labelled("a", 1, 1), labelled("a", 1, 2))
    assert counted(found, LABELS) == {"received": 2, "matched": 1, "duplicate": 1}
    assert counted(found, PREDICTIONS) == {"received": 2, "matched": 1, "duplicate": 1}
    assert found.predictions["a"].prediction is True


def test_a_label_beyond_the_horizon_is_late_and_its_prediction_expires():
    found = truth(predicted("a"), labelled("a", 1, 1_000_001), watermark_ms=1_000_001)
    assert counted(found, LABELS) == {"received": 1, "late": 1}
    assert counted(found, PREDICTIONS) == {"received": 1, "expired": 1}


@pytest.mark.parametrize(("watermark_ms", "fate"), [(1_000_010, "waiting"), (1_000_011, "orphan")])
def test_a_label_without_prediction_waits_until_the_horizon_has_passed(watermark_ms: int, fate: str):
    found = truth(labelled("a", 1, 10), labelled("a", 1, 10), watermark_ms=watermark_ms)
    assert counted(found, LABELS) == {"received": 2, "duplicate": 1, fate: 1}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b'{"prediction_id": 1, "label": 1}',
        b'{"label": 1}',
        b'{"prediction_id": "a"}',
        b'{"prediction_id": "a", "label": NaN}',
        b'{"prediction_id": "a", "label": null}',
        b'{"prediction_id": "a\xff", "label": 1}',
        b'{"prediction_id": "a", "label": 1, "labelled_at": "2999-01-01T00:00:00Z"}',
        b'{"prediction_id": "a", "label": 1, "weight": 0}',
    ],
)
def test_what_cannot_be_used_is_rejected(value: bytes):
    found = truth(predicted("a"), RawEvent(LABELS, b"a", value, T))
    assert counted(found, LABELS) == {"received": 1, "rejected": 1}


def test_times_are_text_seconds_or_milliseconds():
    one = {"2128-06-11T08:53:20Z": "text", T // 1_000: "seconds", T: "milliseconds"}
    found = truth(*(predicted(name, predicted_at=at) for at, name in one.items()))
    assert {made.at_ms for made in found.predictions.values()} == {T}


def test_counters_that_depend_on_the_order_of_topics_are_compared_by_their_sum():
    found = truth(predicted("a"), labelled("a", 0, 10), labelled("a", 1, 20))
    stored = dict(found.counts) | {
        "labels.corrected": 0,
        "labels.superseded": 1,
    }
    assert differences(found.counts, stored) == []
    assert differences(found.counts, stored | {"labels.superseded": 2}) == [
        "labels.corrected + labels.superseded + labels.duplicate: expected 1, stored 2"
    ]
    assert differences(found.counts, stored | {"predictions.matched": 2}) == [
        "predictions.matched: expected 1, stored 2"
    ]
