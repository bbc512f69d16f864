"""Outcome rows as numbers: classes by their codes, probabilities by class, the pivot of a regression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tidegauge.block import NO_TEXT, Block, Codes, Floats, Ints, OutcomeRows
from tidegauge.metrics.classification import Classification
from tidegauge.metrics.ranking import Ranking
from tidegauge.monitor.ledger import Ledger
from tidegauge.monitor.lists import judged_lists
from tidegauge.monitor.roster import OTHER, REGRESSION, Roster
from tidegauge.monitor.tasks import class_text
from tidegauge.windows import distinct


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
        which = np.flatnonzero(self._roster.columns.shape[model] > REGRESSION)
        if len(which):
            models = model[which]
            predicted, actual = predicted.copy(), actual.copy()
            predicted[which] = self._codes(block, models, rows.text[which], predicted[which])
            actual[which] = self._codes(block, models, rows.label_text[which], actual[which])
        return predicted, actual

    def matrix(self, ledger: Ledger, rows: OutcomeRows, model: Ints, mine: Ints, pair: Floats) -> Floats:
        """Return the rows [n, columns] at `mine` [n] of a ledger; `pair` [n, 2]: prediction and label."""
        if isinstance(ledger.family, Ranking):
            judged = judged_lists(ledger.family, rows, mine)
            loss = 1.0 - judged[:, ledger.family.names.index(ledger.family.main)]
            pair = np.stack((loss, np.zeros(len(mine))), axis=1)
            more = judged
        elif isinstance(ledger.family, Classification):
            more = self._probabilities(rows, model, mine, ledger.family.classes)
        else:
            more = self._pivots(model[mine], pair[:, 1])[:, None]
        return np.concatenate((pair, rows.weight[mine, None], more), axis=1)

    def _learn_from_probabilities(self, rows: OutcomeRows, model: Ints) -> None:
        for layout, where, _ in rows.proba.groups():
            for number in _members(model[where]) if layout.names else ():
                if self._roster.models[number].classes:
                    for name in layout.names:
                        self._code(number, name)

    def _codes(self, block: Block, model: Ints, text: Codes, number: Floats) -> Floats:
        """Return the code of each class [n]: those of 0 and 1 at a glance, others once for each model."""
        plain = (text == NO_TEXT) & ((number == 0) | (number == 1))
        bit = np.where(plain, number, 0).astype(np.int64)
        codes = np.where(plain, self._roster.columns.zero_one[model, bit], -1)
        rest = np.flatnonzero(codes < 0)
        if len(rest):
            codes[rest] = self._codes_of_others(block, model[rest], text[rest], number[rest])
        return codes.astype(np.float64)

    def _codes_of_others(self, block: Block, model: Ints, text: Codes, number: Floats) -> Ints:
        _, value = distinct(np.where(text == NO_TEXT, number.view(np.int64), text))
        value = 2 * value + (text == NO_TEXT)
        first, place = distinct(model * (int(value.max()) + 1) + value)
        known = np.empty(len(first), np.int64)
        for which in np.argsort(first).tolist():  # in order of arrival, in which new codes are given
            row = int(first[which])
            named = block.strings[text[row]] if text[row] != NO_TEXT else float(number[row])
            known[which] = self._code(int(model[row]), named)
        return known[place]

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
        for layout, where, values in rows.proba.groups():
            if layout.names:
                first, place = distinct(model[where])
                known = [self._known(number, layout.names) for number in model[where[first]].tolist()]
                codes = np.array(known, np.int64).reshape(len(first), -1)[place]
                row, column = np.nonzero(codes < classes)  # models of other ledgers may have more
                proba[where[row], codes[row, column]] = values[row, column]
        scored = mine[~np.isnan(rows.score[mine])]
        if classes == 2 and len(scored):
            positive = self._roster.columns.positive[model[scored]]
            proba[scored, positive] = rows.score[scored]
            proba[scored, 1 - positive] = 1.0 - rows.score[scored]
        return proba[mine]

    def _known(self, model: int, names: tuple[str, ...]) -> list[int]:
        """Return the codes of probabilities' names, whose rows are a classification's or not asked for."""
        if self._roster.models[model].classes:
            return [self._code(model, name) for name in names]
        return [0] * len(names)

    def _pivots(self, model: Ints, actual: Floats) -> Floats:
        """Return the pivot of each row [n]: the first label of its model, kept from then on."""
        first, _ = distinct(model)
        found = self._roster.columns.pivot
        for row in first[np.isnan(found[model[first]])].tolist():
            if np.isfinite(actual[row]):
                self._roster.models[model[row]].pivot = float(actual[row])
                self._roster.note(int(model[row]))
        return np.nan_to_num(found[model])


def _members(model: Ints) -> list[int]:
    """Return each model [n] once."""
    first, _ = distinct(model)
    members: list[int] = model[first].tolist()
    return members
