"""Blocks as bytes: a msgpack map of columns, numbers as little-endian arrays.

Chosen over Arrow IPC because it needs no library of 170 MB in the core install; `schemas/` and
docs/architecture.md describe the columns for other readers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from tidegauge.block import Block, from_tree, to_tree
from tidegauge.block_check import check
from tidegauge.errors import SnapshotError

VERSION = 1
_ARRAY = 1  # msgpack extension: length of the head, (dtype, shape) as msgpack, the numbers
_DTYPES = {np.dtype(code).str: np.dtype(code) for code in "?bBhHiIqQfd"}  # numbers alone, never objects
_HEADS = 1_024  # remembered: the columns of a block have few types, and all of a table one length


def pack(tree: Any) -> bytes:
    """Return msgpack of a tree of maps, lists, texts, numbers and numpy arrays."""
    return msgspec.msgpack.encode(tree, enc_hook=_pack_array)


def unpack(data: bytes) -> Any:
    """Return the tree that `pack` was given; arrays are read-only views of `data`.

    Raises SnapshotError where the bytes are truncated or foreign.
    """
    try:
        return msgspec.msgpack.decode(data, ext_hook=_unpack_array)
    except (msgspec.DecodeError, ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise SnapshotError(f"expected msgpack of columns, got {len(data)} bytes: {error}") from error


def encode(block: Block) -> bytes:
    """Return the bytes of a block."""
    return pack({"version": VERSION, **to_tree(block)})


def decode(data: bytes) -> Block:
    """Return the block of the bytes.

    Raises SnapshotError where they are truncated, foreign, or of a later version.
    """
    tree = unpack(data)
    if not isinstance(tree, dict) or tree.get("version") != VERSION:
        raise SnapshotError(f"expected a block of version {VERSION}, got {str(tree)[:80]}")
    try:
        block = from_tree(tree)
        check(block)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise SnapshotError(f"expected the columns of a block: {error!r}") from error
    return block


def _pack_array(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"expected a numpy array, got {type(value).__name__}")
    parts = _head(value.dtype, value.shape), np.ascontiguousarray(value).data
    return msgspec.msgpack.Ext(_ARRAY, b"".join(parts))


@lru_cache(_HEADS)
def _head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    head = msgspec.msgpack.encode((dtype.str, shape))
    return bytes([len(head)]) + head


def _unpack_array(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise ValueError(f"expected extension {_ARRAY}, got {code}")
    start = 1 + data[0] if len(data) else 0
    dtype, shape = _of_head(bytes(data[1:start]))
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


@lru_cache(_HEADS)
def _of_head(head: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    dtype, shape = msgspec.msgpack.decode(head)
    if dtype not in _DTYPES:
        raise ValueError(f"expected numbers, got dtype {dtype!r:.40}")
    return _DTYPES[dtype], shape
