"""What lists show of a catalogue, against the same counted item by item."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tidegauge.metrics.catalogue import Catalogue
from tidegauge.metrics.value import Value

FAMILY = Catalogue()


def counted(lists: list[list[str]], family: Catalogue = FAMILY) -> np.ndarray:
    cells = np.zeros(family.width)
    np.add.at(cells, family.places([item for shown in lists for item in shown]), 1.0)
    index, amount = family.totals(np.array([len(shown) for shown in lists]))
    np.add.at(cells, index, amount)
    return cells


def lists_of(catalogue: int, count: int, seed: int, tilt: float, length: int = 10) -> list[list[str]]:
    """Return lists in which the item of rank r comes with a chance that falls as r^-tilt."""
    random = np.random.default_rng(seed)
    chance = np.arange(1.0, catalogue + 1) ** -tilt
    chance /= chance.sum()
    return [
        [f"item-{item}" for item in random.choice(catalogue, length, replace=False, p=chance)]
        for _ in range(count)
    ]


def plainly(lists: list[list[str]]) -> tuple[int, float, float]:
    """Return distinct items, mean share of a list that another does not show, and mean self-information."""
    counts: dict[str, int] = {}
    for item in itertools.chain.from_iterable(lists):
        counts[item] = counts.get(item, 0) + 1
    shown = sum(counts.values())
    pairs = list(itertools.combinations([frozenset(one) for one in lists], 2))
    overlap = sum(len(one & other) for one, other in pairs) / len(pairs)
    novelty = sum(count * np.log2(len(lists) / count) for count in counts.values()) / shown
    return len(counts), 1 - overlap / (shown / len(lists)), float(novelty)


@pytest.mark.parametrize("tilt", [0.0, 0.8, 1.5])
@pytest.mark.parametrize("catalogue", [30, 300, 3_000])
def test_estimates_are_near_what_is_counted_item_by_item(catalogue, tilt):
    lists = lists_of(catalogue, 300, seed=catalogue, tilt=tilt)
    items, diversity, novelty = plainly(lists)
    found = FAMILY.values(counted(lists), catalogue_items=catalogue)
    assert found["catalogue_items"].value == pytest.approx(items, rel=0.04)
    assert found["catalogue_coverage"].value == pytest.approx(items / catalogue, rel=0.04)
    assert found["diversity"].value == pytest.approx(diversity, abs=0.01)
    assert novelty - np.log2(1 + items / FAMILY.size) <= found["novelty"].value <= novelty + 1e-9


@pytest.mark.parametrize("items", [500, 4_000, 16_000])
def test_the_interval_of_distinct_items_holds_them_as_often_as_it_says(items):
    held, errors = 0, []
    for sample in range(200):
        cells = counted([[f"{sample}:{item}" for item in range(items)]])
        found = FAMILY.values(cells)["catalogue_items"]
        held += found.low <= items <= found.high
        errors.append(found.value / items - 1)
    assert 0.90 <= held / 200 <= 0.99
    assert np.std(errors) < 0.03


def test_more_items_than_can_be_told_apart_are_undefined_and_not_a_number() -> None:
    cells = counted([[str(item) for item in range(600)]], Catalogue(64))
    found = Catalogue(64).values(cells, catalogue_items=600)
    assert found["catalogue_items"] == found["catalogue_coverage"] == Value(None, 1, None, None)


def test_equal_lists_have_no_diversity_and_no_novelty() -> None:
    found = FAMILY.values(counted([["a", "b"]] * 20))
    assert found["diversity"].value == pytest.approx(0, abs=1e-3)
    assert found["novelty"].value == 0


def test_lists_without_items_define_nothing() -> None:
    found = FAMILY.values(counted([[], []]), catalogue_items=10)
    assert (found["diversity"].value, found["novelty"].value) == (None, None)
    assert found["catalogue_items"].value == 0
    assert FAMILY.values(np.zeros(FAMILY.width))["catalogue_items"].value is None
