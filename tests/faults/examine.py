"""What a trial left behind, held against the oracle."""

from __future__ import annotations

import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import redis
from confluent_kafka import Consumer, Message, TopicPartition

from tests.faults import oracle
from tests.faults.generator import VERSION
from tests.faults.oracle import Truth
from tidegauge.adapters import block_codec
from tidegauge.block import NO_TEXT, Block
from tidegauge.config import Settings
from tidegauge.monitor import Monitor

_READ_SECONDS = 30.0


@dataclass(slots=True)
class Findings:
    """`lost` and `doubled` count rows; `broken` says in words what else is not as promised."""

    lost: int = 0
    doubled: int = 0
    replayed: int = 0
    broken: list[str] = field(default_factory=list)

    def miscount(self, what: str, by: int) -> None:
        """Note that something was counted `by` times too often, or too rarely where it is negative."""
        self.lost += max(0, -by)
        self.doubled += max(0, by)
        if by:
            self.broken.append(f"{what}: {by:+d}")

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.broken)


def metrics(store: redis.Redis, truth: Truth, findings: Findings) -> None:
    """Every outcome and every prediction is in the metrics of its model exactly once."""
    for model, fields in oracle.expected_metrics(truth).items():
        stored = {k.decode(): v.decode() for k, v in store.hgetall(f"tg:metrics:{model}:{VERSION}").items()}
        for name, expected in fields.items():
            if oracle.same(expected, stored.get(name)):
                continue
            if name in ("n@7d", "predictions@7d"):
                findings.miscount(f"{model} {name}", round(float(stored.get(name) or 0)) - expected)
            else:
                findings.broken.append(f"{model} {name}: expected {expected}, got {stored.get(name)}")


def counters(found: dict[str, int], expected: Counter[str], findings: Findings) -> None:
    """The counters of the join are exact, and add up."""
    for name, by in oracle.difference(expected, found).items():
        findings.miscount(name, by)
    findings.broken += [f"{side}: counters do not add up" for side in oracle.unbalanced(found)]


def matched_set(settings: Settings, truth: Truth, findings: Findings) -> None:
    """Every outcome is on the topic, nothing else is, and the label that stands is the right one."""
    rows: Counter[tuple[str, int, int]] = Counter()
    stands: dict[str, tuple[int, Any]] = {}  # revision, label
    for message in read(settings, settings.topics.observations):
        if message.key() is None:
            taken_back: Any = None
            for name, revision, sign, label, again in _outcomes(block_codec.decode(message.value() or b"")):
                rows[name, revision, sign] += 1
                if sign < 0:
                    taken_back = label
                    continue
                known = stands.get(name)
                if again:
                    told = known is None or (taken_back is not None and taken_back == known[1])
                else:
                    told = rows[name, revision, sign] == 1 and (known is None or known[0] <= revision)
                if told:
                    stands[name] = revision, label
                taken_back = None
    findings.replayed += sum(rows.values()) - len(rows)
    missing, phantom = truth.outcomes.keys() - stands.keys(), stands.keys() - truth.outcomes.keys()
    findings.miscount("outcomes that are not on the topic", -len(missing))
    findings.miscount("outcomes on the topic that should not be", len(phantom))
    wrong = [
        name for name, label in truth.outcomes.items() if name in stands and stands[name][1] != float(label)
    ]
    if wrong:
        findings.broken.append(f"{len(wrong)} outcomes with another label than the last, such as {wrong[:3]}")


def dead_letters(settings: Settings, expected: Counter[str], findings: Findings) -> None:
    """Every event that could not be used has a dead letter."""
    places: dict[str, set[tuple[str, int, int]]] = defaultdict(set)
    for message in read(settings, settings.topics.deadletter):
        letter = json.loads(message.value() or b"{}")
        unmatched = letter["reason"] in ("late", "orphan")
        places["unmatched" if unmatched else "rejected"].add(
            (letter["topic"], letter["partition"], letter["offset"])
        )
    rejected = expected["predictions.rejected"] + expected["labels.rejected"]
    for kind, due in (("rejected", rejected), ("unmatched", expected["labels.late"])):
        by = len(places[kind]) - due
        if by:
            findings.broken.append(f"dead letters of {kind} events: {by:+d} of {due}")


