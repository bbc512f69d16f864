"""The monitor of one partition: blocks in, alerts and reports out.

A block passes through, in this order: the roster (which series), traffic and shift (predictions),
tasks (what a model predicts), quality and traffic (outcomes), standards and judges, watch (alerts). Pure:
event time only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge import keys
from tidegauge.baseline_file import BaselineFile
from tidegauge.block import Block, Ints
from tidegauge.config import Settings
from tidegauge.errors import Rejected, SnapshotError
from tidegauge.monitor import proxies, report
from tidegauge.monitor.adopted import Adopted, unfit
from tidegauge.monitor.calibrated import Calibrated
from tidegauge.monitor.carriers import Carriers
from tidegauge.monitor.cohorts import Cohorts
from tidegauge.monitor.delays import Delays
from tidegauge.monitor.estimates import Estimates
from tidegauge.monitor.first_labels import first_labels
from tidegauge.monitor.hours import Hours
from tidegauge.monitor.judges import Judges
from tidegauge.monitor.ledger import HISTORY_PANE_MS
from tidegauge.monitor.quality import Quality
from tidegauge.monitor.report import Report, Writes
from tidegauge.monitor.roster import Roster
from tidegauge.monitor.shift import Shift
from tidegauge.monitor.signs import Signs
from tidegauge.monitor.standards import Standards
from tidegauge.monitor.statements import Counted, statements, unsaid
from tidegauge.monitor.tasks import Tasks
from tidegauge.monitor.traffic import Traffic
from tidegauge.monitor.watch import Watch, check
from tidegauge.records import Alert, Control
from tidegauge.windows import RecentTable, Runs, distinct

STATE_VERSION = 2
_AT_ONCE = 64  # series told together
READ_VERSIONS = (1, 2)  # 1: all cells of every pane, nothing waits

__all__ = ["Monitor", "Report", "check"]


class Monitor:
    """Metrics, drift and alerts of the models of one partition."""

    def __init__(self, settings: Settings, baselines: Mapping[str, BaselineFile] | None = None) -> None:
        self._settings = settings
        self._roster = Roster(settings)
        self._adopted = Adopted(self._roster, baselines or {})
        self._tasks = Tasks(settings, self._roster)
        self._quality = Quality(settings, self._roster)
        self._traffic = Traffic(settings, self._roster)
        self._shift = Shift(settings, self._roster)
        self._estimates = Estimates(settings, self._roster, self._quality)
        self._cohorts = Cohorts(settings, self._roster)
        self._calibrated = Calibrated(settings, self._roster)
        self._delays = Delays(settings, self._roster)
        self._carriers = Carriers(settings, self._roster, self._shift)
        quality, traffic, shift = self._quality, self._traffic, self._shift
        self._standards = Standards(settings, self._roster, quality, traffic)
        watched = shift, self._calibrated, self._delays, self._standards
        self._judges = Judges(settings, self._roster, quality, traffic, *watched)
        signs = Signs(settings, self._roster, traffic, shift)
        parts = quality, self._carriers, self._estimates, signs, self._standards, self._judges
        self._watch = Watch(settings, self._roster, *parts)
        self._applied: dict[tuple[str, int], int] = {}  # source -> offset of the last trigger
        self._recent = RecentTable(settings.monitor.recent_outcomes)
        self._changed: dict[int, None] = {}  # series to report, in the order in which they changed
        self._unread: dict[int, None] = {}  # versions of which drift, estimates and baseline are to be told
        self._hours = Hours()  # with new outcomes, by version's series

    def observe(self, block: Block) -> list[Alert]:
        """Count the observations of a block that were not counted before; return the alerts due."""
        block = self._new_rows(block)
        touched = [np.empty(0, np.int64)]
        if len(block.predictions.offset):
            expansion = self._roster.expand(block, block.predictions)
            self._adopt()
            self._traffic.predictions(block, expansion)
            self._shift.observe(block, expansion)
            self._estimates.predictions(block, expansion)
            self._carriers.rows.predictions(block, expansion)
            self._delays.predictions(block.predictions.predicted_at_ms, expansion)
            touched.append(expansion.every.series)
        for ready in self._tasks.release(block):
            expansion = self._roster.expand(ready, ready.outcomes)
            errors = self._quality.observe(ready, expansion)
            self._traffic.outcomes(ready, expansion, errors)
            self._estimates.outcomes(ready, expansion)
            losses = proxies.watched(self._settings, self._roster, ready.outcomes, errors)
            self._carriers.rows.outcomes(ready, expansion, losses)
            first, arrived = first_labels(ready.outcomes, expansion, errors, losses)
            self._delays.outcomes(first, expansion)
            told = self._cohorts.observe(first)
            runs = arrived if told is first else Runs(told.series)
            self._calibrated.observe(told, runs)
            self._watch.observe(arrived, told, runs)
            self._hours.add(expansion.version, expansion.at_ms // HISTORY_PANE_MS)
            touched += expansion.every.series, runs.series
        self._delays.advance()
        self._estimates.advance()
        every = np.concatenate(touched)
        series = every[distinct(every)[0]]
        self._note_changed(series)
        return self._watch.evaluate(series)

    def control(self, request: Control) -> list[Alert]:
        """Carry out a request; return the alerts it calls for."""
        version = (request.model_id, request.model_version)
        every = self._roster.version_series(*version)
        if request.action == "silence":
            self._watch.silence(*version, request.until_ms or 0)
        elif request.action == "set_baseline":
            self._set_baseline(request, every)
        else:
            self._adopted.forget(version)
            for series in every:
                parts = self._quality, self._traffic, self._shift, self._estimates, self._carriers
                for part in (*parts, self._cohorts, self._calibrated, self._delays):
                    part.forget(series)
            return self._watch.forget(*version, self._roster.watermark(every[0]) if every else 0)
        self._note_changed(every)
        return []

    def unreported(self) -> int:
        """Return how many series changed that no report told of, or not wholly."""
        return len(self._changed.keys() | self._unread.keys())

    def unmeasured(self) -> int:
        """Return how many series changed whose metrics no report told."""
        return len(self._changed)

    def unread(self) -> int:
        """Return how many versions changed whose drift and estimates no report told."""
        return len(self._unread)

    def report(self, limit: int | None = None, whole: bool = True, metrics: bool = True) -> Report:
        """Return what changed since it was last told, as the hashes that others read.

        At most `limit` series, those that wait longest; the hashes of drift, estimates, baselines and history
        only in a `whole` report, the others only with `metrics`. Cost: a millisecond, and .2 ms a series, for
        a whole report twice as much.
        """
        writes: Writes = {}
        told = sorted(islice(self._changed, limit if metrics else 0))
        for start in range(0, len(told), _AT_ONCE):
            self._tell(writes, told[start : start + _AT_ONCE])
        for series in told:
            del self._changed[series]
        versions = sorted(islice(self._unread, limit if whole else 0))
        for start in range(0, len(versions), _AT_ONCE):
            self._tell_versions(writes, versions[start : start + _AT_ONCE])
        for series in versions:
            del self._unread[series]
        models = {self._roster.series_model[series] for series in told}
        for number in models:
            model_id = self._roster.model_ids[number]
            watermark_ms = int(self._roster.columns.watermark_ms[number])
            fields = report.model_fields(
                self._roster.models[number], watermark_ms, self._tasks.held(model_id)
            )
            writes[keys.model_key(model_id)] = fields
        return Report(sorted(self._roster.model_ids[number] for number in models), writes)

    def state(self) -> dict[str, Any]:
        """Return the plain state: maps, lists, texts, numbers, bytes and arrays."""
        return {
            "version": STATE_VERSION,
            "roster": self._roster.state(),
            "adopted": self._adopted.state(),
            "tasks": self._tasks.state(),
            "quality": self._quality.state(),
            "traffic": self._traffic.state(),
            "shift": self._shift.state(),
            "estimates": self._estimates.state(),
            "cohorts": self._cohorts.state(),
            "calibrated": self._calibrated.state(),
            "delays": self._delays.state(),
            "carriers": self._carriers.state(),
            "watch": self._watch.state(),
            "applied": [[*source, offset] for source, offset in self._applied.items()],
            "recent": self._recent.state(),
            "hours": self._hours.state(),
        }

    def restore(self, state: Any) -> None:
        """Take over, in a new monitor, a state that `state()` returned, or an earlier layout's.

        Raises SnapshotError where it is something else; the monitor is of no use afterwards.
        """
        version = state.get("version") if isinstance(state, dict) else None
        if type(version) is not int or version not in READ_VERSIONS:
            expected = " or ".join(map(str, READ_VERSIONS))
            raise SnapshotError(f"expected a state of version {expected}, got {version!r:.40}")
        try:
            self._restore(state)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise SnapshotError(f"expected a monitor's state: {error!r:.200}") from error

    def _restore(self, state: dict[str, Any]) -> None:
        self._roster.restore(state["roster"])
        if "adopted" in state:  # a snapshot may be older than baseline files are
            self._adopted.restore(state["adopted"])
        self._tasks.restore(state["tasks"])
        self._quality.restore(state["quality"])
        self._traffic.restore(state["traffic"])
        self._shift.restore(state["shift"])
        if "estimates" in state:  # a snapshot may be older than they are
            self._estimates.restore(state["estimates"])
        if "cohorts" in state:  # a snapshot may be older than they are
            self._cohorts.restore(state["cohorts"])
        if "calibrated" in state:  # a snapshot may be older than they are
            self._calibrated.restore(state["calibrated"])
        if "delays" in state:  # a snapshot may be older than they are
            self._delays.restore(state["delays"])
        if "carriers" in state:  # a snapshot may be older than they are
            self._carriers.restore(state["carriers"])
        self._watch.restore(state["watch"])
        self._applied = {(topic, partition): offset for topic, partition, offset in state["applied"]}
        self._recent.restore(state["recent"])
        self._note_changed(range(len(self._roster.series)))  # Redis may have lost it
        self._hours.restore(state["hours"])

    def _set_baseline(self, request: Control, every: list[int]) -> None:
        """Measure a version against what a request says; raises Rejected for a file that does not fit."""
        if request.baseline is not None:
            why = unfit(request.baseline, self._settings)
            if why:
                raise Rejected("out_of_range", why, "$.baseline")
            self._adopted.set((request.model_id, request.model_version), request.baseline)
            self._adopt()
        for series in every:
            if self._roster.series[series].segment is None:
                self._standards.watched(series).baselines.set(request.metrics)

    def _adopt(self) -> None:
        """Let each version that has a baseline file go by it, once."""
        for series, file, at_run_time in self._adopted.due():
            model = self._roster.series_model[series]
            self._tasks.adopt(model, file)
            self._shift.adopt(series, file)
            self._estimates.adopt(series, file)
            self._carriers.rows.adopt(series)
            self._standards.adopt(series, file, at_run_time)

    def _new_rows(self, block: Block) -> Block:
        """Return the block without the rows that are known.

        A source's rows come in the order of their triggers, so those at or below the last are known. An
        outcome that comes `again` is known by what it says: another trigger may complete it.
        """
        last = np.array([self._applied.get(source, -1) for source in block.sources], np.int64)
        for rows in (block.predictions, block.outcomes):
            newest = np.full(len(last), -1)
            np.maximum.at(newest, rows.source, rows.offset)
            for source, offset in zip(block.sources, newest.tolist(), strict=True):
                if offset >= 0:
                    self._applied[source] = max(offset, self._applied.get(source, -1))
        fresh = block.outcomes.offset > last[block.outcomes.source]
        if block.outcomes.again.any():
            block, fresh = self._untold(block, fresh)
        new = block.predictions.offset > last[block.predictions.source]
        block = block.select(_places(new), _places(fresh))
        outcomes = block.outcomes
        self._recent.add(outcomes.id_hash, statements(block), outcomes.labelled_at_ms, outcomes.sign)
        return block

    def _untold(self, block: Block, fresh: NDArray[np.bool_]) -> tuple[Block, NDArray[np.bool_]]:
        """Return which outcomes to count, where some come again, with the signs that count."""
        outcomes = block.outcomes
        fresh, given_back = unsaid(outcomes, statements(block), fresh, Counted(self._recent))
        sign = np.where(given_back, 1, outcomes.sign).astype(outcomes.sign.dtype)
        return replace(block, outcomes=replace(outcomes, sign=sign)), fresh | given_back

    def _tell(self, writes: Writes, told: list[int]) -> None:
        """Add the hashes of some series."""
        for series, fields in zip(told, self._metrics(told), strict=True):
            writes[report.metrics_key(self._roster.series[series])] = fields

    def _tell_versions(self, writes: Writes, versions: list[int]) -> None:
        """Add the hashes of some versions that segments have not."""
        self._add_history(writes, versions)
        for series, fields in zip(versions, self._estimated(versions), strict=True):
            key = self._roster.series[series]
            if fields:
                fields[keys.UPDATED] = str(self._roster.watermark(series))
                writes[keys.estimates_key(key.model_id, key.version)] = fields
            writes[keys.drift_key(key.model_id, key.version)] = self._drift(series)
            if carried := self._carriers.fields(series):
                writes[keys.attribution_key(key.model_id, key.version)] = carried
            baselines = self._standards.watched(series).baselines.all()
            file = self._adopted.of(key.model_id, key.version)
            baseline = report.baseline_fields(baselines, file, self._adopted.identity(series))
            if baseline := baseline | report.moving_fields(self._judges.moving_baselines(series)):
                writes[keys.baseline_key(key.model_id, key.version)] = baseline

    def _note_changed(self, every: Sequence[int] | Ints) -> None:
        series = np.asarray(every, np.int64)
        self._changed.update(dict.fromkeys(series.tolist()))
        self._unread.update(dict.fromkeys(series[self._roster.columns.whole[series]].tolist()))

    def _metrics(self, told: list[int]) -> list[dict[str, str]]:
        """Return the metrics of some series, as far as possible of all at once."""
        monitor, series = self._settings.monitor, np.array(told, np.int64)
        found = [{keys.UPDATED: str(self._roster.watermark(one))} for one in told]
        for table in self._quality.tables(series):
            places = table.mine.tolist()
            report.add_table([found[place] for place in places], table.window, table.columns)
            counts = [] if table.confusion is None else table.confusion.tolist()
            for place, matrix in zip(places, counts, strict=False):
                classes = self._roster.models[self._roster.series_model[told[place]]].classes
                own = [row[: len(classes)] for row in matrix[: len(classes)]]
                found[place] |= report.confusion_field(table.window, classes, own)
        for window, columns in self._traffic.tables(series, monitor.time_windows):
            report.add_table(found, window, columns)
            for place, fields in enumerate(found):
                if named := self._traffic.named(told[place], window):
                    fields.update(report.metric_fields(window, named))
        return found

    def _drift(self, series: int) -> dict[str, str]:
        parts = [report.psi_fields(v.name, v.found, v.cell, v.baseline) for v in self._shift.verdicts(series)]
        measures = self._shift.measures(series)
        parts += [report.measure_fields(name, one) for name, one in measures.items()]
        parts += [report.shift_fields(moved, n, own) for own, moved, n in self._shift.shifted(series)]
        pairs, multivariate = self._shift.pairs_shifted(series), self._shift.multivariate(series)
        if multivariate is not None:
            parts.append(report.multivariate_fields(multivariate, pairs))
        parts += [report.detector_fields(one) for one in self._standards.detectors(series)]
        parts += map(report.score_fields, self._calibrated.detectors(series).values())
        parts.append(report.delay_fields(self._delays.detector(series)))
        parts.append(self._cohorts.fields(series))
        parts.append({keys.UPDATED: str(self._roster.watermark(series))})
        return report.merged(parts)

    def _estimated(self, told: list[int]) -> list[dict[str, str]]:
        """Return the estimates of some versions, empty where there are none."""
        found: list[dict[str, str]] = [{} for _ in told]
        for mine, window, columns in self._estimates.tables(np.array(told, np.int64)):
            report.add_table([found[place] for place in mine.tolist()], window, columns)
        for place, series in enumerate(told):
            for window, values in self._estimates.values(series).items():
                found[place] |= report.metric_fields(window, values)
        return found

    def _add_history(self, writes: Writes, versions: list[int]) -> None:
        """Add the hours of some versions that had new outcomes."""
        new = [(one, hour) for one in versions for hour in self._hours.take(one)]
        hours = [(one, hour * HISTORY_PANE_MS) for one, hour in new]
        series, at_ms = np.array(hours, np.int64).reshape(-1, 2).T
        for places, columns in self._quality.histories(series, at_ms, report.HISTORY_METRICS):
            for row, place in enumerate(places.tolist()):
                version, hour_ms = hours[place]
                key = self._roster.series[version]
                day = writes.setdefault(keys.series_key(key.model_id, key.version, hour_ms), {})
                day |= report.history_field(hour_ms, columns.values(row))


def _places(chosen: NDArray[np.bool_]) -> Ints | None:
    """Return the indices that are chosen, None for all."""
    return None if chosen.all() else np.flatnonzero(chosen)
