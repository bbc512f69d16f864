"""What carries a change of a mean loss: which column of the rows, and which part of their space.

Two samples of rows, a reference and a window, each with a loss and a code in every column (a bin of a
feature, a value of a segment field). The change of the mean loss is split by column into what follows from
other shares of the codes (mix) and from other losses within them (rate), as Kitagawa (1955), Blinder (1973)
and Oaxaca (1973) do. Then cells of one and of two columns are searched for those whose loss rose by more
than that of all the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALPHA = 0.01  # chance that any carrier is named where none is
MOST_CARRIERS = 3
PAIRED_COLUMNS = 12  # in pairs: those in which a cell of their own stands out most
LEAST_SUPPORT = 32
LEAST_SHARE = 0.01  # of the window's rows
PRIOR = 8.0  # outcomes of the average loss with which a cell's reference begins
COVERED = 0.999  # of the losses; greater ones count as this quantile in tests
_TINY = 1e-9


class Sample(NamedTuple):
    """Rows with a loss and the codes of some columns; codes count from 0 in each column, in both samples."""

    codes: Ints  # [n, columns]
    loss: Floats  # [n]


class Sums(NamedTuple):
    """How many rows each cell has, and what they lost."""

    n: Floats  # [cells]
    loss: Floats  # [cells]


class Split(NamedTuple):
    """The change of a mean loss in three parts, which add up to it."""

    mix: float
    rate: float
    interaction: float


class Carrier(NamedTuple):
    """Rows whose loss rose by more than that of the others; no row is in two carriers."""

    where: tuple[tuple[int, int], ...]  # (column, code), one or two
    part: float  # of the change of the mean loss
    n: int  # rows in the window
    before: float | None  # mean loss in the reference, None without rows there
    after: float
    p: float  # adjusted


class _Best(NamedTuple):
    z: float
    where: tuple[tuple[int, int], ...]
    tests: int


def sums(codes: Ints, loss: Floats, cells: int) -> Sums:
    """Return the sums [cells] of rows [n] by code."""
    return Sums(
        np.bincount(codes, minlength=cells).astype(np.float64),
        np.bincount(codes, loss, cells).astype(np.float64),
    )


def split(before: Sums, after: Sums) -> Split:
    """Return the parts of the change of the mean loss between two samples of at least one row each.

    mix = sum (p' - p) r, rate = sum p (r' - r), interaction = sum (p' - p) (r' - r) over cells with shares p
    and mean losses r; a cell that the reference does not have is taken for an average one, a cell that is
    gone for unchanged.

    >>> before = Sums(np.array([6.0, 2.0]), np.array([0.0, 2.0]))
    >>> split(before, Sums(np.array([4.0, 4.0]), np.array([0.0, 4.0])))
    Split(mix=0.25, rate=0.0, interaction=0.0)
    """
    mean = before.loss.sum() / before.n.sum()
    share, share_now = before.n / before.n.sum(), after.n / after.n.sum()
    rate = np.where(before.n > 0, before.loss / np.maximum(before.n, 1), mean)
    rate_now = np.where(after.n > 0, after.loss / np.maximum(after.n, 1), rate)
    moved, rose = share_now - share, rate_now - rate
    mix, own, both = (moved * (rate - mean)).sum(), (share * rose).sum(), (moved * rose).sum()
    return Split(float(mix), float(own), float(both))


def parts(before: Sums, after: Sums) -> Floats:
    """Return how much of the change of the mean loss lies in each cell [cells]; they add up to it.

    p' (r' - m) - p (r - m) with m the mean loss of the reference: a cell that only grows has a part as far
    as it is not an average one.

    >>> before = Sums(np.array([6.0, 2.0]), np.array([0.0, 2.0]))
    >>> parts(before, Sums(np.array([4.0, 4.0]), np.array([0.0, 4.0]))).tolist()
    [0.0625, 0.1875]
    """
    mean = before.loss.sum() / before.n.sum()
    now = (after.loss - mean * after.n) / after.n.sum()
    found: Floats = now - (before.loss - mean * before.n) / before.n.sum()
    return found


def standing(before: Sums, after: Sums, total: tuple[Sums, Sums], sharpness: float) -> Floats:
    """Return the z [cells] of the rise of each cell's loss above the rise of all other rows' loss.

    Losses lie between 0 and 1. Under "rose as the others did" a cell's mean loss is its usual one in the
    reference and that plus their rise in the window; z is the signed root of the binomial deviance from
    this, whose tail is right on few losses where a difference over its standard error is not. `sharpness`
    is how many times smaller the variance of the losses is than that of losses of 0 and 1.
    """
    all_before, all_after = total
    others_before, others_after = all_before.n - before.n, all_after.n - after.n
    rise = (all_after.loss - after.loss) / np.maximum(others_after, 1)
    rise = rise - (all_before.loss - before.loss) / np.maximum(others_before, 1)
    own = before.n + PRIOR
    known = (before.loss + PRIOR * all_before.loss / all_before.n) / own
    found = after.loss / np.maximum(after.n, 1)
    spread, spread_now = _binary_variance(all_before), _binary_variance(all_after)
    doubt, doubt_now = spread / own, spread_now / np.maximum(after.n, 1)
    usual = (known * doubt_now + (found - rise) * doubt) / (doubt + doubt_now)
    deviance = own * _divergence(known, usual) + after.n * _divergence(found, usual + rise)
    rest = spread / np.maximum(others_before, _TINY) + spread_now / np.maximum(others_after, _TINY)
    known_rise = (doubt + doubt_now) / (doubt + doubt_now + rest)
    z: Floats = np.sqrt(2 * sharpness * np.maximum(deviance, 0) * known_rise)
    return np.where(found - rise > known, z, -z)


def _binary_variance(total: Sums) -> Floats:
    mean = np.clip(total.loss / total.n, _TINY, 1 - _TINY)
    variance: Floats = mean * (1 - mean)
    return variance


def _divergence(found: Floats, expected: Floats) -> Floats:
    """Return the relative entropy [n] of chances, in nats."""
    found, expected = (np.clip(each, _TINY, 1 - _TINY) for each in (found, expected))
    entropy: Floats = found * np.log(found / expected)
    return entropy + (1 - found) * np.log((1 - found) / (1 - expected))


def carriers(before: Sample, after: Sample, falls: bool = False) -> list[Carrier]:
    """Return the cells of one or two columns whose loss rose by more than the others', the clearest first.

    Tested are cells with at least LEAST_SUPPORT rows and LEAST_SHARE of the window; p is Holm's (1979), one
    cell after the other, each on the rows that the ones before have left. Where no cell stands out any is
    named with probability ALPHA at most, as far as z is normal. With `falls` less is worse.
    Cost: a bincount of the rows for every pair of columns and carrier.
    """
    if not len(before.loss) or not len(after.loss) or not after.codes.shape[1]:
        return []
    scaled, scaled_now, sharpness = _scaled(before.loss, after.loss, falls)
    whole = before, after
    left, left_now = Sample(before.codes, scaled), Sample(after.codes, scaled_now)
    support = max(LEAST_SUPPORT, math.ceil(LEAST_SHARE * len(after.loss)))
    found: list[Carrier] = []
    tests, p = 0, 0.0
    while len(found) < MOST_CARRIERS and len(left_now.loss) >= 2 * support and len(left.loss):
        best = _best(left, left_now, support, sharpness)
        tests = tests or best.tests
        p = max(p, min(1.0, tail(best.z) * max(tests - len(found), 1)))
        if not best.where or p > ALPHA:
            break
        found.append(_carrier(best.where, *whole, p))
        left, left_now = _without(left, best.where), _without(left_now, best.where)
        whole = _without(whole[0], best.where), _without(whole[1], best.where)
    return [_with_part(one, before, after, found[:place]) for place, one in enumerate(found)]


def tail(z: float) -> float:
    """Return the probability that a normal variable exceeds z."""
    return math.erfc(z / math.sqrt(2)) / 2


def _best(before: Sample, after: Sample, support: int, sharpness: float) -> _Best:
    """Return the cell that stands out most, and how many were tested or could have been."""
    widths = _widths(before, after)
    best, tests, leading = _Best(-math.inf, (), 0), 0, []
    for column in range(len(widths)):
        one = _search((column,), widths, before, after, support, sharpness)
        leading.append((one.z, column))
        best, tests = max(best, one), tests + one.tests
    paired = sorted(column for _, column in sorted(leading, reverse=True)[:PAIRED_COLUMNS])
    for pair in combinations(paired, 2):
        one = _search(pair, widths, before, after, support, sharpness)
        best, tests = max(best, one), tests + one.tests
    skipped = math.comb(len(widths), 2) - math.comb(len(paired), 2)
    return best._replace(tests=tests + skipped * (len(after.loss) // support))


def _search(
    columns: tuple[int, ...],
    widths: Sequence[int],
    before: Sample,
    after: Sample,
    support: int,
    sharpness: float,
) -> _Best:
    """Return the cell of some columns that stands out most among those with support."""
    cells = math.prod(widths[column] for column in columns)
    own, now = (sums(_joint(sample.codes, columns, widths), sample.loss, cells) for sample in (before, after))
    others = len(after.loss) - now.n
    tested = np.flatnonzero((now.n >= support) & (others >= support))
    if not len(tested):
        return _Best(-math.inf, (), 0)
    total = tuple(Sums(sample.n.sum(), sample.loss.sum()) for sample in (own, now))
    own, now = (Sums(each.n[tested], each.loss[tested]) for each in (own, now))
    z = standing(own, now, (total[0], total[1]), sharpness)
    place = int(np.argmax(z))
    return _Best(float(z[place]), tuple(_apart(int(tested[place]), columns, widths)), len(tested))


def _joint(codes: Ints, columns: tuple[int, ...], widths: Sequence[int]) -> Ints:
    joint = codes[:, columns[0]]
    for column in columns[1:]:
        joint = joint * widths[column] + codes[:, column]
    return joint


def _apart(cell: int, columns: tuple[int, ...], widths: Sequence[int]) -> Iterator[tuple[int, int]]:
    if len(columns) == 2:
        yield columns[0], cell // widths[columns[1]]
        cell %= widths[columns[1]]
    yield columns[-1], cell


def _widths(*samples: Sample) -> list[int]:
    tops = [sample.codes.max(axis=0, initial=0) for sample in samples]
    return [int(top) + 1 for top in np.max(tops, axis=0).tolist()]


def _within(sample: Sample, where: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = np.ones(len(sample.loss), np.bool_)
    for column, code in where:
        inside &= sample.codes[:, column] == code
    return inside


def _without(sample: Sample, where: tuple[tuple[int, int], ...]) -> Sample:
    kept = ~_within(sample, where)
    return Sample(sample.codes[kept], sample.loss[kept])


def _carrier(where: tuple[tuple[int, int], ...], before: Sample, after: Sample, p: float) -> Carrier:
    own, now = before.loss[_within(before, where)], after.loss[_within(after, where)]
    reference = float(own.mean()) if len(own) else None
    return Carrier(where, 0.0, len(now), reference, float(now.mean()), p)


def _with_part(one: Carrier, before: Sample, after: Sample, earlier: list[Carrier]) -> Carrier:
    """Return a carrier with its part of the whole change: of its rows that no earlier carrier has."""
    both = []
    for sample in (before, after):
        inside = _within(sample, one.where)
        for other in earlier:
            inside &= ~_within(sample, other.where)
        both.append(sums(inside.astype(np.int64), sample.loss, 2))
    return one._replace(part=float(parts(*both)[1]))


def _scaled(before: Floats, after: Floats, falls: bool) -> tuple[Floats, Floats, float]:
    """Return losses on a scale from 0 to 1, and how many times their variance is in p (1 - p)."""
    every = np.concatenate((before, after))
    low, high = float(min(every.min(), 0.0)), float(np.quantile(every, COVERED))
    high = high if high > low else float(every.max())
    width = high - low or 1.0
    scaled = np.clip((every - low) / width, 0.0, 1.0)
    scaled = 1.0 - scaled if falls else scaled
    mean, variance = float(scaled.mean()), float(scaled.var())
    sharpness = mean * (1 - mean) / variance if variance > 0 else 1.0
    return scaled[: len(before)], scaled[len(before) :], max(sharpness, 1.0)
