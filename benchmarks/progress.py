"""What a long run says while it goes on, on standard error: the table is for standard output."""

from __future__ import annotations

import sys
import time


def say(text: str) -> None:
    """Print a line with the time of day."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)
