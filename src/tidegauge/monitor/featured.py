"""The profiles of all versions: which task learns what, and the estimates read from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegauge.block import NO_TEXT, Block, Floats, Ints
from tidegauge.config import Settings
from tidegauge.estimate.ridge import LOSSES, loss_targets, losses
from tidegauge.estimate.weighted import Weighted, score_targets, weighted
from tidegauge.metrics.scores import bin_of
from tidegauge.metrics.value import Value
from tidegauge.monitor.expansion import Expansion
from tidegauge.monitor.profiles import Histogram, Kind, Profile
from tidegauge.monitor.roster import ModelState, Roster
from tidegauge.monitor.tasks import class_text

MOST_PROFILES = 64  # versions of a partition: each costs a block some 0.2 ms, and memory its square of cells
SCORE_BINS = 25  # of a weighted calibration
LIKELY = {
    "regression": Kind(pairs=True, targets=len(LOSSES), cells=10_000),
    "binary": Kind(pairs=False, targets=2 * SCORE_BINS, cells=200),
}


class Featured:
    """A profile for each version whose task has use of one."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._settings = settings
        self._roster = roster
        self._profiles: dict[int, Profile] = {}  # by version's series

    def predictions(self, block: Block, expansion: Expansion) -> None:
        """Count the prediction rows of a block."""
        if not self._settings.estimates.cells:
            return
        for series in np.unique(expansion.version).tolist():
            task = self._task(series).task
            if self._wanted(series) and (task is None or task in LIKELY):
                profile = self._profiles.setdefault(series, Profile(self._settings))
                mine = np.flatnonzero(expansion.version == series)
                kind = LIKELY[task] if task else None
                profile.predictions(block, mine, self._roster.watermark(series), kind)

    def outcomes(self, block: Block, expansion: Expansion) -> None:
        """Learn from the outcome rows of a block."""
        rows = block.outcomes
        for series in np.unique(expansion.version).tolist() if self._profiles else ():
            state, profile = self._task(series), self._profiles.get(series)
            if profile is None or state.task not in LIKELY:
                continue
            mine = np.flatnonzero(expansion.version == series)
            if state.task == "regression":
                targets = loss_targets(rows.number[mine] - rows.label_number[mine])
                usable = np.isfinite(targets).all(axis=1)
            else:
                targets, usable = self._scores(block, mine, state)
            weight = rows.weight[mine] * rows.sign[mine]
            profile.learn(rows.id_hash[mine[usable]], targets[usable], weight[usable])

    def losses(self, series: int, window: str, z: float) -> dict[str, Value]:
        """Return the estimated losses of a regression over a window; empty for other tasks."""
        profile = self._profiles.get(series)
        found = profile.window(window, self._roster.watermark(series)) if profile else None
        return self._losses(series, found, z)

    def cohort(self, series: int, at_ms: int, z: float) -> dict[str, Value]:
        """Return the estimated losses of a regression's predictions of an hour."""
        profile = self._profiles.get(series)
        return self._losses(series, profile.cohort(at_ms) if profile else None, z)

    def weighted(self, series: int, window: str) -> Weighted | None:
        """Return the labelled cells [3, SCORE_BINS] of two classes, weighted for a window's rows."""
        profile = self._profiles.get(series)
        if profile is None or profile.learned is None or self._task(series).task != "binary":
            return None
        found = profile.window(window, self._roster.watermark(series))
        return weighted(profile.learned, found.cells, found.rows) if found else None

    def forget(self, series: int) -> None:
        """Drop what was learned of a version."""
        self._profiles.pop(series, None)

    def state(self) -> list[Any]:
        """Return the plain state."""
        return [[series, profile.state()] for series, profile in self._profiles.items()]

    def restore(self, state: list[Any]) -> None:
        """Take over a state that `state()` returned."""
        for series, one in state:
            self._profiles[series] = Profile(self._settings)
            self._profiles[series].restore(one)

    def _wanted(self, series: int) -> bool:
        """Return whether a version has a profile, or there is room for one."""
        room = len(self._profiles) < MOST_PROFILES
        return self._settings.estimates.cells > 0 and (room or series in self._profiles)

    def _task(self, series: int) -> ModelState:
        return self._roster.models[self._roster.series_model[series]]

    def _losses(self, series: int, found: Histogram | None, z: float) -> dict[str, Value]:
        if found is None or self._task(series).task != "regression":
            return {}
        return losses(self._profiles[series].fitted(), found.cells, found.rows, z)

    def _scores(self, block: Block, mine: Ints, state: ModelState) -> tuple[Floats, Any]:
        """Return the targets of rows with a lone score, and which rows have one."""
        rows = block.outcomes
        score = rows.score[mine]
        usable = ~np.isnan(score)
        value = np.where(rows.label_text[mine] != NO_TEXT, np.nan, rows.label_number[mine])
        positive = state.classes[state.positive_code] if len(state.classes) == 2 else ""
        numbers = [one for one in np.unique(value[~np.isnan(value)]).tolist() if class_text(one) == positive]
        texts = [code for code in np.unique(rows.label_text[mine]).tolist() if code != NO_TEXT]
        named = [code for code in texts if block.strings[code] == positive]
        came = np.isin(value, numbers) | np.isin(rows.label_text[mine], named)
        bins = bin_of(np.clip(np.nan_to_num(score), 0.0, 1.0), SCORE_BINS)
        return score_targets(bins, came, SCORE_BINS), usable
