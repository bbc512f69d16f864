"""whylogs: a profile of every column and its summary, a batch each; it computes no metric and no drift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import whylogs

from benchmarks.peers.rows import main


def prepare(reference: Any) -> Callable[[Any], object]:
    """Return what profiles a batch."""
    return lambda frame: whylogs.log(pandas=frame).view().to_pandas()


if __name__ == "__main__":
    main("whylogs", prepare)
