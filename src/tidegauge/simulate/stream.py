"""From a source and a plan to raw events, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec
import numpy as np

from tidegauge.simulate.mischief import SOUND, Flags, Ints, Plan, merge
from tidegauge.simulate.raw import LABELS, PREDICTIONS, RawEvent
from tidegauge.simulate.spoil import KINDS

CHUNK = 4_096  # events rendered at once


class Source(Protocol):
    """Rows, each a prediction and its truth, that can be told as events."""

    def predictions(self, rows: Ints) -> list[dict[str, Any]]:
        """Return the prediction events of the rows."""

    def labels(self, rows: Ints, wrong: Flags, labelled_at_ms: Ints) -> list[dict[str, Any]]:
        """Return the label events of the rows, with another than the true label where `wrong`."""


def render(source: Source, plan: Plan) -> list[RawEvent]:
    """Return the planned messages of the source, in the plan's order."""
    events: list[dict[str, Any]] = [{}] * len(plan)
    told = source.predictions(plan.row[~plan.label])
    for place, event in zip(np.flatnonzero(~plan.label).tolist(), told, strict=True):
        events[place] = event
    about = plan.take(plan.label)
    labelled = source.labels(about.row, about.wrong, about.labelled_at_ms)
    for place, event in zip(np.flatnonzero(plan.label).tolist(), labelled, strict=True):
        events[place] = event
    for place in np.flatnonzero(plan.orphan).tolist():
        events[place]["prediction_id"] += ":unknown"
    encode = msgspec.json.Encoder().encode
    sides = np.where(plan.label, LABELS, PREDICTIONS).tolist()
    return [
        RawEvent(
            side,
            event["prediction_id"].encode(),
            KINDS[spoil](event) if spoil != SOUND else encode(event),
            at,
        )
        for side, event, spoil, at in zip(
            sides, events, plan.spoil.tolist(), plan.time_ms.tolist(), strict=True
        )
    ]


def stream(source: Source, plan: Plan) -> Iterator[list[RawEvent]]:
    """Yield the planned messages in chunks; memory holds one chunk."""
    for start in range(0, len(plan), CHUNK):
        yield render(source, plan.take(slice(start, start + CHUNK)))


def stream_slices(slices: Iterable[tuple[int, Source, Plan]]) -> Iterator[list[RawEvent]]:
    """Yield the messages of all slices by time, in chunks.

    A slice is (start_ms, source, plan); starts do not fall, and no message of a slice is before its start.
    Memory holds the slices that have messages to come: as long as labels wait, and not longer.
    """
    waiting: list[tuple[Source, Plan]] = []
    for start_ms, source, plan in slices:
        yield from _until(waiting, start_ms)
        waiting.append((source, plan))
    yield from _until(waiting, None)


def _until(waiting: list[tuple[Source, Plan]], until_ms: int | None) -> Iterator[list[RawEvent]]:
    """Yield what is due before `until_ms` (None: all), and leave in `waiting` what is not."""
    due: list[Plan] = []
    slice_of: list[Ints] = []
    for number, (source, plan) in enumerate(waiting):
        count = len(plan) if until_ms is None else int(np.searchsorted(plan.time_ms, until_ms))
        due.append(plan.take(slice(0, count)))
        slice_of.append(np.full(count, number))
        waiting[number] = (source, plan.take(slice(count, None)))
    if due:
        order = np.argsort(np.concatenate([plan.time_ms for plan in due]), kind="stable")
        parts = _Parts([source for source, _ in waiting], np.concatenate(slice_of)[order])
        whole = merge(due)
        for start in range(0, len(whole), CHUNK):
            yield parts.render(whole, slice(start, start + CHUNK))
    waiting[:] = [(source, plan) for source, plan in waiting if len(plan)]


class _Parts:
    """Several sources whose messages lie mixed in one plan."""

    def __init__(self, sources: list[Source], of: Ints) -> None:
        self._sources = sources
        self._of = of

    def render(self, plan: Plan, where: slice) -> list[RawEvent]:
        of = self._of[where]
        chunk = plan.take(where)
        events: dict[int, RawEvent] = {}
        for number in np.unique(of).tolist():
            places = np.flatnonzero(of == number)
            events.update(
                zip(places.tolist(), render(self._sources[number], chunk.take(places)), strict=True)
            )
        return [events[place] for place in range(len(of))]
