"""What the demo reads from a broker to know that the workers are at rest, and what they told."""

from __future__ import annotations

import time

import msgspec
import pytest

from tests.integration.messages import make_alert, sent
from tidegauge.adapters.kafka import BatchConsumer
from tidegauge.config import Settings
from tidegauge.demo import topics
from tidegauge.demo.progress import Progress
from tidegauge.ports import Committed, Ownership

WAIT_SECONDS = 40


def test_a_group_that_committed_all_is_not_behind_whatever_the_last_batch_holds(settings: Settings) -> None:
    topic = settings.topics.observations
    sent(settings, topic, [b"a", b"b", b"c"])
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
    told = [make_alert(number) for number in range(3)]
    sent(settings, settings.topics.alerts, [msgspec.json.encode(alert) for alert in told])
    assert topics.alerts(settings) == told
