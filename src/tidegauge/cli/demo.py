"""`tidegauge demo`: a year of real flights through a broker, a worker and a store, every number checked."""

from __future__ import annotations

import argparse

from tidegauge.cli import options
from tidegauge.cli.exits import Exit


def add(commands: options.Commands) -> None:
    """Add the command."""
    parser = options.command(commands, "demo", "monitor two models on a year of real flights")
    parser.add_argument(
        "--servers",
        choices=("embedded", "real"),
        default="embedded",
        help="from wheels, or Apache Kafka and Redis: Java 17, Maven, redis-server (embedded)",
    )
    parser.add_argument(
        "--no-check", action="store_true", help="leave out the check of every number at the end"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave servers and worker running until Ctrl-C, to look around"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; exit 1 where the check fails."""
    from tidegauge.cli.text import console
    from tidegauge.demo import run as demo

    try:
        return demo.run(
            options.settings(arguments),
            kind=arguments.servers,
            with_check=not arguments.no_check,
            keep=arguments.keep,
            console=console(),
        )
    except KeyboardInterrupt:
        return Exit.OK if arguments.keep else Exit.INTERRUPTED
