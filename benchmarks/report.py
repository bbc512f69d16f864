"""The figures of the last run for docs/performance.md: `python -m benchmarks.report [--write]`."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import sizing, targets
from benchmarks.figures import line
from benchmarks.table import tables

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
LATEST = ROOT / "benchmarks" / "results" / "latest.json"
_FIGURES = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def markdown(run: Mapping[str, Any]) -> str:
    """Return the figures of a run as Markdown."""
    guide = sizing.text(run)
    parts = [
        f"```\n{line(run['ratios'])}\n```",
        "### What was to be reached",
        targets.table(run),
        targets.bounds(run),
        tables(run),
        f"### What to plan for\n\n{guide}" if guide else "",
    ]
    return "\n" + "\n\n".join(part.strip() for part in parts if part) + "\n\n"


def replaced(page: str, figures: str) -> str:
    """Return a page with other figures between its marks.

    >>> replaced("a\\n<!-- figures -->\\nold\\n<!-- /figures -->\\n", "new\\n")
    'a\\n<!-- figures -->\\nnew\\n<!-- /figures -->\\n'
    """
    return _FIGURES.sub(lambda _: figures, page)


def main() -> None:
    """Print the figures, or put them into the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--run", type=Path, default=LATEST, help="else results/latest.json")
    options = parser.parse_args()
    figures = markdown(json.loads(options.run.read_text(encoding="utf-8")))
    if options.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
    else:
        print(figures)


if __name__ == "__main__":
    main()
