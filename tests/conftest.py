"""Options and fixtures for every suite; servers are started for those tests alone that ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tidegauge.servers import KINDS, Kind, Servers, start

ON_SERVERS = frozenset({"integration", "servers"})
UNCOVERED = frozenset({"demo", "simulation"})  # go through what others cover; measuring it doubles their time
FIRST = "simulation"  # minutes each: begun last, one of them would leave the other processes idle


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--servers",
        choices=list(KINDS),
        default="embedded",
        help="what `servers` are: from wheels, or Apache Kafka and Redis (Java 17, Maven, redis-server)",
    )


def pytest_configure() -> None:
    """Let no property fail for being slow: machines are shared."""
    hypothesis.settings.register_profile(
        "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs servers, by fixture or by the directory under tests/, and what coverage leaves out."""
    for item in items:
        directory = _directory(item)
        if directory in ON_SERVERS or "servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.integration)
        if directory in UNCOVERED:
            item.add_marker(pytest.mark.no_cover)
    items.sort(key=lambda item: _directory(item) != FIRST)


def _directory(item: pytest.Item) -> str:
    """Return the directory under tests/ in which an item stands, "" for a doctest of src."""
    root = Path(__file__).parent
    return item.path.relative_to(root).parts[0] if item.path.is_relative_to(root) else ""


@pytest.fixture(scope="session")
def kind(pytestconfig: pytest.Config) -> Kind:
    """Which servers the suite runs on."""
    chosen: Kind = pytestconfig.getoption("--servers")
    return chosen


@pytest.fixture(scope="session")
def servers(kind: Kind) -> Iterator[Servers]:
    """A broker and a store that the session shares; the suite fails where they cannot start."""
    with start(kind) as running:
        yield running