def alerts(settings: Settings, store: redis.Redis, findings: Findings) -> None:
    """An incident fires once and is resolved once, and Redis agrees."""
    told = [json.loads(message.value() or b"{}") for message in read(settings, settings.topics.alerts)]
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for alert in told:
        ids[alert["incident_id"], alert["status"]].add(alert["alert_id"])
    twice = [incident for (incident, _), found in ids.items() if len(found) > 1]
    if twice:
        findings.broken.append(f"{len(twice)} incidents fired or resolved under more than one alert_id")
    fired = {incident for incident, status in ids if status == "firing"}
    resolved = {incident for incident, status in ids if status == "resolved"}
    if resolved - fired:
        findings.broken.append(f"{len(resolved - fired)} incidents were resolved that never fired")
    active = {incident.decode() for incident in store.hkeys("tg:alerts:active")}
    if active != fired - resolved:
        findings.broken.append(
            f"tg:alerts:active holds {len(active)}, the topic says {len(fired - resolved)}"
        )


class Undisturbed(NamedTuple):
    """What monitors tell that read the observations from their start, with nothing happening to them."""

    alerts: set[tuple[str, str]]  # alert_id, status
    writes: dict[str, dict[str, str]]  # public hashes of metrics and drift

    @classmethod
    def of(cls, settings: Settings) -> Undisturbed:
        monitors: dict[int, Monitor] = defaultdict(lambda: Monitor(settings))
        told: set[tuple[str, str]] = set()
        for message in read(settings, settings.topics.observations):
            if message.key() is None:
                monitor = monitors[message.partition() or 0]
                raised = monitor.observe(block_codec.decode(message.value() or b""))
                told |= {(alert.alert_id, alert.status) for alert in raised}
        writes: dict[str, dict[str, str]] = {}
        for monitor in monitors.values():
            writes |= monitor.report().writes
        kept = ("tg:metrics:", "tg:drift:", "tg:baseline:")
        return cls(told, {key: fields for key, fields in writes.items() if key.startswith(kept)})


def undisturbed(settings: Settings, store: redis.Redis, expected: Undisturbed, findings: Findings) -> None:
    """Alerts, detectors and metrics are those of monitors that nothing happened to."""
    alerts = [json.loads(message.value() or b"{}") for message in read(settings, settings.topics.alerts)]
    told = {(alert["alert_id"], alert["status"]) for alert in alerts}
    if not expected.alerts:
        findings.broken.append("no alert was due, so nothing shows that none is lost")
    for what, by in (("missing", expected.alerts - told), ("too many", told - expected.alerts)):
        if by:
            findings.broken.append(f"{len(by)} of {len(expected.alerts)} alerts are {what}")
    for key, fields in expected.writes.items():
        stored = {k.decode(): v.decode() for k, v in store.hgetall(key).items()}
        differ = [name for name, text in fields.items() if not _alike(text, stored.get(name))]
        if differ:
            name = differ[0]
            findings.broken.append(
                f"{key}: {len(differ)} fields differ, such as {name}: expected {fields[name]}, "
                f"got {stored.get(name)}"
            )


def _alike(expected: str, found: str | None) -> bool:
    try:
        return expected == found or math.isclose(float(expected), float(found or "nan"), rel_tol=1e-9)
    except ValueError:
        return False


def read(settings: Settings, topic: str) -> Iterator[Message]:
    """Yield every message of a topic."""
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "examine", "log_level": 0}
    )
    try:
        found = consumer.list_topics(topic, timeout=_READ_SECONDS).topics[topic].partitions
        parts = [TopicPartition(topic, number, 0) for number in found]
        ends = {p.partition: consumer.get_watermark_offsets(p, timeout=_READ_SECONDS)[1] for p in parts}
        consumer.assign(parts)
        until = time.monotonic() + _READ_SECONDS
        left = {number for number, end in ends.items() if end}
        while left and time.monotonic() < until:
            for message in consumer.consume(500, 0.1):
                if message.error() is None:
                    yield message
                    if (message.offset() or 0) + 1 >= ends[message.partition()]:
                        left.discard(message.partition())
        if left:
            raise TimeoutError(f"{topic}: not read to its end in {_READ_SECONDS} s")
    finally:
        consumer.close()


def _outcomes(block: Block) -> Iterator[tuple[str, int, int, Any, bool]]:
    """Yield id, revision, sign and label of each outcome row, and whether it may be known."""
    rows = block.outcomes
    assert (rows.label_text == NO_TEXT).all()  # the generator sends numbers and booleans alone
    yield from zip(
        rows.prediction_id,
        rows.revision.tolist(),
        rows.sign.astype(int).tolist(),
        rows.label_number.tolist(),
        rows.again.tolist(),
        strict=True,
    )
