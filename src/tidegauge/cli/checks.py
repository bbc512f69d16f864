"""What doctor judges: facts in, findings out. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tidegauge.cli.exits import Exit
from tidegauge.topics import Topic, differences

Level = Literal["ok", "note", "warn", "fail"]
OLDEST_REDIS = 7
_SKEW_WARN_MS = 2_000  # NTP keeps machines within tens of milliseconds


class Finding(NamedTuple):
    """One line of doctor: what was looked at, what is so, and what to do about it."""

    level: Level
    subject: str
    fact: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What Redis says of itself; None is what it would not tell."""

    server: str  # redis or valkey
    version: str
    policy: str | None
    append_only: bool | None
    save: str | None  # the points of RDB snapshots, empty for none
    skew_ms: int  # its clock ahead of ours


def exit_code(findings: Iterable[Finding]) -> Exit:
    """Return the exit code of the worst finding."""
    levels = {finding.level for finding in findings}
    if "fail" in levels:
        return Exit.UNUSABLE
    return Exit.FOUND if "warn" in levels else Exit.OK


def topic_findings(wanted: Sequence[Topic], found: Mapping[str, Topic]) -> list[Finding]:
    """Return a finding for each wanted topic."""
    return [_topic(topic, found.get(topic.name)) for topic in wanted]


def _topic(topic: Topic, found: Topic | None) -> Finding:
    subject = f"topic {topic.name}"
    if found is None:
        return Finding("fail", subject, "does not exist", "run `tidegauge topics create`")
    if wrong := differences(topic, found):
        return Finding("warn", subject, "; ".join(wrong), "change it with your broker's tools")
    kept = "" if found.retention_ms is not None else "; the broker does not tell how long records are kept"
    return Finding("ok", subject, f"{found.partitions} partition{'s'[: found.partitions != 1]}{kept}")


def redis_findings(facts: RedisFacts, future_seconds: int) -> list[Finding]:
    """Return the findings about Redis; `future_seconds` is the clock skew that events may have."""
    return [_version(facts), _eviction(facts), _persistence(facts), _clock(facts, future_seconds)]


def _version(facts: RedisFacts) -> Finding:
    fact = f"{facts.server} {facts.version}"
    if int(facts.version.split(".")[0]) < OLDEST_REDIS:
        return Finding("fail", "Redis version", fact, f"use Redis {OLDEST_REDIS} or later, or Valkey")
    return Finding("ok", "Redis version", fact)


def _eviction(facts: RedisFacts) -> Finding:
    subject = "Redis eviction"
    if facts.policy is None:
        return Finding("warn", subject, "cannot be read", "see that maxmemory-policy is noeviction")
    if facts.policy != "noeviction":
        remedy = "CONFIG SET maxmemory-policy noeviction: else waiting predictions vanish without a word"
        return Finding("fail", subject, f"maxmemory-policy {facts.policy}", remedy)
    return Finding("ok", subject, "maxmemory-policy noeviction")


def _persistence(facts: RedisFacts) -> Finding:
    subject = "Redis persistence"
    if facts.append_only:
        return Finding("ok", subject, "append-only file")
    if facts.save:
        remedy = "CONFIG SET appendonly yes: a crash loses what came after the last snapshot"
        return Finding("warn", subject, f"snapshots only ({facts.save})", remedy)
    if facts.append_only is None:
        return Finding("warn", subject, "cannot be read", "see that the append-only file is on")
    return Finding("warn", subject, "off", "CONFIG SET appendonly yes: a restart loses the window")


def _clock(facts: RedisFacts, future_seconds: int) -> Finding:
    fact = f"Redis is {facts.skew_ms / 1_000:+.3f} s from this machine"
    remedy = "run NTP on both machines"
    if abs(facts.skew_ms) >= future_seconds * 1_000:
        return Finding("fail", "clock", fact, remedy)
    return Finding("warn" if abs(facts.skew_ms) > _SKEW_WARN_MS else "ok", "clock", fact, remedy)


def extra_findings(extras: Mapping[str, Mapping[str, bool]]) -> list[Finding]:
    """Return a finding for each optional extra: module to whether it is installed."""
    return [_extra(name, modules) for name, modules in extras.items()]


def _extra(name: str, modules: Mapping[str, bool]) -> Finding:
    absent = [module for module, installed in modules.items() if not installed]
    if absent:
        remedy = f"pip install 'tidegauge[{name}]' if you want it"
        return Finding("note", f"extra {name}", f"not installed ({', '.join(absent)})", remedy)
    return Finding("ok", f"extra {name}", "installed")
