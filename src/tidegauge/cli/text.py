"""Numbers, times and alerts as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidegauge.client import Alert, MetricValue
from tidegauge.redact import printable

if TYPE_CHECKING:
    from rich.console import Console

UNDEFINED = "-"
_PIPE_WIDTH = 200
_STATUS_STYLE = {"firing": "bold red", "resolved": "green"}
_STATUS_SIGN = {"firing": "▲", "resolved": "▽"}


def console() -> Console:
    """Return where a command prints; into a file or pipe a table is not cut to a terminal's width."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def shown(text: str) -> str:
    """Return somebody's text (an id, a name) as rich prints it: no markup, nothing a terminal acts upon.

    >>> shown("[red]")
    '\\\\[red]'
    """
    from rich.markup import escape

    return escape(printable(text))


def number(value: float | None) -> str:
    """Return a number with four places, whole from 1000 on; what is undefined is a dash.

    >>> number(0.91239), number(1234.5), number(812.0), number(None)
    ('0.9124', '1,234', '812', '-')
    """
    if value is None:
        return UNDEFINED
    if abs(value) >= 1_000 or (abs(value) >= 10 and value == int(value)):
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def count(value: int | None) -> str:
    """Return a count with thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return UNDEFINED if value is None else f"{value:,}"


def spread(value: MetricValue) -> str:
    """Return a metric with half the width of its interval.

    >>> spread(MetricValue(0.9, 0.88, 0.92, 500))
    '0.900 [dim]±0.020[/]'
    """
    if value.value is None or value.low is None or value.high is None:
        return _short(value.value)
    return f"{_short(value.value)} [dim]±{_short((value.high - value.low) / 2)}[/]"


def _short(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def moment(at_ms: int | None) -> str:
    """Return a time in UTC.

    >>> moment(1_357_000_000_000)
    '2013-01-01 00:26:40Z'
    """
    if at_ms is None:
        return UNDEFINED
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%SZ}"


def ago(milliseconds: int) -> str:
    """Return a span in its greatest unit.

    >>> ago(400), ago(90_000), ago(7_200_000)
    ('now', '90 s', '2 h')
    """
    for unit, size in (("d", 2 * 86_400_000), ("h", 2 * 3_600_000), ("min", 2 * 60_000)):
        if milliseconds >= size:
            return f"{milliseconds // (size // 2)} {unit}"
    return f"{milliseconds // 1_000} s" if milliseconds >= 1_000 else "now"


def series(alert: Alert) -> str:
    """Return the series an alert is about."""
    name = f"{alert.model_id} {alert.model_version}"
    return f"{name} {alert.segment}" if alert.segment else name


def alert_lines(alert: Alert) -> list[str]:
    """Return an alert as lines of rich markup: what happened where, and the numbers it rests on."""
    style, sign = _STATUS_STYLE[alert.status], _STATUS_SIGN[alert.status]
    kind = (alert.drift_type or alert.kind).replace("_", " ")
    head = f"[{style}]{sign} {alert.status:<8}[/] [dim]{moment(alert.raised_at_ms)}[/]"
    return [
        f"{head}  [bold]{shown(series(alert))}[/]  {shown(kind)} [dim]·[/] {shown(alert.rule)}",
        f"  {shown(alert.message)}",
        f"  [dim]{shown(evidence(alert))}[/]",
    ]


def evidence(alert: Alert) -> str:
    """Return the numbers of an alert in a line; what is undefined stays out."""
    found = alert.evidence
    name = f"{found.feature}.{found.metric}" if found.feature else found.metric
    numbers = {
        "baseline": found.baseline,
        "threshold": found.threshold,
        "coverage": found.coverage,
    }
    text = f"{name}@{found.window} = {number(found.current)}"
    if found.low is not None and found.high is not None:
        text += f" [{number(found.low)} … {number(found.high)}]"
    parts = [text, *(f"{key} {number(value)}" for key, value in numbers.items() if value is not None)]
    return " · ".join([*parts, f"n {count(found.n)}"])
