"""A server process: started, stopped, killed, paused and restarted for real."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tidegauge.errors import Unavailable
from tidegauge.servers.ports import free_port, is_free
from tidegauge.servers.spec import Place, PortTaken, Spec
from tidegauge.servers.watchdog import Watchdog

_PORT_TRIES = 5  # one collision is bad luck, five are another fault
_POLL_SECONDS = 0.02
_TAIL_BYTES = 4_000


class Server:
    """One server on a free loopback port, ready when `start()` returns and gone after `close()`.

    Without `data` it lives in a temporary directory, which `close()` removes. `settings` come on top of
    the kind's own, in the server's own words (`{"appendfsync": "always"}`). It ends with this process.
    """

    def __init__(
        self, spec: Spec, *, data: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.spec = spec
        self._kept = data
        self._settings = dict(settings or {})
        self._place: Place | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None

    @property
    def place(self) -> Place:
        """Where it runs, or ran before it was stopped."""
        if self._place is None:
            raise Unavailable(f"{self.spec.name} has not been started")
        return self._place

    @property
    def address(self) -> str:
        """Host and port, the same after a restart."""
        return self.place.address

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._live().pid

    @property
    def running(self) -> bool:
        """Whether the process is there; a paused one is."""
        if self._process is not None and self._process.poll() is not None:
            self._forget()
        return self._process is not None

    def start(self) -> None:
        """Launch the server and wait until it answers; after a stop or kill, on its old port and data.

        Raises Unavailable with the end of the server's log when it does not come up, or with what to
        install when something is missing.
        """
        if self.running:
            return
        if self._place is not None:
            self._launch(self._place)
            return
        data = self._kept or Path(tempfile.mkdtemp(prefix="tidegauge-"))
        data.mkdir(parents=True, exist_ok=True)
        try:
            self._settle(data)
        except BaseException:
            self._remove(data)
            raise

    def stop(self) -> None:
        """End the server as an operator would (SIGTERM); what takes too long is killed."""
        if not self.running:
            return
        process = self._live()
        process.send_signal(signal.SIGCONT)  # a paused process would not hear the next one
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.spec.stop_seconds)
        self.kill()

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL)."""
        if self.running:
            process = self._live()
            # Either error says that it has just ended; the second is how macOS says so.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it forked to rewrite its file
            process.wait()
            self._forget()

    def restart(self) -> None:
        """Stop the server if it runs, and start it on its old port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): connections stay open, nothing answers."""
        self._live().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on (SIGCONT)."""
        self._live().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the server; what was temporary is removed."""
        if self._kept is None:
            self.kill()  # nobody reads the data again, so there is nothing to end in order
        else:
            self.stop()
        if self._place is not None:
            self._remove(self._place.data)
            self._place = None

    def log_tail(self) -> str:
        """Return the end of what the server wrote to its log."""
        return _tail(self.place.log)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _settle(self, data: Path) -> None:
        """Launch on a port that no other process took meanwhile."""
        for attempt in range(1, _PORT_TRIES + 1):
            place = Place(free_port(), data, cluster_id(), self._settings)
            try:
                self._launch(place)
            except PortTaken:
                if attempt == _PORT_TRIES:
                    raise
            else:
                self._place = place
                return

    def _launch(self, place: Place) -> None:
        command = self.spec.command(place)
        scrap = place.data if self._kept is None else None
        with place.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=place.data,
                    env={**os.environ, "LC_ALL": "C"},  # Valkey stops at a locale that is not installed
                    start_new_session=True,  # Ctrl-C is for this process, which then ends the server
                )
            except OSError as error:
                raise Unavailable(f"{self.spec.name}: {command[0]}: {error.strerror}") from error
        try:
            self._watchdog = Watchdog(self._process.pid, scrap)
            self._await_answer(self._process, place)
        except BaseException:
            self.kill()
            raise

    def _await_answer(self, process: subprocess.Popen[bytes], place: Place) -> None:
        deadline = time.monotonic() + self.spec.ready_seconds
        while process.poll() is None:
            try:
                self.spec.probe(place, process.pid)
                return
            except PortTaken:
                raise
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise self._failure(
                        place, f"is not ready after {self.spec.ready_seconds} s: {error}"
                    ) from error
            time.sleep(_POLL_SECONDS)
        if not is_free(place.port):
            raise PortTaken(f"{self.spec.name}: {place.address} was taken by another process")
        raise self._failure(place, f"ended with exit code {process.returncode} before it was ready")

    def _failure(self, place: Place, what: str) -> Unavailable:
        return Unavailable(f"{self.spec.name} {what}; the end of its log:\n{_tail(place.log)}")

    def _live(self) -> subprocess.Popen[bytes]:
        if not self.running or self._process is None:
            raise Unavailable(f"{self.spec.name} is not running")
        return self._process

    def _forget(self) -> None:
        """Dismiss the watchdog with its server: the system may give the process id to another."""
        if self._watchdog is not None:
            self._watchdog.dismiss()
        self._process = self._watchdog = None

    def _remove(self, data: Path) -> None:
        if self._kept is None:
            shutil.rmtree(data, ignore_errors=True)


def cluster_id() -> str:
    """Return a new id in the form that Kafka wants: 16 bytes in base64, without padding."""
    text = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return cluster_id() if text.startswith("-") else text  # a command line would take it for an option


def _tail(log: Path) -> str:
    if not log.exists():
        return "(it wrote none)"
    text = log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
    return text or "(it wrote nothing)"
