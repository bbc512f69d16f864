"""The monitor of one partition: blocks in, alerts and reports out.

A block passes through, in this order: the roster (which series), traffic and shift (predictions),
tasks (what a model predicts), quality and traffic (outcomes), watch (alerts). Pure: event time only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge import keys
from tidegauge.block import Block, Ints
from tidegauge.config import Settings
from tidegauge.errors import SnapshotError
from tidegauge.monitor import report
from tidegauge.monitor.ledger import HISTORY_PANE_MS
from tidegauge.monitor.quality import Quality
from tidegauge.monitor.report import Report, Writes
from tidegauge.monitor.roster import Expansion, Roster
from tidegauge.monitor.shift import Shift
from tidegauge.monitor.statements import statements, unsaid
from tidegauge.monitor.tasks import Tasks
from tidegauge.monitor.traffic import Traffic
from tidegauge.monitor.watch import Watch, check
from tidegauge.records import Alert, Control
from tidegauge.windows import RecentTable

STATE_VERSION = 1

__all__ = ["Monitor", "Report", "check"]


class Monitor:
    """Metrics, drift and alerts of the models of one partition."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._roster = Roster(settings)
        self._tasks = Tasks(settings, self._roster)
        self._quality = Quality(settings, self._roster)
        self._traffic = Traffic(settings, self._roster)
        self._shift = Shift(settings, self._roster)
        self._watch = Watch(settings, self._roster, self._quality, self._traffic, self._shift)
        self._applied: dict[tuple[str, int], int] = {}  # source -> offset of the last trigger
        self._recent = RecentTable(settings.monitor.recent_outcomes)
        self._changed: set[int] = set()  # series since the last report
        self._hours: set[tuple[int, int]] = set()  # version's series and hour with new outcomes

    def observe(self, block: Block) -> list[Alert]:
        """Count the observations of a block that were not counted before; return the alerts due."""
        block = self._new_rows(block)
        touched: set[int] = set()
        if len(block.predictions.offset):
            expansion = self._roster.expand(block, block.predictions)
            self._traffic.predictions(block, expansion)
            self._shift.observe(block, expansion)
            touched |= set(np.unique(expansion.series).tolist())
        for ready in self._tasks.release(block):
            expansion = self._roster.expand(ready, ready.outcomes)
            errors = self._quality.observe(ready, expansion)
            self._traffic.outcomes(ready, expansion, errors)
            self._watch.observe(ready.outcomes, errors)
            self._note_hours(expansion, ready.outcomes.predicted_at_ms)
            touched |= set(np.unique(expansion.series).tolist())
        self._changed |= touched
        return self._watch.evaluate(touched)

    def control(self, request: Control) -> list[Alert]:
        """Carry out a request; return the alerts it calls for."""
        version = (request.model_id, request.model_version)
        every = self._roster.version_series(*version)
        if request.action == "silence":
            self._watch.silence(*version, request.until_ms or 0)
        elif request.action == "set_baseline":
            for series in every:
                if self._roster.series[series].segment is None:
                    self._watch.watched(series).baselines.set(request.metrics)
        else:
            for series in every:
                for part in (self._quality, self._traffic, self._shift):
                    part.forget(series)
            return self._watch.forget(*version, self._roster.watermark(every[0]) if every else 0)
        self._changed |= set(every)
        return []

    def report(self) -> Report:
        """Return what changed since the last report, as the hashes that others read."""
        writes: Writes = {}
        models = set()
        for series in sorted(self._changed):
            key = self._roster.series[series]
            models.add(self._roster.series_model[series])
            writes[report.metrics_key(key)] = self._metrics(series)
            if key.segment is None:
                writes[keys.drift_key(key.model_id, key.version)] = self._drift(series)
                baselines = self._watch.watched(series).baselines.all()
                if baselines:
                    writes[keys.baseline_key(key.model_id, key.version)] = {
                        name: keys.number_text(found.value) for name, found in baselines.items()
                    }
        for number in models:
            model_id = self._roster.model_ids[number]
            fields = report.model_fields(self._roster.models[number], self._tasks.held(model_id))
            writes[keys.model_key(model_id)] = fields
        self._add_history(writes)
        self._changed.clear()
        self._hours.clear()
        return Report(sorted(self._roster.model_ids[number] for number in models), writes)

    def state(self) -> dict[str, Any]:
        """Return the plain state: maps, lists, texts, numbers, bytes and arrays."""
        return {
            "version": STATE_VERSION,
            "roster": self._roster.state(),
            "tasks": self._tasks.state(),
            "quality": self._quality.state(),
            "traffic": self._traffic.state(),
            "shift": self._shift.state(),
            "watch": self._watch.state(),
            "applied": [[*source, offset] for source, offset in self._applied.items()],
            "recent": self._recent.state(),
            "hours": sorted(self._hours),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over, in a new monitor, a state that `state()` returned.

        Raises SnapshotError where it is of another version.
        """
        if state.get("version") != STATE_VERSION:
            raise SnapshotError(f"expected a state of version {STATE_VERSION}, got {state.get('version')}")
        self._roster.restore(state["roster"])
        self._tasks.restore(state["tasks"])
        self._quality.restore(state["quality"])
        self._traffic.restore(state["traffic"])
        self._shift.restore(state["shift"])
        self._watch.restore(state["watch"])
        self._applied = {(topic, partition): offset for topic, partition, offset in state["applied"]}
        self._recent.restore(state["recent"])
        self._changed = set(range(len(self._roster.series)))  # Redis may have lost what others read
        self._hours = {(series, hour) for series, hour in state["hours"]}

    def _new_rows(self, block: Block) -> Block:
        """Return the block without the rows that are known.

        A source's rows come in the order of their triggers, so those at or below the last are known. An
        outcome that comes `again` is known by what it says: another trigger may complete it.
        """
        last = np.array([self._applied.get(source, -1) for source in block.sources], np.int64)
        for rows in (block.predictions, block.outcomes):
            for code in np.unique(rows.source).tolist():
                source, newest = block.sources[code], int(rows.offset[rows.source == code].max())
                self._applied[source] = max(newest, self._applied.get(source, -1))
        fresh = block.outcomes.offset > last[block.outcomes.source]
        said = statements(block)
        if block.outcomes.again.any():
            fresh = unsaid(block.outcomes, said, fresh, self._recent.newest())
        told = fresh & (block.outcomes.sign > 0)
        self._recent.add(block.outcomes.id_hash[told], said[told], block.outcomes.labelled_at_ms[told])
        new = block.predictions.offset > last[block.predictions.source]
        return block.select(_places(new), _places(fresh))

    def _note_hours(self, expansion: Expansion, at_ms: Ints) -> None:
        pairs = np.stack((expansion.version, at_ms // HISTORY_PANE_MS), axis=1)
        self._hours |= {(series, hour) for series, hour in np.unique(pairs, axis=0).tolist()}

    def _metrics(self, series: int) -> dict[str, str]:
        parts = [{keys.UPDATED: str(self._roster.watermark(series))}]
        monitor = self._settings.monitor
        for window in (*map(str, monitor.count_windows), *monitor.time_windows):
            values = self._quality.values(series, window)
            if window in monitor.time_windows:
                values |= self._traffic.values(series, window)
            elif values:
                values["n"] = self._quality.count(series, window)
            parts.append(report.metric_fields(window, values))
            counts = self._quality.confusion(series, window)
            if counts is not None:
                classes = self._roster.models[self._roster.series_model[series]].classes
                parts.append(report.confusion_field(window, classes, counts))
        return report.merged(parts)

    def _drift(self, series: int) -> dict[str, str]:
        parts = [report.psi_fields(v.name, v.found, v.cell) for v in self._shift.verdicts(series)]
        parts += [report.shift_fields(moved, n, own) for own, moved, n in self._shift.shifted(series)]
        parts += [report.detector_fields(one) for one in self._watch.watched(series).detectors or ()]
        parts.append({keys.UPDATED: str(self._roster.watermark(series))})
        return report.merged(parts)

    def _add_history(self, writes: Writes) -> None:
        for series, hour in sorted(self._hours):
            key, at_ms = self._roster.series[series], hour * HISTORY_PANE_MS
            values = self._quality.history(series, at_ms)
            if values:
                day = writes.setdefault(keys.series_key(key.model_id, key.version, at_ms), {})
                day |= report.history_field(at_ms, values)


def _places(chosen: NDArray[np.bool_]) -> Ints | None:
    """Return the indices that are chosen, None for all."""
    return None if chosen.all() else np.flatnonzero(chosen)
