"""Runs a stage in a thread of its own, starts it again after a failure, and says how it is."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from mode import Service

from tidegauge.errors import TidegaugeError, Unavailable
from tidegauge.ports import Answer, Patience

_log = logging.getLogger("tidegauge")

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
SHORTEST_REST_SECONDS = 0.1
LONGEST_REST_SECONDS = 2.0
STALLED_SECONDS = 60.0  # without a step; a step takes at most a flush and a few calls
STOP_SECONDS = 25.0  # to finish the batch, flush, commit and leave the group


class Stage(Protocol):
    """A loop body over one consumer; all calls come from one thread."""

    def step(self) -> int:
        """Take a batch through the stage and return how many records it had."""

    def ready(self) -> bool:
        """Return whether the stage has its partitions and can work."""

    def close(self, failed: bool) -> None:
        """Leave the group; after a failure nothing may be committed or stored."""


class StageService(Service):
    """A stage as a service of the application.

    While a server is away (`Unavailable`) the stage holds still, keeps its partitions, and repeats the
    call: every call is idempotent. Another failure that `TidegaugeError` names closes the stage and
    builds it anew after a pause that doubles; what was not committed is read again. Any other
    exception is a defect: the worker stops.
    """

    abstract = False

    def __init__(self, name: str, build: Callable[[Patience], Stage]) -> None:
        self.name = name
        self.processed = 0
        self.restarts = 0
        self.trouble: str | None = None
        self._build = build
        self._stage: Stage | None = None
        self._stopping = threading.Event()
        self._stepped = time.monotonic()
        self._thread = threading.Thread()
        super().__init__()

    @property
    def label(self) -> str:
        return f"stage {self.name}"

    @property
    def shortlabel(self) -> str:
        return self.label

    async def on_start(self) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(asyncio.get_running_loop(),), name=f"tidegauge-{self.name}"
        )
        self._thread.start()

    async def on_stop(self) -> None:
        await asyncio.to_thread(self.halt)

    def halt(self) -> None:
        """End the thread, if it runs, and return when it has ended or its time is over."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def alive(self) -> bool:
        """Return whether the thread has moved of late, if only to wait for a server."""
        return self._thread.is_alive() and time.monotonic() - self._stepped < STALLED_SECONDS

    def ready(self) -> bool:
        """Return whether the stage is at work."""
        stage = self._stage
        return self.trouble is None and stage is not None and stage.ready()

    def keep(self, call: Callable[[], Answer], rest: Callable[[float], None]) -> Answer:
        """Return what a call returns; while its server is away, `rest` for a while and call again.

        Raises Unavailable where the service is to stop.
        """
        pause = SHORTEST_REST_SECONDS
        while True:
            try:
                return call()
            except Unavailable as error:
                if self._stopping.is_set():
                    raise
                if self.trouble is None:
                    _log.warning("stage %s holds still: %s", self.name, error)
                self.trouble = str(error)
                rest(pause)
                self._stepped = time.monotonic()
                pause = min(2 * pause, LONGEST_REST_SECONDS)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = FIRST_PAUSE_SECONDS
        try:
            while not self._stopping.is_set():
                before = self.processed
                try:
                    self._work()
                except TidegaugeError as error:
                    self.trouble = str(error)
                    self.restarts += 1
                    pause = FIRST_PAUSE_SECONDS if self.processed > before else pause
                    _log.warning("stage %s: %s; again in %.0f s", self.name, error, pause)
                    self._wait(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        except Exception as error:
            _log.exception("stage %s: a defect; the worker stops", self.name)
            asyncio.run_coroutine_threadsafe(self.crash(error), loop)

    def _work(self) -> None:
        failed = True
        self._stage = stage = self._build(self)
        try:
            while not self._stopping.is_set():
                self.processed += stage.step()
                self._stepped = time.monotonic()
                if self.trouble is not None:
                    _log.info("stage %s is at work again", self.name)
                self.trouble = None
            failed = False
        finally:
            self._stage = None
            stage.close(failed)

    def _wait(self, seconds: float) -> None:
        """Wait as long as told, or until the service stops; waiting counts as being alive."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopping.wait(min(1.0, seconds)):
            self._stepped = time.monotonic()
