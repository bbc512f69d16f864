"""A bounded memory: what did each identity say last?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


class RecentTable:
    """The last `capacity` pairs of an identity and what it said, 16 bytes each.

    >>> recent = RecentTable(2)
    >>> recent.add(np.array([5, 6, 5], np.uint64), np.array([1, 2, 3], np.uint64))
    >>> recent.last()
    {6: 2, 5: 3}
    """

    def __init__(self, capacity: int) -> None:
        self._pairs: Hashes = np.zeros((capacity, 2), np.uint64)
        self._count = 0

    def add(self, identities: Hashes, said: Hashes) -> None:
        """Remember pairs [n], and forget the oldest. Cost: O(n)."""
        capacity = len(self._pairs)
        kept = np.stack((identities, said), axis=1)[-capacity:]
        first = self._count + len(identities) - len(kept)
        self._pairs[(first + np.arange(len(kept))) % capacity] = kept
        self._count += len(identities)

    def last(self) -> dict[int, int]:
        """Return what each identity said last. Cost: O(capacity), some 10 ms for 100 000."""
        return dict(self._in_order().tolist())

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {"pairs": self._in_order()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; the newest are kept where it was larger."""
        self._count = 0
        self.add(state["pairs"][:, 0], state["pairs"][:, 1])

    def _in_order(self) -> Hashes:
        """Return the pairs, oldest first."""
        if self._count <= len(self._pairs):
            return self._pairs[: self._count]
        return np.roll(self._pairs, -self._count % len(self._pairs), axis=0)
