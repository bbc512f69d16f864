"""How well drift is detected: `make detection`, or some parts of it, with other seeds.

    python -m benchmarks.detection [--only PART ...] [--seed N] [--figures docs/figures]

Without `--seed` the figures are those of the documentation. The last line has what matters most; the exit
code is 1 where false alarms came sooner than promised.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.detection.parts import PARTS, Ask

LAST_LINE = (
    "arl_promised",
    "arl_measured",
    "false_feature_windows",
    "delay_10_20",
    "delay_10_15",
    "feature_windows",
    "kbh_windows",
    "cbpe_auc",
    "cbpe_acc",
    "cbpe_f1",
    "error_ns",
    "feature_ns",
)


def main() -> int:
    """Run the parts, say what matters in one line, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seed", type=int, default=Ask().seed, help="of all streams (default %(default)s)")
    parser.add_argument("--figures", type=Path, help="write the curves as SVG into this folder")
    given = parser.parse_args()
    found: dict[str, object] = {}
    begin = time.monotonic()
    for name in given.only or PARTS:
        start = time.monotonic()
        found |= PARTS[name](Ask(given.seed, given.figures))
        now = time.monotonic()
        print(f"\n[{name}: {now - start:.0f} s; {now - begin:.0f} s in all]", flush=True)
    print("\ndetection: " + " ".join(f"{name}={found[name]}" for name in LAST_LINE if name in found))
    return 1 if found.get("broken") else 0


sys.exit(main())
