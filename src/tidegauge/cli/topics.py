"""`tidegauge topics create`: every topic, with the partitions and retention that Tidegauge needs."""

from __future__ import annotations

import argparse
import json

from tidegauge.cli import options
from tidegauge.cli.exits import Exit


def add(commands: options.Commands) -> None:
    """Add the command."""
    parser = options.command(commands, "topics", "create the topics")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    create = options.command(actions, "create", "create the topics that do not exist yet")
    create.add_argument("--json", action="store_true", help="print one JSON object")
    create.set_defaults(run=run_create)


def run_create(arguments: argparse.Namespace) -> int:
    """Create what is missing; exit 0 when every topic exists, for doctor judges how."""
    from tidegauge.adapters.kafka_admin import TopicAdmin
    from tidegauge.topics import differences, wanted

    settings = options.settings(arguments)
    topics = wanted(settings)
    admin = TopicAdmin(settings.kafka)
    existing = admin.found([topic.name for topic in topics])
    missing = [topic for topic in topics if topic.name not in existing]
    created = admin.create(missing, settings.topics.replication) if missing else []
    differing = {
        topic.name: lines
        for topic in topics
        if topic.name in existing and (lines := differences(topic, existing[topic.name]))
    }
    if arguments.json:
        print(json.dumps({"created": created, "existing": sorted(existing), "differing": differing}))
    else:
        _print([topic.name for topic in topics], created, differing)
    return Exit.OK


def _print(names: list[str], created: list[str], differing: dict[str, list[str]]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    width = max(map(len, names))
    for name in names:
        if name in differing:
            console.print(f"[yellow]warn[/]  {name:<{width}}  " + "; ".join(differing[name]))
        else:
            console.print(f"[green]ok[/]    {name:<{width}}  " + ("created" if name in created else "exists"))
    if differing:
        console.print("[dim]topics that exist are left as they are: change them with your broker's tools[/]")
