"""Settings without their secrets: what may be printed, logged or put into an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from tidegauge.config import Settings

HIDDEN = "***"
_SECRET_WORDS = ("password", "secret", "token", "pem", "jaas", "user.info", "oauthbearer.config")


def redacted_url(url: str) -> str:
    """Return a URL without its password.

    >>> redacted_url("redis://app:hunter2@db:6379/0")
    'redis://app:***@db:6379/0'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN  # not a URL: who knows what it holds
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = f"{parts.scheme}://{name}{colon}{HIDDEN if colon else ''}{at}{host}{parts.path}"
    query = urlencode(redacted_options(dict(parse_qsl(parts.query))), safe="*")
    return f"{shown}?{query}" if query else shown


def redacted_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return librdkafka's options with what is secret hidden.

    >>> redacted_options({"sasl.username": "app", "sasl.password": "hunter2"})
    {'sasl.username': 'app', 'sasl.password': '***'}
    """
    return {name: HIDDEN if _is_secret(name) else value for name, value in options.items()}


def redacted(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain values, secrets hidden."""
    tree: dict[str, Any] = msgspec.to_builtins(settings)
    tree["redis"]["url"] = redacted_url(settings.redis.url)
    tree["kafka"]["options"] = redacted_options(settings.kafka.options)
    return tree


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)
