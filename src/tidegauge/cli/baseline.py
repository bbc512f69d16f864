"""`tidegauge baseline`: make a baseline file, look at one, give one to the running workers."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tidegauge.cli import options
from tidegauge.cli.exits import Exit
from tidegauge.errors import ConfigError

if TYPE_CHECKING:
    from tidegauge.baseline.fit import About
    from tidegauge.baseline_file import BaselineFile
    from tidegauge.config import Settings

DELIVERY_SECONDS = 15.0


def add(commands: options.Commands) -> None:
    """Add the command and its actions."""
    parser = options.command(commands, "baseline", "make, show and set baseline files")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_fit(options.command(actions, "fit", "make a baseline file from a table of rows or from histograms"))
    show = options.command(actions, "show", "print what a baseline file holds")
    show.add_argument("file", type=Path, metavar="FILE", help="a baseline file")
    show.set_defaults(run=run_show)
    change = options.command(actions, "set", "let the running workers go by a baseline file from now on")
    change.add_argument("file", type=Path, metavar="FILE", help="a baseline file")
    change.add_argument("--version", dest="model_version", help="of the model, where the file names none")
    change.set_defaults(run=run_set)


def _add_fit(fit: argparse.ArgumentParser) -> None:
    fit.add_argument("file", type=Path, metavar="FILE", help=".csv, .parquet, or .json with histograms")
    fit.add_argument("--model", required=True, help="model_id")
    fit.add_argument("--version", dest="model_version", help="model_version; every version without it")
    fit.add_argument("--prediction", metavar="COLUMN", help="what the model said: a class or a number")
    fit.add_argument("--label", metavar="COLUMN", help="what was true")
    fit.add_argument(
        "--score",
        metavar="[CLASS=]COLUMN",
        action="append",
        default=[],
        help="probability of the positive class, or of CLASS (repeat for each)",
    )
    fit.add_argument("--features", metavar="A,B", help="columns that are features; all others without it")
    fit.add_argument("--without", metavar="A,B", default="", help="columns that are no features, such as ids")
    fit.add_argument("--text", metavar="A,B", default="", help="columns of texts that look like numbers")
    fit.add_argument("--name", default="", help="for people; else the name of FILE")
    fit.add_argument("-o", "--output", type=Path, metavar="FILE", help="else MODEL.baseline.json")
    fit.set_defaults(run=run_fit)


def run_fit(arguments: argparse.Namespace) -> int:
    """Write a baseline file and say what is in it."""
    from tidegauge.baseline import files, histograms
    from tidegauge.baseline.fit import About

    settings = options.settings(arguments)
    source, model = arguments.file, arguments.model
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    about = About(model, arguments.model_version, arguments.name or source.name, made_at)
    if source.suffix == ".json":
        found = histograms.read(source, about)
    else:
        found = _fitted(arguments, about, settings)
    path = arguments.output or Path(f"{model}.baseline.json")
    size = files.write(path, found)
    kinds = (
        f"{len(found.features)} features, {len(found.metrics)} metrics, {found.labelled:,} labelled scores"
    )
    print(f"{path}: {found.rows:,} rows, {kinds}, {size:,} bytes")
    return Exit.OK


def _fitted(arguments: argparse.Namespace, about: About, settings: Settings) -> BaselineFile:
    from tidegauge.baseline import tables
    from tidegauge.baseline.fit import Roles, fit

    pairs = [text.rpartition("=") for text in arguments.score]
    roles = Roles(
        prediction=arguments.prediction,
        label=arguments.label,
        scores={name: column for name, _, column in pairs},
        features=None if arguments.features is None else _names(arguments.features),
        without=_names(arguments.without),
    )
    return fit(tables.read(arguments.file, _names(arguments.text)), roles, about, settings)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def run_show(arguments: argparse.Namespace) -> int:
    """Print a baseline file as tables."""
    from tidegauge.baseline.files import read
    from tidegauge.cli.baseline_view import tables
    from tidegauge.cli.text import console

    out = console()
    for part in tables(read(arguments.file)):
        out.print(part)
    return Exit.OK


def run_set(arguments: argparse.Namespace) -> int:
    """Send a baseline file to the control topic; exit 0 once the broker has it."""
    import msgspec

    from tidegauge.adapters.kafka import RowProducer
    from tidegauge.baseline.files import read
    from tidegauge.monitor.adopted import unfit
    from tidegauge.records import Control

    settings = options.settings(arguments)
    found = read(arguments.file)
    version = arguments.model_version or found.model_version
    why = unfit(found, settings)
    if why or version is None:
        raise ConfigError(f"{arguments.file}: {why or 'names no version: --version says which'}")
    request = Control(action="set_baseline", model_id=found.model_id, model_version=version, baseline=found)
    producer = RowProducer(settings.kafka)
    producer.partitions(settings.topics.control)  # a topic that is not there is not made by the way
    producer.send(settings.topics.control, msgspec.json.encode(request))
    producer.flush(DELIVERY_SECONDS)
    print(f"{found.model_id} {version}: baseline {found.identity} is on {settings.topics.control}")
    return Exit.OK
