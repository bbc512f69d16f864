"""The error tree: every error that Tidegauge raises is one of these."""

from __future__ import annotations


class TidegaugeError(Exception):
    """Something that Tidegauge can name went wrong."""


class ConfigError(TidegaugeError):
    """The configuration cannot be used; the message names the key, what was expected and what came."""


class Rejected(TidegaugeError):
    """An event cannot be used; it belongs in the dead-letter topic.

    `reason` is one of `records.REASONS`, `path` the place inside the event (`$.features.age`).
    """

    def __init__(self, reason: str, detail: str, path: str = "$") -> None:
        super().__init__(f"{reason} at {path}: {detail}")
        self.reason = reason
        self.detail = detail
        self.path = path


class Unavailable(TidegaugeError):
    """A server is out of reach or not ready for now; the same call may succeed later."""


class DeliveryFailed(TidegaugeError):
    """The broker refused a message for good; the stage that sent it must stop."""


class WentBack(TidegaugeError):
    """The window has lost writes that it had acknowledged: it must be given the lost events again."""


class SnapshotError(TidegaugeError):
    """A stored state cannot be read: truncated, foreign, or written by a later release."""
