"""The generator gives what its spec says, the same each time."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.faults.generator import LABELS, PREDICTIONS, Sent, Spec, stream

COUNT = 8_000
SPEC = Spec(seed=3, predictions=COUNT, start_ms=1_700_000_000_000)


@pytest.fixture(scope="module")
def sent() -> list[Sent]:
    return stream(SPEC)


def keys(sent: list[Sent], side: str) -> Counter[bytes]:
    return Counter(each.key for each in sent if each.side == side and each.key[-1:] not in b"!?")


def first_places(sent: list[Sent], side: str) -> dict[bytes, int]:
    places: dict[bytes, int] = {}
    for place, each in enumerate(sent):
        if each.side == side:
            places.setdefault(each.key, place)
    return places


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(sent: list[Sent]) -> None:
    assert stream(SPEC) == sent
    assert stream(Spec(seed=4, predictions=50, start_ms=0)) != stream(
        Spec(seed=5, predictions=50, start_ms=0)
    )


def test_every_prediction_is_sent_and_one_in_twenty_twice(sent: list[Sent]) -> None:
    times = keys(sent, PREDICTIONS)
    assert len(times) == COUNT
    assert sum(n == 2 for n in times.values()) / COUNT == pytest.approx(0.05, abs=0.01)


def test_one_label_in_five_comes_before_its_prediction(sent: list[Sent]) -> None:
    predictions, labels = first_places(sent, PREDICTIONS), first_places(sent, LABELS)
    both = [key for key in labels if key in predictions]
    early = sum(labels[key] < predictions[key] for key in both)
    assert early / len(both) == pytest.approx(0.20, abs=0.015)


def test_one_label_in_twenty_is_missing(sent: list[Sent]) -> None:
    assert 1 - len(keys(sent, LABELS)) / COUNT == pytest.approx(0.05, abs=0.01)


def test_one_label_in_fifty_is_beyond_the_horizon_and_one_in_twenty_is_corrected(sent: list[Sent]) -> None:
    made, told = {}, {}
    for each in sent:
        if each.key[-1:] in b"!?":
            continue
        event = json.loads(each.value)
        if each.side == PREDICTIONS:
            made[each.key] = event["predicted_at"]
        else:
            told.setdefault(each.key, set()).add((event["labelled_at"], event["label"]))
    late = sum(min(told[key])[0] - made[key] > SPEC.horizon_ms for key in told)
    assert late / COUNT == pytest.approx(0.02, abs=0.006)
    corrected = sum(len({label for _, label in labels}) == 2 for labels in told.values())
    assert corrected / COUNT == pytest.approx(0.05, abs=0.01)


def test_one_event_in_a_hundred_on_each_side_is_garbage(sent: list[Sent]) -> None:
    for side in (PREDICTIONS, LABELS):
        garbage = sum(each.key.endswith(b"!") for each in sent if each.side == side)
        assert garbage / COUNT == pytest.approx(0.01, abs=0.005)


def test_models_are_skewed(sent: list[Sent]) -> None:
    events = [
        json.loads(each.value) for each in sent if each.side == PREDICTIONS and each.key[-1:] not in b"!"
    ]
    shares = Counter(event["model_id"] for event in events)
    assert len(shares) == SPEC.models
    assert shares["binary-0"] > 5 * shares["regression-7"]
