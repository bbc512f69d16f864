"""Broken messages: bytes near a sound message, and text that JSON readers stumble over."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

Mutation = Callable[[random.Random, bytes, bytes], bytes]

# What is put in place of a value, or anywhere: edges of numbers, of text, and of nesting.
TROUBLE: tuple[bytes, ...] = (
    b"NaN", b"-Infinity", b"1e400", b"-0", b"1e-400", b"9" * 400, b"9223372036854775808",
    b"-9223372036854775809", b"18446744073709551615", b"1.7976931348623157e308", b"5e-324", b"0x10", b"01",
    b"1.", b".5", b"1e", b"true", b"null", b"[]", b"{}", b'""', b'"\\ud800"', b'"\\udc00\\ud800"',
    b'"\\u0000"', b'"\xf4\x90\x80\x80"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b"\xff\xfe", b"\xef\xbb\xbf",
    b'"\xe2\x80\xae\xf0\x9f\x92\xa9"', b"\\", b'"', b'"9999-12-31T23:59:60Z"', b'"2013-02-30T00:00:00Z"',
    b'"0001-01-01T00:00:00+23:59"', b'"2013-W01-1T00Z"', b'"' + b"a" * 5_000 + b'"',
    b'"' + "\u00e9".encode() * 300 + b'"', b"[" * 60, b'{"a":' * 60, b"[" * 3_000, b'{"a":' * 3_000,
    b"[[" * 40 + b"]]" * 40, b"/**/", b"\x00", b"\x7f", b"\r\n\t ", b"-", b"1e999999999", b'{"a":1,"a":2}',
    b"253402300800000", b"-1", b"1e11", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01", b"\xd6\xff\x00\x00\x00\x00", b"\xc7\x00\x01", b"\xc7\x01\x01\xff",
    b"\x91" * 3_000, b"\xcf" + b"\xff" * 8, b"\xcb\x7f\xf8" + b"\x00" * 6,
)  # fmt: skip
# Values that some field takes, if not always the one they come to.
PLAUSIBLE: tuple[bytes, ...] = (
    b"0", b"1", b"-3", b"0.5", b"1e-9", b"1e300", b"-1e300", b"5e-324", b"true", b"false", b'"x"', b'"red"',
    b'""', b'["a","b"]', b"[1,2.5]", b'{"x":0.5}', b'{"red":0.9,"x":0.1}', b"{}", b"null", b"1357000000000",
    b'"2013-01-31T08:00:00Z"', b"9223372036854775807", b"4503599627370497", b'"0.5"', b'"-0"', b'"\\u0000"',
)  # fmt: skip
_VALUE_ENDS = (b",", b"}", b"]")


def flip_bits(draw: random.Random, data: bytes, _: bytes) -> bytes:
    changed = bytearray(data)
    for _time in range(draw.choice((1, 1, 2, 8))):
        at = int(draw.random() * len(changed))
        changed[at] ^= 1 << int(draw.random() * 8)
    return bytes(changed)


def set_byte(draw: random.Random, data: bytes, _: bytes) -> bytes:
    at = int(draw.random() * len(data))
    return data[:at] + bytes((int(draw.random() * 256),)) + data[at + 1 :]


def truncate(draw: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: int(draw.random() * len(data))]


def remove(draw: random.Random, data: bytes, _: bytes) -> bytes:
    at = int(draw.random() * len(data))
    return data[:at] + data[at + 1 + int(draw.random() * 16) :]


def repeat(draw: random.Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(draw, data)
    return data[:end] + data[start:end] * draw.choice((1, 2, 50)) + data[end:]


def splice(draw: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: int(draw.random() * len(data))] + other[int(draw.random() * len(other)) :]


def insert_trouble(draw: random.Random, data: bytes, _: bytes) -> bytes:
    at = int(draw.random() * len(data))
    return data[:at] + draw.choice(TROUBLE) + data[at:]


def replace_value(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """Put trouble where a JSON value stands: most of what comes of it is JSON still."""
    return _with_value(draw, data, other, TROUBLE)


def exchange_value(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """Put a value that some field would take where a JSON value stands: many of these are records."""
    return _with_value(draw, data, other, PLAUSIBLE)


def _with_value(draw: random.Random, data: bytes, other: bytes, values: Sequence[bytes]) -> bytes:
    start = data.find(b":", int(draw.random() * len(data)))
    if start < 0:
        return insert_trouble(draw, data, other)
    ends = [end for mark in _VALUE_ENDS if (end := data.find(mark, start)) >= 0]
    return data[: start + 1] + draw.choice(values) + data[min(ends, default=len(data)) :]


def swap(draw: random.Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(draw, data)
    return data[end:] + data[start:end] + data[:start]


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, set_byte, truncate, remove, repeat, splice, insert_trouble, replace_value, exchange_value,
    exchange_value, swap,
)  # fmt: skip


def mutated(draw: random.Random, corpus: Sequence[bytes]) -> bytes:
    """Return a sound message after one to three mutations."""
    data = draw.choice(corpus)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        data = draw.choice(MUTATIONS)(draw, data or b"{", draw.choice(corpus))
    return data


def _span(draw: random.Random, data: bytes) -> tuple[int, int]:
    start = int(draw.random() * len(data))
    return start, start + 1 + int(draw.random() * 24)
