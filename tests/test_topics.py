"""Topics outlive what is built from them."""

from __future__ import annotations

import pytest

from tidegauge.config import Join, Limits, Monitor, Settings, Topics
from tidegauge.topics import Topic, differences, wanted

HOUR_MS = 3_600_000


def by_name(settings: Settings) -> dict[str, Topic]:
    return {topic.name: topic for topic in wanted(settings)}


def test_every_topic_of_the_settings_is_wanted_once() -> None:
    names = Topics(predictions="p", labels="l", observations="o", deadletter="d", control="c", alerts="a")
    topics = wanted(Settings(topics=names))
    assert [topic.name for topic in topics] == ["p", "l", "o", "d", "c", "a"]
    assert [topic.partitions for topic in topics] == [4, 4, 4, 1, 1, 1]


def test_observations_may_have_fewer_partitions_than_the_inputs() -> None:
    topics = by_name(Settings(topics=Topics(partitions=8, observation_partitions=1)))
    assert {name: topic.partitions for name, topic in topics.items() if topic.partitions > 1} == {
        "predictions": 8,
        "labels": 8,
    }


def test_inputs_outlive_the_horizon() -> None:
    topics = by_name(Settings(join=Join(horizon_seconds=90 * 86_400)))
    for name in ("predictions", "labels", "tidegauge.observations"):
        assert (topics[name].retention_ms or 0) > 90 * 24 * HOUR_MS


def test_observations_outlive_the_longest_window() -> None:
    settings = Settings(join=Join(horizon_seconds=60), monitor=Monitor(time_windows=("1h", "30d")))
    assert (by_name(settings)["tidegauge.observations"].retention_ms or 0) > 30 * 24 * HOUR_MS


def test_nothing_is_compacted() -> None:
    assert {topic.config["cleanup.policy"] for topic in wanted(Settings())} == {"delete"}


def test_a_dead_letter_has_room_for_the_largest_event_in_base64() -> None:
    limits = Limits(message_bytes=3_000_000)
    letters = by_name(Settings(limits=limits))["tidegauge.deadletter"]
    assert int(letters.config["max.message.bytes"]) > 3_000_000 * 4 / 3


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Topic("t", 2, {}), "has 2 partitions, wanted 4"),
        (Topic("t", 4, {"cleanup.policy": "compact,delete"}), "compacted"),
        (Topic("t", 4, {"retention.ms": str(HOUR_MS)}), "keeps records for 1 h, wanted 10 h"),
        (Topic("t", 4, {"max.message.bytes": "10"}), "takes 10 bytes a message, wanted 100"),
    ],
)
def test_a_topic_that_falls_short_is_told_how(found: Topic, says: str) -> None:
    topic = Topic("t", 4, {"retention.ms": str(10 * HOUR_MS), "max.message.bytes": "100"})
    (line,) = differences(topic, found)
    assert says in line


@pytest.mark.parametrize(
    "config", [{}, {"retention.ms": "-1"}, {"retention.ms": str(20 * HOUR_MS), "max.message.bytes": "200"}]
)
def test_a_topic_with_more_than_is_wanted_is_fine(config: dict[str, str]) -> None:
    topic = Topic("t", 4, {"retention.ms": str(10 * HOUR_MS), "max.message.bytes": "100"})
    assert differences(topic, Topic("t", 4, config)) == []
