"""Commands on a broker and a store, as a user sees them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition

from tidegauge import keys
from tidegauge.cli import main
from tidegauge.cli.exits import Exit
from tidegauge.config import Settings
from tidegauge.records import Alert, Evidence
from tidegauge.servers import Servers

Capture = pytest.CaptureFixture[str]

ALERT = Alert(
    alert_id="a",
    incident_id="i",
    status="firing",
    kind="drift",
    drift_type="data_drift",
    rule="psi",
    model_id="churn",
    model_version="v1",
    segment="country=FR",
    raised_at_ms=1_357_000_000_000,
    opened_at_ms=1_357_000_000_000,
    message="PSI of feature age over the last 24h is 0.31",
    evidence=Evidence(metric="psi", window="24h", n=700, current=0.31, threshold=0.2, feature="age"),
)


@pytest.fixture
def environment(
    servers: Servers, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The settings of this test, as commands find them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS", servers.bootstrap_servers)
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", servers.redis_url)
    for name in ("predictions", "labels", "observations", "deadletter", "control", "alerts"):
        monkeypatch.setenv(f"TIDEGAUGE_TOPICS__{name.upper()}", getattr(settings.topics, name))


@pytest.fixture
def new_names(environment: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of topics that do not exist."""
    names = ("predictions", "labels", "observations", "deadletter", "control", "alerts")
    made = [f"{name}.{uuid.uuid4().hex[:8]}" for name in names]
    for name, topic in zip(names, made, strict=True):
        monkeypatch.setenv(f"TIDEGAUGE_TOPICS__{name.upper()}", topic)
    return made


@pytest.fixture
def state(environment: None, store: redis.Redis) -> Iterator[redis.Redis]:
    """A store with a model, counters that add up, an alert and a worker."""
    store.sadd(keys.MODELS, "churn")
    store.hset(keys.model_key("churn"), mapping={"task": "binary", "versions": '["v1"]'})
    metrics = {"f1@1h": "0.75", "f1@1h.lo": "0.7", "f1@1h.hi": "0.8", "f1@1h.n": "412", "roc_auc@1h": "null"}
    store.hset(keys.metrics_key("churn", "v1"), mapping={**metrics, "n@1h": "412.0", "coverage@1h": "0.5"})
    counters = {"predictions.received": 3, "predictions.matched": 2, "predictions.waiting": 1}
    store.hset(keys.JOIN, mapping={**counters, "labels.received": 2, "labels.matched": 2})
    store.hset(keys.ALERTS_ACTIVE, "i", msgspec.json.encode(ALERT))
    store.lpush(keys.ALERTS_LOG, msgspec.json.encode(ALERT))
    worker = {"roles": ["join"], "processed": {"join": 5}, "seen_ms": 0, "trouble": {"join": "no broker"}}
    store.hset(keys.WORKERS, "host:1", json.dumps(worker))
    yield store


def test_topics_are_created_once_and_doctor_agrees(new_names: list[str], capsys: Capture) -> None:
    assert main(["doctor", "--json"]) == Exit.UNUSABLE
    missing = [
        finding["subject"] for finding in json.loads(capsys.readouterr().out) if finding["level"] == "fail"
    ]
    assert missing == [f"topic {name}" for name in new_names]
    assert main(["topics", "create", "--json"]) == Exit.OK
    created = json.loads(capsys.readouterr().out)
    assert (sorted(created["created"]), created["existing"]) == (sorted(new_names), [])
    assert main(["topics", "create", "--json"]) == Exit.OK
    again = json.loads(capsys.readouterr().out)
    assert (again["created"], again["existing"], again["differing"]) == ([], sorted(new_names), {})
    assert main(["doctor", "--json"]) == Exit.OK
    assert {finding["level"] for finding in json.loads(capsys.readouterr().out)} <= {"ok", "note"}


def test_a_topic_with_other_partitions_is_a_warning(
    new_names: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["topics", "create"]) == Exit.OK
    monkeypatch.setenv("TIDEGAUGE_TOPICS__PARTITIONS", "8")
    capsys.readouterr()
    assert main(["topics", "create"]) == Exit.OK
    assert capsys.readouterr().out.count("has 4 partitions, wanted 8") == 3
    assert main(["doctor"]) == Exit.FOUND
    assert "3 to look at" in capsys.readouterr().out


def test_rebuild_removes_what_workers_keep_for_themselves_and_only_when_told(
    state: redis.Redis, settings: Settings, capsys: Capture
) -> None:
    kept = {"tgw:{0}:b:1", "tgw:{0}:applied", "tgs:{1}"}
    for name in (*kept, "tgw:versions", "tgs:resolved"):
        state.set(name, "x")
    before = set(state.keys())
    assert main(["rebuild"]) == Exit.OK
    assert "nothing is removed" in capsys.readouterr().out
    assert set(state.keys()) == before
    assert main(["rebuild", "--yes", "--json"]) == Exit.OK
    said = json.loads(capsys.readouterr().out)
    assert said["keys_removed"] == {"window": 2, "snapshots": 1}
    topics = settings.topics
    assert said["records"] == {topics.predictions: 0, topics.labels: 0, topics.observations: 0}
    assert {name.encode() for name in kept} == before - set(state.keys())


