"""`tidegauge rebuild`: the join's window and the monitors' state, again from the topics."""

from __future__ import annotations

import argparse
import json

from tidegauge.cli import options
from tidegauge.cli.exits import Exit


def add(commands: options.Commands) -> None:
    """Add the command."""
    parser = options.command(commands, "rebuild", "build what workers keep in Redis again from the topics")
    parser.add_argument("--window", action="store_true", help="the window of the join alone")
    parser.add_argument("--snapshots", action="store_true", help="the state of the monitors alone")
    parser.add_argument("--yes", action="store_true", help="do it; else only say what would be read again")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Take the state away, if told so; workers read the topics again."""
    from tidegauge.adapters.kafka_admin import TopicAdmin
    from tidegauge.adapters.redis_forget import Kept, forget

    settings = options.settings(arguments)
    names = settings.topics
    sources: dict[Kept, list[str]] = {
        "window": [names.predictions, names.labels],
        "snapshots": [names.observations],
    }
    chosen: list[Kept] = [kind for kind in sources if getattr(arguments, kind)] or list(sources)
    topics = [topic for kind in chosen for topic in sources[kind]]
    records = TopicAdmin(settings.kafka).records(topics)
    gone = forget(settings.redis, chosen) if arguments.yes else {}
    if arguments.json:
        print(json.dumps({"records": records, "keys_removed": gone}))
        return Exit.OK
    for topic in topics:
        print(f"{topic}: {records[topic]} records are there to read again")
    for kind, count in gone.items():
        print(f"{kind}: {count} keys removed; workers build it again")
    if not arguments.yes:
        print(f"nothing is removed; --yes removes: {', '.join(chosen)}")
    return Exit.OK
