"""`tidegauge worker`: the application, or some of its roles."""

from __future__ import annotations

import argparse

from tidegauge.cli import options

ROLES = ("join", "monitor", "control")  # of tidegauge.app, which takes a second to import


def add(commands: options.Commands) -> None:
    """Add the command."""
    parser = options.command(commands, "worker", "run the application until SIGTERM or Ctrl-C")
    parser.add_argument(
        "--only",
        action="append",
        choices=ROLES,
        help="run this role alone (repeat for more); more workers of a role share its partitions",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the roles; return the application's exit code."""
    from tidegauge import app

    settings = options.settings(arguments)
    return int(app.run(settings, frozenset(arguments.only or ROLES)))
