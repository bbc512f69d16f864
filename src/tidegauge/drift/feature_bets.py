"""Bets on where the values of many features fall, fixed when their bins are frozen.

On ranks: a number's cell has a mid-rank u between 0 and 1 in the reference (the probability integral
transform of binned values); 2u - 1 shows a shift, 4|u - 1/2| - 1 a change of spread, and both have mean 0 in
the reference. On cells: the share of a level, of nulls, of values out of range or of another type, against
odds that are some times greater or smaller. A reference of m rows is itself a sample: what it may be wrong by
is conceded to the null, by the tolerance of bets on ranks and by bounds on the shares of cells. Healthy rows
after it narrow that down, within what the reference alone allows: no shift is learned before it is noticed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.features import FeatureBins
from tidegauge.drift.reference import Reference

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STAKES = (1.0, 2.0, 4.0)  # times the least stake, both ways
MOST_STAKED = 0.8
CONCEDED = 3.0  # standard errors of the mean rank in the reference that no bet on ranks wins from
ALLOWED = 4.5  # of the mean rank in the reference that bets concede at most, however much is learned
SHARPENED = 1.6  # of the mean rank in all healthy rows, once later rows agree with the reference
UNTOUCHED = 2.0  # and how many more that the least stake gains nothing from
ODDS = (1 / 3, 1 / 1.5, 1.5, 3.0, 10.0, 50.0)
OF_CELLS = 0.25  # of a number's capital is bet on outer cells: what breaks there does not break by little
CELL_Z = 3.0  # standard errors by which a share is conceded
MOST_SHARE = 0.95


class FeatureBets(NamedTuple):
    """Logarithms of what a value in a cell, or outside it, multiplies a bet's capital by."""

    ranks: Floats  # [width, rank bets]: of a value in the cell
    cells: Ints  # [bets on cells]: the cell that is bet on
    owners: Ints  # [bets on cells]: its feature
    inside: Floats  # [bets on cells, odds]
    outside: Floats  # [bets on cells, odds]
    weights: tuple[Floats, Floats]  # [features, 1] of a bet on ranks, [bets on cells, 1] of one on a cell
    probe: Floats  # [width]: a score with mean 0 and variance 1, which shows dependence


def build(bins: FeatureBins, healthy: Floats | None = None, inflation: Floats | None = None) -> FeatureBets:
    """Return the bets on every feature; each feature's weights add up to 1.

    `healthy` are the counts [width] of all healthy rows, the reference's among them, whose variance has this
    `inflation` [features]; those of the reference alone where they are None.
    """
    healthy = bins.counts if healthy is None else healthy
    inflated = np.ones(len(bins.names)) if inflation is None else inflation
    ranks, cells, owners, weights, rank_weights = [], [], [], [], []
    inside, outside = [], []
    for feature, (reference, start) in enumerate(zip(bins.references, bins.starts.tolist(), strict=True)):
        counts = healthy[start : start + reference.width]
        table = rank_bets(reference, counts, float(inflated[feature]))
        ranks.append(table)
        numeric = bool(table.any())
        bet_on = _bet_on(reference)
        of_cells = OF_CELLS if numeric else 1.0
        rank_weights.append((1 - of_cells) / table.shape[1])
        cells += [start + cell for cell in bet_on]
        owners += [feature] * len(bet_on)
        weights += [of_cells / (len(bet_on) * len(ODDS))] * len(bet_on)
        for cell in bet_on:
            both = (reference.counts, counts)
            won, lost = cell_bets(*((float(one[cell]), float(one.sum())) for one in both))
            inside.append(won)
            outside.append(lost)
    column = (np.array(rank_weights).reshape(-1, 1), np.array(weights).reshape(-1, 1))
    return FeatureBets(
        np.concatenate(ranks or [np.empty((0, 4 * len(STAKES)))]),
        np.array(cells, np.int64),
        np.array(owners, np.int64),
        np.array(inside).reshape(-1, len(ODDS)),
        np.array(outside).reshape(-1, len(ODDS)),
        column,
        probes(bins),
    )


def probes(bins: FeatureBins) -> Floats:
    """Return a score of each cell [width] whose mean in the reference is 0 and whose variance is 1."""
    shares = map(_shares, bins.references)
    return np.concatenate([_standard(_mid_ranks(one), one) for one in shares] or [np.empty(0)])


