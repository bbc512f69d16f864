"""When a server cannot start, the error says why and what to do; nothing is left behind."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers import wire
from tidegauge.errors import Unavailable
from tidegauge.servers import KAFKA, REDIS, TANSU, VALKEY, PortTaken, Server, kafka_jars, server, start


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made in this test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_server_that_ends_at_once_is_reported_with_its_exit_code_and_log(scratch: Path) -> None:
    broken = Server(VALKEY, settings={"maxmemory-policy": "no-such-policy"})
    with pytest.raises(Unavailable, match=r"(?s)Valkey.*exit code 1.*maxmemory-policy"):
        broken.start()
    assert not broken.running
    assert list(scratch.iterdir()) == []


def test_a_server_that_never_answers_is_killed_and_reported(scratch: Path) -> None:
    mute = Server(replace(VALKEY, command=lambda place: ["sleep", "60"], ready_seconds=0.2))
    with pytest.raises(Unavailable, match=r"not ready after 0\.2 s: .*nobody listens"):
        mute.start()
    assert not mute.running
    assert list(scratch.iterdir()) == []


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match="/no/such/server: No such file"):
        Server(replace(VALKEY, command=lambda place: ["/no/such/server"])).start()


@pytest.mark.parametrize("spec", [TANSU, VALKEY])
def test_a_port_that_was_taken_meanwhile_is_left_for_another(
    spec: server.Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(spec) as holder:
        free = server.free_port()
        ports = itertools.chain([holder.place.port], itertools.repeat(free))
        monkeypatch.setattr(server, "free_port", lambda: next(ports))
        with Server(spec) as second:
            assert second.place.port == free
            assert holder.running


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    assert not any(server.cluster_id().startswith("-") for _ in range(2_000))


def test_five_taken_ports_are_reported(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    with Server(VALKEY) as holder:
        taken = holder.place.port
        monkeypatch.setattr(server, "free_port", lambda: taken)
        with pytest.raises(PortTaken, match=str(taken)):
            Server(VALKEY).start()


def test_a_pair_of_which_one_fails_leaves_none_running(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(TANSU, command=lambda place: ["false"])
    monkeypatch.setattr("tidegauge.servers.KINDS", {"embedded": (broken, VALKEY)})
    with pytest.raises(Unavailable, match="exit code 1"):
        start("embedded")
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "named"),
    [(KAFKA, "`java` on the PATH: install Java 17"), (REDIS, "`redis-server` is not on the PATH: install")],
)
def test_a_missing_program_is_named_with_what_to_install(
    spec: server.Spec, named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=named):
        Server(spec).start()


def program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_a_java_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path, "java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"Java 17 or later; .*11\.0\.2"):
        kafka_jars.java()


def test_a_redis_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path, "redis-server", "echo 'Redis server v=6.0.16 sha=0'")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"expected Redis 7 or later; .*v=6\.0\.16"):
        Server(REDIS).start()


def test_what_maven_says_is_passed_on_and_nothing_half_fetched_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path, "mvn", "echo 'cannot reach the repository'; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(Unavailable, match="cannot reach the repository"):
        kafka_jars.kafka_jars()
    assert list((tmp_path / "cache" / "tidegauge").iterdir()) == []


_CHILD = """
import sys, threading
from tidegauge.servers import Server, VALKEY
server = Server(VALKEY)
thread = threading.Thread(target=server.start)
thread.start(); thread.join()
print(server.address, server.place.data, flush=True)
sys.stdin.read()
"""


def test_a_server_outlives_the_thread_that_started_it_and_ends_with_a_process_that_is_killed() -> None:
    command = [sys.executable, "-c", _CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        address, data = parent.stdout.readline().split()
        assert wire.listens(address)
        parent.kill()
    assert within(5.0, lambda: not wire.listens(address))
    assert within(5.0, lambda: not Path(data).exists())


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
