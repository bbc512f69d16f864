"""What it costs to tell of a series: `python -m benchmarks.monitor_report [--quick]`.

Milliseconds of CPU a series for reports of 1, 10 and 1 000 series that changed, each with 10 features and
600 outcomes: the hashes of metrics alone, and all hashes. The best of some repeats.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
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
    case = Case("models in turn", models, 10, False, 2 * models * outcomes)
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


def told(monitor: Monitor, count: int) -> int:
    """Report of the first series, as if they had changed; return how many hashes came of it."""
    monitor._changed.update(dict.fromkeys(range(count)))
    return len(monitor.report().writes)


def main() -> None:
    """Print a line for each number of series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows: does it run?")
    quick = parser.parse_args().quick
    print(f"{'series':>8}{'metrics ms':>14}{'all hashes ms':>16}   a series")
    for count in SIZES:
        monitor = watched(max(count, 4), 40 if quick else OUTCOMES)
        every = list(range(count))
        metrics = milliseconds(lambda: monitor._metrics(every)) / count  # noqa: B023
        whole = milliseconds(lambda: told(monitor, count)) / count  # noqa: B023
        print(f"{count:>8}{metrics:>14.3f}{whole:>16.3f}", flush=True)


if __name__ == "__main__":
    main()
