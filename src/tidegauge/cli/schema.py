"""`tidegauge schema`: the JSON Schemas of the events."""

from __future__ import annotations

import argparse
from pathlib import Path

from tidegauge.cli.exits import Exit
from tidegauge.cli.options import Commands, command


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "schema", "print or write the JSON Schemas of the events")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="prediction, label, deadletter, alert, control or baseline"
    )
    parser.add_argument("--write", type=Path, metavar="DIR", help="write all schemas into DIR")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one schema or the list of them, or write all."""
    from tidegauge import schema

    if arguments.write:
        for path in schema.write(arguments.write):
            print(path)
    elif arguments.name:
        print(schema.schema_text(arguments.name), end="")
    else:
        print("\n".join(schema.RECORDS))
    return Exit.OK
