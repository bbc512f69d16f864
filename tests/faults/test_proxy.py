"""The proxy forwards, cuts, stalls and switches."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy
from tidegauge.servers.ports import free_port

_SECONDS = 5.0
_SHORT_SECONDS = 0.1


class Echo:
    """A server that says its name, then returns what it is sent."""

    def __init__(self, name: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._name = name
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(client)
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        try:
            client.sendall(self._name)
            while data := client.recv(1_024):
                client.sendall(data)
        except OSError:
            return


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo(b"a")
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=_SECONDS)


def received(client: socket.socket) -> bytes:
    """Return what a connection brings, nothing where it was closed or reset."""
    try:
        return client.recv(1)
    except ConnectionResetError:
        return b""


def greeted(proxy: Proxy) -> bytes:
    """Return what a new connection is told, nothing where it is refused."""
    try:
        with connect(proxy) as client:
            return client.recv(1)
    except OSError:
        return b""


def test_bytes_go_there_and_back(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert client.recv(1) == b"a"
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"


def test_a_cut_resets_old_and_new_connections_until_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert client.recv(1) == b"a"
        proxy.cut()
        assert not received(client)
    assert greeted(proxy) == b""
    proxy.heal()
    assert greeted(proxy) == b"a"


def test_a_stall_holds_bytes_back_until_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert client.recv(1) == b"a"
        proxy.stall()
        client.sendall(b"x")
        client.settimeout(_SHORT_SECONDS)
        with pytest.raises(TimeoutError):
            client.recv(1)
        proxy.heal()
        client.settimeout(_SECONDS)
        assert client.recv(1) == b"x"


def test_stalled_bytes_are_lost_where_the_connection_is_dropped(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert client.recv(1) == b"a"
        proxy.stall()
        client.sendall(b"x")
        proxy.drop()
        proxy.heal()
        assert not received(client)


def test_new_connections_go_to_the_server_that_was_switched_to(proxy: Proxy) -> None:
    other = Echo(b"b")
    assert greeted(proxy) == b"a"
    proxy.switch(other.port)
    assert greeted(proxy) == b"b"
    other.close()


def test_without_a_server_behind_it_connections_are_refused(proxy: Proxy) -> None:
    proxy.switch(free_port())
    assert greeted(proxy) == b""
