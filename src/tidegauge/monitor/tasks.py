"""What a model predicts: decided once, from the configuration or from its first outcomes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tidegauge.baseline_file import BaselineFile
from tidegauge.block import NO_TEXT, Block, Codes, Floats, Ints, from_tree, to_tree
from tidegauge.config import Model, Settings
from tidegauge.monitor.roster import Roster, task_of
from tidegauge.windows import distinct

_NONE = np.empty(0, np.int64)
ZERO_ONE = frozenset({0.0, 1.0})
LISTED = "(list)"  # the class of a list among classes


class Evidence(NamedTuple):
    """What the first outcomes of a model look like."""

    outcomes: int
    numbers: frozenset[float]  # predictions and labels that are numbers
    texts: frozenset[str]  # predictions and labels that are texts
    class_names: frozenset[str]  # keys of the probabilities
    scored: bool  # the probability is one number
    listed: bool = False  # a prediction is a list


class Decision(NamedTuple):
    """A task, the classes it starts with, and the positive one of two."""

    task: str
    classes: list[str]
    positive: str | None


def class_text(value: float | str) -> str:
    """Return the class that a value names: true is 1, a whole number loses its fraction.

    >>> class_text(1.0), class_text(0.5), class_text("cat")
    ('1', '0.5', 'cat')
    """
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return LISTED
    return str(int(value)) if value.is_integer() else repr(value)


def decide(model: Model, evidence: Evidence, enough: int) -> Decision | None:
    """Return the task of a model, or None while its first outcomes leave it open.

    Ranked lists make a ranking, else probabilities or texts a classification. Numbers alone are a
    regression, unless only 0 and 1 come in `enough` outcomes.

    >>> decide(Model(), Evidence(5, frozenset({0.0, 1.0, 2.5}), frozenset(), frozenset(), False), 100).task
    'regression'
    """
    if model.task in ("regression", "ranking"):
        return Decision(model.task, [], None)
    if model.task is None and evidence.listed:
        return Decision("ranking", [], None)
    waited = evidence.outcomes >= enough
    zero_one = evidence.numbers <= ZERO_ONE
    texts = evidence.texts | evidence.class_names
    if not (texts or model.task or evidence.scored or zero_one):
        return Decision("regression", [], None)
    if not (texts or model.task or evidence.scored or waited):
        return None
    numbers = evidence.numbers | ZERO_ONE if evidence.numbers and zero_one else evidence.numbers
    named = texts | {class_text(number) for number in numbers}
    return _classification(model, named) if len(named) > 1 or waited else None


class Tasks:
    """Holds back the outcomes of a model until its task is decided."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._settings = settings
        self._roster = roster
        self._held: dict[str, list[Block]] = {}

    def release(self, block: Block) -> list[Block]:
        """Return the blocks of outcomes that can be counted now, those held back first.

        Cost: a look-up for each model of the block.
        """
        model = block.outcomes.model
        first, place = distinct(model.astype(np.int64))
        codes = model[first].tolist()
        numbers = self._roster.numbers([block.strings[code] for code in codes])
        undecided = np.flatnonzero(~self._roster.columns.decided[numbers]) if codes else _NONE
        if not len(undecided):
            return [block] if codes else []
        ready: list[Block] = []
        waiting = np.zeros(len(codes), np.bool_)
        order = np.argsort(place, kind="stable")
        ends = np.cumsum(np.bincount(place))
        for which in undecided.tolist():
            rows = order[ends[which - 1] if which else 0 : ends[which]]
            held = self._decide(block, codes[which], int(numbers[which]), rows)
            waiting[which] = held is None
            ready += held or []
        rest = np.flatnonzero(~waiting[place])
        if len(rest) == len(place):
            return [*ready, block]
        return [*ready, block.select(_NONE, rest)] if len(rest) else ready

    def adopt(self, number: int, file: BaselineFile) -> None:
        """Take what a file says of a model's task, where nothing else says it so far."""
        state, model_id = self._roster.models[number], self._roster.model_ids[number]
        model = self._settings.model(model_id)
        positive = model.positive_class or file.positive_class
        known = file.task == "regression" or positive in (None, *file.classes)
        if state.task or file.task is None or model.task not in (None, file.task) or model_id in self._held:
            return
        if not known or len(file.classes) > self._settings.monitor.classes:
            return
        state.task, state.classes = file.task, list(file.classes)
        state.positive = positive if file.task == "binary" else None
        self._roster.note(number)

    def held(self, model_id: str) -> int:
        """Return how many outcome rows of a model wait for its task."""
        return sum(block.rows for block in self._held.get(model_id, []))

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {model_id: [to_tree(block) for block in held] for model_id, held in self._held.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        self._held = {name: [from_tree(tree) for tree in held] for name, held in state.items()}

    def _decide(self, block: Block, code: int, number: int, rows: Ints) -> list[Block] | None:
        """Return what was held of a model that these rows decide; None where they are held too."""
        model_id = block.strings[code]
        held = self._held.get(model_id, [])
        parts = [(before, np.arange(len(before.outcomes.offset))) for before in held]
        enough = self._settings.monitor.inference_outcomes
        decision = decide(self._settings.model(model_id), _evidence([*parts, (block, rows)]), enough)
        if decision is None:
            self._held[model_id] = [*held, block.select(_NONE, rows)]
            return None
        state = self._roster.models[number]
        state.task, state.classes, state.positive = decision
        self._roster.note(number)
        self._held.pop(model_id, None)
        return held


def _classification(model: Model, named: frozenset[str] | set[str]) -> Decision:
    classes = sorted(named | ({model.positive_class} if model.positive_class else set()))
    positive = (model.positive_class or classes[-1]) if len(classes) <= 2 else None
    return Decision(task_of(classes), classes, positive)


def _evidence(parts: list[tuple[Block, Ints]]) -> Evidence:
    """Return what outcome rows look like, which stand at indices of blocks."""
    numbers: set[float] = set()
    texts: set[str] = set()
    names: set[str] = set()
    scored, listed, outcomes = False, False, 0
    for block, rows in parts:
        columns = block.outcomes
        outcomes += int(((columns.sign[rows] > 0) & (columns.revision[rows] == 0)).sum())
        numbers |= _numbers(columns.number[rows]) | _numbers(columns.label_number[rows])
        texts |= _texts(block, columns.text[rows]) | _texts(block, columns.label_text[rows])
        names.update(*[columns.proba.layouts[c].names for c in set(columns.proba.layout[rows].tolist())])
        scored = scored or not np.isnan(columns.score[rows]).all()
        listed = listed or bool(columns.items.counts(len(columns.offset))[0][rows].any())
    return Evidence(outcomes, frozenset(numbers), frozenset(texts), frozenset(names), scored, listed)


def _numbers(column: Floats) -> set[float]:
    return set(column[~np.isnan(column)].tolist())


def _texts(block: Block, column: Codes) -> set[str]:
    return {block.strings[code] for code in set(column.tolist()) if code != NO_TEXT}
