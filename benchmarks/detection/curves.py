"""A figure of false alarms against delay, as SVG: both axes logarithmic, a line a detector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

Line = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, TOP = 640, 400, 60, 20
RATES, DELAYS = (0.01, 100.0), (30.0, 3_000.0)  # false alarms in 10 000, outcomes
COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22")


def write(path: Path, lines: Mapping[str, Line]) -> None:
    """Write the figure; a setting without false alarms or with an endless delay is left out."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_axes(),
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [_place(rate, delay) for rate, delay in line if rate > 0 and math.isfinite(delay)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(f'<text x="{WIDTH - 90}" y="{TOP + 15 * (number + 1)}" fill="{colour}">{name}</text>')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _place(rate: float, delay: float) -> tuple[float, float]:
    return LEFT + _share(rate, RATES) * (WIDTH - LEFT - 110), HEIGHT - 45 - _share(delay, DELAYS) * (
        HEIGHT - TOP - 45
    )


def _share(value: float, ends: tuple[float, float]) -> float:
    low, high = map(math.log, ends)
    return min(max((math.log(value) - low) / (high - low), 0.0), 1.0)


def _axes() -> list[str]:
    found = []
    for rate in (0.01, 0.1, 1.0, 10.0, 100.0):
        x, bottom = _place(rate, DELAYS[0])
        found.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom:.1f}" stroke="#ddd"/>')
        found.append(f'<text x="{x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{rate:g}</text>')
    for delay in (30.0, 100.0, 300.0, 1_000.0, 3_000.0):
        x, y = _place(RATES[0], delay)
        right, _ = _place(RATES[1], delay)
        found.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        found.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{delay:g}</text>')
    found.append(f'<text x="{LEFT}" y="{HEIGHT - 10}">false alarms in 10 000 outcomes</text>')
    found.append(
        f'<text x="{LEFT}" y="{TOP - 6}">outcomes until an error of .1 that rose to .2 is found</text>'
    )
    return found