def rank_bets(reference: Reference, healthy: Floats | None = None, inflation: float = 1.0) -> Floats:
    """Return log(1 + s x) [cells, 4 * len(STAKES)] for both scores and stakes s of both signs.

    0 for nulls and other types, and throughout where a feature has no order or fewer than two cells in use.
    """
    bets = np.zeros((reference.width, 4 * len(STAKES)))
    counts = reference.counts[: reference.null]
    known = counts if healthy is None else healthy[: reference.null]
    if reference.kind == "categorical" or np.count_nonzero(counts) < 2:
        return bets
    shares, both = counts / counts.sum(), 2 * len(STAKES)
    ranks = _mid_ranks(shares)
    for place, score in enumerate((2 * ranks - 1, 4 * np.abs(ranks - 0.5) - 1)):
        centred = score - float(shares @ score)
        if float(shares @ centred**2) < 1e-12:  # two cells alike have one distance from the middle
            continue
        centred /= np.abs(centred).max()
        bets[: reference.null, place * both : (place + 1) * both] = _earned(centred, counts, known, inflation)
    return bets


def _earned(score: Floats, counts: Floats, known: Floats, inflation: float) -> Floats:
    """Return log(1 + s x) [cells, 2 * len(STAKES)] for x what a score [cells] has beyond what is conceded.

    `counts` are those of the reference, in which the mean score is 0; `known` those of all healthy rows.
    """
    total, rows = float(counts.sum()), float(known.sum())
    variance = float(counts @ score**2) / total
    error = math.sqrt(variance / total)
    stakes = np.minimum(np.array(STAKES) * 2 * UNTOUCHED * error / variance, MOST_STAKED)
    above = below = min(CONCEDED * error, 0.2)
    if rows > total:
        mean, near = float(known @ score) / rows, SHARPENED * math.sqrt(inflation * variance / rows)
        above, below = (min(side * mean + near, ALLOWED * error, 0.2) for side in (1, -1))
    rise, fall = np.log1p(stakes * (score[:, None] - above)), np.log1p(-stakes * (score[:, None] + below))
    return np.concatenate((rise, fall), axis=1)


def cell_bets(reference: tuple[float, float], healthy: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return the logarithms [len(ODDS)] of what a value in a cell and one outside it earn.

    Likelihood ratios p / p0 and (1 - p) / (1 - p0), for p0 the upper bound of the cell's share where the odds
    rise and the lower bound where they fall (Wilson 1927): that of all healthy rows, or that of the reference
    where it is nearer. Both come as the count in the cell and that of all rows.

    >>> won, lost = cell_bets((0, 5_000), (0, 5_000))
    >>> bool(won[3] > 0 > lost[3])
    True
    """
    odds = np.array(ODDS)
    first, all_rows = _share_bounds(*reference), _share_bounds(*healthy)
    null = np.where(odds > 1, min(first[1], all_rows[1]), max(first[0], all_rows[0]))
    null = np.clip(null, 1e-12, MOST_SHARE)
    ratio = odds * null / (1 - null)
    alternative = np.where(
        odds > 1, np.minimum(ratio / (1 + ratio), np.maximum(null, MOST_SHARE)), ratio / (1 + ratio)
    )
    return np.log(alternative / null), np.log((1 - alternative) / (1 - null))


def _share_bounds(count: float, total: float) -> tuple[float, float]:
    z2 = CELL_Z * CELL_Z
    centre = (count + z2 / 2) / (total + z2)
    spread = CELL_Z / (total + z2) * math.sqrt(count * max(total - count, 0.0) / max(total, 1.0) + z2 / 4)
    return centre - spread, centre + spread


def _bet_on(reference: Reference) -> list[int]:
    """Return the cells of a feature that are bet on: all levels, or what is not between a number's edges."""
    if reference.kind == "categorical":
        return list(range(reference.width))
    under, over = 0, reference.null - 1
    return sorted({under, over, reference.null, reference.changed})


def _shares(reference: Reference) -> Floats:
    return reference.counts / max(float(reference.counts.sum()), 1.0)


def _mid_ranks(shares: Floats) -> Floats:
    return np.cumsum(shares) - shares / 2


def _standard(score: Floats, shares: Floats) -> Floats:
    centred = score - float(shares @ score)
    deviation = math.sqrt(float(shares @ centred**2))
    return centred / deviation if deviation > 0 else np.zeros(len(score))
