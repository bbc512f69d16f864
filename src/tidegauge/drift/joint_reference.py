"""What healthy rows have in common: moments of the scores of several features, learned once and frozen.

The correlation of a pair is looked at through its contrast u = x y - r (x^2 + y^2) / 2, for scores x and y
less their means and r = 2 cov(x, y) / (var x + var y). In the reference u has mean 0; when the correlation
changes by d, so does its mean; when both scores spread by the same factor, or move, it stays 0. It is the
derivative of the normal likelihood by the correlation, and a function of the second moments alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.dependence import MOST_CORRELATED, SAFETY
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VERSION = 1
MOST_AT_ONCE = 400_000  # multiplications: of more, OpenBLAS makes threads, which cost ten times as much here
EXPLAINED = 0.65  # of the variance, by the components kept: the field's default (NannyML)


class Moments(NamedTuple):
    """The first two moments of rows of scores; sums of them are those of all the rows."""

    rows: float
    total: Floats  # [F]
    products: Floats  # [F, F], sums of x y

    @classmethod
    def of(cls, scores: Floats) -> Moments:
        """Return the moments of scores [F, rows]. 2 to 13 ns a score for 10 to 200 features.

        >>> Moments.of(np.array([[1.0, 3.0]])).covariance
        array([[2.]])
        """
        features, rows = scores.shape
        products = np.zeros((features, features))
        size = max(1, MOST_AT_ONCE // (features * (features + 1)))
        for start in range(0, rows, size):
            part = scores[:, start : start + size]
            products += part @ part.T
        return cls(rows, scores.sum(axis=1), products)

    def __add__(self, other: Any) -> Moments:
        return Moments(*(mine + its for mine, its in zip(self, other, strict=True)))

    @property
    def mean(self) -> Floats:
        """Return the means [F]."""
        return self.total / self.rows

    @property
    def covariance(self) -> Floats:
        """Return the covariances [F, F], with rows - 1 in the denominator."""
        mean = self.mean
        found: Floats = (self.products - self.rows * np.outer(mean, mean)) / (self.rows - 1)
        return found


class Residual(NamedTuple):
    """What a row's squared distance from the plane of the components is, in rows that did not make them."""

    rows: float
    mean: float
    variance: float
    inflation: float


