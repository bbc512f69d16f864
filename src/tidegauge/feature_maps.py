"""Reads maps of features, whose names are those that their model sent before.

A model sends the same names with every prediction. Once a model did so twice its maps are read as records of
these names, with the same types: what costs most of a dict, its keys and their places, is not made. A map
with other names is read as a dict, and its model's maps from then on, until it sends the same names twice
again.

Messages are read as if all their models sent the names of the last map that was read as a record. Where one
does not, they are read with their maps as texts, and then each map as those of its model are.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from tidegauge.block_columns import Given, Names
from tidegauge.config import Limits
from tidegauge.explain import UNREADABLE
from tidegauge.records import Prediction, Scalar

_UTF8_BYTES = 4  # of a character, at most
_MOST_LAYOUTS = 256  # read as records: each is a type, which is kept for good
_MOST_NAMES = 20_000  # of all layouts together
_MOST_MODELS = 100_000  # remembered; beyond it all are learnt anew

Model = tuple[str, str]  # id and version
_Map = tuple[Names, bytes | tuple[Any, ...]]  # as `Given` has it

_NOTHING: _Map = (), b""


class _Layout(NamedTuple):
    """How a map with these names is read and packed."""

    names: Names
    decode: Callable[[Any], Any]  # raises ValidationError for other names
    message: Callable[[Any], Any]  # a prediction with such a map: raises likewise
    pack: Callable[..., bytes]  # raises struct.error

    def read(self, text: Any) -> bytes | tuple[Any, ...]:
        """Return the values of a map, packed where they are numbers alone."""
        values = msgspec.structs.astuple(self.decode(text))
        try:
            return self.pack(*values)
        except struct.error:
            return values

    def messages(self, texts: Sequence[Any]) -> list[Any]:
        """Return the predictions in messages [n], with names and values in the place of their maps.

        Numbers are packed before the next are read: caches do not hold those of a batch, an object each.
        """
        (names, _, message, pack), astuple = self, msgspec.structs.astuple
        events = []
        for text in texts:
            event = message(text)
            values = astuple(event.features)
            try:
                event.features = names, pack(*values)
            except struct.error:
                event.features = names, values
            events.append(event)
        return events


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
        self.message = _message(msgspec.Raw, msgspec.Raw(b"{}"))  # a prediction whose map is a text
        self._layouts: dict[Names, _Layout | None] = {}  # None: read as dicts
        self._latest: _Layout | None = None
        self._name_count = 0
        self._of_models: dict[Model, _Layout] = {}
        self._sent: dict[Model, Names] = {}  # by models whose last map was read as a dict

    def messages(self, values: Sequence[Any]) -> list[Any]:
        """Return the predictions in messages [n], with maps for `read`; raises where one is no prediction."""
        latest = self._latest
        if latest is not None:
            with suppress(*UNREADABLE):
                events = latest.messages(values)
                models = {(event.model_id, event.model_version) for event in events}
                if all(self._of_models.get(model) is latest for model in models):
                    return events
        return list(map(self.message, values))

    def read(self, models: Iterable[Model], maps: Sequence[Any]) -> tuple[Given, list[int]]:
        """Return the features in maps [n] that models [n] sent, and which of them are no such maps.

        A map is a JSON text, or what `messages` read. Numbers alone are packed, and then their names are
        within the limits. What is no map is given as an empty one.
        """
        found: Sequence[_Map | None] = maps
        if not set(map(type, maps)) <= {tuple}:
            found = [self._one(*each) for each in zip(models, maps, strict=True)]
        wrong = [place for place, each in enumerate(found) if each is None]
        rows = [each or _NOTHING for each in found]
        return Given([names for names, _ in rows], [values for _, values in rows]), wrong

    def _one(self, model: Model, text: Any) -> _Map | None:
        """Return the map in a JSON text that a model sent, None where it is none."""
        layout = self._of_models.get(model)
        if layout is not None:
            try:
                said = layout.read(text)
            except UNREADABLE:
                del self._of_models[model]
            else:
                self._latest = layout
                return layout.names, said
        try:
            return self._as_dict(model, text)
        except UNREADABLE:
            return None

    def _as_dict(self, model: Model, text: Any) -> _Map:
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
    pack = struct.Struct(f"{len(names)}d").pack
    return _Layout(names, msgspec.json.Decoder(record).decode, _message(record), pack)


def _message(features: Any, *default: Any) -> Callable[[Any], Any]:
    """Return what decodes a prediction with features of this type, for which other values can be put."""
    fields: Any = [("features", features, *default)]
    shape = msgspec.defstruct("Sent", fields, bases=(Prediction,), frozen=False, gc=False, kw_only=True)
    return msgspec.json.Decoder(shape).decode
