"""What it costs to tell of a series: `python -m benchmarks.monitor_report [--quick]`.

Milliseconds of CPU a series for reports of 1, 10 and 1 000 versions that changed, each with 600 outcomes and
as many predictions with 2 features: the hashes of metrics alone, and whole reports. The best of some repeats.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from time import thread_time

from benchmarks.monitor_rows import Case, encoded
from tidegauge.adapters import block_codec
from tidegauge.config import Settings
from tidegauge.monitor import Monitor

SIZES = (1, 10, 1_000)
OUTCOMES = 600  # of each model
REPEATS = 5


def watched(models: int, outcomes: int) -> Monitor:
    """Return a monitor that has seen so many models."""
    monitor = Monitor(Settings())
    case = Case("models in turn", models, 2, False, 2 * models * outcomes)
    for data in encoded(case, case.rows):
        monitor.observe(block_codec.decode(data))
    monitor.report()
    return monitor


def milliseconds(call: Callable[[], object]) -> float:
    """Return the least CPU time of a call."""
    found = []
    for _ in range(REPEATS):
        started = thread_time()
        call()
        found.append(thread_time() - started)
    return min(found) * 1e3


def told(monitor: Monitor, count: int, whole: bool) -> int:
    """Report of the first series, as if they had changed; return how many hashes came of it."""
    monitor._note_changed(list(range(count)))
    return len(monitor.report(None, whole).writes)


def main() -> None:
    """Print a line for each number of series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows: does it run?")
    quick = parser.parse_args().quick
    print(f"{'series':>8}{'metrics ms':>14}{'whole ms':>16}   a series")
    for count in SIZES:
        monitor = watched(max(count, 20), 120 if quick else OUTCOMES)
        metrics, whole = (
            milliseconds(partial(told, monitor, count, whole)) / count for whole in (False, True)
        )
        print(f"{count:>8}{metrics:>14.3f}{whole:>16.3f}", flush=True)


if __name__ == "__main__":
    main()
