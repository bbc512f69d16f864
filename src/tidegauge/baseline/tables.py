"""Tables of rows: CSV by the standard library, Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import Floats, Ints
from tidegauge.errors import ConfigError

NULLS = frozenset({"", "na", "n/a", "nan", "null", "none"})
BOOLEANS = {"true": 1.0, "false": 0.0}


class Column(NamedTuple):
    """A column of values: a number where it is not NaN, else a text where its code is not -1, else null."""

    numbers: Floats  # [rows]
    codes: Ints  # [rows] into strings
    strings: Sequence[str]

    @property
    def texts(self) -> list[str]:
        """Return the texts, without what is null or a number."""
        return [self.strings[code] for code in self.codes[self.codes >= 0].tolist()]

    @property
    def present(self) -> Any:
        """Return which rows [rows] have a value."""
        return ~np.isnan(self.numbers) | (self.codes >= 0)


class Table(NamedTuple):
    """Columns by name; those of a type that no event has are left out."""

    rows: int
    columns: dict[str, Column]


def read(path: Path, as_text: Collection[str] = ()) -> Table:
    """Return the table in a file; columns in `as_text` have no numbers. Raises ConfigError."""
    try:
        return _parquet(path, as_text) if path.suffix == ".parquet" else _csv(path, as_text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ConfigError(f"{path}: not a table: {error}") from error


def column_of(values: Iterable[str], as_text: bool = False) -> Column:
    """Return a column of what stands in a CSV file: of texts where most values are no numbers.

    >>> column_of(["1", "2.5", "", "true"]).numbers.tolist()
    [1.0, 2.5, nan, 1.0]
    >>> column_of(["a", "1", "b", "a"]).texts
    ['a', '1', 'b', 'a']
    """
    every = list(values)
    parsed = {text: math.nan if as_text else _number(text) for text in set(every)}
    numbers = np.array([parsed[text] for text in every], np.float64)
    null = np.array([text.strip().lower() in NULLS for text in every], np.bool_)
    if 2 * (~np.isnan(numbers)).sum() < (~null).sum():  # as the monitor's bins: text in the majority
        numbers[:] = np.nan
    strings = sorted(
        {text for text, number, gone in zip(every, numbers, null, strict=True) if _is_text(number, gone)}
    )
    code = {text: place for place, text in enumerate(strings)}
    codes = np.where(np.isnan(numbers) & ~null, [code.get(text, -1) for text in every], -1)
    return Column(numbers, codes.astype(np.int64), strings)


def _is_text(number: float, null: bool) -> bool:
    return not null and math.isnan(number)


def _number(text: str) -> float:
    """Return the number that a text is, NaN for none."""
    word = text.strip().lower()
    if word in BOOLEANS:
        return BOOLEANS[word]
    try:
        return math.nan if "_" in word else float(word)
    except ValueError:
        return math.nan


def _csv(path: Path, as_text: Collection[str]) -> Table:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        rows = [row for row in reader if row]
    if not header or not rows:
        raise ValueError("expected a line of names and a line for each row")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"line {number}: expected {len(header)} values, got {len(row)}")
    columns = zip(header, zip(*rows, strict=True), strict=True)
    return Table(len(rows), {name: column_of(values, name in as_text) for name, values in columns})


def _parquet(path: Path, as_text: Collection[str]) -> Table:
    try:
        import pyarrow as arrow  # noqa: PLC0415 an extra that few need
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise ConfigError(f"{path}: Parquet needs pyarrow: pip install 'tidegauge[baseline]'") from None
    table = parquet.read_table(path)
    found = {name: _arrow_column(arrow, table[name], name in as_text) for name in table.column_names}
    return Table(table.num_rows, {name: column for name, column in found.items() if column is not None})


def _arrow_column(arrow: Any, values: Any, as_text: bool) -> Column | None:
    """Return a column of numbers, booleans or texts; None for other types."""
    kinds = arrow.types
    kind = values.type.value_type if kinds.is_dictionary(values.type) else values.type
    number = (
        kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind) or kinds.is_decimal(kind)
    )
    text = kinds.is_string(kind) or kinds.is_large_string(kind)
    if not (number or text):
        return None
    if number and not as_text:
        numbers = values.cast(kind).cast("float64").to_numpy()
        return Column(numbers.astype(np.float64), np.full(len(numbers), -1), [])
    coded = values.cast(kind).cast("string").combine_chunks().dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Column(np.full(len(codes), np.nan), codes, coded.dictionary.to_pylist())
