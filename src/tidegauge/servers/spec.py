"""What a kind of server is: how to launch it and how to ask whether it is ready."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegauge.errors import Unavailable

HOST = "127.0.0.1"


class PortTaken(Unavailable):
    """Another process has the port that this server was to listen on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server runs. It keeps its place over a restart."""

    port: int
    data: Path  # its directory, which is also its working directory
    cluster: str  # tells this broker from any other that might answer on the port
    settings: Mapping[str, str]  # on top of the kind's own, in the server's own words

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        return self.data / "server.log"


@dataclass(frozen=True, slots=True)
class Spec:
    """A kind of server.

    `command` prepares the place's directory and returns the command line. `probe` is given the place
    and the process id; it returns once the server answers its protocol, and raises Unavailable until then.
    """

    name: str
    command: Callable[[Place], list[str]]
    probe: Callable[[Place, int], None]
    ready_seconds: float  # from launch to the first answer, at most
    stop_seconds: float  # from SIGTERM to its end; then it is killed
    persistent: bool  # whether a restart finds the data again
