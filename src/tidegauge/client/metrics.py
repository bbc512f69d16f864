"""Reading the metric state that the monitors keep in Redis; docs/redis.md says every key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self, cast

import msgspec
import redis

from tidegauge import keys
from tidegauge.adapters import redis_client
from tidegauge.errors import Unavailable
from tidegauge.records import Alert
from tidegauge.redact import redacted_url

_TEXTS = (
    ".verdict",
    ".moved_most",
    ".moved",
    ".measures",
    ".baseline",
)  # fields of a drift hash that hold no number


class MetricValue(NamedTuple):
    """A metric, the bounds of its interval and the rows it rests on; None is undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None


class Confusion(NamedTuple):
    """`counts[i][j]`: outcomes of class `classes[i]` that were predicted as `classes[j]`."""

    classes: list[str]
    counts: list[list[float]]


class ModelState(NamedTuple):
    """What is known of a model; times in ms since the epoch."""

    task: str | None
    versions: list[str]
    status: str | None
    last_seen_ms: int | None
    watermark_ms: int | None
    classes: list[str]


class JoinCounters(NamedTuple):
    """What became of every event that was read, by side; docs/redis.md names the counters."""

    predictions: dict[str, int]
    labels: dict[str, int]
    watermark_ms: int | None

    def missing(self) -> dict[str, int]:
        """Return for each side the events received that no counter has: 0 when they add up.

        >>> JoinCounters({"received": 3, "matched": 1, "waiting": 2}, {}, None).missing()
        {'predictions': 0, 'labels': 0}
        """
        sides = {"predictions": self.predictions, "labels": self.labels}
        return {
            side: counters.get("received", 0) - sum(counters.get(term, 0) for term in terms)
            for (side, terms), counters in zip(keys.JOIN_TERMS.items(), sides.values(), strict=True)
        }


