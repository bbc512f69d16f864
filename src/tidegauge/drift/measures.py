"""How far features are from their reference, by many measures, and how far chance alone takes them.

All read the counts of frozen bins, so they cost nothing a row. A measure is beyond chance where healthy rows
that do not depend on one another pass its bound with a probability of at most `alpha`. How much a difference
matters they do not say. n rows in the window, m in the reference; inv = 1/n + 1/m.
"""

from __future__ import annotations

import math
from copy import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.distances import FALSE_VERDICTS, SMOOTHING, chi_squared_quantile, chi_squared_tail
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.reference import Floats, Reference

SHARES = ("null", "unseen", "out_of_range", "changed_type")
MOST_TERMS = 20_000  # of a hypergeometric tail; what follows is less than the last digit
HALF_NORMAL = math.sqrt(2 / math.pi)  # mean of the absolute value of a standard normal


class Measure(NamedTuple):
    """A distance of one feature."""

    value: float
    chance: float  # what chance reaches
    beyond: bool | None  # None where too few rows decide
    p: float | None = None  # of a test


class Share(NamedTuple):
    """The share of some rows in the window and in the reference, and how probable so great a rise is."""

    value: float
    reference: float
    p: float
    beyond: bool | None


class Measures(NamedTuple):
    """How far one feature is from its reference; a feature of texts has no ks and no wasserstein."""

    n: int
    distances: dict[str, Measure]
    shares: dict[str, Share]


class Ruler:
    """Where the cells of frozen bins lie, worked out once."""

    def __init__(self, bins: FeatureBins) -> None:
        self.bins = bins
        self.lengths = np.diff(np.append(bins.starts, bins.width))
        place = np.concatenate([_places(one) for one in bins.references])
        self.ordered = ~np.isnan(place)  # [width] cells of numbers
        self.steps = np.nan_to_num(np.diff(place, append=np.nan))  # [width] to the next cell of numbers
        self.special = np.concatenate([_special(one) for one in bins.references], axis=1)  # [SHARES, width]

    def against(self, counts: Floats) -> Ruler:
        """Return the ruler of the same bins with other reference counts [width]."""
        ruler = copy(self)
        ruler.bins = self.bins.recounted(counts)
        return ruler


def measure(ruler: Ruler, counts: Floats, min_samples: int, alpha: float | None = None) -> list[Measures]:
    """Return the measures of each feature of a row of cells [width]; empty ones without rows.

    `alpha` is the share of false findings of one measure of one feature; by default all features together
    have FALSE_VERDICTS. About 15 us a feature.

    >>> from tidegauge.drift import reference
    >>> bins = FeatureBins({"plan": reference.fit([], ["a", "b"] * 500, 0, bins=9, max_categories=9)})
    >>> (found,) = measure(Ruler(bins), np.array([300.0, 100.0, 0, 0, 0, 0]), min_samples=100)
    >>> found.distances["total_variation"].value, found.distances["total_variation"].beyond
    (0.25, True)
    """
    bins = ruler.bins
    alpha = FALSE_VERDICTS / max(1, len(bins.names)) if alpha is None else alpha
    n, m = (np.add.reduceat(cells, bins.starts) for cells in (counts, bins.counts))
    columns = [*_of_cells(ruler, counts, n, m, alpha), *_of_order(ruler, counts, alpha)]
    now, before = (
        np.add.reduceat(ruler.special * cells, bins.starts, axis=1) for cells in (counts, bins.counts)
    )
    found = []
    for feature, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        rows = round(n[feature]), round(m[feature])
        if not all(rows):
            found.append(Measures(rows[0], {}, {}))
            continue
        decided = min(rows) >= min_samples
        parts = zip(SHARES, now[:, feature].tolist(), before[:, feature].tolist(), strict=True)
        shares = {name: _share(int(a), int(b), rows, alpha if decided else None) for name, a, b in parts}
        found.append(Measures(rows[0], _distances(row, decided, alpha), shares))
    return found


