"""`python -m benchmarks`: product, peers and limit in turn on the same events, on servers of its own.

Writes a table, benchmarks/results/latest.json, and the line of ratios. The exit code is 1 where a part
failed to run or counted wrong, never because it was slow.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.cases import full, quick
from benchmarks.figures import line, ratios
from benchmarks.processes import processor
from benchmarks.progress import say
from benchmarks.rig import Rig
from benchmarks.suite import run
from benchmarks.table import tables

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("tidegauge", "confluent-kafka", "msgspec", "numpy", "redis", "river")


def main() -> int:
    """Measure what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller cases: that it runs and counts right")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these parts alone")
    parser.add_argument("--servers", choices=("real", "embedded"), help="else real ones where they are")
    parser.add_argument("--out", type=Path, help="else results/latest.json, with --quick results/quick.json")
    options = parser.parse_args()
    started = time.monotonic()
    plan = quick() if options.quick else full()
    with Rig(options.servers) as rig:
        found: dict[str, Any] = {"machine": machine() | rig.versions(), "quick": options.quick}
        found["cases"], failed = run(plan, rig, frozenset(options.only))
    found["ratios"] = ratios(found["cases"])
    found["seconds"] = time.monotonic() - started
    out = options.out or RESULTS / ("quick.json" if options.quick else "latest.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    say(f"written to {out} after {found['seconds']:.0f} s")
    print(tables(found))
    for name in failed:
        print(f"FAILED {name}: {found['cases'][name].get('failed') or found['cases'][name].get('absent')}")
    print(line(found["ratios"]))
    return 1 if failed else 0


def machine() -> dict[str, Any]:
    """Return what the figures were made on."""
    return {
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "from source"


if __name__ == "__main__":
    sys.exit(main())