class MetricReader:
    """Reads models, metrics, drift, alerts and counters; every method asks Redis anew.

    reader = MetricReader("redis://127.0.0.1:6379/0")
    print(reader.metrics("churn", "v1", window="24h")["f1"])
    """

    def __init__(self, redis_url: str = "redis://127.0.0.1:6379/0", timeout_seconds: float = 5.0) -> None:
        self._redis = redis_client.connect(redis_url, timeout_seconds, "Redis URL", decode_responses=True)
        self._where = redacted_url(redis_url)

    def models(self) -> list[str]:
        """Return the ids of all models, sorted."""
        with self._reaching():
            return sorted(cast("set[str]", self._redis.smembers(keys.MODELS)))

    def model(self, model_id: str) -> ModelState:
        """Return what is known of a model; of an unknown one nothing."""
        fields = self._hash(keys.model_key(model_id))
        return ModelState(
            task=fields.get("task"),
            versions=_list(fields.get("versions")),
            status=fields.get("status"),
            last_seen_ms=_int(fields.get("last_seen_ms")),
            watermark_ms=_int(fields.get("watermark_ms")),
            classes=_list(fields.get("classes")),
        )

    def versions(self, model_id: str) -> list[str]:
        """Return the versions of a model that are watched."""
        return self.model(model_id).versions

    def segments(self, model_id: str, model_version: str) -> list[tuple[str, str]]:
        """Return the (name, value) of a version's segments, sorted. Scans the key space."""
        with self._reaching():
            found = self._redis.scan_iter(keys.segments_pattern(model_id, model_version), count=1_000)
            return sorted(pair for key in found if (pair := keys.segment_of(key)))

    def metrics(
        self,
        model_id: str,
        model_version: str,
        segment: tuple[str, str] | None = None,
        window: str | None = None,
    ) -> dict[str, MetricValue]:
        """Return the metrics of a series: by name over `window`, or of all windows by `name@window`."""
        return _values(self._hash(keys.metrics_key(model_id, model_version, segment)), window)

    def estimates(
        self, model_id: str, model_version: str, window: str | None = None
    ) -> dict[str, MetricValue]:
        """Return what the metrics of a version probably are, before its labels come; named as `metrics`.

        Beside them stands how good the estimates of the last hours were: `accuracy.error`, and so on.
        """
        return _values(self._hash(keys.estimates_key(model_id, model_version)), window)

    def windows(self, model_id: str, model_version: str) -> list[str]:
        """Return the windows a version has metrics over."""
        with self._reaching():
            names = cast("list[str]", self._redis.hkeys(keys.metrics_key(model_id, model_version)))
        return sorted({field.window for name in names if (field := keys.split_field(name))})

    def confusion(
        self, model_id: str, model_version: str, window: str, segment: tuple[str, str] | None = None
    ) -> Confusion | None:
        """Return the confusion matrix over a window, None where there is none."""
        field = keys.metric_field(keys.CONFUSION, window)
        with self._reaching():
            text = self._redis.hget(keys.metrics_key(model_id, model_version, segment), field)
        return Confusion(**msgspec.json.decode(cast("str", text))) if _defined(text) else None

    def series(self, model_id: str, model_version: str, day_ms: int) -> dict[int, dict[str, Any]]:
        """Return the main metrics of each pane of the UTC day of `day_ms`, by the pane's start."""
        fields = self._hash(keys.series_key(model_id, model_version, day_ms))
        return {int(start): msgspec.json.decode(fields[start]) for start in sorted(fields, key=int)}

    def drift(self, model_id: str, model_version: str) -> dict[str, float | str | None]:
        """Return the drift verdicts of a version by field, such as `distance.psi`."""
        fields = self._hash(keys.drift_key(model_id, model_version))
        return {
            name: _text(fields[name]) if name.endswith(_TEXTS) else keys.number(fields[name])
            for name in sorted(fields)
        }

    def attribution(self, model_id: str, model_version: str) -> dict[str, Any]:
        """Return what carries the change of a version's error, by field; empty where nothing is kept."""
        fields = self._hash(keys.attribution_key(model_id, model_version))
        return {
            name: fields[name] if name == "loss" else msgspec.json.decode(fields[name])
            for name in sorted(fields)
        }

    def baseline(self, model_id: str, model_version: str) -> dict[str, float | None]:
        """Return the metrics a version is measured against."""
        fields = self._hash(keys.baseline_key(model_id, model_version))
        names = (name for name in sorted(fields) if not name.startswith(keys.BASELINE_FILE))
        return {name: keys.number(fields[name]) for name in names}

    def baseline_file(self, model_id: str, model_version: str) -> dict[str, str]:
        """Return what is known of the baseline file a version goes by; empty without one."""
        fields = self._hash(keys.baseline_key(model_id, model_version))
        start = len(keys.BASELINE_FILE)
        return {name[start:]: fields[name] for name in sorted(fields) if name.startswith(keys.BASELINE_FILE)}

    def alerts_active(self) -> list[Alert]:
        """Return the firing alerts of all open incidents, the newest first."""
        alerts = [_alert(text) for text in self._hash(keys.ALERTS_ACTIVE).values()]
        return sorted(alerts, key=lambda alert: alert.raised_at_ms, reverse=True)

    def alerts_log(self, limit: int = 100) -> list[Alert]:
        """Return the latest alerts, firing and resolved, the newest first."""
        with self._reaching():
            texts = cast("list[str]", self._redis.lrange(keys.ALERTS_LOG, 0, limit - 1))
        return [_alert(text) for text in texts]

    def join(self) -> JoinCounters:
        """Return what became of all events."""
        fields = self._hash(keys.JOIN)
        sides: dict[str, dict[str, int]] = {side: {} for side in keys.JOIN_TERMS}
        for name, text in fields.items():
            side, dot, counter = name.partition(".")
            if dot and side in sides:
                sides[side][counter] = int(text)
        return JoinCounters(sides["predictions"], sides["labels"], _int(fields.get("watermark_ms")))

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return what each worker last said of itself."""
        return {name: msgspec.json.decode(text) for name, text in self._hash(keys.WORKERS).items()}

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hash(self, key: str) -> dict[str, str]:
        with self._reaching():
            return cast("dict[str, str]", self._redis.hgetall(key))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise Unavailable(f"Redis at {self._where}: {error}") from error


def _values(fields: dict[str, str], window: str | None) -> dict[str, MetricValue]:
    parts: dict[str, dict[str, float | None]] = {}
    for name, text in fields.items():
        field = keys.split_field(name)
        if field is None or field.metric == keys.CONFUSION or window not in (None, field.window):
            continue
        metric = field.metric if window else f"{field.metric}@{field.window}"
        parts.setdefault(metric, {})[field.part] = keys.number(text)
    return {metric: _value(found) for metric, found in sorted(parts.items())}


def _value(parts: dict[str, float | None]) -> MetricValue:
    n = parts.get("n")
    return MetricValue(parts.get("value"), parts.get("lo"), parts.get("hi"), None if n is None else int(n))


def _alert(text: str) -> Alert:
    return msgspec.json.decode(text, type=Alert)


def _list(text: str | None) -> list[str]:
    return msgspec.json.decode(text, type=list[str]) if text else []


def _int(text: str | None) -> int | None:
    number = keys.number(text)
    return None if number is None else int(number)


def _defined(text: object) -> bool:
    return text is not None and text != keys.UNDEFINED


def _text(text: str) -> str | None:
    return None if text == keys.UNDEFINED else text
