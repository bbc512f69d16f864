"""Scores as bins under names that need no task: what class was predicted, or came, beside which score.

A name is `score:<class>` for rows whose probability is one number (that of the positive class, whichever
that will be), and `own:<class>` or `other:<class>` for rows with a map, by each class of it: own where the
row is of that class. So predictions can be counted before anybody knows what their model predicts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tidegauge.block import NO_TEXT, Block, Codes, Floats, Ints, OutcomeRows, PredictionRows
from tidegauge.metrics.classification import SCORED_CLASSES
from tidegauge.metrics.scores import bin_of
from tidegauge.monitor.tasks import class_text

SCORE, OWN, OTHERS = "score", "own", "other"


class Scored(NamedTuple):
    """Rows of a block and the score bin of each under a name."""

    row: Ints  # [m]
    names: list[str]
    name: Ints  # [m] index of the name
    bin: Codes  # [m]


def scored(
    block: Block, rows: PredictionRows | OutcomeRows, number: Floats, text: Codes, bins: int
) -> Iterator[Scored]:
    """Yield the scores of rows; `number` and `text` [rows] say the class of each, predicted or actual."""
    where = np.flatnonzero(~np.isnan(rows.score))
    if not len(where) and not len(rows.proba.values):
        return
    classes, code = _classes(block, number, text)
    if len(where):
        names = [f"{SCORE}:{name}" for name in classes]
        yield Scored(where, names, code[where], bin_of(np.clip(rows.score[where], 0.0, 1.0), bins))
    for layout, mine, values in rows.proba.groups():
        if not 2 <= len(layout.names) <= SCORED_CLASSES:
            continue
        place = {name: at for at, name in enumerate(classes)}
        for column, name in enumerate(layout.names):
            given = ~np.isnan(values[:, column])
            others = code[mine[given]] != place.get(name, -1)
            names = [f"{OWN}:{name}", f"{OTHERS}:{name}"]
            bin_ = bin_of(np.clip(values[given, column], 0.0, 1.0), bins)
            yield Scored(mine[given], names, others.astype(np.int64), bin_)


def _classes(block: Block, number: Floats, text: Codes) -> tuple[list[str], Ints]:
    """Return the names of the classes and the code [rows] of each row's."""
    is_text = text != NO_TEXT
    if not is_text.any():
        numbers, code = np.unique(number, return_inverse=True)
        return list(map(class_text, numbers.tolist())), code
    numbers, of_number = np.unique(number[~is_text], return_inverse=True)
    texts, of_text = np.unique(text[is_text], return_inverse=True)
    every = [*map(class_text, numbers.tolist()), *(block.strings[code] for code in texts.tolist())]
    names = list(dict.fromkeys(every))  # "1" and 1 are one class
    place = {name: at for at, name in enumerate(names)}
    found = np.array([place[name] for name in every], np.int64)
    code = np.empty(len(text), np.int64)
    code[~is_text], code[is_text] = found[of_number], found[of_text + len(numbers)]
    return names, code
