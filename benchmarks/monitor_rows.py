"""What the monitor's path costs: `python -m benchmarks.monitor_rows [--quick]`.

Microseconds of CPU a row (predictions and outcomes both counted) to decode a block and to observe it,
milliseconds of a report of at most a hundred series and of a snapshot, and the snapshot's bytes; the
process's greatest memory so far, the blocks that wait to be read included. One line a case. The rows stand in
blocks of one partition, half of them outcomes of the block before. CPU time of the thread, so that a busy
machine disturbs less.
"""

from __future__ import annotations

import argparse
import resource
from time import thread_time
from typing import NamedTuple

import numpy as np

from tidegauge.adapters import block_codec
from tidegauge.block import Labelled, Predicted, Trigger
from tidegauge.block_builder import BlockBuilder
from tidegauge.config import Settings
from tidegauge.monitor import Monitor

BLOCK_ROWS = 4_000
REPORTED = 100  # series
QUICK_BLOCKS = 15
WARM_BLOCKS = 12  # the first blocks meet the models, decide their tasks and lay out the tables


class Case(NamedTuple):
    """A stream: how many models, how rows fall on them, how many features."""

    name: str
    models: int
    features: int
    zipf: bool
    rows: int
    step_ms: float = 10.0


CASES = (
    Case("one model, 10 features", 1, 10, False, 200_000),
    Case("one model, 200 features", 1, 200, False, 60_000),
    Case("10 000 models in turn", 10_000, 10, False, 400_000),
    Case("10 000 models, Zipf", 10_000, 10, True, 400_000),
)


def encoded(case: Case, rows: int) -> list[bytes]:
    """Return the blocks of a stream as bytes."""
    random = np.random.default_rng(1)
    half = BLOCK_ROWS // 2
    names = tuple(f"f{j}" for j in range(case.features))
    found: list[bytes] = []
    before: list[tuple[str, int, Predicted]] = []
    for start in range(0, rows // 2, half):
        builder = BlockBuilder()
        place = np.arange(start, start + half)
        model = (random.zipf(1.2, half) if case.zipf else place) % case.models
        score, label = random.random(half), random.random(half)
        values = random.normal(size=(half, case.features)).tolist()
        latency = random.lognormal(1.0, 0.5, half).tolist()
        now = []
        for i, (number, p) in enumerate(zip(model.tolist(), score.tolist(), strict=True)):
            at = start + i
            what = Predicted(f"model-{number}", "v1", (), int(at * case.step_ms), int(p > 0.5), p, None)
            hashed = hash((at, 1)) & (2**63 - 1)
            builder.prediction(
                f"prediction-{at}",
                hashed,
                Trigger("predictions", 0, at),
                what,
                dict(zip(names, values[i], strict=True)),
                latency[i],
                {},
                None,
            )
            now.append((f"prediction-{at}", hashed, what))
        for i, (name, hashed, what) in enumerate(before):
            labelled = Labelled(bool(label[i] < (what.proba or 0.0)), 1.0, {})
            trigger = Trigger("labels", 0, start - half + i)
            at_ms = what.predicted_at_ms + 20_000
            builder.outcome(name, hashed, trigger, what, labelled, at_ms, 0, 1)
        before = now
        found.append(block_codec.encode(builder.build()))
    return found


def measure(case: Case, rows: int) -> str:
    """Return the line of a case."""
    monitor = Monitor(Settings())
    decoding = observing = 0.0
    counted = 0
    for number, data in enumerate(encoded(case, rows)):
        started = thread_time()
        block = block_codec.decode(data)
        decoded = thread_time()
        monitor.observe(block)
        observed = thread_time()
        if number >= WARM_BLOCKS:
            decoding += decoded - started
            observing += observed - decoded
            counted += block.rows
    started = thread_time()
    report = monitor.report(REPORTED)
    reported = thread_time()
    snapshot = block_codec.pack(monitor.state())
    packed = thread_time()
    values = counted / 2 * case.features
    return (
        f"{case.name:26}{decoding / counted * 1e6:9.2f}{observing / counted * 1e6:9.2f}"
        f"{(decoding + observing) / values * 1e9:9.0f}"
        f"{(reported - started) * 1e3:11.1f}{len(report.writes):8}{(packed - reported) * 1e3:11.1f}"
        f"{len(snapshot) / 1e6:9.2f}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024:9.0f}"
    )


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows: does it run?")
    parser.add_argument("--case", type=int, help="one case alone, by its number")
    arguments = parser.parse_args()
    print(
        f"{'':26}{'decode':>9}{'observe':>9}{'both':>9}{'report':>11}{'hashes':>8}{'snapshot':>11}"
        f"{'snapshot':>9}{'peak':>9}\n"
        f"{'':26}{'us/row':>9}{'us/row':>9}{'ns/value':>9}{'ms':>11}{'':>8}{'ms':>11}{'MB':>9}{'MB':>9}"
    )
    for number, case in enumerate(CASES):
        rows = min(case.rows, QUICK_BLOCKS * BLOCK_ROWS) if arguments.quick else case.rows
        if arguments.case in (None, number):
            print(measure(case, rows), flush=True)


if __name__ == "__main__":
    main()
