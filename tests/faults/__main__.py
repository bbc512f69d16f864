"""The fault suite: `python -m tests.faults`. docs/reliability.md tells what it shows."""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.faults import examine
from tests.faults.rig import Rig
from tests.faults.scenarios import KILLING, LENGTHS, OPTIONS, SCENARIOS, WITHOUT, Scenario
from tests.faults.trial import Result, Trial

QUICK_RATE, QUICK_SECONDS = 2_000.0, 8.0
_META_STEADY_SECONDS = 2.0
_META_TRIALS = 4  # at most
_LOG_LINES = 15


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    print(f"seed {options.seed}, {options.rate:.0f} events/s for {options.seconds:.0f} s a trial", flush=True)
    results: list[Result] = []
    with Rig() as rig:
        began = time.monotonic()
        for number, name in enumerate(_plan(options)):
            if options.long and _enough(options, results, time.monotonic() - began):
                break
            results.append(_trial(rig, name, SCENARIOS[name], options, options.seed + number))
        caught = {} if options.only else _meta(rig, options)
    print("\n" + _table(results))
    if caught:
        words = {True: "caught", False: "MISSED"}
        print("meta: " + " ".join(f"{guard}={words[found]}" for guard, found in caught.items()))
    print(_line(results))
    return 0 if all(result.findings.clean for result in results) and all(caught.values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", action="append", choices=[*SCENARIOS], help="these scenarios alone (repeat)"
    )
    parser.add_argument("--trials", type=int, default=1, help="rounds through the scenarios")
    parser.add_argument("--long", action="store_true", help="random scenarios, mostly kills, for --minutes")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=200, help="what --long reaches at least")
    parser.add_argument("--rate", type=float, default=QUICK_RATE, help="events a second")
    parser.add_argument("--seconds", type=float, default=QUICK_SECONDS, help="length of a stream")
    parser.add_argument("--keep", type=Path, help="where logs and topics of failed trials go")
    return parser


def _plan(options: argparse.Namespace) -> Iterator[str]:
    names = options.only or list(SCENARIOS)
    if not options.long:
        for _ in range(options.trials):
            yield from names
        return
    draw = random.Random(options.seed)
    killing = [name for name in KILLING if name in names]
    while True:
        round_ = [*names, *killing * 4]
        draw.shuffle(round_)
        yield from round_


def _enough(options: argparse.Namespace, results: list[Result], seconds: float) -> bool:
    return seconds >= 60 * options.minutes and sum(result.kills for result in results) >= options.kills


def _trial(
    rig: Rig, name: str, scenario: Scenario, options: argparse.Namespace, seed: int, meta: bool = False
) -> Result:
    trial = Trial(
        rig, name, seed, options.rate, options.seconds * LENGTHS.get(name, 1.0), OPTIONS.get(name, {})
    )
    try:
        scenario(trial)
        result = trial.finish(_META_STEADY_SECONDS) if meta else trial.finish()
        if not (meta or result.findings.clean):
            _explain(result)
            if options.keep is not None:
                _keep(trial, result, options.keep / f"{name}-{seed}")
    finally:
        trial.close()
    state = "ok" if result.findings.clean else "found out" if meta else "FAILED"
    spent = f"{result.seconds:5.1f} s, recovery {[round(s, 1) for s in result.recoveries]}"
    print(f"{name:24} seed {seed:6}  {spent}  {state}", flush=True)
    return result


def _meta(rig: Rig, options: argparse.Namespace) -> dict[str, bool]:
    """Return for each guard whether its absence was found out, by rows lost or counted twice.

    A zombie may have nothing to write that is wrong yet, so there are a few trials.
    """
    caught = dict.fromkeys(WITHOUT, False)
    for guard, scenario in WITHOUT.items():
        for seed in range(options.seed, options.seed + _META_TRIALS):
            found = _trial(rig, f"without-{guard}", scenario, options, seed, meta=True).findings
            print("  " + "; ".join(found.broken[:3]), flush=True)
            caught[guard] = found.lost + found.doubled > 0
            if caught[guard]:
                break
    return caught


def _explain(result: Result) -> None:
    for line in result.findings.broken[:20]:
        print(f"  {line}")
    for log in result.logs:
        lines = log.read_text(errors="replace").splitlines()
        notable = [line for line in lines if "WARN" in line or "ERROR" in line or "Error" in line]
        for line in (notable or lines)[-_LOG_LINES:]:
            print(f"    {log.name}: {line[:240]}")
    sys.stdout.flush()


def _keep(trial: Trial, result: Result, place: Path) -> None:
    """Copy the logs, and the records of the topics: (partition, offset, time, key, value) in msgpack."""
    place.mkdir(parents=True, exist_ok=True)
    for log in result.logs:
        shutil.copy(log, place)
    for name in ("predictions", "labels", "observations"):
        records = examine.read(trial.settings, getattr(trial.settings.topics, name))
        plain = [(r.partition(), r.offset(), r.timestamp()[1], r.key(), r.value()) for r in records]
        (place / f"{name}.msgpack").write_bytes(msgspec.msgpack.encode(plain))


def _table(results: list[Result]) -> str:
    head = (
        "scenario",
        "trials",
        "kills",
        "lost",
        "doubled",
        "fenced",
        "replayed",
        "p50 s",
        "max s",
        "MiB",
        "",
    )
    rows = [head]
    for name in dict.fromkeys(result.scenario for result in results):
        mine = [result for result in results if result.scenario == name]
        times = [seconds for result in mine for seconds in result.recoveries]
        clean = all(result.findings.clean for result in mine)
        rows.append(
            (
                name,
                str(len(mine)),
                str(sum(result.kills for result in mine)),
                str(sum(result.findings.lost for result in mine)),
                str(sum(result.findings.doubled for result in mine)),
                str(sum(result.fenced for result in mine)),
                str(sum(result.findings.replayed for result in mine)),
                _seconds(times, 0.5),
                _seconds(times, 1.0),
                str(max(result.resident for result in mine) >> 20),
                "" if clean else "FAILED",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            f"{cell:{'<' if not place else '>'}{widths[place]}}" for place, cell in enumerate(row)
        ).rstrip()
        for row in rows
    )


def _line(results: list[Result]) -> str:
    times = [seconds for result in results for seconds in result.recoveries]
    lost, doubled = (sum(getattr(r.findings, name) for r in results) for name in ("lost", "doubled"))
    return (
        f"faults: trials={len(results)} kills={sum(r.kills for r in results)} lost={lost} doubled={doubled} "
        f"fenced={sum(r.fenced for r in results)} recovery_p50_s={_seconds(times, 0.5)} "
        f"recovery_p95_s={_seconds(times, 0.95)} recovery_max_s={_seconds(times, 1.0)}"
    )


def _seconds(times: list[float], quantile: float) -> str:
    """Return a quantile by linear interpolation, `-` where nothing was measured."""
    if not times:
        return "-"
    if len(times) == 1 or quantile == 1.0:
        return f"{max(times):.1f}"
    return f"{statistics.quantiles(times, n=100, method='inclusive')[round(100 * quantile) - 1]:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
