"""The metric and drift arithmetic alone: the same rows in batches for `tidegauge.monitor` and its peers.

A row is a prediction with ten numeric features, a probability, and its label. The product does on a row
all that it does in a worker: every metric with intervals over four windows, panes, PSI, ADWIN, rules.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environments import environment, python
from benchmarks.events import START_MS, STEP_MS
from benchmarks.figures import per_second
from benchmarks.race import Failed
from tidegauge import config
from tidegauge.block import Block, Labelled, Predicted, Trigger
from tidegauge.block_builder import BlockBuilder
from tidegauge.join import key_of
from tidegauge.monitor import Monitor

BATCH = 5_000
FEATURES = 10
_SEED = 7
_PEER_SECONDS = 600
_NO_DETECTORS = config.Drift(
    detectors=(), calibration="none", separation="none", features="psi", attribution="none"
)
PRODUCT = {  # name, title, settings: as a user has it, and without what no peer does on every row
    "rows": ("tidegauge.monitor", config.Settings()),
    "rows_plain": (
        "tidegauge.monitor, without detectors and estimates",
        config.Settings(drift=_NO_DETECTORS, estimates=config.Estimates(enabled=False)),
    ),
}
PEERS = {"evidently": "evidently_rows", "nannyml": "nannyml_rows", "whylogs": "whylogs_rows"}

Columns = dict[str, Any]


def columns(rows: int, seed: int = _SEED) -> Columns:
    """Return the rows as columns: `features` (rows, 10), `proba`, `prediction`, `target`.

    >>> sorted((name, column.shape) for name, column in columns(3).items())
    [('features', (3, 10)), ('prediction', (3,)), ('proba', (3,)), ('target', (3,))]
    """
    rng = np.random.default_rng(seed)
    proba = rng.random(rows)
    target = (rng.random(rows) < proba).astype(np.int64)
    features = rng.random((rows, FEATURES))
    return {
        "features": features,
        "proba": proba,
        "prediction": (proba > 0.5).astype(np.int64),
        "target": target,
    }


def product(found: Columns, settings: config.Settings) -> dict[str, Any]:
    """Return the figures of `tidegauge.monitor`; the first batch is not timed, as for the peers."""
    first, *blocks = _blocks(found)
    monitor = Monitor(settings)
    monitor.observe(first)
    wall, cpu = time.perf_counter(), time.process_time()
    for block in blocks:
        monitor.observe(block)
        monitor.report()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return _figures(sum(len(block.outcomes.offset) for block in blocks), wall, cpu)


def peer(name: str, found: Columns) -> dict[str, Any]:
    """Return the figures of a peer.

    Raises Unavailable where it does not install, Failed where it does not run.
    """
    interpreter = python(name)
    with tempfile.TemporaryDirectory(prefix="tidegauge-rows-") as scratch:
        path = Path(scratch) / "rows.npz"
        np.savez(path, **found)
        done = subprocess.run(
            [str(interpreter), "-m", f"benchmarks.peers.{PEERS[name]}", str(path), str(BATCH)],
            capture_output=True,
            text=True,
            env=environment(),
            cwd=scratch,
            timeout=_PEER_SECONDS,
            check=False,
        )
    if done.returncode:
        raise Failed(f"{name}: {done.stderr[-1_000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return _figures(said["rows"], said["seconds"], said["cpu_s"]) | {"version": said["version"]}


def _figures(rows: int, seconds: float, cpu_s: float) -> dict[str, Any]:
    return {"rows": rows, "rows_per_s": per_second(rows, seconds), "us_a_row": cpu_s / rows * 1e6}


def _blocks(found: Columns) -> list[Block]:
    count = len(found["proba"])
    return [_block(found, start, min(start + BATCH, count)) for start in range(0, count, BATCH)]


def _block(found: Columns, start: int, end: int) -> Block:
    builder = BlockBuilder()
    names = [f"f{j}" for j in range(FEATURES)]
    for row in range(start, end):
        name, at_ms = f"p{row}", START_MS + row * STEP_MS
        number = int.from_bytes(key_of(name)[:8])
        predicted = Predicted(
            "m0", "v1", (), at_ms, int(found["prediction"][row]), float(found["proba"][row]), None
        )
        features = dict(zip(names, found["features"][row].tolist(), strict=True))
        builder.prediction(name, number, Trigger("predictions", 0, row), predicted, features, 1.5, {}, None)
        labelled = Labelled(int(found["target"][row]), 1.0, {})
        builder.outcome(name, number, Trigger("labels", 0, row), predicted, labelled, at_ms + 60_000, 0, 1)
    return builder.build()
