"""What stands in Redis beside what must stand there: a line for every difference."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tidegauge.demo.book import Book
from tidegauge.demo.expected import Expected, exactly
from tidegauge.demo.offline import Found, Rows, confusion
from tidegauge.demo.stored import Hash, Series, Stored, fields

UNDEFINED = "null"
_CONFUSION = "confusion"
_BY_NAME = ("kpi.", "resource.")  # metrics that exist for names which a window may not have


def number(text: str | None) -> float | None:
    """Return the number of a field, None where it says that it is undefined."""
    return None if text is None or text == UNDEFINED else float(text)


def models(book: Book, stored: Stored) -> Iterator[str]:
    """Yield what is wrong with the models and series that are there, and with their tasks."""
    yield from _sets("models", {*book.tasks}, {*stored.models})
    yield from _sets("series", {*book.series()}, {*stored.metrics})
    for model, task in book.tasks.items():
        found = stored.models.get(model, {})
        if found.get("task") != task.name:
            yield f"{model}: expected task {task.name}, stored {found.get('task')}"
        if int(found.get("watermark_ms", 0)) != book.watermarks[model]:
            yield f"{model}: expected watermark {book.watermarks[model]}, stored {found.get('watermark_ms')}"


def _sets(what: str, expected: set[str] | set[Series], stored: set[str] | set[Series]) -> Iterator[str]:
    for name in sorted(map(str, {*expected} - {*stored})):
        yield f"{what}: {name} is missing"
    for name in sorted(map(str, {*stored} - {*expected})):
        yield f"{what}: {name} is stored, and nothing in the stream accounts for it"


def metrics(book: Book, series: Series, stored: Hash) -> Iterator[str]:
    """Yield the differences of one series, over every window, as of the watermark it states."""
    at_ms = int(stored.get("updated_ms", -1))
    newest = book.watermarks[series.model]
    if at_ms > newest or (series.segment is None and at_ms != newest):
        yield f"{series}: expected updated_ms {newest}, stored {at_ms}"
    for window in book.windows():
        expected, rows = book.expect(series, window, at_ms)
        own = {(metric, part): text for metric, name, part, text in fields(stored) if name == window}
        for line in (*_values(expected, rows, own), *_matrix(book, series, rows, own)):
            yield f"{series} {line[0]}@{window}{line[1]}"


Lines = Iterator[tuple[str, str]]  # the metric, and what is wrong with it


def _values(expected: Found, rows: Rows, stored: dict[tuple[str, str], str]) -> Lines:
    for metric in sorted({name for name, part in stored if not part} | {*expected}):
        if metric == _CONFUSION:
            continue
        wanted = expected.get(metric, _of_absent_name(metric, rows))
        if (metric, "") not in stored:
            yield metric, f": expected {wanted}, not stored"
        elif wanted is None:
            yield metric, ": stored, but the check does not know this metric"
        else:
            yield from _value(metric, wanted, stored)


def _of_absent_name(metric: str, rows: Rows) -> Expected | None:
    if not metric.startswith(_BY_NAME):
        return None
    nothing_per_outcome = metric.endswith(".per_outcome") and len(rows)
    return exactly(0.0 if nothing_per_outcome else None)


def _value(metric: str, wanted: Expected, stored: dict[tuple[str, str], str]) -> Lines:
    value = number(stored[metric, ""])
    if not wanted.holds(value):
        yield metric, f": expected {wanted}, stored {value}"
    counted = stored.get((metric, "n"))
    if wanted.n is not None and counted is not None and float(counted) != wanted.n:
        yield metric, f".n: expected {wanted.n}, stored {counted}"
    low, high = number(stored.get((metric, "lo"))), number(stored.get((metric, "hi")))
    if value is not None and ((low is not None and low > value) or (high is not None and high < value)):
        yield metric, f": {value} lies outside its interval {low} to {high}"
    if value is None and not (low is None and high is None):
        yield metric, f": undefined, but with an interval {low} to {high}"


def _matrix(book: Book, series: Series, rows: Rows, stored: dict[tuple[str, str], str]) -> Lines:
    task = book.tasks[series.model]
    text = stored.get((_CONFUSION, ""))
    if task.name == "regression":
        return
    matrix = json.loads(text) if text and text != UNDEFINED else {"classes": task.classes.names, "counts": []}
    if sorted(matrix["classes"]) != task.classes.names:
        yield _CONFUSION, f": expected classes {task.classes.names}, stored {matrix['classes']}"
    elif matrix["counts"] != (wanted := confusion(rows, matrix["classes"])) and (
        matrix["counts"] or len(rows)
    ):
        yield _CONFUSION, f": expected {wanted}, stored {matrix['counts']}"


def baselines(
    book: Book, stored: Stored, configured: dict[str, dict[str, float]], outcomes: int
) -> Iterator[str]:
    """Yield the differences of the baselines: as configured, else of the first `outcomes` of a version."""
    for series in book.series():
        if series.segment is not None:
            continue
        given, found = configured.get(series.model, {}), stored.baselines.get(series, {})
        rows = book.first(series, outcomes)
        early = book.quality(series.model, rows, binned=True) if len(rows) == outcomes else {}
        wanted = early | {name: exactly(value) for name, value in given.items()}
        for name in sorted(given.keys() - found.keys()):
            yield f"{series} baseline {name}: expected {wanted[name]}, not stored"
        for name in sorted(found.keys() & wanted.keys()):
            if not wanted[name].holds(number(found[name])):
                yield f"{series} baseline {name}: expected {wanted[name]}, stored {found[name]}"
