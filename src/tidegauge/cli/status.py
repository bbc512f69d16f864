"""`tidegauge status`: models and their metrics, the join's counters, alerts and workers."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from tidegauge.cli import options
from tidegauge.cli.exits import Exit
from tidegauge.errors import Unavailable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidegauge.client import MetricReader, MetricValue

_WIDE = 96  # columns of a terminal that intervals need


def add(commands: options.Commands) -> None:
    """Add the command."""
    parser = options.command(commands, "status", "show metrics, counters, alerts and workers, live")
    parser.add_argument("--once", action="store_true", help="print once and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object and end")
    parser.add_argument("--model", metavar="ID", help="only this model")
    parser.add_argument("--all-metrics", action="store_true", help="every metric, not the main ones")
    parser.add_argument(
        "--every", type=float, default=1.0, metavar="SECONDS", help="how often to look again (1)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the state; exit 1 where the join's counters do not add up."""
    from tidegauge.client import MetricReader

    with MetricReader(options.settings(arguments).redis.url) as reader:
        if arguments.json or arguments.once:
            state = gather(reader, arguments.model)
            return _print_json(state) if arguments.json else _print(state, arguments)
        return _live(reader, arguments)


def gather(reader: MetricReader, model_id: str | None = None) -> dict[str, Any]:
    """Return the whole state as plain values, the form of `--json`."""
    import msgspec

    models = [name for name in reader.models() if model_id in (None, name)]
    counters = reader.join()
    return {
        "models": [_model(reader, name) for name in models],
        "join": {**counters._asdict(), "missing": counters.missing()},
        "alerts": msgspec.to_builtins(reader.alerts_active()),
        "workers": reader.workers(),
    }


def _model(reader: MetricReader, model_id: str) -> dict[str, Any]:
    state = reader.model(model_id)._asdict()
    versions = [_version(reader, model_id, version) for version in state["versions"]]
    return {"model_id": model_id, **state, "versions": versions}


def _version(reader: MetricReader, model_id: str, version: str) -> dict[str, Any]:
    return {
        "version": version,
        "windows": _by_window(reader.metrics(model_id, version)),
        "estimates": _by_window(reader.estimates(model_id, version)),
    }


def _by_window(values: dict[str, MetricValue]) -> dict[str, dict[str, Any]]:
    windows: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        metric, _, window = name.rpartition("@")
        windows.setdefault(window, {})[metric] = value._asdict()
    return windows


def _code(state: dict[str, Any]) -> int:
    return Exit.FOUND if any(state["join"]["missing"].values()) else Exit.OK


def _print_json(state: dict[str, Any]) -> int:
    print(json.dumps(state))
    return _code(state)


def _print(state: dict[str, Any], arguments: argparse.Namespace) -> int:
    from tidegauge.cli.text import console

    out = console()
    out.print(_view(state, arguments, out.width))
    return _code(state)


def _live(reader: MetricReader, arguments: argparse.Namespace) -> int:
    from rich.live import Live
    from rich.text import Text

    from tidegauge.cli.text import console

    out = console()
    with Live(console=out, auto_refresh=False) as live:
        try:
            while True:
                try:
                    shown = _view(gather(reader, arguments.model), arguments, out.width)
                except Unavailable as error:
                    shown = Text(f"{error}; trying again", style="yellow")
                live.update(shown, refresh=True)
                time.sleep(arguments.every)
        except KeyboardInterrupt:
            return Exit.OK  # the way to end it


def _view(state: dict[str, Any], arguments: argparse.Namespace, width: int) -> RenderableType:
    from tidegauge.cli.status_view import view

    wide = width >= _WIDE
    return view(state, int(time.time() * 1_000), arguments.all_metrics, intervals=wide)
