"""What a count window passed through: a metric after every block, from the first outcome to the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.demo.book import Book, Seen
from tidegauge.demo.offline import Rows
from tidegauge.demo.stored import Series

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = list[Floats]


class Passage(NamedTuple):
    """Columns [blocks that hold outcomes of the series], as of the end of each."""

    value: Floats  # NaN where undefined
    n: Ints  # rows that the metric rests on
    outcomes: Ints  # first labels so far


def _accuracy(rows: Rows, positive: str) -> Columns:
    hit = np.array([one == other for one, other in zip(rows.predicted, rows.actual, strict=True)])
    return [hit * rows.weight, rows.weight, np.ones(len(rows))]


def _f1(rows: Rows, positive: str) -> Columns:
    predicted = np.array([name == positive for name in rows.predicted])
    actual = np.array([name == positive for name in rows.actual])
    claims = predicted.astype(float) + actual
    return [2.0 * (predicted & actual) * rows.weight, claims * rows.weight, (predicted | actual) * 1.0]


def _mae(rows: Rows, positive: str) -> Columns:
    error = np.abs(np.array(rows.predicted, float) - np.array(rows.actual, float))
    return [error * rows.weight, rows.weight, np.ones(len(rows))]


# A metric as the quotient of two sums, and the number of rows that it rests on.
METRICS: dict[str, Callable[[Rows, str], Columns]] = {"accuracy": _accuracy, "f1": _f1, "mae": _mae}


def passage(book: Book, order: Sequence[Seen], series: Series, metric: str, count: int) -> Passage:
    """Return what the last `count` outcomes of a series said after each block. Cost: O(events).

    An event is an outcome that enters or a correction. An outcome counts from its entry until `count`
    more have entered, and a correction changes it from its own event on.
    """
    ids = book.ordered(series)
    place = {name: number for number, name in enumerate(ids)}
    events = list(_events(order, place))
    first = np.array([event for event, seen in enumerate(events) if seen.revision == 0], np.int64)
    left = np.full(len(first), len(events))
    left[: max(len(first) - count, 0)] = first[count:]
    changes = _changes(book, series, metric, ids, (first, left))
    for event, seen in enumerate(events):
        if seen.revision and event < left[place[seen.prediction_id]]:
            changes[:, event] += (change := _correction(book, series, metric, seen))
            changes[:, left[place[seen.prediction_id]]] -= change
    part, whole, rows = np.cumsum(changes, axis=1)[:, :-1]
    blocks = np.array([seen.block for seen in events])
    ends = np.flatnonzero(np.append(blocks[1:] != blocks[:-1], len(blocks) > 0))
    n = np.rint(rows[ends]).astype(np.int64)
    value = np.divide(part[ends], whole[ends], out=np.full(len(ends), np.nan), where=n > 0)
    return Passage(value, n, np.searchsorted(first, ends, side="right"))


def _changes(book: Book, series: Series, metric: str, ids: list[str], span: tuple[Ints, Ints]) -> Floats:
    """Return what entering and leaving outcomes add to the sums: [columns, events + 1]."""
    rows = book.rows(series.model, ids, [book.label(name, 0) for name in ids])
    columns = np.array(METRICS[metric](rows, _positive(book, series)))
    events = int(span[1].max(initial=0))
    changes = np.zeros((len(columns), events + 1))
    for change, column in zip(changes, columns, strict=True):
        np.add.at(change, span[0], column)
        np.add.at(change, span[1], -column)
    return changes


def _correction(book: Book, series: Series, metric: str, seen: Seen) -> Floats:
    """Return the change of the sums [columns] when a label is replaced by its next revision."""
    labels = [
        book.label(seen.prediction_id, seen.revision - 1),
        book.label(seen.prediction_id, seen.revision),
    ]
    rows = book.rows(series.model, [seen.prediction_id] * 2, labels)
    columns = np.array(METRICS[metric](rows, _positive(book, series)))
    change: Floats = columns[:, 1] - columns[:, 0]
    return change


def _positive(book: Book, series: Series) -> str:
    return book.tasks[series.model].classes.positive or ""


def _events(order: Sequence[Seen], place: dict[str, int]) -> Iterator[Seen]:
    """Yield the outcomes and corrections of the series, each once: a replay was not counted again."""
    done: dict[str, int] = {}
    for seen in order:
        if seen.sign > 0 and seen.prediction_id in place and seen.revision > done.get(seen.prediction_id, -1):
            done[seen.prediction_id] = seen.revision
            yield seen
