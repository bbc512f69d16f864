"""A watchdog outlives its parent by a moment: long enough to end the server that the parent started.

It is a shell that waits on a pipe of which the parent holds the other end. When the parent ends, in
whatever way, the kernel closes the pipe and the shell kills the server. This needs nothing of the
system but pipes, so it is the same on Linux and macOS, and unlike Linux's parent-death signal it does
not fire when the thread that started the server ends. A child that the parent forks without exec holds
the pipe open too; the servers then live as long as that child.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

_SCRIPT = 'read -r _; kill -s KILL -- "-$1" 2>/dev/null; [ -z "$2" ] || rm -rf -- "$2"'


class Watchdog:
    """Kills the process group `group` when this process ends, and removes `scrap` if given."""

    def __init__(self, group: int, scrap: Path | None) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "watchdog", str(group), str(scrap or "")],
            stdin=subprocess.PIPE,
            start_new_session=True,  # else Ctrl-C would end it before its time
        )

    def dismiss(self) -> None:
        """End the watch; the group stays as it is."""
        self._shell.kill()
        self._shell.communicate()
