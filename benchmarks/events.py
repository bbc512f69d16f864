"""The recorded events: the same seed gives the same bytes to every contender. Pure.

A pair is a prediction and its labels; a corrected pair has a wrong label and then the right one. Truth is
known while it is drawn: how many outcomes there are, and how many of them the model got right.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

START_MS = 1_700_000_000_000
STEP_MS = 10  # of event time between two predictions: half a million span 83 minutes
DELAY_MS = 60_000  # of a label behind its prediction
_CHUNK = 2_000
_VALUES = 10_000
_PAD = '"trace":"{}",'  # what producers send along and nobody reads: skipped by every decoder


class Stream(NamedTuple):
    """What is drawn. `regime` flips a model between 0.95 and 0.5 right after so many of its pairs."""

    pairs: int
    models: int = 1
    features: int = 10
    corrections: float = 0.0  # share of pairs whose label is corrected
    message_bytes: int = 0  # a prediction is padded to this; 0 leaves it as it is
    regime: int = 0
    seed: int = 7


class Pair(NamedTuple):
    """A prediction with its labels as they go over the wire; `right` is that of the last label."""

    model: str
    key: bytes
    prediction: bytes
    labels: tuple[bytes, ...]
    right: bool


def pairs(stream: Stream, at_ms: int = START_MS, step_ms: float = STEP_MS) -> Iterator[Pair]:
    """Yield the pairs in order; the first `n` are the same for every `stream.pairs` of at least n.

    >>> one, two = pairs(Stream(2, features=1))
    >>> one.prediction[:61]
    b'{"prediction_id":"500320d4-f8f2-a545-72d7-e6de5793354a","mode'
    >>> one.labels == two.labels, len(one.labels)
    (False, 1)
    """
    rng = np.random.default_rng(stream.seed)
    texts = [f"{value / _VALUES:.4f}" for value in range(_VALUES)]
    for start in range(0, stream.pairs, _CHUNK):
        ids = rng.integers(0, 2**63, (_CHUNK, 2)).tolist()
        scores, truths, corrected = rng.random((3, _CHUNK)).tolist()
        values = rng.integers(0, _VALUES, (_CHUNK, stream.features)).tolist()
        for place in range(min(_CHUNK, stream.pairs - start)):
            number = start + place
            name = uuid.UUID(int=ids[place][0] << 64 | ids[place][1])
            score, predicted = scores[place], scores[place] > 0.5
            label = _label(stream, number, score, truths[place])
            when_ms = at_ms + int(number * step_ms)
            model = f"m{number % stream.models}"
            features = ",".join([f'"f{j}":{texts[value]}' for j, value in enumerate(values[place])])
            prediction = (
                f'{{"prediction_id":"{name}","model_id":"{model}","model_version":"v1",'
                f'"predicted_at":{when_ms},"prediction":{int(predicted)},"prediction_proba":{score:.4f},'
                f'"latency_ms":1.5,"features":{{{features}}}}}'
            )
            if len(prediction) < stream.message_bytes:
                prediction = padded(prediction, stream.message_bytes)
            labels: tuple[bytes, ...] = (_labelled(name, label, when_ms + DELAY_MS),)
            if corrected[place] < stream.corrections:
                labels = (_labelled(name, not label, when_ms + DELAY_MS - 1), *labels)
            yield Pair(model, str(name).encode(), prediction.encode(), labels, label == predicted)


def padded(prediction: str, size: int) -> str:
    """Return a JSON object with a text in front that nobody reads, `size` bytes long.

    >>> import json
    >>> json.loads(padded('{"a":1}', 30)), len(padded('{"a":1}', 30))
    ({'trace': '............', 'a': 1}, 30)
    """
    missing = size - len(prediction) - len(_PAD) + 2
    return "{" + _PAD.format("." * max(missing, 0)) + prediction[1:]


def _label(stream: Stream, number: int, score: float, draw: float) -> bool:
    if not stream.regime:
        return draw < score
    good = number // stream.models // stream.regime % 2 == 0
    predicted = score > 0.5
    return predicted if draw < (0.95 if good else 0.5) else not predicted


def _labelled(name: uuid.UUID, label: bool, at_ms: int) -> bytes:
    return f'{{"prediction_id":"{name}","label":{int(label)},"labelled_at":{at_ms}}}'.encode()
