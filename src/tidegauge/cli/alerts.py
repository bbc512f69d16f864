"""`tidegauge alerts`: what fired, what is still open, and what comes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from tidegauge.cli import options
from tidegauge.cli.exits import Exit

if TYPE_CHECKING:
    from tidegauge.records import Alert


def add(commands: options.Commands) -> None:
    """Add the command."""
    parser = options.command(commands, "alerts", "show alerts, or follow them as they come")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--active", action="store_true", help="only the open incidents")
    which.add_argument("--follow", action="store_true", help="wait for new alerts until Ctrl-C")
    parser.add_argument(
        "--from-beginning", action="store_true", help="with --follow: first all that the topic holds"
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most N of the past ones (20)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print alerts, the oldest first, so that the newest is next to the prompt."""
    alerts = _coming(arguments) if arguments.follow else _past(arguments)
    try:
        return _print_json(alerts) if arguments.json else _print(alerts, arguments.follow)
    except KeyboardInterrupt:
        return Exit.OK if arguments.follow else Exit.INTERRUPTED  # the way to end it


def _past(arguments: argparse.Namespace) -> Iterable[Alert]:
    from tidegauge.client import MetricReader

    with MetricReader(options.settings(arguments).redis.url) as reader:
        return reversed(reader.alerts_active() if arguments.active else reader.alerts_log(arguments.limit))


def _coming(arguments: argparse.Namespace) -> Iterable[Alert]:
    from tidegauge.client import AlertFollower

    settings = options.settings(arguments)
    more: dict[str, Any] = {"log_level": 0, **settings.kafka.options}  # errors come as exceptions
    start: Literal["earliest", "latest"] = "earliest" if arguments.from_beginning else "latest"
    servers, topic = settings.kafka.bootstrap_servers, settings.topics.alerts
    with AlertFollower(servers, topic, start, **more) as follower:
        yield from follower


def _print_json(alerts: Iterable[Alert]) -> int:
    import msgspec

    for alert in alerts:
        print(msgspec.json.encode(alert).decode(), flush=True)
    return Exit.OK


def _print(alerts: Iterable[Alert], follow: bool) -> int:
    from tidegauge.cli.text import alert_lines, console

    out = console()
    shown = 0
    if follow:
        out.print("[dim]following alerts; Ctrl-C ends[/]")
    for alert in alerts:
        shown += 1
        out.print("\n".join(alert_lines(alert)), soft_wrap=True)
    if not shown and not follow:
        out.print("no alerts")
    return Exit.OK
