"""The public keys of Redis, in one place: the monitor writes them, the client and redis-cli read them.

Ids are percent-encoded, so a key's parts are always between colons and hold no wildcard:

>>> metrics_key("churn", "v1")
'tg:metrics:churn:v1'
>>> metrics_key("churn", "2026:01", ("country", "New York"))
'tg:metrics:churn:2026%3A01:country=New%20York'
>>> metric_field("f1", "1h", "lo")
'f1@1h.lo'

docs/redis.md tells what stands under each key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

import msgspec

MODELS = "tg:models"
JOIN = "tg:join"
WORKERS = "tg:workers"
ALERTS_ACTIVE = "tg:alerts:active"
ALERTS_LOG = "tg:alerts:log"
ALERTS_LOG_LENGTH = 1_000  # newest first; the topic keeps the rest

UNDEFINED = "null"
UPDATED = "updated_ms"  # of a metrics hash: the watermark it stands for
CONFUSION = "confusion"
BASELINE_FILE = "file."  # begins the fields of a baseline hash that tell of the file, and are no metrics

_POWER = re.compile(r"[0-9.]+e[-0-9]+")  # as JSON has it
_SMALL = re.compile(r"0\.0000[0-9]+")  # where Python has a power, unless it is the end of a number
_ENCODED = 32_768  # ids remembered

Part = Literal["value", "lo", "hi", "n"]
_PARTS: dict[str, Part] = {"": "value", "lo": "lo", "hi": "hi", "n": "n"}

# The counters of tg:join: on each side, `received` is the sum of these.
JOIN_TERMS: dict[str, tuple[str, ...]] = {
    "predictions": ("matched", "waiting", "expired", "duplicate", "rejected"),
    "labels": (
        "matched",
        "waiting",
        "corrected",
        "duplicate",
        "superseded",
        "late",
        "orphan",
        "rejected",
    ),
}


class MetricField(NamedTuple):
    """A field of a metrics hash, taken apart."""

    metric: str
    window: str
    part: Part


@lru_cache(maxsize=_ENCODED)
def encoded(text: str) -> str:
    """Return an id as it stands in a key."""
    return quote(text, safe="")


def decoded(part: str) -> str:
    """Return the id that `encoded` made `part` of."""
    return unquote(part)


def model_key(model_id: str) -> str:
    """Return the key of what is known of a model."""
    return f"tg:model:{encoded(model_id)}"


def metrics_key(model_id: str, model_version: str, segment: tuple[str, str] | None = None) -> str:
    """Return the key of a series' metrics; `segment` is (name, value), None the whole version."""
    key = f"tg:metrics:{encoded(model_id)}:{encoded(model_version)}"
    return f"{key}:{encoded(segment[0])}={encoded(segment[1])}" if segment else key


def segments_pattern(model_id: str, model_version: str) -> str:
    """Return the SCAN pattern of a version's segments' metrics."""
    return f"{metrics_key(model_id, model_version)}:*"


def segment_of(key: str) -> tuple[str, str] | None:
    """Return the (name, value) at the end of a metrics key, None for a whole version.

    >>> segment_of("tg:metrics:churn:v1:country=New%20York")
    ('country', 'New York')
    """
    name, equals, value = key.rpartition(":")[2].partition("=")
    return (decoded(name), decoded(value)) if equals else None


def series_key(model_id: str, model_version: str, at_ms: int) -> str:
    """Return the key of a version's history on the UTC day of `at_ms`.

    >>> series_key("churn", "v1", 1_357_000_000_000)
    'tg:series:churn:v1:20130101'
    """
    day = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return f"tg:series:{encoded(model_id)}:{encoded(model_version)}:{day:%Y%m%d}"


def drift_key(model_id: str, model_version: str) -> str:
    """Return the key of a version's drift verdicts."""
    return f"tg:drift:{encoded(model_id)}:{encoded(model_version)}"


def attribution_key(model_id: str, model_version: str) -> str:
    """Return the key of what carries the change of a version's error."""
    return f"tg:attribution:{encoded(model_id)}:{encoded(model_version)}"


def estimates_key(model_id: str, model_version: str) -> str:
    """Return the key of what a version's metrics probably are, before its labels come."""
    return f"tg:estimates:{encoded(model_id)}:{encoded(model_version)}"


def baseline_key(model_id: str, model_version: str) -> str:
    """Return the key of the baseline a version is measured against."""
    return f"tg:baseline:{encoded(model_id)}:{encoded(model_version)}"


def metric_field(metric: str, window: str, part: Part = "value") -> str:
    """Return the field of a metric over a window, or of its interval's bounds or its count."""
    return f"{metric}@{window}" if part == "value" else f"{metric}@{window}.{part}"


def split_field(field: str) -> MetricField | None:
    """Return the parts of a metrics hash's field, None where it is no metric.

    >>> split_field("recall[a@b]@24h.hi")
    MetricField(metric='recall[a@b]', window='24h', part='hi')
    """
    metric, at, rest = field.rpartition("@")
    window, _, suffix = rest.partition(".")
    part = _PARTS.get(suffix)
    return MetricField(metric, window, part) if at and part else None


def number_text(value: float | None) -> str:
    """Return a value as Redis holds it; what is undefined, or not finite, is `null`.

    >>> number_text(0.25), number_text(None), number_text(float("nan"))
    ('0.25', 'null', 'null')
    """
    return UNDEFINED if value is None or not math.isfinite(value) else str(value)


def number_texts(values: Sequence[float | None]) -> list[str]:
    """Return what `number_text` does of each value, six times as fast.

    >>> number_texts([0.25, None, float("nan"), 1e-7, -2e-5, 10.00002, 1e16])
    ['0.25', 'null', 'null', '1e-07', '-2e-05', '10.00002', '1e+16']
    """
    text = msgspec.json.encode(values).decode()[1:-1]
    if "e" in text:
        text = _POWER.sub(lambda found: str(float(found[0])), text)
    if "0.0000" in text:
        text = _SMALL.sub(_as_power, text)
    return text.split(",") if text else []


def _as_power(found: re.Match[str]) -> str:
    before = found.string[found.start() - 1 : found.start()]
    return found[0] if before.isdigit() else str(float(found[0]))


def number(text: str | None) -> float | None:
    """Return the number that `number_text` wrote, None where it is undefined or absent."""
    return None if text is None or text == UNDEFINED else float(text)
