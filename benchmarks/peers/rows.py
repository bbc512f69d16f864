"""The rows that monitoring libraries are given: a reference, then batches; and how they are timed.

A file of rows is numpy's .npz with a matrix `features`, and the columns `proba`, `prediction`, `target`.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd


def frames(path: str, batch: int) -> list[Any]:
    """Return a frame for each batch."""
    stored = np.load(path)
    columns = {f"f{j}": column for j, column in enumerate(stored["features"].T)}
    columns |= {name: stored[name] for name in ("proba", "prediction", "target")}
    frame = pd.DataFrame(columns)
    return [frame[at : at + batch].reset_index(drop=True) for at in range(0, len(frame), batch)]


def features(frame: Any) -> list[str]:
    """Return the names of the feature columns."""
    return [name for name in frame.columns if name.startswith("f")]


def main(package: str, prepare: Callable[[Any], Callable[[Any], object]]) -> None:
    """Print what a library took: `prepare` gets the reference and returns what handles a batch."""
    reference, *batches = frames(sys.argv[1], int(sys.argv[2]))
    handle = prepare(reference)
    handle(batches[0])  # what is loaded and compiled late
    wall, cpu = time.perf_counter(), time.process_time()
    for frame in batches:
        handle(frame)
    found = {
        "rows": sum(map(len, batches)),
        "seconds": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "version": importlib.metadata.version(package),
    }
    print(json.dumps(found))
