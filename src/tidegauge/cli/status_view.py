"""The state of `status` as rich renderables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tidegauge.cli.text import UNDEFINED, ago, alert_lines, count, moment, number, shown, spread
from tidegauge.client import Alert, MetricValue
from tidegauge.keys import JOIN_TERMS

# What a person looks at first, by task; the rest is in Redis, --json and --all-metrics. `ndcg@` is that of
# the longest cutoff there is.
MAIN_METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("accuracy", "f1", "roc_auc", "log_loss"),
    "multiclass": ("accuracy", "f1_macro", "mcc", "log_loss"),
    "regression": ("mae", "rmse", "bias", "r2"),
    "ranking": ("ndcg@", "hit_rate@", "map", "mrr"),
}
SILENT_MS = 30_000  # a worker says something every second
_SHOWN_ALERTS = 5


def view(
    state: Mapping[str, Any], now_ms: int, all_metrics: bool = False, intervals: bool = True
) -> RenderableType:
    """Return the whole state; the models stand last, for they alone can be longer than a screen."""
    parts = [_alerts(state["alerts"]), _join(state["join"]), _workers(state["workers"], now_ms)]
    for model in state["models"]:
        for version in model["versions"]:
            parts.append(_long(model, version) if all_metrics else _main(model, version, intervals))
    if not state["models"]:
        parts.append(Text("no models yet: send predictions and labels, or run `tidegauge demo`"))
    return Group(*(Padding(part, (0, 0, 1, 0), expand=False) for part in parts))


def _table(title: str, left: int, *columns: str) -> Table:
    """Return an empty table; the first `left` columns hold text, the others numbers."""
    look: dict[str, Any] = {"box": None, "padding": (0, 2, 0, 0), "header_style": "dim"}
    table = Table(title=title, title_justify="left", title_style="", **look)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=True)
    return table


def _title(model: Mapping[str, Any], version: Mapping[str, Any]) -> str:
    name = f"[bold]{shown(model['model_id'])} {shown(version['version'])}[/]"
    task = model["task"] or "task not known yet"
    return f"{name}  [dim]{shown(task)} · up to {moment(model['watermark_ms'])}[/]"


def _main(model: Mapping[str, Any], version: Mapping[str, Any], intervals: bool) -> Table:
    metrics = [_longest(metric, version["windows"]) for metric in MAIN_METRICS.get(model["task"], ())]
    columns = ("  window", "outcomes", "coverage", *metrics, "p95 ms")
    table = _table(_title(model, version), 1, *columns)
    shown = spread if intervals else _value_alone
    for window in _sorted_windows(version["windows"]):
        found = version["windows"][window]
        table.add_row(
            f"  {window}",
            number_of_outcomes(found),
            _percent(_metric(found, "coverage").value),
            *(shown(_metric(found, metric)) for metric in metrics),
            number(_metric(found, "latency_p95_ms").value),
        )
        estimated = version.get("estimates", {}).get(window, {})
        if any(metric in estimated for metric in metrics):
            values = (shown(_metric(estimated, metric)) for metric in metrics)
            table.add_row("    estimated", "", "", *values, "", style="dim")
    return table


def _longest(metric: str, windows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the metric, with the longest cutoff that it has in any window where it has one."""
    if not metric.endswith("@"):
        return metric
    there = {name for found in windows.values() for name in found if name.startswith(metric)}
    return max(there, key=lambda name: int(name.removeprefix(metric)), default=metric)


def _value_alone(value: MetricValue) -> str:
    return number(value.value)


def _long(model: Mapping[str, Any], version: Mapping[str, Any]) -> Table:
    table = _table(_title(model, version), 2, "  window", "metric", "value", "low", "high", "n")
    for window in _sorted_windows(version["windows"]):
        for metric, found in sorted(version["windows"][window].items()):
            value = MetricValue(**found)
            numbers = map(number, (value.value, value.low, value.high))
            table.add_row(f"  {window}", shown(metric), *numbers, count(value.n))
        for metric, found in sorted(version.get("estimates", {}).get(window, {}).items()):
            value = MetricValue(**found)
            numbers = map(number, (value.value, value.low, value.high))
            table.add_row(f"  {window}", f"{shown(metric)} estimated", *numbers, count(value.n), style="dim")
    return table


def number_of_outcomes(metrics: Mapping[str, Any]) -> str:
    """Return the outcomes of a window: the metric `n`."""
    value = _metric(metrics, "n").value
    return count(None if value is None else int(value))


def _metric(metrics: Mapping[str, Any], name: str) -> MetricValue:
    return MetricValue(**metrics[name]) if name in metrics else MetricValue(None, None, None, None)


def _percent(share: float | None) -> str:
    return UNDEFINED if share is None else f"{share:.1%}"


def _sorted_windows(windows: Mapping[str, Any]) -> list[str]:
    """Return the windows from short to long, counts before times."""
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    return sorted(
        windows, key=lambda w: (w[-1:] in units, int("0" + w.rstrip("smhd")) * units.get(w[-1:], 1))
    )


def _join(join: Mapping[str, Any]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for side in JOIN_TERMS:
        grid.add_row(f"  {side}", _verdict(join["missing"][side]), _equation(side, join[side]))
    head = f"[bold]join[/]  [dim]up to {moment(join['watermark_ms'] or None)}[/]"
    return Group(Text.from_markup(head), grid)


def _verdict(missing: int) -> str:
    return "[green]adds up[/]" if missing == 0 else f"[bold red]off by {missing:+,}[/]"


def _equation(side: str, counters: Mapping[str, int]) -> str:
    """Return the counters of a side as the sum that they must be; those at 0 stay out."""
    found = [(term, counters.get(term, 0)) for term in JOIN_TERMS[side]]
    terms = " + ".join(f"{count(value)} {term}" for term, value in found if value) or "0"
    return f"{count(counters.get('received', 0))} received = {terms}"


def _alerts(alerts: list[dict[str, Any]]) -> RenderableType:
    if not alerts:
        return Text.from_markup("[bold]alerts[/]  [green]none active[/]")
    shown = [msgspec.convert(alert, Alert) for alert in alerts[:_SHOWN_ALERTS]]
    lines = [f"[bold]alerts[/]  [bold red]{len(alerts)} active[/]"]
    lines += [f"  {line}" for alert in shown for line in alert_lines(alert)[:2]]
    if len(alerts) > len(shown):
        lines.append(f"  [dim]and {len(alerts) - len(shown)} more: tidegauge alerts --active[/]")
    return Text.from_markup("\n".join(lines))


def _workers(workers: Mapping[str, Mapping[str, Any]], now_ms: int) -> RenderableType:
    if not workers:
        return Text.from_markup("[bold]workers[/]  [yellow]none has ever reported[/]")
    table = _table("[bold]workers[/]", 3, "  worker", "roles", "processed", "seen", "trouble")
    table.columns[-1].justify = "left"
    for name, worker in sorted(workers.items()):
        table.add_row(f"  {shown(name)}", *_worker(worker, now_ms))
    return table


def _worker(worker: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    yield shown(", ".join(worker.get("roles", ())))
    processed = worker.get("processed", {})
    yield ", ".join(f"{stage} {count(events)}" for stage, events in processed.items())
    silent_ms = max(0, now_ms - int(worker.get("seen_ms", 0)))
    seen = "now" if silent_ms < 2_000 else f"{ago(silent_ms)} ago"
    yield f"[yellow]{seen}[/]" if silent_ms > SILENT_MS else seen
    yield shown("; ".join(f"{stage}: {text}" for stage, text in worker.get("trouble", {}).items()))
