"""`tidegauge check-config`: are the settings right, and which are in effect?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tidegauge.cli import options
from tidegauge.cli.exits import Exit


def add(commands: options.Commands) -> None:
    """Add the command."""
    parser = options.command(
        commands, "check-config", "check the settings and print those in effect, secrets hidden"
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="instead of --config")
    parser.add_argument("--json", action="store_true", help="print JSON instead of TOML")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the effective settings; a wrong key is a ConfigError that names it."""
    from tidegauge.baseline.files import configured
    from tidegauge.cli.toml_text import toml_text
    from tidegauge.config import load
    from tidegauge.monitor import check
    from tidegauge.redact import redacted

    path = arguments.file or options.config_path(arguments)
    settings = load(path)
    check(settings)
    configured(settings)
    tree = redacted(settings)
    if arguments.json:
        print(json.dumps(tree))
    else:
        print(f"# {path or 'defaults'}, under the environment: right\n")
        print(toml_text(tree), end="")
    return Exit.OK
