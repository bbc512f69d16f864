"""First labels that wait until they are due, in slots that are used again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Floats, Ints
from tidegauge.monitor.first_labels import FirstLabels, Hashes
from tidegauge.windows import grown

_FREE = np.iinfo(np.int64).max  # when a slot is due that has none
_SERIES, _AT_MS = range(2)
_LOSS, _SCORED = 0, slice(1, 3)


class Slots:
    """A slot for each first label that waits: 56 bytes. Slots are numbers until they are freed.

    >>> slots, at = Slots(), np.array([5, 7])
    >>> first = FirstLabels(at - 5, at, at, at.astype(np.uint64), at / 10, np.zeros((2, 2)))
    >>> slots.keep(first, due_ms=at + 100)
    >>> [slots.due(np.array([now, now, now])).tolist() for now in (104, 105, 107)]
    [[], [0], [0, 1]]
    """

    def __init__(self) -> None:
        self._due_ms: Ints = np.zeros(0, np.int64)
        self._when: Ints = np.zeros((0, 2), np.int64)  # series, time of the prediction
        self._ids: Hashes = np.zeros(0, np.uint64)
        self._values: Floats = np.zeros((0, 3))  # loss, score, whether it came

    def due(self, clock_ms: Ints) -> Ints:
        """Return the slots that are due by the clocks of the series [every series]. Cost: O(slots)."""
        return np.flatnonzero(self._due_ms <= clock_ms[self._when[:, _SERIES]])

    def due_ms(self, slots: Ints) -> Ints:
        """Return when slots [n] are due."""
        found: Ints = self._due_ms[slots]
        return found

    def of(self, mine: NDArray[np.bool_]) -> Ints:
        """Return the slots of series of which `mine` [every series] is true."""
        used = np.flatnonzero(self._due_ms != _FREE)
        found: Ints = used[mine[self._when[used, _SERIES]]]
        return found

    def read(self, slots: Ints) -> FirstLabels:
        """Return what waits in slots [n]; when its label came is no longer known."""
        series, at_ms = self._when[slots].T
        values = self._values[slots]
        return FirstLabels(series, at_ms, at_ms, self._ids[slots], values[:, _LOSS], values[:, _SCORED])

    def keep(self, waiting: FirstLabels, due_ms: Ints) -> None:
        """Let first labels [n] wait until `due_ms` [n]."""
        lacking = len(due_ms) - int((self._due_ms == _FREE).sum())
        self._due_ms = grown(self._due_ms, len(self._due_ms) + max(lacking, 0), _FREE)
        self._when, self._ids, self._values = (
            grown(column, len(self._due_ms), 0) for column in (self._when, self._ids, self._values)
        )
        free = np.flatnonzero(self._due_ms == _FREE)[: len(due_ms)]
        self._due_ms[free], self._ids[free] = due_ms, waiting.id_hash
        self._when[free, _SERIES], self._when[free, _AT_MS] = waiting.series, waiting.at_ms
        self._values[free, _LOSS], self._values[free, _SCORED] = waiting.loss, waiting.scored

    def free(self, slots: Ints) -> None:
        """Let nothing wait in slots [n] any more."""
        self._due_ms[slots] = _FREE

    def state(self) -> dict[str, Any]:
        """Return the plain state, by the times of predictions."""
        used = np.flatnonzero(self._due_ms != _FREE)
        order = used[np.lexsort((self._when[used, _SERIES], self._ids[used], self._when[used, _AT_MS]))]
        series, at_ms = self._when[order].T
        return {"series": series, "at_ms": at_ms, "ids": self._ids[order], "values": self._values[order]}


def waiting_in(state: dict[str, Any]) -> FirstLabels:
    """Return what waited in slots that gave this state."""
    series, at_ms = (np.array(state[name], np.int64) for name in ("series", "at_ms"))
    values = np.array(state["values"], np.float64).reshape(len(series), 3)
    ids = np.array(state["ids"], np.uint64)
    return FirstLabels(series, at_ms, at_ms, ids, values[:, _LOSS], values[:, _SCORED])
