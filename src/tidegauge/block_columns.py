"""The columns of a block, each from all of its values at once: `block_builder` takes them row by row."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count
from types import NoneType
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import NO_TEXT, Codes, Floats, Ints, Layout, Lists, Ragged, places_of
from tidegauge.block_builder import RaggedBuilder, list_column

Names = tuple[str, ...]
Key = TypeVar("Key")
Maps = Sequence[Mapping[str, Any]]

_MAYBE_TEXT = frozenset({str, NoneType})


class Given(NamedTuple):
    """Maps [n] as they were given: names, and values, or those packed as float64 where all are numbers."""

    names: list[Names]
    values: list[bytes | tuple[Any, ...]]

    def take(self, rows: Sequence[int]) -> Given:
        """Return the maps at these places [m]."""
        return Given([self.names[row] for row in rows], [self.values[row] for row in rows])


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
        found: Any = dict.fromkeys(texts)  # None is in no dictionary
        new = [text for text in found if text is not None and text not in self]
        self.update(zip(new, count(len(self)), strict=False))
        codes = {text: self.get(text, NO_TEXT) for text in found}
        return _codes(codes, texts)

    def maps(self, maps: Maps) -> Ragged:
        """Return the column of maps [n]."""
        if not any(maps):
            return Ragged((Layout((), ()),)[: len(maps)], np.zeros(len(maps), np.int32), np.zeros(0))
        values = list(chain.from_iterable(each.values() for each in maps))
        return self._flat(list(map(tuple, maps)), values)

    def given(self, maps: Given) -> Ragged:
        """Return the column of maps [n] as they were given.

        >>> Dictionary().given(Given([("a", "b")], [np.array([1.0, 2.0]).tobytes()])).values.tolist()
        [1.0, 2.0]
        """
        if set(map(type, maps.values)) <= {bytes}:
            return _packed(maps)
        packed = np.fromiter((type(each) is bytes for each in maps.values), np.bool_, len(maps.values))
        others = maps.take(np.flatnonzero(~packed).tolist()) if packed.any() else maps
        column = self._flat(others.names, list(chain.from_iterable(others.values)))
        return _woven(packed, _packed(maps.take(np.flatnonzero(packed).tolist())), column)

    def lists(self, values: Sequence[Any]) -> Lists:
        """Return the column of the lists and maps of gains among values [n]."""
        return list_column(values, self.code)

    def _flat(self, names: Sequence[Names], values: list[Any]) -> Ragged:
        """Return the column of maps that have these names [n], and these values one after the other."""
        codes = {each: code for code, each in enumerate(dict.fromkeys(names))}
        layout = _codes(codes, names)
        numbers = _numbers(values)
        if numbers is not None:
            return Ragged(_of_numbers(codes), layout, numbers)
        return self._with_texts(codes, layout, values) or self._one_by_one(names, values)

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

    def _one_by_one(self, names: Sequence[Names], values: list[Any]) -> Ragged:
        builder, each = RaggedBuilder(self.code), iter(values)
        for own in names:
            builder.append(dict(zip(own, each, strict=False)))
        return builder.build()


def text_of(value: Any) -> str | None:
    """Return the text that stands for a prediction or a label in a block, None for a number or a list."""
    return value if isinstance(value, str) else None


def number_of(value: Any) -> float:
    """Return the number that stands for a prediction or a label in a block, NaN for a text or a list."""
    return np.nan if isinstance(value, str | list | dict) else value


def _of_numbers(names: Iterable[Names]) -> tuple[Layout, ...]:
    return tuple(Layout(each, (False,) * len(each)) for each in names)


def _packed(maps: Given) -> Ragged:
    """Return the column of maps [n] of numbers alone, which are packed."""
    names, values = maps
    numbers = np.frombuffer(b"".join(cast("list[bytes]", values)), np.float64)
    ids = list(map(id, names))
    same = dict(zip(ids, names, strict=True))  # a tuple of hundreds of names is not hashed for every map
    codes = {each: code for code, each in enumerate(dict.fromkeys(same.values()))}
    layout = _codes({number: codes[each] for number, each in same.items()}, ids)
    return Ragged(_of_numbers(codes), layout, numbers)


def _woven(chosen: NDArray[np.bool_], those: Ragged, others: Ragged) -> Ragged:
    """Return the column of rows [n] in which `those` stand where they are chosen, and `others` elsewhere."""
    if not len(those.layout):
        return others
    layout = np.empty(len(chosen), np.int32)
    layout[chosen], layout[~chosen] = those.layout, others.layout + len(those.layouts)
    layouts = (*those.layouts, *others.layouts)
    counts = np.array([len(each.names) for each in layouts], np.int64)[layout]
    starts = np.cumsum(counts) - counts
    values = np.empty(int(counts.sum()))
    for rows, column in ((chosen, those), (~chosen, others)):
        values[places_of(starts[rows], counts[rows])] = column.values
    return Ragged(layouts, layout, values)


def _codes(codes: Mapping[Key, int], keys: Sequence[Key]) -> Codes:
    """Return the code of each key [n]; `codes` has those of these keys alone."""
    if len(codes) == 1:
        return np.full(len(keys), next(iter(codes.values())), np.int32)
    return np.fromiter(map(codes.__getitem__, keys), np.int32, len(keys))


def _numbers(values: list[Any]) -> Floats | None:
    try:
        return np.frombuffer(array("d", values), np.float64)
    except TypeError:  # it takes numbers alone, where numpy would read texts that look like one
        return None


def _at(values: list[Any], places: Ints) -> list[Any]:
    return [values[place] for place in places.tolist()]
