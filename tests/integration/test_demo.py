"""What the demo reads from a broker to know that the workers are at rest, and what they told."""

from __future__ import annotations

import time

import msgspec
import pytest

from tidegauge.adapters.kafka import BatchConsumer, RowProducer
from tidegauge.config import Settings
from tidegauge.demo import topics
from tidegauge.demo.progress import Progress
from tidegauge.ports import Committed, Ownership
from tidegauge.records import Alert, Evidence

WAIT_SECONDS = 40


def sent_in_one_batch(settings: Settings, topic: str, values: list[bytes]) -> None:
    producer = RowProducer(settings.kafka)
    for value in values:
        producer.send(topic, value, partition=0)
    producer.flush(20)


def test_a_group_that_committed_all_is_not_behind_whatever_the_last_batch_holds(settings: Settings) -> None:
    topic = settings.topics.observations
    sent_in_one_batch(settings, topic, [b"a", b"b", b"c"])
    nothing = Ownership(gained=lambda _: {}, given_up=lambda _: None, lost=lambda _: None)
    member = BatchConsumer(settings.kafka, "monitor", [topic], nothing)
    until = time.monotonic() + WAIT_SECONDS
    while not member.take(3, 0.1) and time.monotonic() < until:
        pass
    progress = Progress(settings, "monitor", (topic,))
    assert progress.done() == 0
    assert progress.behind() > 0
    assert member.commit({(topic, 0): Committed(3)})
    assert (progress.done(), progress.behind()) == (3, 0)
    member.close()
    progress.close()


def test_a_topic_is_read_to_the_last_record_of_its_last_batch(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "_TAKEN", 1)
    sent = [an_alert("a"), an_alert("b"), an_alert("c")]
    sent_in_one_batch(settings, settings.topics.alerts, [msgspec.json.encode(alert) for alert in sent])
    assert topics.alerts(settings) == sent


def an_alert(name: str) -> Alert:
    return Alert(
        alert_id=name,
        incident_id=name,
        status="firing",
        kind="performance",
        rule="f1",
        model_id="churn",
        model_version="v1",
        raised_at_ms=0,
        opened_at_ms=0,
        message=name,
        evidence=Evidence(metric="f1", window="1000", n=1_000, current=0.5),
    )