def _distances(row: tuple[float, ...], decided: bool, alpha: float) -> dict[str, Measure]:
    """Return the measures whose values are known, from the columns of `_of_cells` and `_of_order`."""
    inv, used, pearson, shannon, variation, hellinger, variation_chance, *order = row
    limit = chi_squared_quantile(int(used) - 1, alpha)
    eighth = limit * inv / 8
    values = {
        "jensen_shannon": (shannon, eighth),
        "total_variation": (variation, variation_chance),
        "hellinger": (hellinger, math.sqrt(eighth)),
        "ks": (order[0], order[1]),
        "wasserstein": (order[2], order[3]),
    }
    p = chi_squared_tail(int(used) - 1, pearson) if used > 1 and pearson > 0 else 1.0
    found = {"chi_squared": Measure(pearson, limit, p < alpha if decided else None, p)}
    for name, (value, chance) in values.items():
        if not math.isnan(value):
            found[name] = Measure(value, chance, value > chance if decided else None)
    return found


def _of_cells(ruler: Ruler, counts: Floats, n: Floats, m: Floats, alpha: float) -> list[Floats]:
    """Return columns [features] of the measures that know of cells and not of their order.

    inv; cells that are not empty on both sides; Pearson's X2 of homogeneity; Jensen-Shannon divergence in
    nats; total variation; Hellinger distance; and what chance reaches of total variation.

    Near no drift X2 is chi-squared with cells - 1 degrees of freedom, and Jensen-Shannon and the square of
    Hellinger both expand to X2 inv / 8 (Liese and Vajda 2006); they do so for small cells too once these have
    half a count more, as for PSI. Total variation has the mean of half the sum
    of half normals, and as a supremum of normals of variance inv / 4 at most it strays from its mean by
    sqrt(inv ln(1 / alpha) / 2) or more with probability alpha (Borell; the same as McDiarmid's bound).
    """
    starts, before = ruler.bins.starts, ruler.bins.counts

    def spread(of_features: Floats) -> Floats:
        return np.repeat(of_features, ruler.lengths)

    def total(of_cells: Floats) -> Floats:
        found: Floats = np.add.reduceat(of_cells, starts)
        return found

    rows, rows_before = np.maximum(n, 1.0), np.maximum(m, 1.0)
    inv = 1 / rows + 1 / rows_before
    p, q = counts / spread(rows), before / spread(rows_before)
    pooled = (counts + before) / spread(rows + rows_before)
    some = pooled > 0
    safe = np.where(some, pooled, 1.0)
    used = total(some.astype(np.float64))
    extra = np.where(some, SMOOTHING, 0.0)
    r, s = (
        (counts + extra) / spread(rows + SMOOTHING * used),
        (before + extra) / spread(rows_before + SMOOTHING * used),
    )
    half = np.where(some, (r + s) / 2, 1.0)
    shannon = total(_entropy(r, half) + _entropy(s, half)) / 2
    variation, hellinger = total(np.abs(p - q)) / 2, np.sqrt(total((np.sqrt(r) - np.sqrt(s)) ** 2) / 2)
    usual = HALF_NORMAL / 2 * total(np.sqrt(pooled * (1 - pooled))) * np.sqrt(inv)
    chance = usual + np.sqrt(inv * math.log(1 / alpha) / 2)
    pearson = total((p - q) ** 2 / safe) / inv
    return [
        inv,
        used,
        pearson,
        np.maximum(shannon, 0),
        variation,
        hellinger,
        chance,
    ]


