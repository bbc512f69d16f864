"""`python -m tests.fuzz`: feeds mutated messages to every decoder; ends with one line, and 1 on a fault.

A message is named by its chunk: `--seed N --chunk M` feeds that chunk again, in this process.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from tests.fuzz.chunk import Fault, Fuzz, Tally

CHUNK = 10_000  # messages
STUCK_SECONDS = 120.0  # a chunk takes a few seconds
_SHOWN = 20  # faults
_fuzz: list[Fuzz] = []  # one a process: its corpus takes a while to build


def main() -> int:
    """Run what the flags say; return the exit code."""
    flags = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    flags.add_argument("--messages", type=int, default=10_000_000)
    flags.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    flags.add_argument("--seed", type=int, default=int(time.time()))
    flags.add_argument("--chunk", type=int, help="this chunk alone")
    given = flags.parse_args()
    if given.chunk is not None:
        return _end(Fuzz().run(given.seed, given.chunk, CHUNK), given.seed)
    sizes = [CHUNK] * (given.messages // CHUNK) + [given.messages % CHUNK] * (given.messages % CHUNK > 0)
    tally = Tally()
    begun = time.monotonic()
    for done in _run(sizes, given.seed, given.processes):
        tally.add(done)
        _show(tally, given.messages, time.monotonic() - begun)
    return _end(tally, given.seed)


def _run(sizes: list[int], seed: int, processes: int) -> Iterator[Tally]:
    """Yield the tally of each chunk as it is done; a chunk that ends or stops its process is a fault."""
    pool = ProcessPoolExecutor(processes)
    chunks = iter(enumerate(sizes))
    waiting: dict[Future[Tally], int] = {}
    while True:
        for number, size in islice(chunks, 2 * processes - len(waiting)):
            waiting[pool.submit(_chunk, seed, number, size)] = number
        if not waiting:
            pool.shutdown()
            return
        done, _ = wait(waiting, STUCK_SECONDS, FIRST_COMPLETED)
        if not done:
            yield _lost("hang", waiting.values(), "no chunk was done in time")
            for process in list((pool._processes or {}).values()):
                process.kill()
            return
        for one in done:
            try:
                yield one.result()
            except BrokenProcessPool as error:
                yield _lost("crash", waiting.values(), str(error))
                return
            del waiting[one]


def _chunk(seed: int, number: int, messages: int) -> Tally:
    if not _fuzz:
        os.nice(10)
        _fuzz.append(Fuzz())
    return _fuzz[0].run(seed, number, messages)


def _lost(kind: str, chunks: object, why: str) -> Tally:
    return Tally(faults=[Fault(kind, f"process, one of the chunks {list(chunks)}", b"", why)])  # type: ignore[call-overload]


def _show(tally: Tally, messages: int, seconds: float) -> None:
    end = "\r" if sys.stderr.isatty() else "\n"
    if end == "\r" or tally.messages % (100 * CHUNK) == 0:
        rate = tally.messages / max(seconds, 1e-9)
        left = (messages - tally.messages) / max(rate, 1e-9)
        text = f"{tally.messages:,} of {messages:,} messages, {rate:,.0f}/s, {left:.0f} s left"
        print(f"{text}, {len(tally.faults)} faults ", end=end, file=sys.stderr, flush=True)


def _end(tally: Tally, seed: int) -> int:
    for fault in tally.faults[:_SHOWN]:
        print(f"{fault.kind} in {fault.target}: {fault.why}\n  {fault.message[:1_000]!r}", file=sys.stderr)
    print(f"slowest message {tally.slowest_seconds * 1_000:.0f} ms", file=sys.stderr)
    crashes, hangs = tally.count("crash", "lost"), tally.count("hang")
    print(
        f"fuzz: messages={tally.messages} records={tally.records} rejected={tally.rejected} "
        f"crashes={crashes} hangs={hangs} seed={seed}"
    )
    return int(bool(tally.faults))


if __name__ == "__main__":
    raise SystemExit(main())
