"""A simulation sent to a broker, in its own time or as fast as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable

from tidegauge.config import Settings
from tidegauge.simulate.produce import Sender
from tidegauge.simulate.synthetic import Spec, simulate

_STEP_SECONDS = 0.1  # events due within it are sent together


def send(
    settings: Settings,
    spec: Spec,
    *,
    realtime: bool = True,
    tail_seconds: float = 60.0,
    on_sent: Callable[[int, int], None] = lambda count, at_ms: None,
) -> int:
    """Send the events of a simulation and return how many there were.

    In real time an event is sent when its time has come after the call, and `tail_seconds` after the
    last prediction it ends: labels that would come later (up to the horizon) are never sent. Else all
    are sent at once. `on_sent` is told the number of events so far and the event time.
    Raises DeliveryFailed, Unavailable.
    """
    started = time.monotonic()
    last_ms = spec.start_ms + (spec.duration_seconds + tail_seconds) * 1_000
    with Sender(settings) as sender:
        for chunk in simulate(spec):
            rest = [event for event in chunk if event.time_ms <= last_ms] if realtime else chunk
            if not rest:
                break
            while rest:
                due_ms = spec.start_ms + (time.monotonic() - started + _STEP_SECONDS) * 1_000
                count = sum(event.time_ms <= due_ms for event in rest) if realtime else len(rest)
                sender.send(rest[:count])
                at_ms = rest[count - 1].time_ms
                rest = rest[count:]
                if count:
                    on_sent(sender.sent, at_ms)
                if rest:
                    time.sleep(_STEP_SECONDS / 2)
        return sender.sent
