"""Snapshots, epochs and public hashes on a real store."""

from __future__ import annotations

import pytest
import redis

from tidegauge import keys
from tidegauge.adapters.redis_state import RedisState
from tidegauge.config import Redis, Settings
from tidegauge.errors import SnapshotError, Unavailable, WentBack
from tidegauge.ports import Snapshot
from tidegauge.servers.ports import free_port


@pytest.fixture
def state(settings: Settings) -> RedisState:
    return RedisState(settings.redis)


def test_a_snapshot_comes_back_as_it_was_stored(state: RedisState) -> None:
    epoch = state.claim(3)
    assert state.load(3) is None
    assert state.save(3, epoch, Snapshot(17, b"\x00state"))
    assert state.load(3) == Snapshot(17, b"\x00state")


def test_a_former_owner_can_neither_store_nor_publish(state: RedisState) -> None:
    former = state.claim(0)
    newest = state.claim(0)
    assert not state.save(0, former, Snapshot(1, b"old"))
    assert not state.publish(0, former, {"tg:metrics:a:b": {"f1@1h": "0"}})
    assert state.save(0, newest, Snapshot(2, b"new"))
    assert state.publish(0, newest, {"tg:metrics:a:b": {"f1@1h": "1"}})
    assert state.load(0) == Snapshot(2, b"new")


def test_a_store_that_lost_what_was_published_is_noticed(state: RedisState, store: redis.Redis) -> None:
    epoch = state.claim(0)
    assert state.publish(0, epoch, {"tg:metrics:a:b": {"f1@1h": "1"}})
    assert state.publish(0, epoch, {"tg:metrics:a:b": {"f1@1h": "2"}})
    store.set("tgs:{0}:published", f"{epoch} 1")
    with pytest.raises(WentBack):
        state.publish(0, epoch, {"tg:metrics:a:b": {"f1@1h": "3"}})
    with pytest.raises(WentBack):
        state.save(0, epoch, Snapshot(1, b"state"))
    assert state.load(0) is None
    assert state.publish(0, state.claim(0), {"tg:metrics:a:b": {"f1@1h": "3"}})


def test_hashes_of_any_size_are_published_whole(state: RedisState, store: redis.Redis) -> None:
    wide = {f"feature-{number}.psi": f"{number / 7}" for number in range(9_001)}
    narrow = {"updated_ms": "1"}
    assert state.publish(
        0, state.claim(0), {"tg:drift:wide:v1": wide, "tg:none": {}, "tg:drift:b:v1": narrow}
    )
    found = store.hgetall("tg:drift:wide:v1")
    assert {field.decode(): text.decode() for field, text in found.items()} == wide
    assert store.hgetall("tg:drift:b:v1") == {b"updated_ms": b"1"}


def test_a_hash_of_many_fields_is_a_table_from_the_start(state: RedisState, store: redis.Redis) -> None:
    fields = {f"f{number}": "1" for number in range(200)}
    assert state.publish(0, state.claim(0), {"tg:metrics:a:b": fields, "tg:model:a": {"task": "binary"}})
    assert store.object("encoding", "tg:metrics:a:b") == b"hashtable"
    assert store.object("encoding", "tg:model:a") == b"listpack"
    assert len(store.hgetall("tg:metrics:a:b")) == 200


def test_an_epoch_is_never_given_out_twice_even_if_redis_forgets_it(
    state: RedisState, store: redis.Redis
) -> None:
    first = state.claim(0)
    store.delete("tgs:{0}:epoch")
    assert state.claim(0) > first


def test_a_damaged_snapshot_gives_way_to_the_one_before(state: RedisState, store: redis.Redis) -> None:
    epoch = state.claim(1)
    for offset in (1, 2):
        state.save(1, epoch, Snapshot(offset, b"state %d" % offset))
    store.hset("tgs:{1}", "state", b"stat")
    assert state.load(1) == Snapshot(1, b"state 1")
    store.hset("tgs:{1}:previous", "state", b"stat")
    with pytest.raises(SnapshotError):
        state.load(1)


def test_an_alert_is_active_until_it_is_resolved_and_is_logged_once(
    state: RedisState, store: redis.Redis
) -> None:
    for _ in range(2):
        state.log_alert("i1", b"fired", firing=True)
    assert store.hgetall(keys.ALERTS_ACTIVE) == {b"i1": b"fired"}
    state.log_alert("i1", b"over", firing=False)
    assert store.hgetall(keys.ALERTS_ACTIVE) == {}
    state.log_alert("i2", b"over before it was seen to fire", firing=False)
    state.log_alert("i2", b"fired late", firing=True)
    assert store.hgetall(keys.ALERTS_ACTIVE) == {}
    store.delete(keys.ALERTS_LOG)
    for _ in range(2):
        state.log_alert("i1", b"fired", firing=True)
        state.log_alert("i1", b"over", firing=False)
    assert store.lrange(keys.ALERTS_LOG, 0, -1) == [b"over", b"fired"]


def test_a_store_that_is_away_is_unavailable() -> None:
    state = RedisState(Redis(url=f"redis://127.0.0.1:{free_port()}/0", timeout_seconds=0.2))
    assert not state.ping()
    with pytest.raises(Unavailable):
        state.load(0)
