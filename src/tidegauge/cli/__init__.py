"""The command line. Each command's file adds its own parser; what it needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata

from tidegauge.cli import (
    alerts,
    baseline,
    check_config,
    demo,
    doctor,
    rebuild,
    schema,
    simulate,
    status,
    topics,
    worker,
)
from tidegauge.cli.exits import Exit
from tidegauge.cli.options import shared
from tidegauge.errors import ConfigError, TidegaugeError, Unavailable

COMMANDS = (demo, worker, status, alerts, baseline, topics, rebuild, doctor, check_config, simulate, schema)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code (cli.exits). An error is one line on stderr."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ConfigError as error:
        return _report(error, Exit.UNUSABLE)
    except Unavailable as error:
        return _report(error, Exit.UNAVAILABLE)
    except TidegaugeError as error:
        return _report(error, Exit.FOUND)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of stdout has gone: `tidegauge alerts | head`
        return Exit.OK


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    root = argparse.ArgumentParser(
        prog="tidegauge",
        description="A streaming model performance monitor: joins predictions with the labels that "
        "come later, keeps metrics and drift up to date, publishes alerts.",
        parents=[shared()],
    )
    root.add_argument("--version", action="version", version=f"tidegauge {_version()}")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return root


def _version() -> str:
    try:
        return metadata.version("tidegauge")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _report(error: TidegaugeError, code: Exit) -> int:
    print(f"tidegauge: {error}", file=sys.stderr)
    return code
