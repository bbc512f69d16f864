"""Seeded rows of every kind, and the ways of adding them up: what the tests of this directory share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Rows(NamedTuple):
    """Rows of a classification."""

    predicted: NDArray[np.int32]
    actual: NDArray[np.int32]
    proba: Floats
    weight: Floats


def summed(family: Any, *columns: Any, sign: float = 1.0) -> Floats:
    """Return the vector of the rows' cells."""
    index, amount = family.cells(*columns)
    return np.bincount(index.ravel(), sign * amount.ravel(), family.width)


def classified(seed: int, n: int, classes: int, weighted: bool = True, rare: bool = False) -> Rows:
    """Return rows with ties, probabilities of exactly 0 and 1, and rows without probability."""
    rng = np.random.default_rng(seed)
    shares = np.full(classes, 1.0 / classes)
    if rare:
        shares = np.append(0.98, np.full(classes - 1, 0.02 / (classes - 1)))
    actual = rng.choice(classes, n, p=shares).astype(np.int32)
    proba = rng.dirichlet(np.full(classes, 0.5), n)
    proba[np.arange(n), actual] += rng.random(n)
    proba /= proba.sum(axis=1, keepdims=True)
    sure = rng.random(n) < 0.1
    proba[sure] = np.eye(classes)[proba[sure].argmax(axis=1)]
    if classes == 2:
        coarse = rng.random(n) < 0.3
        proba[coarse, 1] = proba[coarse, 1].round(1)
        proba[:, 0] = 1 - proba[:, 1]
    weight = rng.uniform(0.1, 3.0, n) if weighted else np.ones(n)
    predicted = np.where(rng.random(n) < 0.9, proba.argmax(axis=1), rng.integers(0, classes, n))
    return Rows(predicted.astype(np.int32), actual, proba, weight)


def taken(rows: Rows, at: Any) -> Rows:
    """Return the rows at these places."""
    return Rows(*(column[at] for column in rows))


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, int, int, bool]:
    """Return (seed, rows, classes, weighted): small numbers find the odd cases."""
    return (
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, 40)),
        draw(st.sampled_from([2, 3, 5])),
        draw(st.booleans()),
    )
