"""Servers for tests, the demo and a first day: a Kafka-protocol broker and a Redis-protocol store.

`start("embedded")` needs only the extra `embedded`; `start("real")` runs Apache Kafka (Java 17 and Maven)
and Redis 7 from the system. Both listen on loopback alone and end with the process that started them.

    with start("embedded") as servers:
        run(servers.bootstrap_servers, servers.redis_url)
        servers.store.kill()
        servers.store.start()
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Literal, Self

from tidegauge.servers.embedded import TANSU, VALKEY
from tidegauge.servers.real import KAFKA, REDIS
from tidegauge.servers.server import Server
from tidegauge.servers.spec import Place, PortTaken, Spec

__all__ = [
    "KAFKA",
    "KINDS",
    "REDIS",
    "TANSU",
    "VALKEY",
    "Kind",
    "Place",
    "PortTaken",
    "Server",
    "Servers",
    "Spec",
    "start",
]

Kind = Literal["embedded", "real"]

KINDS: dict[Kind, tuple[Spec, Spec]] = {"embedded": (TANSU, VALKEY), "real": (KAFKA, REDIS)}


class Servers:
    """A broker and a store, running until `close()`."""

    def __init__(self, broker: Server, store: Server) -> None:
        self.broker = broker
        self.store = store

    @property
    def bootstrap_servers(self) -> str:
        """What a Kafka client connects to."""
        return self.broker.address

    @property
    def redis_url(self) -> str:
        """What a Redis client connects to."""
        return f"redis://{self.store.address}/0"

    def close(self) -> None:
        """End both."""
        self.store.close()
        self.broker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def start(kind: Kind = "embedded") -> Servers:
    """Return a broker and a store of the kind, both ready; close them, or use them as a context.

    Raises Unavailable saying what to install, or why one did not come up; then neither is left running.
    """
    broker, store = (Server(spec) for spec in KINDS[kind])
    with ExitStack() as undo:
        undo.callback(store.close)
        undo.callback(broker.close)
        store.start()
        broker.start()
        undo.pop_all()
    return Servers(broker, store)
