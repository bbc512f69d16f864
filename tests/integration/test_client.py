"""The client on a broker and a store: what is logged arrives, what is there is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.integration.messages import make_alert
from tidegauge import keys
from tidegauge.client import (
    AlertFollower,
    Confusion,
    LabelLogger,
    MetricReader,
    MetricValue,
    PredictionLogger,
)
from tidegauge.errors import ConfigError, Unavailable
from tidegauge.servers import Servers

NewTopic = Callable[..., str]


def read(servers: Servers, topic: str, count: int, partitions: int = 1) -> list[tuple[bytes, Any]]:
    consumer = Consumer({"bootstrap.servers": servers.bootstrap_servers, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    messages = consumer.consume(count, 10)
    consumer.close()
    return [(message.key() or b"", json.loads(message.value() or b"")) for message in messages]


def publish(servers: Servers, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": servers.bootstrap_servers})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(10) == 0


def encoded(*numbers: int) -> list[bytes]:
    return [msgspec.json.encode(make_alert(number)) for number in numbers]


def numbers(follower: AlertFollower, count: int) -> list[str]:
    alerts = iter(follower)
    return [next(alerts).message for _ in range(count)]


def test_predictions_and_labels_arrive_as_they_were_logged(servers: Servers, new_topic: NewTopic) -> None:
    predictions, labels = new_topic(), new_topic()
    with PredictionLogger(servers.bootstrap_servers, predictions) as log:
        log.log(prediction_id="42", model_id="m", model_version="1", prediction=1, features={"a": 0.5})
    with LabelLogger(servers.bootstrap_servers, labels) as label_log:
        label_log.log(prediction_id="42", label=0, labelled_at=1_769_846_400)
    assert (log.delivered, log.failed, log.dropped) == (1, 0, 0)
    event = {"prediction_id": "42", "model_id": "m", "model_version": "1", "prediction": 1}
    assert read(servers, predictions, 1) == [(b"42", {**event, "features": {"a": 0.5}})]
    label = {"prediction_id": "42", "label": 0, "labelled_at": 1_769_846_400}
    assert read(servers, labels, 1) == [(b"42", label)]


def test_a_topic_that_is_not_there_is_a_failure_that_is_reported(servers: Servers) -> None:
    lost: list[str] = []
    logger = LabelLogger(
        servers.bootstrap_servers,
        "no-such-topic-of-labels",
        on_failure=lambda event, why: lost.append(why),
        message_timeout_ms=2_000,
        allow_auto_create_topics=False,
        log_level=0,
    )
    logger.log(prediction_id="a", label=1)
    logger.flush(10)
    assert logger.delivered + logger.failed == 1
    assert len(lost) == logger.failed


def test_a_follower_from_the_beginning_sees_each_alert_once(servers: Servers, new_topic: NewTopic) -> None:
    topic = new_topic()
    publish(servers, topic, *encoded(1, 2, 1), b"not an alert", *encoded(2, 3))
    with AlertFollower(servers.bootstrap_servers, topic, "earliest") as follower:
        assert numbers(follower, 3) == ["number 1", "number 2", "number 3"]
        assert follower.poll(0.5) is None
        assert follower.unreadable == 1


def test_a_follower_from_now_sees_what_comes_after_it_started(servers: Servers, new_topic: NewTopic) -> None:
    topic = new_topic()
    publish(servers, topic, *encoded(1))
    with AlertFollower(servers.bootstrap_servers, topic) as follower:
        publish(servers, topic, *encoded(2))
        assert numbers(follower, 1) == ["number 2"]


def test_the_memory_of_ids_is_bounded(servers: Servers, new_topic: NewTopic) -> None:
    topic = new_topic()
    publish(servers, topic, *encoded(1, 2, 3, 3, 1))
    with AlertFollower(servers.bootstrap_servers, topic, "earliest", remember=2) as follower:
        assert numbers(follower, 4) == ["number 1", "number 2", "number 3", "number 1"]


def test_a_group_goes_on_after_the_last_alert_that_was_handled(servers: Servers, new_topic: NewTopic) -> None:
    topic = new_topic()
    publish(servers, topic, *encoded(1, 2, 3))
    group = f"group.{topic}"

    def follow() -> AlertFollower:
        return AlertFollower(servers.bootstrap_servers, topic, "earliest", group, session_timeout_ms=6_000)

    with follow() as follower:
        assert numbers(follower, 1) == ["number 1"]
    with pytest.raises(RuntimeError, match="while handling"), follow() as follower:
        assert numbers(follower, 1) == ["number 2"]
        raise RuntimeError("while handling")
    with follow() as follower:
        assert numbers(follower, 2) == ["number 2", "number 3"]


def test_following_a_topic_that_is_not_there_says_what_to_do(servers: Servers) -> None:
    with pytest.raises(Unavailable, match=r"topic nothing\.here does not exist"):
        AlertFollower(servers.bootstrap_servers, "nothing.here", allow_auto_create_topics=False)


def example(servers: Servers, number: int, **topics: str) -> str:
    """A Python example of the README, on the servers of this test."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)[number]
    code = code.replace("127.0.0.1:9092", servers.bootstrap_servers)
    code = code.replace("redis://127.0.0.1:6379/0", servers.redis_url)
    for call, topic in topics.items():
        code = code.replace(
            f'{call}("{servers.bootstrap_servers}"', f'{call}("{servers.bootstrap_servers}", "{topic}"'
        )
    return code


