"""What is kept of one series to judge it by: baselines, and detectors on its error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from tidegauge.block import Floats
from tidegauge.drift.baseline import Baselines
from tidegauge.drift.detectors import Detector
from tidegauge.drift.error_baseline import Terms
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.drift.loss import loss_scale, scaled_loss
from tidegauge.errors import SnapshotError


class Watched:
    """What is kept of one series between evaluations."""

    def __init__(self, baselines: Baselines, share: float) -> None:
        self.baselines = baselines
        self.share = share  # of the promise of few false alarms
        self.detectors: list[Detector | ErrorShift] | None = None  # until the task is known
        self.first_ms: int | None = None  # the watermark of the first outcomes
        self.held: list[float] = []  # errors until their scale is known
        self.scale: float | None = None
        self.falls = False  # less is worse

    def take(self, errors: Floats, needed: int, scaled: bool) -> None:
        """Show errors [n] to the detectors, once `needed` of them have given the scale of a loss."""
        if scaled and self.scale is None:
            self.held += errors.tolist()
            if len(self.held) < needed:
                return
            errors, self.held = np.array(self.held), []
            self.scale = loss_scale(errors[:needed]) or 1.0
        losses = scaled_loss(errors, self.scale) if self.scale else errors
        losses = 1.0 - losses if self.falls else losses
        for detector in self.detectors or ():
            detector.update(losses)


def saved(detector: Detector | ErrorShift) -> bytes | dict[str, Any]:
    """Return the plain state of a detector."""
    return detector.dump() if isinstance(detector, ErrorShift) else detector.snapshot()


def restored(states: Iterable[bytes | dict[str, Any]], terms: Terms) -> Iterator[Detector | ErrorShift]:
    """Yield the detectors whose states can still be read."""
    for state in states:
        with suppress(SnapshotError):
            if isinstance(state, bytes):
                yield Detector.restore(state)
            else:
                yield ErrorShift.load(state, terms)
