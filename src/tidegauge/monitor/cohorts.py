"""Outcomes in the order of their predictions, each at the same label age: what detectors go by.

Labels that come early are not like those that come late, so outcomes in the order of arrival look like a
shift whenever traffic begins, grows or pauses. With a label age an outcome waits until its model has had a
label whose time is later than its prediction by more than that, and goes on in the order of prediction
times. An outcome whose own label took longer is left out: its cohort would be older than the others.

The clock is that of the labels, not of predictions: these are two topics, and how far each was read when an
outcome came is nothing that a replay repeats. Outcomes are taken one after the other, whatever block they
come in, so all cuts of a stream give the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge import keys
from tidegauge.block import Ints
from tidegauge.config import Settings
from tidegauge.monitor.first_labels import FirstLabels, Hashes, joined
from tidegauge.monitor.roster import Roster
from tidegauge.monitor.slots import Slots, waiting_in
from tidegauge.windows import grown

MOST_WAITING = 50_000  # of a model, in 3 MB; past that it is a share of its outcomes that goes on
_MIX = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: the upper bits of a product are well spread
_NOT_ASKED = -1

Marks = NDArray[np.bool_]


class _Due(NamedTuple):
    """What is due: slots, and which of the new ones; the place of the label with which each is; the order."""

    slots: Ints  # [s]
    new: Ints  # [k]
    place: Ints  # [s + k]
    order: Ints  # [s + k]


class Cohorts:
    """The first labels that wait, of models with a label age, and how many outcomes did not go on."""

    def __init__(self, settings: Settings, roster: Roster, most: int = MOST_WAITING) -> None:
        self._settings, self._roster, self._most = settings, roster, most
        of_models = [one.label_age_seconds for one in settings.models.values()]
        self._any = any([settings.drift.label_age_seconds, *of_models])
        self._age_ms: Ints = np.zeros(0, np.int64)  # by model, 0 where nothing waits
        self._clock_ms: Ints = np.zeros(0, np.int64)  # by model: its latest label
        self._level: Ints = np.zeros(0, np.int64)  # by model: a share of 2^-level goes on
        self._held: Ints = np.zeros(0, np.int64)  # by model: its slots
        self._waiting: Ints = np.zeros(0, np.int64)  # by series
        self._overdue: Ints = np.zeros(0, np.int64)
        self._thinned: Ints = np.zeros(0, np.int64)
        self._slots = Slots()

    def observe(self, first: FirstLabels) -> FirstLabels:
        """Take first labels in the order of their arrival; return those that go on now, in theirs.

        Cost: where an age is set, a look at all that waits, and O(n log n).
        """
        if not self._any or not len(first.series):
            return first
        self._meet(int(first.series.max()) + 1)
        waits = self._age_ms[self._model(first)] > 0
        if not waits.any():
            return first
        return joined([first.take(np.flatnonzero(~waits)), *self._steps(first.take(np.flatnonzero(waits)))])

    def fields(self, series: int) -> dict[str, str]:
        """Return what is told of a version; nothing where none of it waits."""
        model = self._roster.series_model[series]
        if model >= len(self._age_ms) or self._age_ms[model] <= 0 or series >= len(self._waiting):
            return {}
        counts = {"waiting": self._waiting, "overdue": self._overdue, "thinned": self._thinned}
        return {f"cohorts.{name}": keys.number_text(int(column[series])) for name, column in counts.items()}

    def forget(self, series: int) -> None:
        """Drop what waits of a series, and what was counted."""
        mine = np.zeros(len(self._roster.series), np.bool_)
        mine[series] = True
        self._free(self._slots.of(mine))
        for column in (self._overdue, self._thinned):
            column[series : series + 1] = 0

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        models, series = len(self._roster.models), len(self._roster.series)
        return {
            "slots": self._slots.state(),
            "models": _beside(models, self._clock_ms, self._level),
            "series": _beside(series, self._overdue, self._thinned),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned; of models without an age now nothing waits any more."""
        self._meet(len(self._roster.series))
        models, series = (np.array(state[name], np.int64).reshape(-1, 2) for name in ("models", "series"))
        self._clock_ms[: len(models)], self._level[: len(models)] = models.T
        self._overdue[: len(series)], self._thinned[: len(series)] = series.T
        waiting = waiting_in(state["slots"])
        self._keep(waiting.take(np.flatnonzero(self._age_ms[self._model(waiting)] > 0)))

    def _steps(self, new: FirstLabels) -> list[FirstLabels]:
        """Return what goes on, step by step: with a step a model may have come to have too many that wait."""
        found = []
        while len(new.series):
            model = self._model(new)
            clock_ms = self._clock_ms.copy()
            np.maximum.at(clock_ms, model, new.labelled_at_ms)
            in_time = new.labelled_at_ms - new.at_ms <= self._age_ms[model]
            kept = in_time & _in_share(new.id_hash, self._level[model])
            due = self._due(new, kept, clock_ms)
            end = self._end(model, kept, due)
            if end < len(model):
                found += self._steps(new.take(slice(end)))
            else:
                self._clock_ms = clock_ms
                np.add.at(self._overdue, new.series[~in_time], 1)
                np.add.at(self._thinned, new.series[in_time & ~kept], 1)
                found.append(self._go_on(new, kept, due))
                self._thin()
            new = new.take(slice(end, None))
        return found

    def _due(self, new: FirstLabels, kept: Marks, clock_ms: Ints) -> _Due:
        """Return what is due by the clocks of models, each with the first label that makes it so.

        Places count the new ones [n] model by model.
        """
        model, due_ms = self._model(new), self._due_ms(new)
        slots = self._slots.due(clock_ms[self._roster.columns.model])
        chosen = np.flatnonzero(kept & (due_ms <= clock_ms[model]))
        found = joined([self._slots.read(slots), new.take(chosen)])
        ticks = np.maximum(new.labelled_at_ms, self._clock_ms[model])
        wanted = np.concatenate((self._slots.due_ms(slots), due_ms[chosen]))
        times, rank = np.unique(np.concatenate((ticks, wanted)), return_inverse=True)
        by_model = np.argsort(model, kind="stable")
        clock = np.maximum.accumulate((model * len(times) + rank[: len(ticks)])[by_model])
        place = np.searchsorted(clock, self._model(found) * len(times) + rank[len(ticks) :])
        own = np.empty(len(model), np.int64)
        own[by_model] = np.arange(len(model))
        place[len(slots) :] = np.maximum(place[len(slots) :], own[chosen])  # not before it came
        return _Due(slots, chosen, place, np.lexsort((found.id_hash, found.at_ms, place)))

    def _end(self, model: Ints, kept: Marks, due: _Due) -> int:
        """Return how many of new ones [n] can be taken: up to the first with which a model has too many."""
        most = self._held + np.bincount(model[kept], minlength=len(self._held))
        if (most <= self._most).all():
            return len(model)
        by_model = np.argsort(model, kind="stable")
        change = kept[by_model].astype(np.int64)
        np.subtract.at(change, due.place, 1)
        ordered, total = model[by_model], np.cumsum(change)
        begun = (total - change)[np.searchsorted(ordered, ordered)]
        full = by_model[self._held[ordered] + total - begun > self._most]
        return int(full.min()) + 1 if len(full) else len(model)

    def _go_on(self, new: FirstLabels, kept: Marks, due: _Due) -> FirstLabels:
        """Return what is due, in its order; keep what waits."""
        found = joined([self._slots.read(due.slots), new.take(due.new)])
        self._free(due.slots)
        waits = kept.copy()
        waits[due.new] = False
        self._keep(new.take(np.flatnonzero(waits)))
        return found.take(due.order)

    def _thin(self) -> None:
        """Let a smaller share go on, of what waits too, of models of which too many wait."""
        for model in np.flatnonzero(self._held > self._most).tolist():
            while self._held[model] > self._most:
                self._level[model] += 1
                mine = self._slots.of(self._roster.columns.model == model)
                waiting = self._slots.read(mine)
                rest = ~_in_share(waiting.id_hash, self._level[[model]])
                np.add.at(self._thinned, waiting.series[rest], 1)
                self._free(mine[rest])

    def _keep(self, waiting: FirstLabels) -> None:
        self._slots.keep(waiting, self._due_ms(waiting))
        np.add.at(self._waiting, waiting.series, 1)
        np.add.at(self._held, self._model(waiting), 1)

    def _free(self, slots: Ints) -> None:
        waiting = self._slots.read(slots)
        np.subtract.at(self._waiting, waiting.series, 1)
        np.subtract.at(self._held, self._model(waiting), 1)
        self._slots.free(slots)

    def _model(self, first: FirstLabels) -> Ints:
        return self._roster.columns.model[first.series]

    def _due_ms(self, first: FirstLabels) -> Ints:
        """Return the least time of a label with which each goes on: no label of its age can come after it."""
        return first.at_ms + self._age_ms[self._model(first)] + 1

    def _meet(self, size: int) -> None:
        """Have room for so many series and for every model, and know the label ages of these."""
        self._waiting, self._overdue, self._thinned = (
            grown(column, size, 0) for column in (self._waiting, self._overdue, self._thinned)
        )
        models = len(self._roster.models)
        self._clock_ms, self._level, self._held = (
            grown(column, models, 0) for column in (self._clock_ms, self._level, self._held)
        )
        self._age_ms = grown(self._age_ms, models, _NOT_ASKED)
        for model in np.flatnonzero(self._age_ms[:models] == _NOT_ASKED).tolist():
            own = self._settings.model(self._roster.model_ids[model]).label_age_seconds
            self._age_ms[model] = 1_000 * (self._settings.drift.label_age_seconds if own is None else own)


def _in_share(hashes: Hashes, level: Ints) -> Marks:
    """Return which hashes [n] belong to a share of 2^-level [n]; that of a level lies in the one below.

    >>> _in_share(np.arange(8, dtype=np.uint64), np.array([0])).sum()
    np.int64(8)
    """
    upper = (hashes * _MIX) >> np.uint64(1)
    chosen: Marks = upper >> (63 - level).astype(np.uint64) == 0
    return chosen


def _beside(size: int, *columns: Ints) -> Ints:
    """Return the first rows of columns: [size, columns]."""
    found: Ints = np.stack([grown(column.copy(), size, 0)[:size] for column in columns], axis=1)
    return found
