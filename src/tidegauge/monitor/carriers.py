"""What carries a change of the error of a version or a segment, as alerts and Redis tell it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tidegauge import keys
from tidegauge.block import Floats, Ints
from tidegauge.config import Settings
from tidegauge.drift import attribution
from tidegauge.drift.attribution import Sample, Sums
from tidegauge.monitor.attributed import AT_MS, CODES, LOSS, NOWHERE, Attributed, Rows
from tidegauge.monitor.proxies import FALLS
from tidegauge.monitor.roster import Roster
from tidegauge.monitor.shift import Shift
from tidegauge.records import Attribution, Carrier, ColumnSplit
from tidegauge.windows import distinct

LEAST_ROWS = 2 * attribution.LEAST_SUPPORT  # in reference and window
TOLD_COLUMNS = 5  # in an alert
TOLD_CELLS = 3  # of a column, in Redis
NO_VALUE = "(none)"


class Span(NamedTuple):
    """The outcomes that an alert is about: the last so many, or those of predictions after a time."""

    last: int | None = None
    since_ms: int | None = None


class _Coded(NamedTuple):
    """Two samples with dense codes, and which code of the rows each stands for, by column."""

    before: Sample
    after: Sample
    meaning: list[Ints]


class Carriers:
    """The carriers of changes, searched for when an alert fires, and the split by column."""

    def __init__(self, settings: Settings, roster: Roster, shift: Shift) -> None:
        self._settings, self._roster, self._shift = settings, roster, shift
        self.rows = Attributed(settings, roster, shift)
        self._last: dict[int, tuple[int, Attribution]] = {}  # version -> event time and what its alert said

    def find(self, series: int, span: Span) -> Attribution | None:
        """Return what carries the change of a series' mean loss in the span; None where no rows tell.

        A span of few outcomes is widened to LEAST_ROWS. Some ms, with features tens.
        """
        version = self._version(series)
        rows = self.rows.rows(version)
        if rows is None:
            return None
        before, after = _of_segment(rows, series) if version != series else (rows.before, rows.after)
        if span.since_ms is not None:
            after = after[after[:, AT_MS] > span.since_ms]
        if span.last is not None:
            after = after[-max(span.last, LEAST_ROWS) :]
        if min(len(before), len(after)) < LEAST_ROWS:
            return None
        coded = _coded(before, after)
        proxy = self._proxy(series)
        found = attribution.carriers(coded.before, coded.after, falls=proxy.startswith(FALLS))
        splits = _splits(rows.columns, _sums(coded))
        told = Attribution(
            loss=proxy.removeprefix(FALLS) or "error",
            before=float(coded.before.loss.mean()),
            after=float(coded.after.loss.mean()),
            n_before=len(before),
            n=len(after),
            carriers=tuple(self._told(version, rows, coded, one) for one in found),
            columns=tuple(splits[:TOLD_COLUMNS]),
        )
        if version == series:
            self._last[series] = self._roster.watermark(series), told
        return told

    def fields(self, series: int) -> dict[str, str]:
        """Return a version's split by each column, and the carriers that its last alert named, for Redis.

        Empty while there are too few outcomes after the reference. Some 0.1 ms a column.
        """
        rows = self.rows.rows(series)
        if rows is None or min(len(rows.before), len(rows.after)) < LEAST_ROWS:
            return {}
        coded = _coded(rows.before, rows.after)
        found = {
            "loss": self._proxy(series).removeprefix(FALLS) or "error",
            "before": keys.number_text(float(coded.before.loss.mean())),
            "after": keys.number_text(float(coded.after.loss.mean())),
            "n_before": str(len(rows.before)),
            "n": str(len(rows.after)),
            keys.UPDATED: str(self._roster.watermark(series)),
        }
        every = _sums(coded)
        sums_of = dict(zip(rows.columns, every, strict=True))
        for split in _splits(rows.columns, every):
            parts = attribution.parts(*sums_of[split.name])
            first = np.argsort(-np.abs(parts), kind="stable")[:TOLD_CELLS]
            column = rows.columns.index(split.name)
            names = self._names(series, rows, column, coded.meaning[column][first])
            told = {"mix": split.mix, "rate": split.rate, "interaction": split.interaction}
            greatest = dict(zip(names, parts[first].tolist(), strict=True))
            found[f"{split.name}.split"] = json.dumps(told | {"parts": greatest})
        if series in self._last:
            at_ms, said = self._last[series]
            found["alert.raised_at_ms"] = str(at_ms)
            found["alert.attribution"] = msgspec.json.encode(said).decode()
        return found

    def forget(self, series: int) -> None:
        """Drop what is kept of a version."""
        self.rows.forget(series)
        self._last.pop(series, None)

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        last = [[series, at_ms, msgspec.to_builtins(said)] for series, (at_ms, said) in self._last.items()]
        return {"rows": self.rows.state(), "last": last}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        self.rows.restore(state["rows"])
        for series, at_ms, said in state["last"]:
            self._last[series] = at_ms, msgspec.convert(said, Attribution)

    def _told(self, version: int, rows: Rows, coded: _Coded, one: attribution.Carrier) -> Carrier:
        where = {
            rows.columns[column]: self._names(version, rows, column, coded.meaning[column][[code]])[0]
            for column, code in one.where
        }
        return Carrier(where=where, part=one.part, n=one.n, before=one.before, after=one.after, p=one.p)

    def _names(self, version: int, rows: Rows, column: int, codes: Ints) -> list[str]:
        """Return what codes [n] of a row's column stand for."""
        if column < rows.segments:
            return [self._value(code) for code in codes.tolist()]
        bins = self._shift.bins(version)
        names = bins.references[column - rows.segments].names() if bins else ()
        return [names[code] for code in codes.tolist()]

    def _value(self, series: int) -> str:
        """Return the value of a segment, NO_VALUE for NOWHERE."""
        segment = self._roster.series[series].segment if series != NOWHERE else None
        return segment.partition("=")[2] if segment else NO_VALUE

    def _version(self, series: int) -> int:
        key = self._roster.series[series]
        return self._roster.version_series(key.model_id, key.version)[0]

    def _proxy(self, series: int) -> str:
        return self._settings.model(self._roster.series[series].model_id).error or ""


