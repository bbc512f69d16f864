"""Outcome rows as numbers: classes by their codes, probabilities by class, the pivot of a regression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tidegauge.block import NO_TEXT, Block, Codes, Floats, Ints, OutcomeRows
from tidegauge.metrics.classification import Classification
from tidegauge.monitor.ledger import Ledger
from tidegauge.monitor.roster import OTHER, Roster
from tidegauge.monitor.tasks import class_text


class Numbers:
    """Turns the outcomes of decided models into numbers; a new class is told to `add_class`."""

    def __init__(self, roster: Roster, most_classes: int, add_class: Callable[[int, str], None]) -> None:
        self._roster = roster
        self._most_classes = most_classes
        self._add_class = add_class

    def values(self, block: Block, model: Ints) -> tuple[Floats, Floats]:
        """Return prediction and label [rows]: numbers, or class codes where the task has classes.

        Every class that the rows or their probabilities name has its code afterwards.
        """
        rows = block.outcomes
        self._learn_from_probabilities(rows, model)
        predicted, actual = rows.number, rows.label_number
        which = np.flatnonzero(np.array([bool(state.classes) for state in self._roster.models])[model])
        if len(which):
            known: dict[tuple[int, float | str], int] = {}
            models = model[which].tolist()
            predicted, actual = predicted.copy(), actual.copy()
            predicted[which] = self._codes(block, models, rows.text[which], predicted[which], known)
            actual[which] = self._codes(block, models, rows.label_text[which], actual[which], known)
        return predicted, actual

    def matrix(self, ledger: Ledger, rows: OutcomeRows, model: Ints, mine: Ints, pair: Floats) -> Floats:
        """Return the rows [n, columns] at `mine` [n] of a ledger; `pair` [n, 2]: prediction and label."""
        if isinstance(ledger.family, Classification):
            more = self._probabilities(rows, model, mine, ledger.family.classes)
        else:
            more = self._pivots(model[mine], pair[:, 1])[:, None]
        return np.concatenate((pair, rows.weight[mine, None], more), axis=1)

    def _learn_from_probabilities(self, rows: OutcomeRows, model: Ints) -> None:
        for layout, where, _ in rows.proba.groups():
            for number in np.unique(model[where]).tolist() if layout.names else ():
                if self._roster.models[number].classes:
                    for name in layout.names:
                        self._code(number, name)

    def _codes(
        self,
        block: Block,
        models: list[int],
        text: Codes,
        number: Floats,
        known: dict[tuple[int, float | str], int],
    ) -> list[int]:
        values: list[float | str] = number.tolist()
        for place in np.flatnonzero(text != NO_TEXT).tolist():
            values[place] = block.strings[text[place]]
        keys = list(zip(models, values, strict=True))
        for key in dict.fromkeys(keys):  # in order of arrival, in which new codes are given
            if key not in known:
                known[key] = self._code(*key)
        return [known[key] for key in keys]

    def _code(self, model: int, value: float | str) -> int:
        """Return the code of a class, a new one for a class that was not known."""
        name = class_text(value)
        classes = self._roster.models[model].classes
        if name in classes:
            return classes.index(name)
        if len(classes) >= self._most_classes - 1:
            name = OTHER
        if name not in classes:
            self._add_class(model, name)
        return classes.index(name)

    def _probabilities(self, rows: OutcomeRows, model: Ints, mine: Ints, classes: int) -> Floats:
        """Return the probability of each class [n, classes], NaN where it was not given."""
        proba = np.full((len(rows.offset), classes), np.nan)
        members = set(np.unique(model[mine]).tolist())
        for layout, where, values in rows.proba.groups():
            for number in np.unique(model[where]).tolist() if layout.names else ():
                if number in members:
                    codes = [self._code(number, name) for name in layout.names]
                    own = model[where] == number
                    proba[where[own][:, None], codes] = values[own]
        scored = mine[~np.isnan(rows.score[mine])]
        if classes == 2 and len(scored):
            positive = np.array([state.positive_code for state in self._roster.models])[model[scored]]
            proba[scored, positive] = rows.score[scored]
            proba[scored, 1 - positive] = 1.0 - rows.score[scored]
        return proba[mine]

    def _pivots(self, model: Ints, actual: Floats) -> Floats:
        """Return the pivot of each row [n]: the first label of its model, kept from then on."""
        found, first, place = np.unique(model, return_index=True, return_inverse=True)
        for number, row in zip(found.tolist(), first.tolist(), strict=True):
            state = self._roster.models[number]
            if state.pivot is None and np.isfinite(actual[row]):
                state.pivot = float(actual[row])
        pivots = [self._roster.models[number].pivot or 0.0 for number in found.tolist()]
        return np.array(pivots, np.float64)[place]
