"""What a shard of the join window answers to a batch: see the head of `join.lua`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.adapters.window_events import WIDE
from tidegauge.block import Ints
from tidegauge.join import VERDICTS, Arrivals, Matched, OutcomeRow, Resolution, Resolutions, Side

Bytes = NDArray[np.uint8]

OWN_EVENT, _EMIT_PREDICTION, _IS_REPLAY, HAS_ROWS = 8, 16, 32, 64
_POSITION = np.dtype([("at_ms", WIDE), ("partition", ">u2"), ("offset", WIDE)])
POSITION_BYTES = _POSITION.itemsize
LENGTH_BYTES = 3
_SOURCE = Struct(">HHI")  # partition, offset in two and four bytes
_ROW = Struct(">Hb")


def resolutions(arrivals: Arrivals, order: Ints, ordered: Bytes, texts: list[bytes]) -> Resolutions:
    """Return what the shards say, in this order of the arrivals: a code of each, and rows of some."""
    codes = np.zeros(len(arrivals), np.uint8)
    codes[order] = ordered
    where = order[codes[order] >= HAS_ROWS]
    own = codes[where] & OWN_EVENT > 0
    found = Resolutions(
        codes % len(VERDICTS),
        codes & _EMIT_PREDICTION > 0,
        codes & _IS_REPLAY > 0,
        _matched(arrivals, where[own], list(compress(texts, own.tolist()))),
    )
    others = zip(where[~own].tolist(), compress(texts, (~own).tolist()), strict=True)
    found.others.update({place: _with_rows(found[place], text) for place, text in others})
    return found


def _matched(arrivals: Arrivals, places: Ints, texts: list[bytes]) -> Matched:
    """Return the outcomes of which the arrivals at these places are one half, and the texts the other."""
    order = np.argsort(places)
    places, texts = places[order], [texts[at] for at in order.tolist()]
    positions = np.frombuffer(b"".join([text[:POSITION_BYTES] for text in texts]), _POSITION)
    met, met_ms = [text[POSITION_BYTES:] for text in texts], _wide(positions["at_ms"])
    own, own_ms = arrivals.payloads_at(places), arrivals.at_ms[places]
    labels = arrivals.sides[places] == Side.LABEL
    predicted, labelled = (met, own) if labels.all() else _sorted_out(labels.tolist(), met, own)
    return Matched(
        places,
        predicted,
        np.where(labels, met_ms, own_ms),
        labelled,
        np.where(labels, own_ms, met_ms),
        positions["partition"].astype(np.int64),
        _wide(positions["offset"]),
    )


def _sorted_out(
    labels: list[bool], met: Sequence[bytes], own: Sequence[bytes]
) -> tuple[list[bytes], list[bytes]]:
    halves = zip(labels, met, own, strict=True)
    pairs = [(other, mine) if label else (mine, other) for label, other, mine in halves]
    return [predicted for predicted, _ in pairs], [labelled for _, labelled in pairs]


def _wide(parts: NDArray[Any]) -> Ints:
    """Return the numbers that came in two and four bytes."""
    wide: Ints = parts["high"].astype(np.int64) << 32 | parts["low"]
    return wide


def _with_rows(resolution: Resolution, text: bytes) -> Resolution:
    predicted_at_ms, predicted, partner, at = event(text, 0)
    outcomes: list[OutcomeRow] = []
    instead: list[OutcomeRow] = []
    taken_back: OutcomeRow | None = None
    first = None  # label in the text: the one that a prediction met
    while at < len(text):
        revision, sign = _ROW.unpack_from(text, at)
        labelled_at_ms, label, source, at = event(text, at + _ROW.size)
        first = first or source
        row = OutcomeRow(revision, sign, labelled_at_ms, label)
        if sign < 0:
            taken_back = row
            continue
        rows = instead if taken_back is not None and taken_back.revision == revision else outcomes
        rows += [row] if taken_back is None else [taken_back, row]
        taken_back = None
    return resolution._replace(
        outcomes=tuple(outcomes),
        predicted=predicted,
        predicted_at_ms=predicted_at_ms,
        partner=first if resolution.emit_prediction else partner,
        instead=tuple(instead),
    )


def event(text: bytes, at: int) -> tuple[int, bytes, tuple[int, int], int]:
    """Return time, payload and source of the event that lies in `text` at `at`, and where it ends."""
    start = at + 3 + POSITION_BYTES
    end = start + int.from_bytes(text[at : at + 3])
    source = _source(*_SOURCE.unpack_from(text, at + 9))
    return int.from_bytes(text[at + 3 : at + 9]), text[start:end], source, end


def _source(partition: int, high: int, low: int) -> tuple[int, int]:
    """Return partition and offset; the offset comes in two and four bytes."""
    return partition, high << 32 | low


def pairs(reply: Any) -> list[tuple[bytes, bytes]]:
    """Return the fields and values of a hash, however the protocol's version lays them out."""
    if isinstance(reply, dict):
        return list(reply.items())
    if reply and isinstance(reply[0], list | tuple):
        return [(field, value) for field, value in reply]
    return list(zip(reply[::2], reply[1::2], strict=True))
