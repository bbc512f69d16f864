"""A Redis Cluster of three nodes on loopback, made of nothing but the servers' own commands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import redis

from tidegauge.servers import KINDS, Kind, Server
from tidegauge.servers.ports import free_port

SLOTS = 16_384
NODES = 3
_AGREE_SECONDS = 30


@contextmanager
def cluster(kind: Kind) -> Iterator[list[Server]]:
    """Run the nodes; each has a third of the slots, and all agree on that."""
    with ExitStack() as running:
        nodes = [running.enter_context(Server(KINDS[kind][1], settings=_settings())) for _ in range(NODES)]
        clients = [running.enter_context(redis.Redis(port=node.place.port)) for node in nodes]
        for number, client in enumerate(clients):
            first, end = SLOTS * number // NODES, SLOTS * (number + 1) // NODES
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
        for node in nodes[1:]:
            bus = int(node.place.settings["cluster-port"])
            clients[0].execute_command("CLUSTER MEET", "127.0.0.1", node.place.port, bus)
        await_agreement(nodes)
        yield nodes


def _settings() -> dict[str, str]:
    return {
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "cluster-node-timeout": "2000",
    }


def await_agreement(nodes: list[Server]) -> None:
    """Return when every node says that the cluster is whole."""
    until = time.monotonic() + _AGREE_SECONDS
    with ExitStack() as opened:
        clients = [opened.enter_context(redis.Redis(port=node.place.port)) for node in nodes]
        while not all(_agrees(client) for client in clients):
            assert time.monotonic() < until, [client.execute_command("CLUSTER INFO") for client in clients]
            time.sleep(0.05)


def _agrees(client: redis.Redis) -> bool:
    info: Any = client.execute_command("CLUSTER INFO")
    ranges: Any = client.execute_command("CLUSTER SLOTS")
    return info["cluster_state"] == "ok" and len({served[0] for served in _ranges(ranges)}) == NODES


def _ranges(reply: Any) -> list[Any]:
    """Return the ranges of slots, however the client's version lays them out."""
    return list(reply) if isinstance(reply, dict) else reply
