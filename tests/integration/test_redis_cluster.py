"""On a Redis Cluster of three nodes the join is as exact as on one server, and so is what follows."""

from __future__ import annotations

import gc
import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from msgspec.structs import replace

from tests.integration.cluster import await_agreement, cluster
from tests.integration.test_worker import adds_up, expect, received, stream
from tests.integration.worker import counters, produce, stop, wait_for, worker
from tests.test_join import labelled, predicted
from tidegauge import keys
from tidegauge.adapters.redis_state import RedisState
from tidegauge.adapters.redis_window import RedisWindow
from tidegauge.client import MetricReader
from tidegauge.config import Join, Monitor, Redis, Settings
from tidegauge.errors import ConfigError, Unavailable, WentBack
from tidegauge.join import Arrival, MemoryWindow, Rules, Verdict
from tidegauge.ports import Snapshot
from tidegauge.servers import Kind, Server
from tidegauge.servers.ports import free_port

SHARDS = 16


@pytest.fixture(scope="module")
def nodes(kind: Kind) -> Iterator[list[Server]]:
    with cluster(kind) as running:
        yield running
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()  # redis-py leaves connections to a node that came back open


@pytest.fixture
def url(nodes: list[Server]) -> str:
    return f"redis+cluster://{nodes[1].address}"


@pytest.fixture
def spread(nodes: list[Server]) -> Iterator[redis.RedisCluster]:
    """A client of the cluster, which is empty."""
    client = redis.RedisCluster(host="127.0.0.1", port=nodes[0].place.port)
    client.flushall()
    client.script_flush()
    yield client
    client.close()


@pytest.fixture
def window(url: str, spread: redis.RedisCluster) -> Iterator[RedisWindow]:
    opened = RedisWindow.connect(url, Rules(100, 10), SHARDS, 4, timeout_seconds=1.0)
    yield opened
    opened.close()


@pytest.fixture
def state(url: str, spread: redis.RedisCluster) -> Iterator[RedisState]:
    opened = RedisState(Redis(url=url))
    yield opened
    opened.close()


def arrivals(count: int, seed: int) -> list[Arrival]:
    """Return predictions and labels in a random order, some of them twice, some beyond the horizon."""
    draw = random.Random(seed)
    offsets = [0, 0]
    came = []
    for _ in range(count):
        name, side = f"p{draw.randrange(count // 3)}", draw.randrange(2)
        offset, offsets[side] = offsets[side], offsets[side] + 1
        at_ms = draw.randrange(150)
        came.append(
            labelled(offset, at_ms, draw.choice([b"0", b"1"]), name)
            if side
            else predicted(offset, at_ms, name)
        )
    return came


