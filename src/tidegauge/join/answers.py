"""What the window stores of a prediction, as bytes and as columns.

A head and a context. The head is a byte that says what follows, and up to three numbers of eight bytes; the
context is msgpack of model, version and segments, the same bytes for the same ones:

  kind     0: msgpack [prediction, proba, value, model, version, segments...] follows instead
           1 + 4 * form + 2 * (there is a score) + (there is a business value)
  form     0: the prediction is 0 or false, 1: it is 1 or true, 2: it is the first number
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tidegauge.block import Floats, Ints, Predicted, Scalar

Prediction = Scalar | list[Any]
Proba = float | dict[str, float] | None
Segments = tuple[tuple[str, str], ...]

EXACT_INTEGER = 2.0**53  # float64 tells whole numbers apart below this

_NUMBER = 2  # the form of a prediction that is a number
_SPECIAL = 0  # the kind of what is no number, or has a map of probabilities
_SPECIAL_KIND = bytes([_SPECIAL])
_KINDS = 13
_ALIKE = np.array([0, 1, 2, 3, 4, 1, 2, 3, 4, 9, 10, 11, 12])  # by kind: the first with the same numbers
_HEADS = [1] + [1 + 8 * ((kind >> 2 == _NUMBER) + (kind >> 1 & 1) + (kind & 1)) for kind in range(_KINDS - 1)]
_NUMBERS = frozenset({bool, int, float})
_MAYBE_NUMBERS = frozenset({int, float, NoneType})

_encode, _decode = msgspec.msgpack.encode, msgspec.msgpack.decode


class Answers(NamedTuple):
    """Columns [n] of predictions; NaN stands for a number that is missing, or is none."""

    contexts: Sequence[bytes]
    numbers: Floats
    scores: Floats
    values: Floats
    special: dict[int, tuple[Prediction, Proba]]  # texts, lists, maps and long integers, by place


def pack_context(model_id: str, model_version: str, segments: Segments) -> bytes:
    """Return the end of what is stored of a prediction."""
    return _encode([model_id, model_version, *[text for pair in segments for text in pair]])


def unpack_context(context: bytes) -> tuple[str, str, Segments]:
    """Return what `pack_context` packed."""
    texts = _decode(context)
    return texts[0], texts[1], tuple(zip(texts[2::2], texts[3::2], strict=True))


def answers(
    contexts: Sequence[bytes],
    predictions: Sequence[Prediction],
    probas: Sequence[Proba],
    values: Sequence[float | None],
) -> Answers:
    """Return the columns of predictions."""
    special: dict[int, tuple[Prediction, Proba]] = {}
    if not (set(map(type, predictions)) <= _NUMBERS and set(map(type, probas)) <= _MAYBE_NUMBERS):
        pairs = list(zip(predictions, probas, strict=True))
        special = {place: pair for place, pair in enumerate(pairs) if not _plain(*pair)}
        predictions = [np.nan if isinstance(each, str | list) else each for each in predictions]
        probas = [None if isinstance(each, dict) else each for each in probas]
    numbers = np.array(predictions, np.float64)
    scores, business = _floats(probas), _floats(values)
    for place in np.flatnonzero(np.abs(numbers) > EXACT_INTEGER).tolist():
        special.setdefault(place, (predictions[place], probas[place]))
    return Answers(contexts, numbers, scores, business, special)


def pack_answers(found: Answers) -> list[bytes]:
    """Return the bytes the window stores of each prediction. Its time is stored beside them."""
    packed = pack_heads(found)
    return [
        head if place in found.special else head + context
        for place, (head, context) in enumerate(zip(packed, found.contexts, strict=True))
    ]


def pack_heads(found: Answers) -> list[bytes]:
    """Return what `pack_answers` does without the contexts, but of the special ones with them."""
    numbers, scores, values, special = found[1:]
    form = np.where(numbers == 0, 0, np.where(numbers == 1, 1, _NUMBER))
    kinds = 1 + 4 * form + 2 * ~np.isnan(scores) + ~np.isnan(values)
    kinds[list(special)] = _SPECIAL
    packed = [b""] * len(kinds)
    for kind, places in _alike(kinds):
        pack = _pack_special if kind == _SPECIAL else _pack_plain
        _put(packed, places, pack(found, places, kinds[places]))
    return packed


def unpack_answers(payloads: Sequence[bytes]) -> Answers:
    """Return the columns of what `pack_answers` packed.

    >>> packed = pack_predicted(Predicted("churn", "v1", (), 0, 1, 0.75, None))
    >>> unpack_answers([packed, packed]).scores.tolist()
    [0.75, 0.75]
    """
    count = len(payloads)
    kinds = np.array([payload[0] for payload in payloads], np.int64)
    contexts = [b""] * count
    numbers, scores, values = np.full((3, count), np.nan)
    found = Answers(contexts, numbers, scores, values, {})
    for kind, places in _alike(kinds):
        own = payloads if len(places) == count else [payloads[place] for place in places.tolist()]
        unpack = _unpack_special if kind == _SPECIAL else _unpack_plain
        _put(contexts, places, unpack(found, places, own, kinds[places]))
    return found


def pack_predicted(predicted: Predicted) -> bytes:
    """Return the bytes the window stores of a prediction. Its time is stored beside them."""
    context = pack_context(predicted.model_id, predicted.model_version, predicted.segments)
    columns = ([predicted.prediction], [predicted.proba], [predicted.business_value])
    return pack_answers(answers([context], *columns))[0]


def unpack_predicted(payload: bytes, predicted_at_ms: int) -> Predicted:
    """Return a prediction equal to the one that `pack_predicted` packed."""
    found = unpack_answers([payload])
    number, score, value = (
        None if np.isnan(column[0]) else float(column[0])
        for column in (found.numbers, found.scores, found.values)
    )
    prediction, proba = found.special.get(0, (number, score))
    assert prediction is not None  # what is no number is special
    return Predicted(*unpack_context(found.contexts[0]), predicted_at_ms, prediction, proba, value)


def _alike(kinds: Ints) -> Iterator[tuple[int, Ints]]:
    """Yield the places of kinds [n] that have the same numbers, with the first such kind."""
    alike = _ALIKE[kinds]
    for kind in np.flatnonzero(np.bincount(alike)).tolist():
        yield kind, np.flatnonzero(alike == kind)


def _put(column: list[bytes], places: Ints, items: list[bytes]) -> None:
    if len(items) == len(column):
        column[:] = items
        return
    for place, item in zip(places.tolist(), items, strict=True):
        column[place] = item


def _pack_plain(found: Answers, places: Ints, kinds: Ints) -> list[bytes]:
    form, has_score, has_value = _parts(int(kinds[0]))
    head = _HEADS[kinds[0]]
    numbers = [
        column[places]
        for column, there in zip(found[1:4], (form == _NUMBER, has_score, has_value), strict=True)
        if there
    ]
    heads = np.empty((len(places), head), np.uint8)
    heads[:, 0] = kinds
    if numbers:
        heads[:, 1:] = np.ascontiguousarray(np.stack(numbers, axis=1), "<f8").view(np.uint8)
    joined = heads.tobytes()
    return [joined[start : start + head] for start in range(0, len(joined), head)]


def _pack_special(found: Answers, places: Ints, _: Ints) -> list[bytes]:
    packed = []
    for place in places.tolist():
        prediction, proba = found.special[place]
        value = None if np.isnan(found.values[place]) else float(found.values[place])
        parts = [prediction, proba, value, *_decode(found.contexts[place])]
        packed.append(_SPECIAL_KIND + _encode(parts, order="sorted"))
    return packed


def _unpack_plain(found: Answers, places: Ints, payloads: Sequence[bytes], kinds: Ints) -> list[bytes]:
    form, has_score, has_value = _parts(int(kinds[0]))
    head = _HEADS[kinds[0]]
    flat = np.frombuffer(b"".join([payload[1:head] for payload in payloads]), "<f8")
    columns = iter(flat.reshape(len(payloads), head // 8).T)
    found.numbers[places] = next(columns) if form == _NUMBER else (kinds - 1) >> 2
    if has_score:
        found.scores[places] = next(columns)
    if has_value:
        found.values[places] = next(columns)
    return [payload[head:] for payload in payloads]


def _unpack_special(found: Answers, places: Ints, payloads: Sequence[bytes], _: Any) -> list[bytes]:
    contexts = []
    for place, payload in zip(places.tolist(), payloads, strict=True):
        prediction, proba, value, *texts = _decode(payload[1:])
        found.special[place] = (prediction, proba)
        found.numbers[place] = np.nan if isinstance(prediction, str | list) else prediction
        found.scores[place] = np.nan if proba is None or isinstance(proba, dict) else proba
        found.values[place] = np.nan if value is None else value
        contexts.append(_encode(texts))
    return contexts


def _floats(values: Sequence[Any]) -> Floats:
    """Return numbers [n], NaN for those that are None."""
    missing = values.count(None) == len(values)  # numpy takes long to see that
    return np.full(len(values), np.nan) if missing else np.array(values, np.float64)


def _plain(prediction: Prediction, proba: Proba) -> bool:
    return not isinstance(prediction, str | list) and not isinstance(proba, dict)


def _parts(kind: int) -> tuple[int, int, int]:
    """Return the form of a prediction, and whether a score and a business value follow."""
    flags = kind - 1
    return flags >> 2, flags >> 1 & 1, flags & 1