class JointReference(NamedTuple):
    """Moments of the scores of F features in healthy rows, and how much their estimates vary.

    The statistics [S] are the means of x, of x^2 less its mean, and of the contrast u of each pair, in this
    order: S = 2 F + pairs.
    """

    rows: int
    mean: Floats  # [F]
    covariance: Floats  # [F, F]
    variance: Floats  # [S], of a row's part in each statistic
    inflation: Floats  # [S], of the variance of a statistic, by dependence of neighbours
    projector: Floats  # [F, F], onto what the components of the first half of the rows leave out
    residual: Residual

    def dump(self) -> dict[str, Any]:
        """Return the reference as plain data that `load` reads back."""
        return {"version": VERSION, **self._asdict(), "residual": list(self.residual)}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> JointReference:
        """Return what `dump` wrote; raises SnapshotError where its parts do not fit together."""
        if state.get("version") != VERSION:
            raise SnapshotError(f"joint reference: expected version {VERSION}, got {state.get('version')!r}")
        arrays = {name: np.array(state[name], np.float64) for name in cls._fields[1:-1]}
        found = cls(rows=int(state["rows"]), residual=Residual(*map(float, state["residual"])), **arrays)
        features = len(found.mean)
        square, every = (features, features), (2 * features + features * (features - 1) // 2,)
        shapes = [(features,), square, every, every, square]
        if [one.shape for one in arrays.values()] != shapes:
            raise SnapshotError("joint reference: arrays of different numbers of features")
        return found


@lru_cache(maxsize=16)
def pairs_of(features: int) -> tuple[Ints, Ints]:
    """Return the two features of each pair, in the order in which everything about pairs stands; read only.

    >>> [one.tolist() for one in pairs_of(3)]
    [[0, 0, 1], [1, 2, 2]]
    """
    first, second = np.triu_indices(features, 1)
    first.flags.writeable = second.flags.writeable = False
    return first, second


def slopes(covariance: Floats) -> Floats:
    """Return r [pairs] of each contrast: the correlation, where both variances are equal."""
    first, second = pairs_of(len(covariance))
    variance = covariance.diagonal()
    middle = (variance[first] + variance[second]) / 2
    return np.where(middle > 0, covariance[first, second] / np.where(middle > 0, middle, 1.0), 0.0)


def contrasts(slope: Floats, covariance: Floats) -> Floats:
    """Return the mean of the contrasts [pairs] in rows of a covariance [F, F], around their own means."""
    first, second = pairs_of(len(covariance))
    variance = covariance.diagonal()
    found: Floats = covariance[first, second] - slope * (variance[first] + variance[second]) / 2
    return found


def correlations(covariance: Floats) -> Floats:
    """Return the correlations [pairs]; 0 where a feature does not vary."""
    first, second = pairs_of(len(covariance))
    deviation = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    both = deviation[first] * deviation[second]
    return np.where(both > 0, covariance[first, second] / np.where(both > 0, both, 1.0), 0.0)


def residual_projector(covariance: Floats) -> Floats:
    """Return the projector [F, F] onto what the first principal components leave out.

    The components are the fewest that explain EXPLAINED of the variance. O(F^3).
    """
    values, vectors = np.linalg.eigh(covariance)
    share = np.cumsum(values[::-1]) / max(float(values.sum()), 1e-12)
    kept = int(np.searchsorted(share, EXPLAINED)) + 1
    main = vectors[:, ::-1][:, :kept]
    found: Floats = np.eye(len(covariance)) - main @ main.T
    return found


def learn(scores: Floats) -> JointReference:
    """Return the reference that healthy rows in order, scores [F, rows], make. O(F^2 rows), once.

    The residual is that of the second half of the rows from the components of the first: components lie
    closer to the rows that made them than to any others.
    """
    moments = Moments.of(scores)
    covariance = moments.covariance
    centred = scores - moments.mean[:, None]
    squares = centred**2
    spreads = squares - squares.mean(axis=1)[:, None]
    variance, inflation = [], []
    for part in chain((centred, spreads), contrast_rows(slopes(covariance), centred)):
        variance.append((part**2).mean(axis=1))
        inflation.append(neighbour_inflation(part))
    half = scores.shape[1] // 2
    projector = residual_projector(Moments.of(scores[:, :half]).covariance)
    distance = ((projector @ centred[:, half:]) ** 2).sum(axis=0)
    away = (distance - distance.mean())[None]
    return JointReference(
        scores.shape[1],
        moments.mean,
        covariance,
        np.concatenate(variance),
        np.concatenate(inflation),
        projector,
        Residual(
            len(distance), float(distance.mean()), float(distance.var()), float(neighbour_inflation(away)[0])
        ),
    )


def neighbour_inflation(centred: Floats) -> Floats:
    """Return by what factor [k], 1 or more, dependence inflates the variance of means of rows [k, n].

    (1 + r) / (1 - r) for the lag-one correlation r and half its standard error (see `dependence`).
    """
    squares = (centred**2).sum(axis=1)
    neighbours = (centred[:, 1:] * centred[:, :-1]).sum(axis=1)
    lag = neighbours / np.where(squares > 0, squares, 1.0) + SAFETY / centred.shape[1] ** 0.5
    lag = np.clip(lag, 0.0, MOST_CORRELATED)
    found: Floats = (1 + lag) / (1 - lag)
    return found


def contrast_rows(slope: Floats, centred: Floats) -> Iterator[Floats]:
    """Yield the contrasts [pairs of feature i with later ones, rows] of centred scores, for each i."""
    start = 0
    squares = centred**2 / 2
    for first in range(len(centred) - 1):
        later = slice(first + 1, None)
        own = slope[start : start + len(centred) - 1 - first, None]
        yield centred[first] * centred[later] - own * (squares[first] + squares[later])
        start += len(own)
