"""A bounded memory of identities: was this seen of late?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


class RecentTable:
    """The last `capacity` identities, 8 bytes each.

    >>> recent = RecentTable(2)
    >>> recent.add(np.array([5, 6, 7], np.uint64))
    >>> recent.has(np.array([5, 6, 7], np.uint64)).tolist()
    [False, True, True]
    """

    def __init__(self, capacity: int) -> None:
        self._seen: Hashes = np.zeros(capacity, np.uint64)
        self._count = 0

    def add(self, identities: Hashes) -> None:
        """Remember identities [n], and forget the oldest. Cost: O(n)."""
        capacity = len(self._seen)
        kept = identities[-capacity:]
        places = (self._count + len(identities) - len(kept) + np.arange(len(kept))) % capacity
        self._seen[places] = kept
        self._count += len(identities)

    def has(self, identities: Hashes) -> NDArray[np.bool_]:
        """Return for each identity [n] whether it is remembered. Cost: O(capacity log n)."""
        return np.isin(identities, self._seen[: self._count])

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {"seen": self._seen[: self._count], "count": self._count}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; the newest are kept where it was larger."""
        self._count = 0
        split = state["count"] % max(len(state["seen"]), 1)
        self.add(np.concatenate((state["seen"][split:], state["seen"][:split])))
