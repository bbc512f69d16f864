"""Servers of a test's own: it may kill them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegauge.servers import KINDS, Kind, Server


@pytest.fixture
def broker(kind: Kind) -> Iterator[Server]:
    with Server(KINDS[kind][0]) as server:
        yield server


@pytest.fixture
def store(kind: Kind) -> Iterator[Server]:
    with Server(KINDS[kind][1]) as server:
        yield server
