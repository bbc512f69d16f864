"""Whether a block that came from outside is one: a reader may then index by its codes without a care."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import NO_LIST, NO_TEXT, Block, Lists, OutcomeRows, PredictionRows, Ragged
from tidegauge.block_builder import DTYPES, LISTS, MAPS
from tidegauge.errors import SnapshotError

_LAST_MS = 253_402_300_799_999  # the end of the year 9999
_LARGEST = np.finfo(np.float64).max
_NUMBERS = (-_LARGEST, _LARGEST)

_INT32, _FLOAT64 = np.dtype(np.int32), np.dtype(np.float64)
_DTYPES = {
    table: {name: None if dtype is None else np.dtype(dtype) for name, dtype in columns.items()}
    for table, columns in DTYPES.items()
}

# Column to the least and greatest number it may hold; NaN stands for a number that is missing.
_RANGES: dict[str, tuple[float, float]] = {
    "offset": (0, 2**62),
    "predicted_at_ms": (0, _LAST_MS),
    "labelled_at_ms": (0, _LAST_MS),
    "number": _NUMBERS,
    "label_number": _NUMBERS,
    "business_value": _NUMBERS,
    "score": (0, 1),
    "latency_ms": (0, _LARGEST),
    "weight": (float(np.nextafter(0, 1)), _LARGEST),
    "revision": (0, 2**31 - 1),
    "sign": (-1, 1),
    "proba": (0, 1),
    "features": _NUMBERS,
    "resources": _NUMBERS,
    "kpis": _NUMBERS,
}
_NEVER_MISSING = frozenset({"weight", "sign"})

# Column of codes to the dictionary they are of, and whether there may be none.
_CODES: dict[str, tuple[str, bool]] = {
    "source": ("sources", False),
    "segments": ("segments", False),
    "model": ("strings", False),
    "version": ("strings", False),
    "text": ("strings", True),
    "label_text": ("strings", True),
    "entity": ("strings", True),
}


class _Range(NamedTuple):
    """A column, and the least and greatest number that it may hold."""

    where: str
    column: Any
    low: float
    high: float


def check(block: Block) -> None:
    """Raise SnapshotError naming the column that could not be a block's.

    Cost: a pass over the columns.
    """
    _texts("strings", block.strings)
    for pairs in block.segments:
        _texts("segments", (text for pair in pairs for text in pair))
    _texts("sources", (topic for topic, _ in block.sources))
    if any(type(partition) is not int for _, partition in block.sources):
        raise SnapshotError("sources: expected numbers of partitions")
    with np.errstate(invalid="ignore"):  # of any NaN, also one that no computer makes
        ranges = (
            *_ranges("predictions", block.predictions, block),
            *_ranges("outcomes", block.outcomes, block),
        )
        _check_all(ranges)


def _check_all(ranges: Iterable[_Range]) -> None:
    """Raise SnapshotError naming a column that is out of its range; integers and floats at once."""
    for kind in "if":
        some = [each for each in ranges if each.column.dtype.kind == kind and len(each.column)]
        if not some:
            continue
        counts = [len(each.column) for each in some]
        flat, starts = np.concatenate([each.column for each in some]), [0, *accumulate(counts[:-1])]
        lows, highs = np.array([(each.low, each.high) for each in some]).T
        if (np.fmin.reduceat(flat, starts) < lows).any() or (np.fmax.reduceat(flat, starts) > highs).any():
            for each in some:
                _within(*each)


def _ranges(table: str, rows: PredictionRows | OutcomeRows, block: Block) -> Iterator[_Range]:
    """Yield what is left to be checked of the columns of numbers."""
    count = len(rows.prediction_id)
    for name, dtype in _DTYPES[table].items():
        column, where = getattr(rows, name), f"{table}.{name}"
        if dtype is None:
            _texts(where, column)
            continue
        _array(where, column, dtype, count)
        if name in _CODES:
            dictionary, optional = _CODES[name]
            yield _Range(where, column, NO_TEXT if optional else 0, len(getattr(block, dictionary)) - 1)
        elif name in _NEVER_MISSING:
            _within(where, column, *_RANGES[name], missing=False)
        elif name in _RANGES:
            yield _Range(where, column, *_RANGES[name])
    if isinstance(rows, OutcomeRows) and not (np.abs(rows.sign) == 1).all():
        raise SnapshotError(f"{table}.sign: expected -1 or +1")
    for name in MAPS[table]:
        yield from _maps(f"{table}.{name}", getattr(rows, name), count, len(block.strings), _RANGES[name])
    for name in LISTS[table]:
        _check_lists(f"{table}.{name}", getattr(rows, name), count, len(block.strings))


def _maps(where: str, maps: Any, count: int, strings: int, numbers: tuple[float, float]) -> Iterator[_Range]:
    """Yield what is left to be checked of a column of maps."""
    if not isinstance(maps, Ragged):
        raise SnapshotError(f"{where}: expected maps, got {type(maps).__name__}")
    for layout in maps.layouts:
        _texts(where, layout.names)
        if len(layout.names) != len(layout.text) or any(type(flag) is not bool for flag in layout.text):
            raise SnapshotError(f"{where}: expected a flag for each name")
    _array(where, maps.layout, _INT32, count)
    widths = [len(layout.names) for layout in maps.layouts]
    if len(widths) == 1:
        yield _Range(where, maps.layout, 0, 0)
        _array(where, maps.values, _FLOAT64, widths[0] * count)
    else:
        _within(where, maps.layout, 0, len(widths) - 1)
        _array(where, maps.values, _FLOAT64, int(np.array(widths, np.int64)[maps.layout].sum()))
    if not any(True in layout.text for layout in maps.layouts):
        _within(where, maps.values, *numbers)
        return
    for layout, _, values in maps.groups():
        text = np.array(layout.text, bool)
        codes = values[:, text]
        _within(where, values[:, ~text], *numbers)
        _within(where, codes, NO_TEXT, strings - 1, missing=False)
        if (codes != np.floor(codes)).any():
            raise SnapshotError(f"{where}: expected codes of texts")


def _check_lists(where: str, lists: Any, count: int, strings: int) -> None:
    if not isinstance(lists, Lists):
        raise SnapshotError(f"{where}: expected lists, got {type(lists).__name__}")
    rows = count if len(lists.sizes) else 0
    _array(where, lists.sizes, _INT32, rows)
    _within(where, lists.sizes, NO_LIST, 2**31 - 1)
    items = int(np.maximum(lists.sizes, 0).sum(dtype=np.int64)) if rows else 0
    _array(where, lists.items, _INT32, items)
    _within(where, lists.items, 0, strings - 1)
    _array(where, lists.gains, _FLOAT64, items if len(lists.gains) else 0)
    _within(where, lists.gains, 0, _LARGEST, missing=False)


def _array(where: str, column: Any, dtype: np.dtype[Any], count: int) -> None:
    if not isinstance(column, np.ndarray) or column.dtype != dtype or column.shape != (count,):
        raise SnapshotError(f"{where}: expected {count} numbers of {dtype}")


def _within(where: str, column: Any, low: float, high: float, missing: bool = True) -> None:
    if not column.size:
        return
    least, most = np.fmin.reduce(column, axis=None), np.fmax.reduce(column, axis=None)  # NaN of NaN alone
    if least < low or most > high or not (missing or np.isfinite(column).all()):
        raise SnapshotError(f"{where}: expected numbers from {low:g} to {high:g}")


def _texts(where: str, texts: Iterable[Any]) -> None:
    if not set(map(type, texts)) <= {str}:
        raise SnapshotError(f"{where}: expected texts")
