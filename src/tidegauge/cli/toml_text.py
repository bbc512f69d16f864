"""Plain values as TOML text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(tree: Mapping[str, Any]) -> str:
    """Return TOML that reads back as `tree`; keys whose value is None stay out.

    >>> print(toml_text({"redis": {"url": "redis://db"}, "rules": [{"metric": "f1"}]}), end="")
    [redis]
    url = "redis://db"
    <BLANKLINE>
    [[rules]]
    metric = "f1"
    """
    return "\n\n".join(_tables(tree, "", "")) + "\n"


def toml_value(value: Any) -> str:
    """Return a scalar or a list as TOML.

    >>> toml_value([1, 0.5, True, "a"])
    '[1, 0.5, true, "a"]'
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return _json(value)


def _tables(tree: Mapping[str, Any], name: str, head: str) -> Iterator[str]:
    lines = [f"{_key(key)} = {toml_value(value)}" for key, value in tree.items() if _is_plain(value)]
    if lines or head.startswith("[[") or (head and not tree):
        yield "\n".join([head, *lines] if head else lines)
    for key, value in tree.items():
        below = f"{name}.{_key(key)}" if name else _key(key)
        if isinstance(value, Mapping):
            yield from _tables(value, below, f"[{below}]")
        elif _is_tables(value):
            for item in value:
                yield from _tables(item, below, f"[[{below}]]")


def _is_plain(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping) and not _is_tables(value)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _json(key)


def _json(value: Any) -> str:
    """Return JSON that is TOML too: it differs in one character that TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
