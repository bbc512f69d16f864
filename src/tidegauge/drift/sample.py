"""The first rows of a version, kept until they freeze its reference bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegauge.block import Layout
from tidegauge.drift import reference
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.reference import Floats
from tidegauge.errors import SnapshotError

VERSION = 1


class ReferenceSample:
    """Values of every feature in the first `needed` rows: 8 bytes a number, a distinct text once.

    >>> sample = ReferenceSample(needed=2)
    >>> sample.add(Layout(("age", "plan"), (False, True)), np.array([[31.0, 0.0], [40.0, 0.0]]), ["free"])
    >>> sample.room
    0
    >>> sample.freeze(bins=10, max_categories=100).names
    ('age', 'plan')
    """

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.rows = 0
        self._numbers: dict[str, list[Floats]] = {}
        self._texts: dict[str, dict[str, int]] = {}

    @property
    def room(self) -> int:
        """Return how many more rows belong to the sample."""
        return self.needed - self.rows

    def add(self, layout: Layout, values: Floats, strings: Sequence[str] = ()) -> None:
        """Take the rows [rows, names] of one layout; the caller passes at most `room` of them."""
        self.rows += len(values)
        for column, (name, is_text) in enumerate(zip(layout.names, layout.text, strict=True)):
            numbers = self._numbers.setdefault(name, [])
            texts = self._texts.setdefault(name, {})
            if not is_text:
                numbers.append(values[~np.isnan(values[:, column]), column])
                continue
            codes, counts = np.unique(values[values[:, column] >= 0, column], return_counts=True)
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
                text = strings[int(code)]
                texts[text] = texts.get(text, 0) + count

    def freeze(self, bins: int, max_categories: int) -> FeatureBins:
        """Return the bins of all features seen, in the order of their names; what a row lacked was null."""
        return FeatureBins({name: self._fit(name, bins, max_categories) for name in sorted(self._numbers)})

    def dump(self) -> dict[str, Any]:
        """Return the sample as plain data that `load` reads back; numbers are little-endian float64 bytes."""
        numbers = {name: self._column(name).astype("<f8").tobytes() for name in self._numbers}
        texts = {name: dict(counts) for name, counts in self._texts.items()}
        return {
            "version": VERSION,
            "needed": self.needed,
            "rows": self.rows,
            "numbers": numbers,
            "texts": texts,
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> ReferenceSample:
        """Return the sample that `dump` wrote; raises SnapshotError where it is something else."""
        try:
            if state["version"] != VERSION:
                raise SnapshotError(f"reference sample: expected version {VERSION}, got {state['version']!r}")
            sample = cls(int(state["needed"]))
            sample.rows = int(state["rows"])
            for name, column in state["numbers"].items():
                sample._numbers[name] = [np.frombuffer(column, "<f8").astype(np.float64)]
                sample._texts[name] = {text: int(count) for text, count in state["texts"][name].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SnapshotError(f"reference sample: {error!r}") from error
        return sample

    def _column(self, name: str) -> Floats:
        return np.concatenate(self._numbers[name] or [np.empty(0)])

    def _fit(self, name: str, bins: int, max_categories: int) -> reference.Reference:
        column, texts = self._column(name), self._texts[name]
        nulls = self.rows - len(column) - sum(texts.values())
        spread = (text for text, count in texts.items() for _ in range(count))
        return reference.fit(column, spread, nulls, bins, max_categories)


def prediction_matrix(
    score: Floats, number: Floats, text: Floats, like: str | None = None
) -> tuple[Layout, Floats]:
    """Return the predictions' own column [rows, 1] and its layout: `score`, else `number`, else `class`.

    The three columns are those of a block's rows. The name is chosen by what the rows have, or is `like`:
    once bins are frozen, pass their name, so that a model which stops sending scores shows as null.

    >>> layout, values = prediction_matrix(np.array([0.2]), np.array([0.0]), np.array([-1.0]))
    >>> layout.names, values.tolist()
    (('score',), [[0.2]])
    """
    name = like or _prediction_name(score, number)
    column = {"score": score, "number": number, "class": text}[name]
    return Layout((name,), (name == "class",)), np.asarray(column, np.float64).reshape(-1, 1)


def _prediction_name(score: Floats, number: Floats) -> str:
    if not np.isnan(score).all():
        return "score"
    return "class" if np.isnan(number).all() else "number"
