"""What a monitor knows of a version at the moment of an alert: what moved, and what stands still."""

from __future__ import annotations

from typing import Any

from tidegauge.config import Settings, duration_ms
from tidegauge.drift.measures import Share
from tidegauge.monitor.roster import Roster
from tidegauge.monitor.shift import PREDICTION, Shift
from tidegauge.monitor.traffic import Traffic
from tidegauge.policy.diagnosis import Subject, any_of, diagnose, subject
from tidegauge.policy.incidents import IncidentKey
from tidegauge.records import Diagnosis, Moved, Sign

BROKEN = ("null", "unseen", "changed_type")  # shares that rise where a pipeline breaks
LEAST_RISE = 0.01  # of such a share: less is certain on many rows, and matters to nobody


class Signs:
    """When something of a series last moved, for as long as `drift.window`."""

    def __init__(self, settings: Settings, roster: Roster, traffic: Traffic, shift: Shift) -> None:
        self._window, self._mature = settings.drift.window, settings.estimates.mature_share
        self._counted = self._window in settings.monitor.time_windows
        self._roster, self._traffic, self._shift = roster, traffic, shift
        self._moved_ms: dict[int, dict[Subject, int | None]] = {}  # series -> when it last did; None: never

    def note(self, series: int, key: IncidentKey, is_open: bool, now_ms: int) -> None:
        """Take what a decided judgement said, after which its incident is open or not."""
        about = subject(key.test, key.subject)
        if about is not None:
            kept = self._moved_ms.setdefault(series, {})
            kept[about] = now_ms if is_open else kept.get(about)

    def diagnosis(self, series: int, estimate: Sign, now_ms: int) -> Diagnosis:
        """Return what probably is the matter: with a segment by its own labels, else by those of its version.

        About 15 us a feature.
        """
        key = self._roster.series[series]
        version = self._roster.version_series(key.model_id, key.version)[0]
        moved = Moved(
            data=self._sign(version, "data", now_ms),
            quality=self._quality(version),
            prediction=self._sign(version, "prediction", now_ms),
            estimate=estimate,
            realised=self._sign(series, "realised", now_ms),
            calibration=self._sign(version, "calibration", now_ms),
        )
        completeness = self._traffic.coverage(series, self._window) if self._counted else None
        return diagnose(moved, completeness, self._mature)

    def forget(self, series: int) -> None:
        """Drop what was known of a series."""
        self._moved_ms.pop(series, None)

    def state(self) -> list[Any]:
        """Return the plain state."""
        return [[series, dict(kept)] for series, kept in self._moved_ms.items()]

    def restore(self, state: list[Any]) -> None:
        """Take over a state that `state()` returned."""
        self._moved_ms = {series: dict(kept) for series, kept in state}

    def _sign(self, series: int, about: Subject, now_ms: int) -> Sign:
        kept = self._moved_ms.get(series, {})
        if about not in kept:
            return "unknown"
        last_ms = kept[about]
        return "moved" if last_ms is not None and now_ms - last_ms <= duration_ms(self._window) else "still"

    def _quality(self, version: int) -> Sign:
        measured = self._shift.measures(version).items()
        shares = [one.shares for name, one in measured if name != PREDICTION]
        return any_of(_sign(each[name]) for each in shares for name in BROKEN if name in each)


def _sign(share: Share) -> Sign:
    if share.beyond is None:
        return "unknown"
    return "moved" if share.beyond and share.value - share.reference >= LEAST_RISE else "still"
