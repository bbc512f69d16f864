"""A TCP proxy on loopback that can cut, stall, and switch to another server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from tidegauge.servers.ports import free_port

_HOST = "127.0.0.1"
_READ_BYTES = 65_536

T = TypeVar("T")


class Proxy:
    """Forwards one port to an upstream, from a thread of its own.

    `cut()` resets every connection and new ones, as a dead host's router would; `stall()` lets bytes
    vanish into waiting, as a lost link does. `heal()` ends both: stalled bytes then go on their way.
    """

    def __init__(self, upstream_port: int | None = None) -> None:
        self.port = free_port()
        self.upstream_port = upstream_port
        self._open: set[asyncio.StreamWriter] = set()
        self._down = False
        self._loop = asyncio.new_event_loop()
        self._flow = asyncio.Event()
        self._flow.set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(lambda: asyncio.start_server(self._serve, _HOST, self.port))

    @property
    def address(self) -> str:
        return f"{_HOST}:{self.port}"

    def switch(self, upstream_port: int) -> None:
        """Send new connections to another port; those there are keep theirs."""
        self.upstream_port = upstream_port

    def drop(self) -> None:
        """Reset every connection, with the bytes that wait in it; new ones are welcome."""
        self._do(self._drop)

    def cut(self) -> None:
        """Reset every connection, and each new one, until `heal()`."""
        self._down = True
        self.drop()

    def stall(self) -> None:
        """Forward nothing until `heal()`; connections stay open."""
        self._loop.call_soon_threadsafe(self._flow.clear)

    def heal(self) -> None:
        """Forward again."""
        self._down = False
        self._loop.call_soon_threadsafe(self._flow.set)

    def close(self) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _do(self, work: Callable[[], Awaitable[T]]) -> T:
        async def run() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _drop(self) -> None:
        for writer in [*self._open]:
            writer.transport.abort()

    async def _end(self) -> None:
        # in the loop's own thread: a connection may be leaving the server at this moment
        self._server.close()
        self._down = True
        self._flow.set()
        await self._drop()
        if connections := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(connections, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._down or self.upstream_port is None:
            writer.transport.abort()
            return
        self._open.add(writer)  # now, so that a drop also ends what is only being connected
        try:
            there = await asyncio.open_connection(_HOST, self.upstream_port)
        except OSError:
            self._open.discard(writer)
            writer.transport.abort()
            return
        self._open.add(there[1])
        try:
            await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer))
        finally:
            self._open -= {writer, there[1]}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                await self._flow.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort() if self._down else writer.close()
