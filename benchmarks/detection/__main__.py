"""How well drift is detected: `python -m benchmarks.detection [--figures docs/figures]`. Seeds are fixed."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.detection.parts import PARTS

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


def main() -> None:
    """Run every part and say what matters in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, help="write the curves as SVG into this folder")
    figures = parser.parse_args().figures
    found: dict[str, object] = {}
    for part in PARTS:
        found |= part(figures)
    print("\ndetection: " + " ".join(f"{name}={found[name]}" for name in LAST_LINE if name in found))


main()
