"""What it costs to tell of a series: `python -m benchmarks.monitor_report [--quick] [--servers real]`.

Milliseconds of CPU a series for reports of 1, 10 and 1 000 versions that changed, each with 600 outcomes and
as many predictions with 2 features: to make the hashes of metrics alone, and whole reports; and to write the
metrics to a store that has them already, by process, and what they take there. The best of some repeats.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from time import process_time, thread_time

import redis

from benchmarks.monitor_rows import Case, encoded
from benchmarks.processes import usage
from tidegauge.adapters import block_codec
from tidegauge.adapters.redis_state import RedisState
from tidegauge.config import Redis, Settings
from tidegauge.monitor import Monitor
from tidegauge.ports import Writes
from tidegauge.servers import KINDS, Server

SIZES = (1, 10, 1_000)
OUTCOMES = 600  # of each model
REPEATS = 5
WRITTEN = 1_000  # series, to measure what one takes: a process's CPU is known in steps of 10 ms


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


def written(writes: Writes, state: RedisState, pid: int) -> tuple[float, float]:
    """Return the least CPU time in ms, of this process and of the store, to write hashes once more."""
    found = []
    epoch = state.claim(0)
    rounds = max(WRITTEN // len(writes), 1)
    for _ in range(REPEATS + 1):  # first they are new
        store, own = usage([pid]).cpu_s, process_time()
        for _ in range(rounds):
            state.publish(0, epoch, writes)
        found.append(((process_time() - own) / rounds * 1e3, (usage([pid]).cpu_s - store) / rounds * 1e3))
    return min(own for own, _ in found[1:]), min(store for _, store in found[1:])


def main() -> None:
    """Print a line for each number of series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows: does it run?")
    parser.add_argument("--servers", choices=list(KINDS), default="embedded", help="where it is written")
    arguments = parser.parse_args()
    heads = ("metrics ms", "whole ms", "write ms", "store ms", "store kB")
    print(f"{'series':>8}{''.join(f'{head:>14}' for head in heads)}   a series")
    with Server(KINDS[arguments.servers][1]) as store:
        url = f"redis://{store.address}/0"
        state, client = RedisState(Redis(url=url)), redis.Redis.from_url(url)
        for count in SIZES:
            monitor = watched(max(count, 20), 120 if arguments.quick else OUTCOMES)
            made = [milliseconds(partial(told, monitor, count, whole)) for whole in (False, True)]
            monitor._note_changed(list(range(count)))
            told_of = monitor.report(None, whole=False).writes
            writes = {key: fields for key, fields in told_of.items() if key.startswith("tg:metrics:")}
            figures = [each / count for each in (*made, *written(writes, state, store.pid))]
            figures.append(sum(map(client.memory_usage, writes)) / count / 1e3)
            print(f"{count:>8}{''.join(f'{figure:>14.3f}' for figure in figures)}", flush=True)
        state.close()
        client.close()


if __name__ == "__main__":
    main()
