"""The tables, in Markdown, from what a run found. Pure; what is undefined is a dash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]
Column = tuple[str, Callable[[Result], str]]
_MEBIBYTE = 1_048_576
_NONE = "–"


def amount(value: Any, digits: int = 0) -> str:
    """Return a number with thousands apart.

    >>> amount(12345.6), amount(0.123, 2), amount(None)
    ('12 346', '0.12', '–')
    """
    return _NONE if value is None else f"{value:,.{digits}f}".replace(",", " ")


def field(name: str, digits: int = 0, scale: float = 1.0) -> Callable[[Result], str]:
    """Return what shows a figure; dots lead into it."""

    def shown(result: Result) -> str:
        value: Any = result
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return amount(None if value is None else value / scale, digits)

    return shown


SPEED: tuple[Column, ...] = (
    ("events", field("events")),
    ("events/s", field("events_per_s")),
    ("lost pairs", field("lost_pairs")),
    ("worker CPU s per million", field("cpu_s_per_million.worker", 1)),
    ("broker", field("cpu_s_per_million.broker", 1)),
    ("Redis", field("cpu_s_per_million.redis", 1)),
    ("cores busy", field("busy_cores", 2)),
    ("worker MB", field("resident_bytes.worker", 0, _MEBIBYTE)),
    ("Redis MB", field("redis_bytes", 0, _MEBIBYTE)),
)
LATENCY: tuple[Column, ...] = (
    *(
        (f"{name} {rank} ms", field(f"{name}_ms.{rank}"))
        for name in ("metric", "alert")
        for rank in ("p50", "p95", "p99")
    ),
    ("events/s", field("rate_per_s")),
    ("worker cores", field("cores.worker", 2)),
    ("broker", field("cores.broker", 2)),
    ("Redis", field("cores.redis", 2)),
    ("labels", field("metric_samples")),
    ("alerts", field("alert_samples")),
)
WAITING: tuple[Column, ...] = (
    ("bytes each", field("bytes_per_waiting", 1)),
    ("Redis MB", field("redis_bytes", 0, _MEBIBYTE)),
    *(
        (f"{title}: {who} us", field(f"{name}_us.{key}", 2))
        for title, name in (("prediction", "prediction"), ("label", "label"))
        for who, key in (("elapsed", "elapsed"), ("worker CPU", "worker"), ("Redis CPU", "redis"))
    ),
)
ROWS: tuple[Column, ...] = (
    ("rows", field("rows")),
    ("rows/s", field("rows_per_s")),
    ("CPU us a row", field("us_a_row", 2)),
)
HEADINGS = ("Throughput", "Latency", "Waiting predictions", "The arithmetic alone")
# heading, what its cases' names begin with, columns; a case belongs to the first that fits
SECTIONS: tuple[tuple[str, str, tuple[Column, ...]], ...] = (
    ("Latency", "latency", LATENCY),
    ("Waiting predictions", "waiting", WAITING),
    ("The arithmetic alone", "rows", ROWS),
    ("Throughput", "", SPEED),
)


def tables(found: Mapping[str, Any]) -> str:
    """Return every table that has a row, under its heading."""
    texts = dict.fromkeys(HEADINGS, "")
    left = dict(found["cases"])
    for heading, start, columns in SECTIONS:
        rows = {name: case for name, case in left.items() if name.startswith(start)}
        left = {name: case for name, case in left.items() if name not in rows}
        if rows:
            texts[heading] = f"### {heading}\n\n{table(rows.items(), columns)}"
    return "\n\n".join([machine_line(found["machine"]), *filter(None, texts.values())]) + "\n"


def table(rows: Iterable[tuple[str, Result]], columns: Sequence[Column]) -> str:
    """Return one table; a case that could not be run says so in its row.

    >>> print(table([("one", {"title": "1 model", "rows": 2}), ("x", {"title": "x", "absent": "no wheel"})],
    ...     ROWS[:2]))
    | case |  | rows | rows/s |
    |---|---|--:|--:|
    | `one` | 1 model | 2 | – |
    | `x` | x: no wheel | – | – |
    """
    heads = ["case", "", *(head for head, _ in columns)]
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "--:|" * len(columns)]
    for name, case in rows:
        why = case.get("absent") or case.get("failed")
        version = f" {case['version']}" if "version" in case else ""
        about = f"{case['title']}{version}" + (f": {why.splitlines()[0]}" if why else "")
        lines.append(f"| `{name}` | {about} | {' | '.join(show(case) for _, show in columns)} |")
    return "\n".join(lines)


def machine_line(machine: Mapping[str, Any]) -> str:
    """Return what the figures were made on."""
    packages = ", ".join(f"{name} {version}" for name, version in sorted(machine["packages"].items()))
    return (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['system']}, Python {machine['python']}, "
        f"{machine['broker']}, {machine['store']}; {packages}; {machine['made_at']}"
    )