def test_the_example_that_produces_does(servers: Servers, new_topic: NewTopic) -> None:
    predictions, labels = new_topic(), new_topic()
    exec(example(servers, 0, PredictionLogger=predictions, LabelLogger=labels), {})
    ((_, prediction),) = read(servers, predictions, 1)
    ((_, label),) = read(servers, labels, 1)
    assert prediction["prediction_id"] == label["prediction_id"] == "f3c1e0de"


def test_the_example_that_subscribes_prints_an_alert(servers: Servers, new_topic: NewTopic) -> None:
    topic = new_topic()
    publish(servers, topic, *encoded(7))
    code = example(servers, 1, AlertFollower=topic).replace('group="', 'start="earliest", group="')

    def show(*words: str) -> None:
        raise StopIteration(words)

    with pytest.raises(StopIteration) as stop:
        exec(code, {"print": show})
    assert stop.value.args == (("firing", "churn", "v1", "number 7"),)


def test_the_example_that_reads_prints_a_metric(
    servers: Servers, store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    store.sadd(keys.MODELS, "churn")
    store.hset(keys.model_key("churn"), "versions", '["v1"]')
    store.hset(keys.metrics_key("churn", "v1"), mapping={"f1@24h": "0.75", "f1@24h.n": "12"})
    exec(example(servers, 2), {})
    assert capsys.readouterr().out == "churn v1 MetricValue(value=0.75, low=None, high=None, n=12)\n"


@pytest.fixture
def reader(servers: Servers, store: redis.Redis) -> Iterator[MetricReader]:
    with MetricReader(servers.redis_url) as reader:
        yield reader


def test_an_empty_store_reads_as_nothing(reader: MetricReader) -> None:
    assert reader.models() == []
    assert reader.versions("m") == []
    assert reader.metrics("m", "v") == {}
    assert reader.windows("m", "v") == []
    assert reader.segments("m", "v") == []
    assert reader.confusion("m", "v", "1h") is None
    assert reader.alerts_active() == reader.alerts_log() == []
    assert (reader.drift("m", "v"), reader.baseline("m", "v"), reader.workers()) == ({}, {}, {})
    assert reader.join() == ({}, {}, None)
    assert reader.join().missing() == {"predictions": 0, "labels": 0}


def test_metrics_are_read_by_window_and_segment_and_undefined_is_none(
    store: redis.Redis, reader: MetricReader
) -> None:
    fields = {
        "f1@1h": "0.75", "f1@1h.lo": "0.7", "f1@1h.hi": "0.8", "f1@1h.n": "412",
        "roc_auc@1h": "null", "roc_auc@1h.n": "0", "f1@24h": "0.5",
        "confusion@1h": '{"classes":["0","1"],"counts":[[3,1],[0,2]]}', keys.UPDATED: "5",
    }  # fmt: skip
    store.hset(keys.metrics_key("a:b", "v/1"), mapping=fields)
    store.hset(keys.metrics_key("a:b", "v/1", ("country", "New York")), mapping={"f1@1h": "0.1"})
    assert reader.metrics("a:b", "v/1", window="1h") == {
        "f1": MetricValue(0.75, 0.7, 0.8, 412),
        "roc_auc": MetricValue(None, None, None, 0),
    }
    assert set(reader.metrics("a:b", "v/1")) == {"f1@1h", "f1@24h", "roc_auc@1h"}
    assert reader.windows("a:b", "v/1") == ["1h", "24h"]
    assert reader.segments("a:b", "v/1") == [("country", "New York")]
    segment = reader.metrics("a:b", "v/1", ("country", "New York"), "1h")
    assert segment == {"f1": MetricValue(0.1, None, None, None)}
    assert reader.confusion("a:b", "v/1", "1h") == Confusion(["0", "1"], [[3, 1], [0, 2]])


def test_models_drift_baselines_and_history_are_read(store: redis.Redis, reader: MetricReader) -> None:
    store.sadd(keys.MODELS, "b", "a")
    model = {"task": "binary", "versions": '["1","2"]', "classes": '["0","1"]', "watermark_ms": "7"}
    store.hset(keys.model_key("a"), mapping=model)
    drift = {"age.psi": "0.3", "age.psi.verdict": "drift", "age.psi.moved_most": "7", "x.psi": "null"}
    store.hset(keys.drift_key("a", "1"), mapping=drift)
    store.hset(keys.baseline_key("a", "1"), mapping={"f1": "0.8"})
    carried = {"loss": "error", "after": "0.25", "city.split": '{"mix":0.1}'}
    store.hset(keys.attribution_key("a", "1"), mapping=carried)
    store.hset(keys.series_key("a", "1", 0), mapping={"3600000": '{"n":2}', "0": '{"n":1}'})
    assert reader.models() == ["a", "b"]
    assert reader.model("a")[:4] == ("binary", ["1", "2"], None, None)
    assert reader.drift("a", "1") == {
        "age.psi": 0.3, "age.psi.moved_most": "7", "age.psi.verdict": "drift", "x.psi": None
    }  # fmt: skip
    assert reader.baseline("a", "1") == {"f1": 0.8}
    assert reader.attribution("a", "1") == {"loss": "error", "after": 0.25, "city.split": {"mix": 0.1}}
    assert list(reader.series("a", "1", 0).items()) == [(0, {"n": 1}), (3_600_000, {"n": 2})]


def test_alerts_are_read_newest_first(store: redis.Redis, reader: MetricReader) -> None:
    for number in (1, 2, 3):
        text = msgspec.json.encode(make_alert(number, at_ms=number))
        store.lpush(keys.ALERTS_LOG, text)
        store.hset(keys.ALERTS_ACTIVE, f"incident-{number}", text)
    assert [alert.message for alert in reader.alerts_log(2)] == ["number 3", "number 2"]
    assert [alert.raised_at_ms for alert in reader.alerts_active()] == [3, 2, 1]


def test_counters_that_do_not_add_up_show_what_is_missing(store: redis.Redis, reader: MetricReader) -> None:
    counters = {"predictions.received": 10, "predictions.matched": 6, "predictions.waiting": 3}
    store.hset(keys.JOIN, mapping={**counters, "labels.received": 6, "labels.matched": 6, "watermark_ms": 9})
    found = reader.join()
    assert found.missing() == {"predictions": 1, "labels": 0}
    assert found.watermark_ms == 9


def test_a_store_out_of_reach_is_named_without_its_password() -> None:
    with MetricReader("redis://app:hunter2@127.0.0.1:1/0") as reader, pytest.raises(Unavailable) as error:
        reader.models()
    assert "redis://app:***@127.0.0.1:1/0" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_url_that_is_none_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="Redis URL"):
        MetricReader("127.0.0.1:6379")
