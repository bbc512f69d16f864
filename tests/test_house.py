"""What the files around the package say agrees with it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tidegauge.servers.kafka_jars import KAFKA_VERSION

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_compose_runs_the_kafka_that_the_tests_run_on() -> None:
    assert f"image: apache/kafka:{KAFKA_VERSION}\n" in COMPOSE


def test_compose_opens_ports_on_loopback_alone() -> None:
    ports = re.findall(r'^ +- "?([\d.:]+:\d+)"?$', COMPOSE, re.MULTILINE)
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_tags_its_image_with_the_project_s_version() -> None:
    assert set(re.findall(r"image: tidegauge:(\S+)", COMPOSE)) == {PROJECT["version"]}


def test_the_changelog_leads_to_the_project_s_version() -> None:
    assert PROJECT["version"] in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
