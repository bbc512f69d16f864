"""The vectorised passage of a count window against one that keeps the window as a list."""

from collections import deque

import numpy as np
import pytest

from tidegauge.config import Rule, Settings
from tidegauge.demo.alarms import due
from tidegauge.demo.book import Book, Seen
from tidegauge.demo.oracle import Truth
from tidegauge.demo.passage import Passage, passage
from tidegauge.demo.reading import Made, Told
from tidegauge.demo.stored import Series

SERIES = Series("m", "v")


def world(seed: int, outcomes: int) -> tuple[Truth, list[Seen]]:
    """Return outcomes of a regression; a third are corrected, some after they left the window."""
    random, truth, order = np.random.default_rng(seed), Truth(), []
    for number in range(outcomes):
        name = str(number)
        truth.predictions[name] = Made("m", "v", (), number, float(random.normal()), None, None, None, {})
        labels = [Told(number, (float(random.normal()), 1.0, ())) for _ in range(1 + (random.random() < 0.3))]
        truth.outcomes[name] = labels[-1]
        if len(labels) > 1:
            truth.revisions[name] = labels
        order += [
            (number + revision * random.integers(0, 40), revision, Seen(name, revision, 1, 0))
            for revision in range(len(labels))
        ]
    rows = [seen for _, _, seen in sorted(order, key=lambda one: one[:2])]
    return truth, [seen._replace(block=place // 7) for place, seen in enumerate(rows)]


@pytest.mark.parametrize("seed", range(4))
def test_a_window_says_after_each_block_what_a_list_says(seed: int):
    truth, order = world(seed, 120)
    found = passage(Book(truth, order, Settings()), order, SERIES, "mae", 10)
    window: deque[str] = deque(maxlen=10)
    label: dict[str, float] = {}
    values, outcomes = [], []
    for place, seen in enumerate(order):
        labels = truth.revisions.get(seen.prediction_id, [truth.outcomes[seen.prediction_id]])
        label[seen.prediction_id] = labels[seen.revision].what[0]
        if seen.revision == 0:
            window.append(seen.prediction_id)
        if place + 1 == len(order) or order[place + 1].block != seen.block:
            values.append(np.mean([abs(truth.predictions[name].prediction - label[name]) for name in window]))
            outcomes.append(len(label))
    assert found.value == pytest.approx(values)
    assert found.outcomes.tolist() == outcomes


def judged(values: list[float], rule: Rule, baseline: float | None = 1.0, known_from: int = 0) -> list[tuple]:
    steps = np.arange(1, len(values) + 1) * 100
    path = Passage(np.array(values), np.full(len(values), 1_000), steps)
    return [(one.status, one.current) for one in due(path, rule, baseline, known_from)]


RULE = Rule(metric="accuracy", consecutive=2)


def test_a_rule_fires_after_enough_breaches_in_a_row_and_is_resolved_likewise():
    values = [0.8, 0.95, 0.7, 0.71, 0.72, 0.95, 0.7, 0.96, 0.97, 0.98]
    assert judged(values, RULE) == [("firing", 0.71), ("resolved", 0.97)]


def test_what_is_undefined_or_has_no_baseline_yet_neither_fires_nor_resolves():
    assert judged([0.7, float("nan"), 0.71], RULE) == [("firing", 0.71)]
    assert judged([0.7, 0.7, 0.72, 0.73], RULE, known_from=300) == [("firing", 0.73)]
    assert judged([0.7, 0.7], RULE, baseline=None) == []
