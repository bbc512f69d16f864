"""The flags that commands share, and the settings they lead to."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from tidegauge.config import Settings, load

Commands = Any  # what argparse's add_subparsers returns has no public name

CONFIG_VARIABLE = "TIDEGAUGE_CONFIG"
CONFIG_FILE = Path("tidegauge.toml")


def shared() -> argparse.ArgumentParser:
    """Return the parser of flags that stand before or after the command."""
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,  # else the command's default would hide the flag before it
        help=f"TOML file of settings (else ${CONFIG_VARIABLE}, else ./{CONFIG_FILE} if there)",
    )
    return flags


def command(commands: Commands, name: str, summary: str, **more: Any) -> argparse.ArgumentParser:
    """Return the parser of a new command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", parents=[shared()], **more
    )
    return parser


def config_path(arguments: argparse.Namespace) -> Path | None:
    """Return the file of settings to read, None for the defaults."""
    named = getattr(arguments, "config", None) or os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return CONFIG_FILE if CONFIG_FILE.is_file() else None


def settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings in effect; raises ConfigError naming what is wrong."""
    return load(config_path(arguments))