def test_the_window_of_a_cluster_gives_the_answers_of_the_window_in_memory(
    window: RedisWindow, spread: redis.RedisCluster
) -> None:
    memory, came = MemoryWindow(Rules(100, 10)), arrivals(3_000, seed=1)
    for start in range(0, len(came), 250):
        batch = came[start : start + 250]
        assert window.apply(batch, start // 50) == memory.apply(batch, start // 50)
        assert window.applied() == memory.applied()
        assert window.watermark({"p-0": start}) == memory.watermark({"p-0": start})
        again = came[max(0, start - 100) : start + 250]
        assert [one.verdict for one in window.apply(again, 0)] == [
            one.verdict for one in memory.apply(again, 0)
        ]
    while not window.sweep(10_000, 4):
        pass
    memory.sweep(10_000)
    assert window.counters() == memory.counters()
    assert sorted(window.outbox(10_000)) == sorted(memory.outbox(10_000))
    window.acknowledge(window.outbox(10_000))
    assert window.outbox() == []


def test_the_window_lies_on_every_node(
    window: RedisWindow, spread: redis.RedisCluster, nodes: list[Server]
) -> None:
    window.apply([predicted(offset, 0, str(offset)) for offset in range(500)], 0)
    for node in nodes:
        with redis.Redis(port=node.place.port) as client:
            assert any(b":b:" in key for key in client.keys("tgw:*"))


def test_a_node_that_is_away_is_unavailable_and_the_batch_is_sent_again(
    window: RedisWindow, nodes: list[Server]
) -> None:
    came = [predicted(offset, 0, str(offset)) for offset in range(200)]
    window.apply(came[:100], 0)
    nodes[2].pause()
    try:
        with pytest.raises(Unavailable):
            window.apply(came[100:], 0)
    finally:
        nodes[2].resume()
    await_agreement(nodes)
    window.apply(came[100:], 0)
    counted = window.counters()
    assert (counted["predictions.received"], counted["predictions.waiting"]) == (200, 200)


def test_a_node_that_forgot_the_script_is_given_it_again(window: RedisWindow, nodes: list[Server]) -> None:
    window.apply([predicted(offset, 0, str(offset)) for offset in range(50)], 0)
    with redis.Redis(port=nodes[0].place.port) as client:
        client.script_flush()
    found = window.apply([predicted(offset, 0, str(offset)) for offset in range(50, 100)], 0)
    assert {one.verdict for one in found} == {Verdict.WAITING}


def test_a_node_that_restarted_is_not_taken_for_what_it_was(
    window: RedisWindow, spread: redis.RedisCluster, nodes: list[Server]
) -> None:
    before = window.recognise()
    window.apply([predicted(offset, 0, str(offset)) for offset in range(100)], 0)
    nodes[1].restart()
    await_agreement(nodes)
    more = [predicted(offset, 0, str(offset)) for offset in range(100, 200)]
    with pytest.raises((WentBack, Unavailable)):  # the first call may find the old connection closed
        window.apply(more, 0)
    with pytest.raises(WentBack):
        window.apply(more, 0)
    assert window.counters()["predictions.received"] < 200
    assert window.recognise() != before
    window.apply(more, 0)
    assert window.counters()["predictions.received"] == 200


def test_a_former_owner_can_neither_store_nor_publish(state: RedisState) -> None:
    former, newest = state.claim(0), state.claim(0)
    writes = {f"tg:metrics:m{number}:v1": {"f1@1h": "1"} for number in range(20)}
    assert not state.save(0, former, Snapshot(1, b"old"))
    assert not state.publish(0, former, writes)
    assert state.save(0, newest, Snapshot(2, b"new"))
    assert state.publish(0, newest, writes)
    assert state.publish(0, newest, writes)
    assert state.load(0) == Snapshot(2, b"new")


def test_a_cluster_that_lost_what_was_published_is_noticed(
    state: RedisState, spread: redis.RedisCluster
) -> None:
    epoch = state.claim(0)
    assert state.publish(0, epoch, {"tg:metrics:a:b": {"f1@1h": "1"}})
    assert state.publish(0, epoch, {"tg:metrics:a:b": {"f1@1h": "2"}})
    spread.set("tgs:{0}:published", f"{epoch} 1")
    with pytest.raises(WentBack):
        state.publish(0, epoch, {"tg:metrics:a:b": {"f1@1h": "3"}})
    spread.delete("tgs:{0}:published")
    with pytest.raises(WentBack):
        state.publish(0, epoch, {"tg:metrics:a:b": {"f1@1h": "3"}})
    assert state.publish(0, state.claim(0), {"tg:metrics:a:b": {"f1@1h": "3"}})


def test_an_alert_is_active_until_it_is_resolved_and_is_logged_once(
    state: RedisState, spread: redis.RedisCluster
) -> None:
    for _ in range(2):
        state.log_alert("i1", b"fired", firing=True)
    assert spread.hgetall(keys.ALERTS_ACTIVE) == {b"i1": b"fired"}
    state.log_alert("i1", b"over", firing=False)
    state.log_alert("i2", b"over before it was seen to fire", firing=False)
    state.log_alert("i2", b"fired late", firing=True)
    assert spread.hgetall(keys.ALERTS_ACTIVE) == {}
    assert spread.lrange(keys.ALERTS_LOG, 0, -1) == [
        b"fired late",
        b"over before it was seen to fire",
        b"over",
        b"fired",
    ]


def test_a_worker_on_a_cluster_counts_every_event_once_over_a_restart(
    url: str, spread: redis.RedisCluster, settings: Settings, tmp_path: Path
) -> None:
    on_cluster = replace(
        settings,
        redis=Redis(url=url),
        join=Join(batch=200, shards=SHARDS, buckets=8),
        monitor=Monitor(publish_seconds=0.1, snapshot_seconds=0.3, baseline_outcomes=200),
    )
    events, truth = stream(1_500, seed=2)
    log = tmp_path / "worker.log"
    half = len(events) // 2
    with worker(on_cluster, log) as process:
        produce(on_cluster, events[:half])
        wait_for(lambda: received(spread, events[:half]), log)
        assert stop(process) == 0, log.read_text()[-3_000:]
    with worker(on_cluster, log) as process:
        produce(on_cluster, events[half:])
        wait_for(lambda: received(spread, events) and expect(spread, truth), log)
        assert stop(process) == 0, log.read_text()[-3_000:]
    found = counters(spread)
    assert adds_up(found)
    assert found["predictions.matched"] == len(truth)
    with MetricReader(url) as reader:
        assert reader.models() == ["churn"]
        assert reader.metrics("churn", "v1", window="7d")["accuracy"].value is not None
        assert reader.segments("churn", "v1") == []


def test_a_cluster_out_of_reach_is_unavailable_and_an_unusable_url_is_named() -> None:
    with pytest.raises(Unavailable, match="Redis Cluster at"):
        RedisState(Redis(url=f"redis+cluster://127.0.0.1:{free_port()}", timeout_seconds=0.2))
    with pytest.raises(ConfigError, match=r"redis\.url"):
        RedisState(Redis(url="cluster://127.0.0.1:7000"))
