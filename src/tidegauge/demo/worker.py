"""A worker as a process of its own, with the settings of the demo in a file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tidegauge.config import Settings
from tidegauge.errors import Unavailable

_STOP_SECONDS = 30.0  # to finish a batch, flush, commit and leave the groups
_TAIL_LINES = 15


class Worker:
    """`tidegauge worker`, running inside a `with` block; it is told to stop at its end."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.config = directory / "tidegauge.toml"
        self.log = directory / "worker.log"
        self.config.write_text(toml(msgspec.to_builtins(settings)), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tidegauge.cli", "worker", "--config", str(self.config)]
        clean = {name: text for name, text in os.environ.items() if not name.startswith("TIDEGAUGE_")}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.log.parent,
                env=clean,
                start_new_session=True,  # Ctrl-C is for the demo, which then tells the worker to stop
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        if process.poll() is None:
            process.kill()
            process.wait()

    def require(self) -> None:
        """Raise Unavailable with the end of its log where the worker has stopped."""
        if self._process is not None and (code := self._process.poll()) is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            raise Unavailable(
                f"the worker stopped with exit code {code}; the end of its log:\n" + "\n".join(lines)
            )


def toml(tree: Mapping[str, Any]) -> str:
    """Return TOML with a line for each key of the tree; None stays out.

    >>> toml({"redis": {"url": "redis://db"}, "rules": [{"metric": "f1"}]})
    'redis = {"url" = "redis://db"}\\nrules = [{"metric" = "f1"}]\\n'
    """
    return "".join(f"{name} = {_inline(value)}\n" for name, value in tree.items())


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(name)} = {_inline(one)}" for name, one in value.items() if one is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)
