"""Which baseline file each version goes by: one set at run time, else the configured one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tidegauge.baseline_file import BaselineFile
from tidegauge.config import Settings
from tidegauge.errors import SnapshotError
from tidegauge.monitor.roster import Roster

Version = tuple[str, str]  # model, version


class Adopted:
    """The baseline files of versions, and which series have taken theirs over."""

    def __init__(self, roster: Roster, configured: Mapping[str, BaselineFile]) -> None:
        self._roster = roster
        self._configured = configured  # by model
        self._set: dict[Version, BaselineFile] = {}
        self._taken: dict[int, str] = {}  # version's series -> identity of its file
        self._looked = 0  # series below this number have what they should have

    def of(self, model_id: str, version: str) -> BaselineFile | None:
        """Return the file that a version goes by, None where it learns from its own first rows."""
        if (model_id, version) in self._set:
            return self._set[model_id, version]
        found = self._configured.get(model_id)
        return found if found and found.model_version in (None, version) else None

    def identity(self, series: int) -> str | None:
        """Return the identity of the file that a version's series has taken over, None for none."""
        return self._taken.get(series)

    def due(self) -> list[tuple[int, BaselineFile, bool]]:
        """Return the versions' series that have to take over a file, each once, and if it was set so."""
        found: list[tuple[int, BaselineFile, bool]] = []
        if not (self._set or self._configured):
            self._looked = len(self._roster.series)
        for series in range(self._looked, len(self._roster.series)):
            model_id, version, segment = self._roster.series[series]
            file = self.of(model_id, version) if segment is None else None
            if file is not None and self._taken.get(series) != file.identity:
                self._taken[series] = file.identity
                found.append((series, file, (model_id, version) in self._set))
        self._looked = len(self._roster.series)
        return found

    def set(self, version: Version, file: BaselineFile) -> None:
        """Let a version go by a file from now on, whether or not it has been seen."""
        self._set[version] = file
        self._untake(version)

    def forget(self, version: Version) -> None:
        """Drop what was set of a version; it takes over a configured file again."""
        self._set.pop(version, None)
        self._untake(version)

    def state(self) -> dict[str, Any]:
        """Return the plain state; configured files stay in the configuration."""
        kept = [[*version, msgspec.to_builtins(file)] for version, file in self._set.items()]
        return {"set": kept, "taken": list(self._taken.items())}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        try:
            self._set = {
                (model, version): msgspec.convert(file, BaselineFile) for model, version, file in state["set"]
            }
        except msgspec.ValidationError as error:
            raise SnapshotError(f"baseline files: {error}") from error
        self._taken = dict(state["taken"])
        self._looked = 0

    def _untake(self, version: Version) -> None:
        for series in self._roster.version_series(*version):
            self._taken.pop(series, None)
        self._looked = 0


def unfit(file: BaselineFile, settings: Settings) -> str | None:
    """Return why a baseline cannot be used under these settings, None where it can."""
    bins = settings.monitor.score_bins
    if file.score_bins not in (None, bins):
        return f"$.scores: expected {bins} bins as monitor.score_bins says, got {file.score_bins}"
    most = settings.limits.features
    if len(file.features) > most:
        return f"$.features: expected at most {most} as limits.features says, got {len(file.features)}"
    return None
