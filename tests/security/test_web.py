"""The health pages are on loopback, and nothing else of Faust's is served."""

from __future__ import annotations

import pytest

from tidegauge.config import Settings, load
from tidegauge.errors import ConfigError


def at(host: str, **more: str) -> Settings:
    named = {f"TIDEGAUGE_WEB__{name.upper()}": value for name, value in more.items()}
    return load(None, {"TIDEGAUGE_WEB__HOST": host, **named})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost"])
def test_loopback_needs_no_leave(host: str) -> None:
    assert at(host).web.host == host


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "192.0.2.7", "worker.example.org", "localhost.evil", ""]
)
def test_another_address_stops_the_start_unless_it_is_allowed(host: str) -> None:
    with pytest.raises(ConfigError, match=r"web\.host: expected a loopback address.*web\.allow_remote"):
        at(host)
    assert at(host, allow_remote="true").web.host == host