def test_doctor_finds_an_eviction_policy(state: redis.Redis, capsys: Capture) -> None:
    state.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert main(["doctor"]) == Exit.UNUSABLE
    finally:
        state.config_set("maxmemory-policy", "noeviction")
    assert "CONFIG SET maxmemory-policy noeviction" in capsys.readouterr().out


def test_status_shows_metrics_counters_alerts_and_workers(state: redis.Redis, capsys: Capture) -> None:
    assert main(["status", "--once"]) == Exit.OK
    out = capsys.readouterr().out
    for text in (
        "churn v1  binary",
        "0.750 ±0.050",
        "50.0%",
        "3 received = 2 matched + 1 waiting",
        "firing",
        "country=FR",
        "join: no broker",
    ):
        assert text in out
    assert out.count("adds up") == 2


def test_status_as_json_has_null_for_what_is_undefined(state: redis.Redis, capsys: Capture) -> None:
    assert main(["status", "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    (version,) = found["models"][0]["versions"]
    assert version["windows"]["1h"]["f1"] == {"value": 0.75, "low": 0.7, "high": 0.8, "n": 412}
    assert version["windows"]["1h"]["roc_auc"]["value"] is None
    assert found["alerts"] == [msgspec.to_builtins(ALERT)]


def test_status_shows_one_model_where_it_is_named(state: redis.Redis, capsys: Capture) -> None:
    state.sadd(keys.MODELS, "other")
    assert main(["status", "--json", "--model", "churn"]) == Exit.OK
    assert [model["model_id"] for model in json.loads(capsys.readouterr().out)["models"]] == ["churn"]


def test_counters_that_do_not_add_up_are_found(state: redis.Redis, capsys: Capture) -> None:
    state.hset(keys.JOIN, "labels.received", 3)
    assert main(["status", "--once"]) == Exit.FOUND
    assert "off by +1" in capsys.readouterr().out


def test_alerts_are_told_in_words_and_numbers(state: redis.Redis, capsys: Capture) -> None:
    assert main(["alerts"]) == Exit.OK
    out = capsys.readouterr().out
    assert "2013-01-01 00:26:40Z  churn v1 country=FR  data drift · psi" in out
    assert ALERT.message in out
    assert "age.psi@24h = 0.3100 · threshold 0.2000 · n 700" in out


def test_alerts_as_json_are_one_a_line(state: redis.Redis, capsys: Capture) -> None:
    assert main(["alerts", "--json", "--active"]) == Exit.OK
    assert msgspec.json.decode(capsys.readouterr().out, type=Alert) == ALERT


def test_no_alerts_are_said_so(environment: None, capsys: Capture) -> None:
    assert main(["alerts"]) == Exit.OK
    assert capsys.readouterr().out == "no alerts\n"


def test_following_prints_each_alert_once_until_interrupted(
    servers: Servers, environment: None, settings: Settings
) -> None:
    producer = Producer({"bootstrap.servers": servers.bootstrap_servers})
    for _ in range(2):
        producer.produce(settings.topics.alerts, msgspec.json.encode(ALERT))
    producer.produce(
        settings.topics.alerts, msgspec.json.encode(msgspec.structs.replace(ALERT, alert_id="b"))
    )
    assert producer.flush(10) == 0
    command = [sys.executable, "-m", "tidegauge.cli", "alerts", "--follow", "--from-beginning", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        ids = [json.loads(follower.stdout.readline())["alert_id"] for _ in range(2)]
        follower.send_signal(signal.SIGINT)
        rest = follower.stdout.read()
    assert (ids, rest, follower.returncode) == (["a", "b"], "", Exit.OK)


def test_a_simulation_is_sent_and_the_same_seed_sends_the_same(
    servers: Servers, environment: None, settings: Settings, capsys: Capture
) -> None:
    flags = [
        "--seconds",
        "20",
        "--rate",
        "50",
        "--models",
        "2",
        "--fast",
        "--mischief",
        "none",
        "--seed",
        "7",
        "--json",
    ]
    assert main(["simulate", *flags]) == Exit.OK
    sent = json.loads(capsys.readouterr().out)["sent"]
    assert sent == 2_000
    assert main(["simulate", *flags]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["sent"] == sent
    for topic in (settings.topics.predictions, settings.topics.labels):
        values = values_of(servers, topic, settings.topics.partitions)
        assert len(values) == sent
        assert set(Counter(json.loads(v)["prediction_id"] for v in values).values()) == {2}


def values_of(servers: Servers, topic: str, partitions: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": servers.bootstrap_servers, "group.id": "values"})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    values = [message.value() or b"" for message in consumer.consume(10_000, 3)]
    consumer.close()
    return values


def test_a_simulation_in_its_own_time_takes_it(environment: None, capsys: Capture) -> None:
    began = time.monotonic()
    flags = ["--seconds", "1", "--rate", "100", "--label-delay", "0.05", "--task", "binary", "--models", "1"]
    assert main(["simulate", *flags]) == Exit.OK
    assert time.monotonic() - began > 0.9
    assert capsys.readouterr().out.endswith("events sent\n")


@pytest.mark.parametrize("flag", ["--seconds", "--rate", "--models", "--label-delay"])
def test_a_simulation_of_nothing_is_unusable(environment: None, capsys: Capture, flag: str) -> None:
    assert main(["simulate", flag, "0"]) == Exit.UNUSABLE
    assert f"{flag}: expected a number above 0, got 0" in capsys.readouterr().err
