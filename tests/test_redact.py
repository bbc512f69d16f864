"""Secrets are never printed."""

from __future__ import annotations

import pytest

from tidegauge.config import Kafka, Redis, Settings
from tidegauge.redact import redacted, redacted_options, redacted_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:hunter2@db/0", "redis://:***@db/0"),
        ("rediss://app:hun%40ter2@db:6380/1", "rediss://app:***@db:6380/1"),
        ("redis://db/0?password=hunter2&db=1", "redis://db/0?password=***&db=1"),
        ("redis://[::1:hunter2@db", "***"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ],
)
def test_a_url_keeps_all_but_its_password(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


@pytest.mark.parametrize(
    "name",
    ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret", "SASL.PASSWORD"],
)
def test_options_that_hold_a_secret_are_hidden(name: str) -> None:
    assert redacted_options({name: "hunter2", "group.id": "a"}) == {name: "***", "group.id": "a"}


def test_settings_show_no_secret_anywhere() -> None:
    settings = Settings(
        kafka=Kafka(options={"sasl.password": "hunter2", "ssl.keystore.password": "hunter2"}),
        redis=Redis(url="redis://:hunter2@db"),
    )
    assert "hunter2" not in str(redacted(settings))
