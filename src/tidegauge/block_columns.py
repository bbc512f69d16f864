"""The columns of a block, each from all of its values at once: `block_builder` takes them row by row."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np

from tidegauge.block import NO_TEXT, Codes, Floats, Ints, Layout, Lists, Ragged
from tidegauge.block_builder import RaggedBuilder, list_column

Names = tuple[str, ...]
Maps = Sequence[Mapping[str, Any]]

_MAYBE_TEXT = frozenset({str, NoneType})


class Dictionary(dict[str, int]):
    """The texts of a block, each with its code.

    >>> texts = Dictionary()
    >>> texts.codes(["a", None, "b", "a"]).tolist(), list(texts)
    ([0, -1, 1, 0], ['a', 'b'])
    """

    def code(self, text: str) -> int:
        """Return the code of a text, from now on."""
        return self.setdefault(text, len(self))

    def codes(self, texts: Sequence[str | None]) -> Codes:
        """Return the codes of texts [n], NO_TEXT for those that are missing."""
        code_of = {text: NO_TEXT if text is None else self.code(text) for text in dict.fromkeys(texts)}
        return np.fromiter(map(code_of.__getitem__, texts), np.int32, len(texts))

    def maps(self, maps: Maps) -> Ragged:
        """Return the column of maps [n]."""
        if not any(maps):
            return Ragged((Layout((), ()),)[: len(maps)], np.zeros(len(maps), np.int32), np.zeros(0))
        names = list(map(tuple, maps))
        codes = {each: code for code, each in enumerate(dict.fromkeys(names))}
        values = list(chain.from_iterable(each.values() for each in maps))
        numbers = _numbers(values)
        if numbers is not None:
            layouts = tuple(Layout(each, (False,) * len(each)) for each in codes)
            return Ragged(layouts, _codes(codes, names), numbers)
        return self._with_texts(codes, _codes(codes, names), values) or self._one_by_one(maps)

    def lists(self, values: Sequence[Any]) -> Lists:
        """Return the column of the lists and maps of gains among values [n]."""
        return list_column(values, self.code)

    def _with_texts(self, codes: Mapping[Names, int], layout: Codes, values: list[Any]) -> Ragged | None:
        """Return the column of maps with texts, None where a name has texts and numbers."""
        widths = np.array([len(names) for names in codes], np.int64)
        ends = np.cumsum(widths[layout])
        found = np.empty(len(values))
        layouts = []
        for names, code in codes.items():
            starts = (ends - len(names))[layout == code]
            text = []
            for index in range(len(names)):
                places = starts + index
                column = values[index :: len(names)] if len(codes) == 1 else _at(values, places)
                kinds = set(map(type, column))
                text.append(str in kinds)
                if not text[-1]:
                    found[places] = np.array(column, np.float64)
                elif kinds <= _MAYBE_TEXT:
                    found[places] = self.codes(column)
                else:
                    return None
            layouts.append(Layout(names, tuple(text)))
        return Ragged(tuple(layouts), layout, found)

    def _one_by_one(self, maps: Maps) -> Ragged:
        builder = RaggedBuilder(self.code)
        for each in maps:
            builder.append(each)
        return builder.build()


def text_of(value: Any) -> str | None:
    """Return the text that stands for a prediction or a label in a block, None for a number or a list."""
    return value if isinstance(value, str) else None


def number_of(value: Any) -> float:
    """Return the number that stands for a prediction or a label in a block, NaN for a text or a list."""
    return np.nan if isinstance(value, str | list | dict) else value


def _codes(codes: Mapping[Names, int], names: Sequence[Names]) -> Codes:
    if len(codes) == 1:
        return np.zeros(len(names), np.int32)
    return np.fromiter(map(codes.__getitem__, names), np.int32, len(names))


def _numbers(values: list[Any]) -> Floats | None:
    try:
        return np.frombuffer(array("d", values), np.float64)
    except TypeError:  # it takes numbers alone, where numpy would read texts that look like one
        return None


def _at(values: list[Any], places: Ints) -> list[Any]:
    return [values[place] for place in places.tolist()]
