"""Lists of a block as items end to end: what was shown, and what of it was relevant."""

from __future__ import annotations

import numpy as np

from tidegauge.block import NO_TEXT, Codes, Floats, Ints, Lists, OutcomeRows
from tidegauge.metrics.ranking import Items, Ranking


def flat(lists: Lists, text: Codes) -> tuple[Ints, Items, Floats]:
    """Return which rows say something, their items, and the items' gains; a lone text is one item.

    Rows of the items count from 0 among `text` [rows].
    """
    known, counts = lists.counts(len(text))
    gains = lists.gains if len(lists.gains) else np.ones(len(lists.items))
    items = Items(np.repeat(np.arange(len(text)), counts), lists.items)
    lone = np.flatnonzero(~known & (text != NO_TEXT))
    if len(lone):
        row = np.concatenate((items.row, lone))
        order = np.argsort(row, kind="stable")
        items = Items(row[order], np.concatenate((items.item, text[lone]))[order])
        gains = np.concatenate((gains, np.ones(len(lone))))[order]
        known = known | (text != NO_TEXT)
    return np.flatnonzero(known), items, gains


def leading(lists: Lists, text: Codes) -> Codes:
    """Return the first item of each list [rows]; the text of a row that has no list."""
    if not len(lists.sizes):
        return text
    _, counts = lists.counts(len(text))
    some = np.flatnonzero(counts)
    found = text.copy()
    found[some] = lists.items[(np.cumsum(counts) - counts)[some]]
    return found


def judged_lists(family: Ranking, rows: OutcomeRows, mine: Ints) -> Floats:
    """Return the metrics of outcome rows at `mine` [n, names], NaN where a list or a label is missing."""
    listed, shown, _ = flat(rows.items.take(mine), rows.text[mine])
    labelled, relevant, gains = flat(rows.relevant.take(mine), rows.label_text[mine])
    known = np.zeros(len(mine), np.bool_)
    known[np.intersect1d(listed, labelled, assume_unique=True)] = True
    return family.judged(known, shown, relevant, gains)
