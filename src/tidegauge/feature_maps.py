"""Reads maps of features, whose names are those that their model sent before.

A model sends the same names with every prediction. Once a model did so twice its maps are read as records of
these names, with the same types: what costs most of a dict, its keys and their places, is not made. A map
with other names is read as a dict, and its model's maps from then on, until it sends the same names twice
again.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from tidegauge.block_columns import Given, Names
from tidegauge.config import Limits
from tidegauge.explain import UNREADABLE
from tidegauge.records import Scalar

_UTF8_BYTES = 4  # of a character, at most
_MOST_LAYOUTS = 256  # read as records: each is a type, which is kept for good
_MOST_NAMES = 20_000  # of all layouts together
_MOST_MODELS = 100_000  # remembered; beyond it all are learnt anew

Model = tuple[str, str]  # id and version


class _Layout(NamedTuple):
    """How a map with these names is read and packed."""

    names: Names
    decode: Callable[[Any], Any]  # raises ValidationError for other names
    pack: Callable[..., bytes]  # raises struct.error


class FeatureReader:
    """Reads maps of features as `dict[str, Scalar | None]` would be read.

    >>> reader, text = FeatureReader(Limits()), b'{"age": 20, "plan": "basic"}'
    >>> reader.read([("churn", "v1")] * 3, [text] * 3)[0].values
    [(20, 'basic'), (20, 'basic'), (20, 'basic')]
    """

    def __init__(self, limits: Limits) -> None:
        self._most = limits.features
        self._short_name = limits.text_bytes // _UTF8_BYTES
        self._decode = msgspec.json.Decoder(dict[str, Scalar | None]).decode
        self._layouts: dict[Names, _Layout | None] = {}  # None: read as dicts
        self._name_count = 0
        self._of_models: dict[Model, _Layout] = {}
        self._sent: dict[Model, Names] = {}  # by models whose last map was read as a dict

    def read(self, models: Iterable[Model], texts: Iterable[Any]) -> tuple[Given, list[int]]:
        """Return the features in JSON texts [n] that models [n] sent, and which texts are no such maps.

        Numbers alone are packed, and then their names are within the limits. What is no map is given as an
        empty one.
        """
        astuple, packed_by = msgspec.structs.astuple, self._of_models.get
        names: list[Names] = []
        values: list[bytes | tuple[Any, ...]] = []
        wrong: list[int] = []
        for model, text in zip(models, texts, strict=True):
            layout = packed_by(model)
            try:
                if layout is None:
                    own, said = self._as_dict(model, text)
                else:
                    own, decode, pack = layout
                    said = astuple(decode(text))
                    said = pack(*said)
            except struct.error:  # not numbers alone
                pass
            except UNREADABLE:
                found = self._otherwise(model, text)
                if found is None:
                    wrong.append(len(names))
                own, said = found or ((), b"")
            names.append(own)
            values.append(said)
        return Given(names, values), wrong

    def _otherwise(self, model: Model, text: Any) -> tuple[Names, bytes | tuple[Any, ...]] | None:
        """Return a map that is not what its model's are expected to be, None where it is no map."""
        self._of_models.pop(model, None)
        try:
            return self._as_dict(model, text)
        except UNREADABLE:
            return None

    def _as_dict(self, model: Model, text: Any) -> tuple[Names, bytes | tuple[Any, ...]]:
        found: Any = self._decode(text)
        names = tuple(found)
        if self._fits(names):
            self._note(model, names)
            try:
                return names, array("d", found.values()).tobytes()
            except TypeError:  # it takes numbers alone
                pass
        return names, tuple(found.values())

    def _fits(self, names: Names) -> bool:
        return len(names) <= self._most and all(len(name) <= self._short_name for name in names)

    def _note(self, model: Model, names: Names) -> None:
        """Read a model's maps as records from now on, if it sent the same names before."""
        if len(self._sent) + len(self._of_models) > _MOST_MODELS:
            self._sent.clear()
            self._of_models.clear()
        before = self._sent.get(model)
        if before is None and names in self._layouts:
            before = names
        self._sent[model] = names
        if before == names:
            layout = self._layout(names)
            if layout is not None:
                self._of_models[model] = layout

    def _layout(self, names: Names) -> _Layout | None:
        if names not in self._layouts and len(self._layouts) < _MOST_LAYOUTS:
            self._name_count += len(names)
            self._layouts[names] = _layout(names) if self._name_count <= _MOST_NAMES else None
        return self._layouts.get(names)


def _layout(names: Names) -> _Layout | None:
    """Return how maps with these names are read; None where a name cannot be that of a record's field."""
    fields: Any = [(f"_{place}", Scalar | None) for place in range(len(names))]
    rename = {f"_{place}": name for place, name in enumerate(names)}
    try:
        record = msgspec.defstruct("Features", fields, rename=rename, gc=False, forbid_unknown_fields=True)
    except ValueError:
        return None
    return _Layout(names, msgspec.json.Decoder(record).decode, struct.Struct(f"{len(names)}d").pack)
