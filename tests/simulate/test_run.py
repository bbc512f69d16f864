import time
from dataclasses import replace
from itertools import chain, product

import pytest
from confluent_kafka import Consumer, TopicPartition

from tidegauge.adapters.kafka_admin import TopicAdmin
from tidegauge.config import Kafka, Settings
from tidegauge.servers import TANSU, Server
from tidegauge.simulate import LABELS, PREDICTIONS, Spec, simulate
from tidegauge.simulate.run import send
from tidegauge.topics import wanted

SPEC = Spec(start_ms=1_700_000_000_000, duration_seconds=2, rate=200, label_delay_seconds=0.1)


@pytest.fixture(scope="module")
def settings():
    with Server(TANSU) as broker:
        settings = Settings(kafka=Kafka(bootstrap_servers=broker.address))
        TopicAdmin(settings.kafka).create(wanted(settings), 1)
        yield settings


def read(settings: Settings, count: int) -> dict[tuple[str, bytes], int]:
    """Return the record times of all events that are in both topics."""
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "reader", "log_level": 0}
    )
    places = product((PREDICTIONS, LABELS), range(settings.topics.partitions))
    consumer.assign([TopicPartition(name, number, 0) for name, number in places])
    found = {}
    total = 0
    while total < count:
        messages = consumer.consume(count - total, 10.0)
        assert messages, f"{total} of {count} events came"
        total += len(messages)
        found.update({(each.topic(), each.value()): each.timestamp()[1] for each in messages})
    consumer.close()
    return found


def test_every_event_arrives_with_its_bytes_and_its_time(settings):
    events = list(chain.from_iterable(simulate(SPEC)))
    assert send(settings, SPEC, realtime=False) == len(events)
    assert read(settings, len(events)) == {(event.side, event.value): event.time_ms for event in events}


def test_in_real_time_the_simulation_takes_its_time_and_ends_after_the_tail(settings):
    spec, told = replace(SPEC, seed=1), []
    started = time.monotonic()
    sent = send(settings, spec, tail_seconds=0.5, on_sent=lambda count, at_ms: told.append((count, at_ms)))
    assert 1.9 < time.monotonic() - started < 10
    due = [event for event in chain.from_iterable(simulate(spec)) if event.time_ms <= spec.start_ms + 2_500]
    assert sent == len(due) == told[-1][0]
    assert told[-1][1] == due[-1].time_ms
