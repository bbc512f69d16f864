"""What may be printed, logged or put into an error: settings without secrets, text without effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

HIDDEN = "***"
_SECRET_WORDS = (
    "password", "passphrase", "secret", "token", "credential", "pem", "jaas", "user.info", "bearer.config",
)  # fmt: skip


def redacted_url(url: str) -> str:
    """Return a URL without its password.

    >>> redacted_url("redis://app:hunter2@db:6379/0")
    'redis://app:***@db:6379/0'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN  # not a URL: who knows what it holds
    if "@" in f"{parts.path}{parts.query}{parts.fragment}" or not parts.scheme:
        return HIDDEN  # a password with a / ? or # in it, not percent-encoded, ends the host too early
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
    return {name: HIDDEN if is_secret(name) else value for name, value in options.items()}


def redacted(settings: msgspec.Struct) -> dict[str, Any]:
    """Return the settings (`config.Settings`) as plain values, secrets hidden."""
    tree: dict[str, Any] = msgspec.to_builtins(settings)
    tree["redis"]["url"] = redacted_url(tree["redis"]["url"])
    tree["kafka"]["options"] = redacted_options(tree["kafka"]["options"])
    return tree


def printable(text: str) -> str:
    """Return text that no terminal or log acts upon: control and format characters stand as escapes.

    >>> print(printable("red\\x1b[2J\\n"))
    red\\x1b[2J\\n
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def is_secret(name: str) -> bool:
    """Return whether an option of librdkafka, or of a Redis URL, holds a secret, as its name tells.

    >>> is_secret("ssl.key.password"), is_secret("sasl_password"), is_secret("sasl.username")
    (True, True, False)
    """
    return any(word in name.lower() for word in _SECRET_WORDS)
