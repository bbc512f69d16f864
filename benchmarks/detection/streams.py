"""Streams of errors, many at once: 0 and 1 with a given mean and correlation of neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Errors:
    """Stationary two-state Markov chains: P(1 | last) = p + r (last - p), r the lag-one correlation."""

    def __init__(self, rng: np.random.Generator, streams: int, mean: float, correlation: float) -> None:
        self._rng, self._correlation = rng, correlation
        self.mean = mean
        self._last = (rng.random(streams) < mean).astype(np.float64)

    def take(self, count: int) -> Floats:
        """Return the next outcomes [streams, count]."""
        if not self._correlation:
            return (self._rng.random((len(self._last), count)) < self.mean).astype(np.float64)
        taken = np.empty((len(self._last), count))
        for place, drawn in enumerate(self._rng.random((count, len(self._last)))):
            chance = self.mean + self._correlation * (self._last - self.mean)
            self._last = taken[:, place] = (drawn < chance).astype(np.float64)
        return taken

    def blocks(self, count: int, size: int) -> Iterator[Floats]:
        """Yield `count` blocks [streams, size], drawn a few at a time."""
        at_once = max(1, 1_000_000 // (len(self._last) * size))
        for start in range(0, count, at_once):
            some = self.take(min(at_once, count - start) * size)
            yield from np.split(some, some.shape[1] // size, axis=1)
