"""What doctor says of facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegauge.cli.checks import (
    Finding,
    RedisFacts,
    exit_code,
    extra_findings,
    redis_findings,
    topic_findings,
)
from tidegauge.cli.exits import Exit
from tidegauge.config import Settings
from tidegauge.topics import wanted

SOUND = RedisFacts(
    server="redis", version="7.0.15", policy="noeviction", append_only=True, save="", skew_ms=3
)


def levels(facts: RedisFacts) -> dict[str, str]:
    return {finding.subject: finding.level for finding in redis_findings(facts, future_seconds=600)}


def test_a_sound_redis_is_fine() -> None:
    assert set(levels(SOUND).values()) == {"ok"}


@pytest.mark.parametrize(
    ("change", "subject", "level"),
    [
        ({"version": "6.2.14"}, "Redis version", "fail"),
        ({"server": "valkey", "version": "9.1.2"}, "Redis version", "ok"),
        ({"version": "10.0.0"}, "Redis version", "ok"),
        ({"policy": "allkeys-lru"}, "Redis eviction", "fail"),
        ({"policy": "volatile-ttl"}, "Redis eviction", "fail"),
        ({"policy": None}, "Redis eviction", "warn"),
        ({"append_only": False, "save": "3600 1"}, "Redis persistence", "warn"),
        ({"append_only": False}, "Redis persistence", "warn"),
        ({"append_only": None, "save": None}, "Redis persistence", "warn"),
        ({"skew_ms": -2_500}, "clock", "warn"),
        ({"skew_ms": 600_000}, "clock", "fail"),
    ],
)
def test_what_is_wrong_with_redis_is_found_and_nothing_else(
    change: dict[str, object], subject: str, level: str
) -> None:
    found = levels(replace(SOUND, **change))  # type: ignore[arg-type]
    assert found[subject] == level
    assert {found[other] for other in found if other != subject} == {"ok"}


def test_what_is_not_fine_says_what_to_do() -> None:
    bad = RedisFacts("redis", "6.0.0", "allkeys-lru", False, "", 700_000)
    assert all(finding.remedy for finding in redis_findings(bad, 600) if finding.level != "ok")


def test_topics_are_found_missing_wrong_or_right() -> None:
    topics = wanted(Settings())
    found = {topic.name: topic for topic in topics[1:]}
    found["labels"] = found["labels"]._replace(partitions=1)
    findings = topic_findings(topics, found)
    assert [finding.level for finding in findings] == ["fail", "warn", "ok", "ok", "ok", "ok"]
    assert findings[0].remedy == "run `tidegauge topics create`"
    assert findings[1].fact == "has 1 partitions, wanted 4"


def test_an_extra_that_is_absent_is_a_note_and_no_warning() -> None:
    findings = extra_findings({"demo": {"a": True, "b": False}, "embedded": {"c": True}})
    assert [finding.level for finding in findings] == ["note", "ok"]
    assert "b" in findings[0].fact
    assert exit_code(findings) == Exit.OK


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([], Exit.OK),
        (["ok", "note"], Exit.OK),
        (["ok", "warn"], Exit.FOUND),
        (["warn", "fail"], Exit.UNUSABLE),
    ],
)
def test_the_worst_finding_gives_the_exit_code(found: list[str], code: Exit) -> None:
    assert exit_code(Finding(level, "", "") for level in found) == code  # type: ignore[arg-type]
