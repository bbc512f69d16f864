"""What `tidegauge baseline show` prints."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from tidegauge.baseline_file import BaselineFile, Histogram
from tidegauge.cli.text import UNDEFINED, count, number, shown

MOST_LEVELS = 5


def tables(found: BaselineFile) -> Iterator[str | Table]:
    """Yield a headline and a table each of features, metrics and classes, where there are some."""
    version = found.model_version or "every version"
    yield f"[bold]{shown(found.model_id)}[/] {shown(version)}  [dim]{found.identity}[/]"
    rows = f"{count(found.rows)} rows, {count(found.labelled)} labelled scores"
    yield f"{shown(found.name)}  {shown(found.made_at)}  {rows}"
    own = found.prediction
    columns = dict(found.features) | ({f"({own.column})": own.histogram} if own else {})
    if columns:
        yield _features(columns)
    if found.metrics:
        yield _metrics(found)
    if found.classes:
        yield _classes(found)
    if found.loss:
        mean, variance = number(found.loss.mean), number(found.loss.variance)
        yield f"loss: mean {mean}, variance {variance}, n {count(found.loss.n)}"


def _features(columns: dict[str, Histogram]) -> Table:
    table = Table("feature", "type", "bins", "null", "range or levels", "mean", "deviation")
    for name, one in columns.items():
        share = number(one.nulls / one.rows) if one.rows else UNDEFINED
        cells = (shown(name), one.kind, str(len(one.counts)), share, shown(_range(one)))
        table.add_row(*cells, number(one.mean), number(one.deviation))
    return table


def _range(one: Histogram) -> str:
    if one.kind == "categorical":
        more = len(one.levels) - MOST_LEVELS
        return ", ".join(one.levels[:MOST_LEVELS]) + (f" and {more} more" if more > 0 else "")
    return f"{one.edges[0]:g} to {one.edges[-1]:g}" if one.edges else UNDEFINED


def _metrics(found: BaselineFile) -> Table:
    table = Table("metric", "value", "low", "high", "n")
    for name, one in found.metrics.items():
        table.add_row(shown(name), number(one.value), number(one.low), number(one.high), count(one.n))
    return table


def _classes(found: BaselineFile) -> Table:
    table = Table("class", "rows", "share")
    total = sum(found.classes.values())
    for name, rows in found.classes.items():
        mark = " (positive)" if name == found.positive_class else ""
        table.add_row(shown(name) + mark, count(rows), number(rows / total if total else None))
    return table
