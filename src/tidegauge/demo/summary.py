"""What is left on the screen when the year is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from tidegauge.client import MetricReader
from tidegauge.client.metrics import MetricValue
from tidegauge.config import Settings
from tidegauge.demo.screen import number, sentence
from tidegauge.demo.stream import DELAY, LATE
from tidegauge.demo.train import VERSION
from tidegauge.records import Alert

_SHOWN_ALERTS = 30
_METRICS = {
    LATE: ("accuracy", "f1", "roc_auc", "coverage", "label_delay_p50_s"),
    DELAY: ("mae", "rmse", "r2", "coverage", "kpi.passenger_hours.sum"),
}
_WINDOWS = ("5000", "7d")


def show(reader: MetricReader, alerts: Sequence[Alert], console: Console) -> None:
    """Print the counters, the metrics and the alerts of the run."""
    console.print(_counters(reader))
    console.print(_metrics(reader))
    kinds = Counter(_kind(alert) for alert in alerts if alert.status == "firing")
    console.print(f"{len(alerts)} alerts, {sum(kinds.values())} of them firing: " + _listed(kinds.items()))
    whole = [alert for alert in alerts if alert.segment is None]
    for alert in whole[:_SHOWN_ALERTS]:
        console.print(f"  {sentence(alert)}", markup=False, soft_wrap=True)
    if len(whole) > _SHOWN_ALERTS:
        console.print(f"  and {len(whole) - _SHOWN_ALERTS} more for whole models")


def where_next(settings: Settings, keep: bool, console: Console) -> None:
    """Print where to look next; nothing follows but the check's verdict."""
    if not keep:
        console.print(
            "Next: `tidegauge demo --keep` leaves it running, to look around; README.md and docs/redis.md."
        )
        return
    address = settings.redis.url.rpartition("//")[2].partition("/")[0]
    host, _, port = address.partition(":")
    console.print(
        f"Still running, until Ctrl-C:\n  redis-cli -h {host} -p {port} hgetall tg:metrics:{LATE}:{VERSION}\n"
        f"  TIDEGAUGE_REDIS__URL={settings.redis.url} tidegauge status\n"
        f"  TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS={settings.kafka.bootstrap_servers} tidegauge alerts",
        markup=False,
        soft_wrap=True,
    )


def _counters(reader: MetricReader) -> Table:
    join = reader.join()
    table = Table("", title="What became of every event", title_justify="left")
    for side in ("predictions", "labels"):
        table.add_column(side, justify="right")
    for name in dict.fromkeys((*join.predictions, *join.labels)):
        counts = (join.predictions.get(name), join.labels.get(name))
        table.add_row(name, *("" if count is None else f"{count:,}" for count in counts))
    return table


def _metrics(reader: MetricReader) -> Table:
    table = Table("", title="The end of the year, with intervals", title_justify="left")
    for window in _WINDOWS:
        table.add_column(f"last {window}", justify="right", no_wrap=True)
    for model, metrics in _METRICS.items():
        found = [reader.metrics(model, VERSION, window=window) for window in _WINDOWS]
        table.add_row(f"[bold]{model}[/]")
        for metric in metrics:
            table.add_row(f"  {metric}", *(_cell(values.get(metric)) for values in found))
    return table


def _cell(found: MetricValue | None) -> str:
    if found is None:
        return ""
    interval = (
        "" if found.low is None or found.high is None else f" \\[{number(found.low)}, {number(found.high)}]"
    )
    return f"{number(found.value)}{interval}"


def _kind(alert: Alert) -> str:
    if alert.kind == "performance":
        return (
            f"{alert.evidence.metric} below the rule"
            if alert.evidence.metric != "mae"
            else "mae above the rule"
        )
    return (alert.drift_type or alert.kind).replace("_", " ")


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts)
