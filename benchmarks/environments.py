"""Environments of the peers' own: what they need stays out of the project's."""

from __future__ import annotations

import hashlib
import os
import subprocess
import venv
from pathlib import Path

from benchmarks.progress import say
from tidegauge.errors import Unavailable

ROOT = Path(__file__).parents[1]
_PEERS = Path(__file__).parent / "peers"
_INSTALL_SECONDS = 900
_REQUIREMENTS = {
    "stream": "requirements.txt",
    "evidently": "requirements-evidently.txt",
    "nannyml": "requirements-nannyml.txt",
    "whylogs": "requirements-whylogs.txt",
}


def python(name: str, home: Path = ROOT / ".bench-venv") -> Path:
    """Return the interpreter of an environment, which is made the first time and when a pin has changed.

    Raises Unavailable with the end of what pip said.
    """
    requirements = _PEERS / _REQUIREMENTS[name]
    place = home / name
    interpreter, stamp = place / "bin" / "python", place / ".ready"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return interpreter
    say(f"installing {name} into {place}")
    venv.create(place, with_pip=True, clear=True)
    command = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*command, "-r", str(requirements)],
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{name} was not installed in {_INSTALL_SECONDS} s") from error
    if done.returncode:
        raise Unavailable(f"{name} does not install on this Python: {_reason(done.stderr)}")
    stamp.write_text(wanted, encoding="ascii")
    return interpreter


def version(name: str, package: str) -> str:
    """Return the version that is pinned for a package."""
    lines = (_PEERS / _REQUIREMENTS[name]).read_text(encoding="utf-8").splitlines()
    pins = {line.partition("[")[0].partition("==")[0]: line for line in lines if "==" in line}
    return pins[package].partition("==")[2].partition(" ")[0]


def environment() -> dict[str, str]:
    """Return the environment in which a peer finds this package, and nothing of the project's own."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "error:" in line]
    return (errors or lines or ["pip said nothing"])[-1].strip()
