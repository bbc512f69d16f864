"""What a model predicts: decided once, from the configuration or from its first outcomes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tidegauge.block import NO_TEXT, Block, Codes, Floats, from_tree, to_tree
from tidegauge.config import Model, Settings
from tidegauge.monitor.roster import ModelState, Roster, task_of

_NONE = np.empty(0, np.int64)
ZERO_ONE = frozenset({0.0, 1.0})


class Evidence(NamedTuple):
    """What the first outcomes of a model look like."""

    outcomes: int
    numbers: frozenset[float]  # predictions and labels that are numbers
    texts: frozenset[str]  # predictions and labels that are texts
    class_names: frozenset[str]  # keys of the probabilities
    scored: bool  # the probability is one number


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
    return str(int(value)) if value.is_integer() else repr(value)


def decide(model: Model, evidence: Evidence, enough: int) -> Decision | None:
    """Return the task of a model, or None while its first outcomes leave it open.

    Probabilities or texts make a classification, ranked lists a ranking. Numbers alone are a
    regression, unless only 0 and 1 come in `enough` outcomes.

    >>> decide(Model(), Evidence(5, frozenset({0.0, 1.0, 2.5}), frozenset(), frozenset(), False), 100).task
    'regression'
    """
    if model.task in ("regression", "ranking"):
        return Decision(model.task, [], None)
    if model.task is None and any(text.startswith("[") for text in evidence.texts):
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
        """Return the blocks of outcomes that can be counted now, those held back first."""
        codes = np.unique(block.outcomes.model).tolist()
        undecided = [code for code in codes if self._state(block.strings[code]).task is None]
        if not undecided:
            return [block] if codes else []
        ready = []
        for code in undecided:
            rows = np.flatnonzero(block.outcomes.model == code)
            ready += self._hold(block.strings[code], block.select(_NONE, rows))
        rest = np.flatnonzero(~np.isin(block.outcomes.model, undecided))
        return [*ready, block.select(_NONE, rest)] if len(rest) else ready

    def held(self, model_id: str) -> int:
        """Return how many outcome rows of a model wait for its task."""
        return sum(block.rows for block in self._held.get(model_id, []))

    def state(self) -> dict[str, Any]:
        """Return the plain state."""
        return {model_id: [to_tree(block) for block in held] for model_id, held in self._held.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned."""
        self._held = {name: [from_tree(tree) for tree in held] for name, held in state.items()}

    def _state(self, model_id: str) -> ModelState:
        return self._roster.models[self._roster.model(model_id)]

    def _hold(self, model_id: str, block: Block) -> list[Block]:
        held = [*self._held.get(model_id, []), block]
        enough = self._settings.monitor.inference_outcomes
        decision = decide(self._settings.model(model_id), _evidence(held), enough)
        if decision is None:
            self._held[model_id] = held
            return []
        state = self._state(model_id)
        state.task, state.classes, state.positive = decision
        self._held.pop(model_id, None)
        return held


def _classification(model: Model, named: frozenset[str] | set[str]) -> Decision:
    classes = sorted(named | ({model.positive_class} if model.positive_class else set()))
    positive = (model.positive_class or classes[-1]) if len(classes) <= 2 else None
    return Decision(task_of(classes), classes, positive)


def _evidence(held: list[Block]) -> Evidence:
    numbers: set[float] = set()
    texts: set[str] = set()
    names: set[str] = set()
    scored, outcomes = False, 0
    for block in held:
        rows = block.outcomes
        outcomes += int(((rows.sign > 0) & (rows.revision == 0)).sum())
        numbers |= _numbers(rows.number) | _numbers(rows.label_number)
        texts |= _texts(block, rows.text) | _texts(block, rows.label_text)
        names.update(*[block_layout.names for block_layout, _, _ in rows.proba.groups()])
        scored = scored or not np.isnan(rows.score).all()
    return Evidence(outcomes, frozenset(numbers), frozenset(texts), frozenset(names), scored)


def _numbers(column: Floats) -> set[float]:
    return set(np.unique(column[~np.isnan(column)]).tolist())


def _texts(block: Block, column: Codes) -> set[str]:
    return {block.strings[code] for code in np.unique(column).tolist() if code != NO_TEXT}
