"""The topics that Tidegauge needs, and what is wrong with those that are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tidegauge.config import Settings, duration_ms

_DAY_MS = 86_400_000
_SLACK_MS = _DAY_MS  # an outage of the workers that is still made good from the topics
_KEPT_MS = 30 * _DAY_MS  # what people come back to: alerts, dead letters, control
_MEBIBYTE = 1_048_576  # what brokers take by default
_REASON_BYTES = 65_536  # of a dead letter beside its event, which stands there in base64
_BLOCK_BYTES = 8 * _MEBIBYTE  # of observations: four times what the join puts into one
FOREVER = -1


class Topic(NamedTuple):
    """A topic as it should be, or as it was found; a setting that is not known stays out."""

    name: str
    partitions: int
    config: Mapping[str, str]

    @property
    def retention_ms(self) -> int | None:
        """How long records are kept, `FOREVER` without end, None where it is not known."""
        text = self.config.get("retention.ms")
        return None if text is None else int(text)


def wanted(settings: Settings) -> tuple[Topic, ...]:
    """Return every topic with its partitions and settings.

    Inputs outlive the join's horizon, so that a lost Redis can be filled again; observations outlive
    the longest window, so that a lost snapshot can be built again.
    """
    join, names = settings.join, settings.topics
    inputs_ms = (join.horizon_seconds + join.lateness_seconds) * 1_000 + _SLACK_MS
    windows_ms = max(map(duration_ms, settings.monitor.time_windows), default=0) + _SLACK_MS
    inputs = _config(inputs_ms)
    letter_bytes = max(_MEBIBYTE, settings.limits.message_bytes * 4 // 3 + _REASON_BYTES)
    return (
        Topic(names.predictions, names.partitions, inputs),
        Topic(names.labels, names.partitions, inputs),
        Topic(
            names.observations,
            names.observation_partitions or names.partitions,
            _config(max(inputs_ms, windows_ms), _BLOCK_BYTES),
        ),
        Topic(names.deadletter, 1, _config(_KEPT_MS, letter_bytes)),
        Topic(names.control, 1, _config(_KEPT_MS)),
        Topic(names.alerts, 1, _config(_KEPT_MS)),
    )


def _config(retention_ms: int, message_bytes: int | None = None) -> dict[str, str]:
    config = {"cleanup.policy": "delete", "retention.ms": str(retention_ms)}
    return config if message_bytes is None else config | {"max.message.bytes": str(message_bytes)}


def differences(topic: Topic, found: Topic) -> list[str]:
    """Return a line for each way in which the found topic falls short of what is wanted.

    >>> differences(Topic("labels", 4, {"retention.ms": "100"}), Topic("labels", 2, {"retention.ms": "-1"}))
    ['has 2 partitions, wanted 4']
    """
    lines = []
    if found.partitions != topic.partitions:
        lines.append(f"has {found.partitions} partitions, wanted {topic.partitions}")
    if "compact" in found.config.get("cleanup.policy", ""):
        lines.append("is compacted: events are lost; wanted cleanup.policy=delete")
    kept = found.retention_ms
    if kept is not None and kept != FOREVER and kept < (topic.retention_ms or 0):
        lines.append(f"keeps records for {_hours(kept)}, wanted {_hours(topic.retention_ms or 0)}")
    largest = int(found.config.get("max.message.bytes", topic.config.get("max.message.bytes", 0)))
    if largest < int(topic.config.get("max.message.bytes", 0)):
        lines.append(f"takes {largest} bytes a message, wanted {topic.config['max.message.bytes']}")
    return lines


def _hours(milliseconds: int) -> str:
    return f"{milliseconds / 3_600_000:.0f} h"
