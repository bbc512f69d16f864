"""What the demo shows: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tidegauge.records import Alert

_SHOWN_ALERTS = 6
_PLAIN_SHARE = 0.1  # of the events, from one plain line to the next


@dataclass(slots=True)
class Moment:
    """What is known of the run at one moment."""

    sent: int = 0
    received: int = 0
    at_ms: int = 0  # event time
    values: dict[str, float | None] = field(default_factory=dict)  # metric, as it is labelled


class Screen:
    """Shows moments and alerts between `with` and its end; `say` is for what stays."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._total = total
        self._alerts: deque[str] = deque(maxlen=_SHOWN_ALERTS)
        self.started = time.monotonic()
        self._next_share = _PLAIN_SHARE
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
            console=self.console,
        )  # fmt: skip
        self._task = self._bar.add_task("2013-03-01", total=total)
        self._live = Live(console=self.console, transient=True, refresh_per_second=4)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self.console.print(escape(line), soft_wrap=True)

    def alert(self, alert: Alert) -> None:
        """Show an alert among the last ones."""
        self._alerts.append(sentence(alert))

    def show(self, moment: Moment) -> None:
        """Show where the run is."""
        if self.console.is_terminal:
            self._bar.update(self._task, completed=moment.received, description=day(moment.at_ms))
            self._live.update(self._view(moment))
        elif moment.received >= self._next_share * self._total:
            self._next_share += _PLAIN_SHARE
            values = "  ".join(f"{name} {number(value)}" for name, value in moment.values.items())
            seconds = time.monotonic() - self.started
            self.say(f"{seconds:4.0f} s  {day(moment.at_ms)}  {moment.received:>9,} events  {values}")

    def _view(self, moment: Moment) -> RenderableType:
        table = Table.grid(padding=(0, 3))
        table.add_row(*(f"[dim]{escape(name)}[/]" for name in moment.values))
        table.add_row(*(f"[bold]{number(value)}[/]" for value in moment.values.values()))
        return Group(self._bar, table, *(f"  {escape(line)}" for line in self._alerts))


def sentence(alert: Alert) -> str:
    """Return an alert as a line: when, about what, and its message."""
    about = " ".join(filter(None, (alert.model_id, alert.segment)))
    return f"{day(alert.raised_at_ms)} {alert.status:<8} {about}: {alert.message}"


def day(at_ms: int) -> str:
    """Return the date of an instant, in UTC.

    >>> day(1_372_636_800_000)
    '2013-07-01'
    """
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d}"


def number(value: float | None) -> str:
    """Return a value as it is shown.

    >>> number(0.91234), number(None)
    ('0.912', 'undefined')
    """
    return "undefined" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