def _of_order(ruler: Ruler, counts: Floats, alpha: float) -> list[Floats]:
    """Return columns [features] of the measures of numbers: ks, its chance, wasserstein, its chance; or NaN.

    Of the numbers alone, nulls and texts left out. KS is the greatest distance of the distribution functions
    at the edges, at most that of the values; its bound is Smirnov's. Wasserstein moves shares between the
    middles of bins, in the units of the feature, and from beyond the range to its edge: at most what the
    values need there. Under no drift it has the mean of a sum of half normals, and its distance from that
    is bounded as for total variation (Borell), with S = sum of steps sqrt(F (1 - F) inv) for the deviation.
    """
    bins = ruler.bins
    now, before = (np.where(ruler.ordered, cells, 0.0) for cells in (counts, bins.counts))
    n, m = (np.add.reduceat(cells, bins.starts) for cells in (now, before))
    with np.errstate(divide="ignore", invalid="ignore"):
        inv = 1 / n + 1 / m
        f, g, pooled = (
            _distribution(cells, total, ruler)
            for cells, total in ((now, n), (before, m), (now + before, n + m))
        )
        apart = np.abs(f - g)
        ks = np.maximum.reduceat(np.where(ruler.ordered, apart, 0.0), bins.starts)
        ks_chance = np.sqrt(math.log(2 / alpha) / 2 * inv)
        moved = np.add.reduceat(apart * ruler.steps, bins.starts)
        inner = np.clip(pooled * (1 - pooled), 0.0, None)
        deviation = np.add.reduceat(ruler.steps * np.sqrt(inner), bins.starts) * np.sqrt(inv)
    moved_chance = deviation * (HALF_NORMAL + math.sqrt(2 * math.log(1 / alpha)))
    none = (n <= 0) | (m <= 0)
    return [np.where(none, np.nan, column) for column in (ks, ks_chance, moved, moved_chance)]


def _distribution(cells: Floats, total: Floats, ruler: Ruler) -> Floats:
    """Return the share of each feature's rows [width] up to and with a cell."""
    sums = np.cumsum(cells)
    starts = ruler.bins.starts
    offset = sums[starts] - cells[starts]
    found: Floats = (sums - np.repeat(offset, ruler.lengths)) / np.repeat(total, ruler.lengths)
    return found


def _entropy(p: Floats, half: Floats) -> Floats:
    """Return p ln(p / half) [cells], 0 for p = 0."""
    found: Floats = p * np.log(np.where(p > 0, p, half) / half)
    return found


def _share(now: int, before: int, rows: tuple[int, int], alpha: float | None) -> Share:
    n, m = rows
    p = rise_probability(now, before, n, m)
    return Share(now / n, before / m, p, None if alpha is None else p < alpha)


def rise_probability(now: int, before: int, n: int, m: int) -> float:
    """Return how probable it is that `now` or more of the now + before rows are among the n, by chance.

    Fisher's exact test (1935), one-sided; 1 where the share did not rise. For values beyond the greatest of
    m healthy ones it is exact too: which of n + m exchangeable rows are the greatest is anybody's guess.

    >>> round(rise_probability(3, 0, 10, 10), 6)
    0.105263
    """
    if now * m <= before * n:
        return 1.0
    total = now + before
    k = np.arange(now, min(total, n, now + MOST_TERMS), dtype=np.float64)
    ratios = (total - k) * (n - k) / ((k + 1) * (m - total + k + 1))
    log_first = _log_choose(n, now) + _log_choose(m, before) - _log_choose(n + m, total)
    return min(1.0, math.exp(log_first) * (1 + float(np.cumprod(ratios).sum())))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _places(one: Reference) -> Floats:
    """Return where the cells lie [width]: the middle of a bin, the edge of an open one; NaN for no number."""
    place = np.full(one.width, np.nan)
    if one.kind == "numeric":
        edges = one.edges if len(one.edges) else np.zeros(1)
        ends = np.concatenate((edges[:1], edges, edges[-1:]))
        middles = ends[:-1] / 2 + ends[1:] / 2
        place[: len(one.edges) + 1] = middles[: len(one.edges) + 1]
    return place


def _special(one: Reference) -> NDArray[np.bool_]:
    """Return the cells [SHARES, width] of nulls, unseen levels, numbers out of range, and the other type."""
    special = np.zeros((len(SHARES), one.width), np.bool_)
    special[0, one.null] = special[3, one.changed] = True
    if one.kind == "categorical":
        special[1, len(one.levels) + 1] = True
    elif len(one.edges):
        special[2, [0, len(one.edges)]] = True
    return special
