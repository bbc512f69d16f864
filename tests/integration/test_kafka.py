"""The consumer and the producer on a real broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.integration.messages import sent
from tidegauge.adapters.kafka import BatchConsumer, RowProducer
from tidegauge.config import Kafka, Settings
from tidegauge.errors import Unavailable
from tidegauge.ports import Committed, Ownership, Partition, Record, Records
from tidegauge.servers import Kind
from tidegauge.servers.ports import free_port

WAIT_SECONDS = 40


class Owner:
    """Notes what it gains and gives up; starts where the group left off unless told."""

    def __init__(self, starts: dict[Partition, int] | None = None) -> None:
        self.owned: set[Partition] = set()
        self.starts = starts or {}
        self.given_up: list[Partition] = []

    def ownership(self) -> Ownership:
        return Ownership(self.gain, self.give_up, self.give_up)

    def gain(self, partitions: list[Partition]) -> dict[Partition, int | None]:
        self.owned.update(partitions)
        return {partition: self.starts.get(partition) for partition in partitions}

    def give_up(self, partitions: list[Partition]) -> None:
        self.owned.difference_update(partitions)
        self.given_up += partitions


def taken(consumer: BatchConsumer, count: int) -> list[Record]:
    found: list[Record] = []
    until = time.monotonic() + WAIT_SECONDS
    while len(found) < count and time.monotonic() < until:
        found += consumer.take(100, 0.1)
    return found


def test_what_was_committed_is_not_read_again_and_what_was_not_is(
    settings: Settings, new_topic: Callable[..., str]
) -> None:
    topic = new_topic()
    sent(settings, topic, [b"a", b"b", b"c"])
    first = BatchConsumer(settings.kafka, "test", [topic], Owner().ownership())
    records = taken(first, 3)
    assert [record.value for record in records] == [b"a", b"b", b"c"]
    first.commit({each: Committed(offset) for each, offset in Records.of(records[:2]).ends().items()})
    first.close()
    second = BatchConsumer(settings.kafka, "test", [topic], Owner().ownership())
    assert [record.value for record in taken(second, 1)] == [b"c"]
    second.close()


def test_more_is_what_follows_until_a_seek(settings: Settings, new_topic: Callable[..., str]) -> None:
    topic = new_topic()
    sent(settings, topic, [b"a", b"b", b"c", b"d"])
    consumer = BatchConsumer(settings.kafka, "test", [topic], Owner().ownership())
    until = time.monotonic() + WAIT_SECONDS
    first: list[Record] = []
    while not first and time.monotonic() < until:
        first += consumer.take(1, 0.1)
    assert [record.value for record in first] == [b"a"]
    further: list[Record] = []
    while len(further) < 2 and time.monotonic() < until:
        further += consumer.more(2 - len(further))
    assert [record.value for record in further] == [b"b", b"c"]
    consumer.seek((topic, 0), 1)
    assert [record.value for record in taken(consumer, 3)] == [b"b", b"c", b"d"]
    consumer.close()


def test_more_is_gathered_where_something_came_until_there_is_enough(
    settings: Settings, new_topic: Callable[..., str]
) -> None:
    topic = new_topic()
    sent(settings, topic, [b"before"])
    consumer = BatchConsumer(settings.kafka, "test", [topic], Owner().ownership(), WAIT_SECONDS)
    assert [record.value for record in consumer.take(1, WAIT_SECONDS)] == [b"before"]
    sent(settings, topic, [b"a"])
    later = threading.Timer(0.3, sent, (settings, topic, [b"b"]))
    later.start()
    assert [record.value for record in consumer.take(2, WAIT_SECONDS)] == [b"a", b"b"]
    later.join()
    consumer.close()


def test_what_is_withheld_comes_later_and_what_is_not_comes_at_once(
    settings: Settings, new_topic: Callable[..., str]
) -> None:
    topics = new_topic(), new_topic()
    for topic in topics:
        sent(settings, topic, [b"a", b"b"])
    consumer = BatchConsumer(settings.kafka, "test", list(topics), Owner().ownership())
    assert {record.topic for record in taken(consumer, 4)} == set(topics)
    consumer.withhold([(topics[0], 0)])
    for topic in topics:
        sent(settings, topic, [b"c", b"d"])
    assert [(record.topic, record.value) for record in taken(consumer, 2)] == [
        (topics[1], b"c"),
        (topics[1], b"d"),
    ]
    assert list(consumer.take(1, 0.5)) == []
    consumer.withhold([])
    assert [(record.topic, record.value) for record in taken(consumer, 2)] == [
        (topics[0], b"c"),
        (topics[0], b"d"),
    ]
    consumer.close()


def test_an_owner_may_start_elsewhere_than_the_group_left_off(
    settings: Settings, new_topic: Callable[..., str], kind: Kind
) -> None:
    topic = new_topic()
    sent(settings, topic, [b"a", b"b", b"c"])
    owner = Owner({(topic, 0): 1})
    consumer = BatchConsumer(settings.kafka, "test", [topic], owner.ownership())
    assert [record.offset for record in taken(consumer, 2)] == [1, 2]
    assert consumer.end_offset((topic, 0)) == 3
    first, end = consumer.bounds((topic, 0))
    assert (first, end) == (0, 3) or kind == "embedded", "the embedded broker takes a batch for one record"
    assert consumer.committed(topic, 1) == {}
    assert consumer.commit({(topic, 0): Committed(2, "a note")})
    note = "a note" if kind == "real" else ""  # the embedded broker keeps none
    assert consumer.committed(topic, 1) == {0: Committed(2, note)}
    consumer.close()
    assert owner.given_up == [(topic, 0)]


def test_a_member_that_rests_keeps_its_partitions_and_loses_no_record(
    settings: Settings, new_topic: Callable[..., str]
) -> None:
    topic = new_topic()
    owner = Owner()
    consumer = BatchConsumer(settings.kafka, "test", [topic], owner.ownership())
    sent(settings, topic, [b"a"])
    assert [record.value for record in taken(consumer, 1)] == [b"a"]
    sent(settings, topic, [b"b", b"c"])
    for _ in range(30):
        consumer.rest(0.1)
    assert owner.owned == {(topic, 0)}
    assert [record.value for record in taken(consumer, 2)] == [b"b", b"c"]
    consumer.seek((topic, 0), 1)
    assert [record.value for record in taken(consumer, 2)] == [b"b", b"c"]
    consumer.close()


def test_two_members_share_the_partitions_and_one_that_leaves_gives_them_back(
    settings: Settings, new_topic: Callable[..., str]
) -> None:
    topic = new_topic(4)
    owners = [Owner(), Owner()]
    members = [BatchConsumer(settings.kafka, "test", [topic], owner.ownership()) for owner in owners]
    until = time.monotonic() + WAIT_SECONDS
    while sorted(len(owner.owned) for owner in owners) != [2, 2] and time.monotonic() < until:
        for member in members:
            member.take(10, 0.1)
    assert not owners[0].owned & owners[1].owned
    members[0].close()
    while len(owners[1].owned) < 4 and time.monotonic() < until:
        members[1].take(10, 0.1)
    assert len(owners[1].owned) == 4
    members[1].close()


class Asker(Owner):
    """Asks the group and the broker whenever partitions come and go, as the stages do."""

    consumer: BatchConsumer

    def gain(self, partitions: list[Partition]) -> dict[Partition, int | None]:
        for topic, partition in partitions:
            self.consumer.committed(topic, 4)
            self.consumer.bounds((topic, partition))
        return super().gain(partitions)

    def give_up(self, partitions: list[Partition]) -> None:
        self.consumer.commit({partition: Committed(0) for partition in partitions})
        super().give_up(partitions)


def test_a_member_that_leaves_in_a_rebalance_gives_up_its_partitions_in_two_parts(
    settings: Settings, new_topic: Callable[..., str], kind: Kind
) -> None:
    if kind == "embedded":
        pytest.skip("the embedded broker forgets a member that joins while another leaves")
    topic = new_topic(4)
    leaving, staying = Asker(), Owner()
    leaving.consumer = BatchConsumer(settings.kafka, "test", [topic], leaving.ownership())
    until = time.monotonic() + WAIT_SECONDS
    while len(leaving.owned) < 4 and time.monotonic() < until:
        leaving.consumer.take(10, 0.1)
    other = BatchConsumer(settings.kafka, "test", [topic], staying.ownership())
    for _ in range(20):  # in which the first is told to give up a half, and does not listen
        other.take(10, 0.1)
    leaving.consumer.close()  # the half that the rebalance takes, and the rest
    assert sorted(leaving.given_up) == [(topic, partition) for partition in range(4)]
    until = time.monotonic() + WAIT_SECONDS
    while len(staying.owned) < 4 and time.monotonic() < until:
        other.take(10, 0.1)
    assert len(staying.owned) == 4
    other.close()


def test_a_topic_that_is_missing_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(Unavailable, match="tidegauge topics create"):
        RowProducer(settings.kafka).partitions("no.such.topic")


def test_a_message_that_cannot_be_delivered_is_not_called_delivered() -> None:
    producer = RowProducer(Kafka(bootstrap_servers=f"127.0.0.1:{free_port()}"))
    producer.send("topic", b"value", partition=0)
    with pytest.raises(Unavailable):
        producer.flush(1.0)
