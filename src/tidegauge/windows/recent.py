"""A bounded memory: what is the newest that each identity said?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Ints

Hashes = NDArray[np.uint64]


class RecentTable:
    """The last `capacity` identities with what each said and when, 24 bytes each.

    >>> recent = RecentTable(2)
    >>> recent.add(np.array([5, 6, 5], np.uint64), np.array([1, 2, 3], np.uint64), np.array([10, 20, 30]))
    >>> recent.newest()
    {6: (2, 20), 5: (3, 30)}
    """

    def __init__(self, capacity: int) -> None:
        self._rows: Hashes = np.zeros((capacity, 3), np.uint64)
        self._count = 0

    def add(self, identities: Hashes, said: Hashes, at_ms: Ints) -> None:
        """Remember rows [n], and forget the oldest. Cost: O(n)."""
        capacity = len(self._rows)
        kept = np.stack((identities, said, at_ms.astype(np.uint64)), axis=1)[-capacity:]
        first = self._count + len(identities) - len(kept)
        self._rows[(first + np.arange(len(kept))) % capacity] = kept
        self._count += len(identities)

    def newest(self) -> dict[int, tuple[int, int]]:
        """Return what each identity said of its latest time, and that time; of two at once the last.

        Cost: O(capacity log capacity), some 40 ms for 100 000.
        """
        rows = self._in_order()
        in_time = rows[np.argsort(rows[:, 2], kind="stable")]
        return {identity: (said, at_ms) for identity, said, at_ms in in_time.tolist()}

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {"rows": self._in_order()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; the newest are kept where it was larger."""
        self._count = 0
        rows = state["rows"]
        self.add(rows[:, 0], rows[:, 1], rows[:, 2].astype(np.int64))

    def _in_order(self) -> Hashes:
        """Return the rows, oldest first."""
        if self._count <= len(self._rows):
            return self._rows[: self._count]
        return np.roll(self._rows, -self._count % len(self._rows), axis=0)
