"""What `Server` promises, on the servers of `--servers`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.servers import wire
from tidegauge.errors import Unavailable
from tidegauge.servers import KINDS, Kind, Server, Servers, start


def client(server: Server, seconds: float = 5.0) -> redis.Redis:
    return redis.Redis.from_url(f"redis://{server.address}/0", socket_timeout=seconds)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_started_broker_takes_a_message_and_gives_it_back(broker: Server) -> None:
    wire.create_topic(broker.address)
    wire.produce(broker.address, b"tide")
    assert wire.first(broker.address) == b"tide"


def test_a_started_store_takes_a_key_and_gives_it_back(store: Server) -> None:
    with client(store) as redis_client:
        redis_client.set("gauge", "3")
        assert redis_client.get("gauge") == b"3"


def test_a_store_never_evicts(store: Server) -> None:
    with client(store) as redis_client:
        assert redis_client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_servers_listen_on_loopback_alone(broker: Server, store: Server) -> None:
    assert broker.address.startswith("127.0.0.1:")
    with client(store) as redis_client:
        assert redis_client.config_get("bind") == {"bind": "127.0.0.1"}


def test_a_store_keeps_its_data_and_port_over_a_restart(store: Server) -> None:
    address = store.address
    with client(store) as redis_client:
        redis_client.set("gauge", "3")
        store.restart()
        assert store.address == address
        assert redis_client.get("gauge") == b"3"


def test_a_store_keeps_what_it_acknowledged_over_a_kill(store: Server) -> None:
    with client(store) as redis_client:
        redis_client.set("gauge", "3")
        store.kill()
        store.start()
        assert redis_client.get("gauge") == b"3"


def test_a_killed_broker_comes_back_on_its_port_with_what_it_persists(broker: Server) -> None:
    address = broker.address
    wire.create_topic(address)
    wire.produce(address, b"tide")
    broker.kill()
    assert not wire.listens(address)
    broker.start()
    assert broker.address == address
    assert (wire.TOPIC in wire.topics(address)) is broker.spec.persistent
    if broker.spec.persistent:
        assert wire.first(address) == b"tide"


@pytest.mark.parametrize("end", [Server.kill, Server.stop, Server.close])
def test_an_ended_server_is_gone(store: Server, end: Callable[[Server], None]) -> None:
    pid, address = store.pid, store.address
    end(store)
    assert not store.running
    assert is_gone(pid)
    assert not wire.listens(address)
    end(store)  # twice is once


def test_a_paused_store_is_silent_and_answers_when_resumed(store: Server) -> None:
    with client(store, seconds=0.3) as redis_client:
        store.pause()
        with pytest.raises(redis.TimeoutError):
            redis_client.ping()
        store.resume()
        assert redis_client.ping()


def test_a_paused_server_can_be_stopped(store: Server) -> None:
    pid = store.pid
    store.pause()
    store.stop()
    assert is_gone(pid)


def test_what_ended_by_itself_is_not_running_and_can_be_started_again(store: Server) -> None:
    pid = store.pid
    with client(store) as redis_client:
        redis_client.shutdown()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not store.running
    with pytest.raises(Unavailable, match="is not running"):
        store.pause()
    store.start()
    assert store.running


def test_a_temporary_directory_is_removed(store: Server) -> None:
    data = store.place.data
    assert data.is_dir()
    store.close()
    assert not data.exists()


def test_a_directory_that_was_given_stays_with_its_data(kind: Kind, tmp_path: Path) -> None:
    with Server(KINDS[kind][1], data=tmp_path / "data") as server, client(server) as redis_client:
        redis_client.set("gauge", "3")
    with Server(KINDS[kind][1], data=tmp_path / "data") as server, client(server) as redis_client:
        assert redis_client.get("gauge") == b"3"


def test_settings_reach_the_server(kind: Kind) -> None:
    with Server(KINDS[kind][1], settings={"appendfsync": "always"}) as server, client(server) as redis_client:
        assert redis_client.config_get("appendfsync") == {"appendfsync": "always"}


def test_the_session_s_pair_answers_at_the_addresses_it_gives(servers: Servers) -> None:
    assert wire.topics(servers.bootstrap_servers) is not None
    with redis.Redis.from_url(servers.redis_url) as redis_client:
        assert redis_client.ping()


def test_a_pair_ends_with_its_context(kind: Kind) -> None:
    with start(kind) as pair:
        pids = [pair.broker.pid, pair.store.pid]
    assert all(map(is_gone, pids))
