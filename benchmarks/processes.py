"""What processes use, by /proc: Linux alone, where the figures are made."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks.figures import Usage

_TICKS = os.sysconf("SC_CLK_TCK")
_CPU_FIELDS = slice(11, 15)  # utime, stime, and those of children that have ended, after the name


def usage(pids: Iterable[int]) -> Usage:
    """Return CPU seconds and peak resident bytes of processes together; of one that has ended, nothing."""
    total = Usage(0.0, 0)
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks = sum(map(int, stat.rpartition(")")[2].split()[_CPU_FIELDS]))
        peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        total += Usage(ticks / _TICKS, int(peak[1]) * 1_024 if peak else 0)
    return total


def processor() -> str:
    """Return the name of the CPU."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()
