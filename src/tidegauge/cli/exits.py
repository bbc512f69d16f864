"""What an exit code means; docs/cli.md has the same table."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit code of a command."""

    OK = 0  # done, nothing to report
    FOUND = 1  # done, and found something that needs a look
    UNUSABLE = 2  # wrong flags or settings, or a check of doctor that failed
    UNAVAILABLE = 3  # a server is out of reach
    INTERRUPTED = 130  # by Ctrl-C
