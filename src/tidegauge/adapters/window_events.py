"""What a shard of the join window is told of a batch: see the head of `join.lua`."""

from __future__ import annotations

from itertools import pairwise
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Ints
from tidegauge.join import Arrivals, Side

FIELD_BYTES = 8  # with the bits that chose shard and bucket, two of 1e8 ids meet once in 5e7 windows
WIDE = [("high", ">u2"), ("low", ">u4")]
_OFFSETS = Struct(">BHQQ")


def event_type(digits: int) -> np.dtype[Any]:
    """Return the head of an event, where a bucket's number has so many digits."""
    return np.dtype(
        [
            ("side", "u1"),
            ("bucket", f"S{digits}"),
            ("field", "u1", (FIELD_BYTES,)),
            ("context", ">u4"),  # which of the batch's, from 1 on; 0: it is in the payload
            ("id_bytes", ">u2"),
            ("payload_bytes", ">u4"),
            ("flags", "u1"),  # of the entry that a prediction begins
            ("at_ms", WIDE),
            ("source", ">u8"),  # partition in two bytes, offset in six
        ]
    )


def contexts_of(arrivals: Arrivals, heads: NDArray[Any], order: Ints, bounds: Ints) -> list[list[bytes]]:
    """Return the contexts of each shard's events, and write into the heads which each event has."""
    contexts = []
    for start, end in pairwise(bounds.tolist()):
        places = order[start:end]
        distinct, inverse = np.unique(arrivals.contexts[places], return_inverse=True)
        own = distinct[distinct >= 0].tolist()
        heads["context"][places] = inverse + 1 - (len(distinct) - len(own))
        contexts.append([arrivals.texts[each] for each in own])
    return contexts


def texts_of(arrivals: Arrivals, heads: NDArray[Any], order: Ints) -> list[bytes]:
    """Return three texts of each event: its head, the payload, and of a label the id."""
    names = [b""] * len(arrivals)  # of labels alone: they may become orphans
    for at in np.flatnonzero(arrivals.sides == Side.LABEL).tolist():
        names[at] = arrivals.names[at].encode()
    heads["id_bytes"] = np.fromiter(map(len, names), np.int64, len(names))
    size, joined, places = heads.itemsize, heads[order].tobytes(), order.tolist()
    texts = [b""] * (3 * len(arrivals))
    texts[0::3] = [joined[at : at + size] for at in range(0, len(joined), size)]
    texts[1::3] = [arrivals.payloads[at] for at in places]
    texts[2::3] = [names[at] for at in places]
    return texts


def offsets_of(arrivals: Arrivals) -> bytes:
    """Return the first and the last offset of each source partition."""
    sources = arrivals.partitions * len(Side) + arrivals.sides
    packed = []
    for source in np.unique(sources).tolist():
        offsets = arrivals.offsets[sources == source]
        partition, side = divmod(source, len(Side))
        packed.append(_OFFSETS.pack(side, partition, offsets[0], offsets[-1]))
    return b"".join(packed)