def _of_segment(rows: Rows, series: int) -> tuple[Floats, Floats]:
    """Return the rows of one segment."""
    segments = slice(CODES, CODES + rows.segments)
    before, after = ((each[:, segments] == series).any(axis=1) for each in (rows.before, rows.after))
    return rows.before[before], rows.after[after]


def _coded(before: Floats, after: Floats) -> _Coded:
    """Return rows with the codes of each column counted from 0."""
    every = np.concatenate((before, after))[:, CODES:].astype(np.int64)
    codes, meaning = np.empty_like(every), []
    for column in range(every.shape[1]):
        first, codes[:, column] = distinct(every[:, column])
        meaning.append(every[first, column])
    earlier = Sample(codes[: len(before)], before[:, LOSS])
    return _Coded(earlier, Sample(codes[len(before) :], after[:, LOSS]), meaning)


def _sums(coded: _Coded) -> list[tuple[Sums, Sums]]:
    """Return the sums of both samples by code, column by column."""
    found = []
    for column, meaning in enumerate(coded.meaning):
        before, after = (
            attribution.sums(sample.codes[:, column], sample.loss, len(meaning))
            for sample in (coded.before, coded.after)
        )
        found.append((before, after))
    return found


def _splits(columns: tuple[str, ...], every: list[tuple[Sums, Sums]]) -> list[ColumnSplit]:
    """Return the split of the change by each column, the greatest mix first."""
    found = [
        ColumnSplit(name=name, **attribution.split(before, after)._asdict())
        for name, (before, after) in zip(columns, every, strict=True)
    ]
    return sorted(found, key=lambda one: -abs(one.mix))
