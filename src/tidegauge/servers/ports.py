"""Free ports on the loopback interface."""

from __future__ import annotations

import random
import socket

from tidegauge.servers.spec import HOST

# Below the range from which Linux (32768) and macOS (49152) take the port of an outgoing connection:
# while a server is down, a client that keeps trying to reconnect could otherwise be given the very port
# as its own, connect to itself, and keep the server from coming back.
_FIRST, _LAST = 10_240, 32_767


def is_free(port: int) -> bool:
    """Tell whether nothing listens on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that was free when it was looked at; another process may take it before its use."""
    numbers = random.SystemRandom()  # a seeded test must not make two runs choose alike
    while not is_free(port := numbers.randint(_FIRST, _LAST)):
        pass
    return port
