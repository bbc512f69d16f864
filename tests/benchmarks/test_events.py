"""The recorded events are what they are said to be, and the same for everybody."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import msgspec
import pytest

from benchmarks.events import Stream, pairs
from benchmarks.limits import Label, Prediction
from tidegauge.config import Limits
from tidegauge.events import Decoder


def test_the_same_seed_gives_the_same_bytes_and_a_shorter_stream_is_the_beginning_of_a_longer() -> None:
    long, short = Stream(5_000, models=3, corrections=0.2), Stream(2_500, models=3, corrections=0.2)
    assert list(islice(pairs(long), 2_500)) == list(pairs(short))
    assert list(pairs(short)) != list(pairs(short._replace(seed=8)))


@pytest.mark.parametrize("stream", [Stream(50, features=200), Stream(50, message_bytes=4_096), Stream(50)])
def test_the_product_and_the_limit_read_the_same_fields(stream: Stream) -> None:
    decoder = Decoder(Limits())
    for pair in pairs(stream):
        ours = decoder.prediction(pair.prediction, -1)
        theirs = msgspec.json.decode(pair.prediction, type=Prediction)
        assert (ours.prediction_id, ours.predicted.model_id) == (theirs.prediction_id, pair.model)
        assert len(theirs.features) == stream.features
        for text in pair.labels:
            label = msgspec.json.decode(text, type=Label)
            assert decoder.label(text, -1).prediction_id == label.prediction_id == ours.prediction_id
            assert label.prediction_id.encode() == pair.key


def test_ids_are_unique_and_models_take_turns() -> None:
    found = list(pairs(Stream(4_001, models=10)))
    assert len({pair.key for pair in found}) == 4_001
    assert Counter(pair.model for pair in found)["m0"] == 401
    assert Counter(pair.model for pair in found)["m9"] == 400


def test_messages_are_padded_to_their_size_and_never_cut() -> None:
    assert {len(pair.prediction) for pair in pairs(Stream(100, message_bytes=4_096))} == {4_096}
    assert min(len(pair.prediction) for pair in pairs(Stream(100, features=10, message_bytes=50))) > 200


def test_a_corrected_pair_has_the_wrong_label_first_and_truth_is_the_last() -> None:
    found = list(pairs(Stream(5_000, corrections=0.2)))
    corrected = [pair for pair in found if len(pair.labels) == 2]
    assert 0.18 < len(corrected) / len(found) < 0.22
    for pair in found:
        labels = [json.loads(label) for label in pair.labels]
        assert pair.right == (labels[-1]["label"] == json.loads(pair.prediction)["prediction"])
        assert [label["labelled_at"] for label in labels] == sorted({one["labelled_at"] for one in labels})
        assert len({label["label"] for label in labels}) == len(labels)


def test_a_regime_makes_each_model_good_and_then_bad() -> None:
    found = [pair.right for pair in pairs(Stream(8_000, models=2, regime=1_000)) if pair.model == "m1"]
    shares = [sum(found[start : start + 1_000]) / 1_000 for start in range(0, 4_000, 1_000)]
    assert [share > 0.9 for share in shares] == [True, False, True, False]
    assert all(0.45 < share < 0.55 for share in shares[1::2])
