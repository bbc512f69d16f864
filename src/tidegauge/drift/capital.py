"""What the bettors of an e-detector of Shiryaev-Roberts type own, step by step, until it is an alarm.

At each step new bettors enter with capital, and everybody's capital is multiplied by what the step earned.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AT_ONCE = 128  # steps; those after an alarm are played again, so not all
MOST_LOG = 400.0  # of what a step multiplies by: capital of many series stays a number
MOST_OWNED = 1e300
MOST_CARRIED = 1e125  # into a step: times exp(MOST_LOG) it is still below MOST_OWNED


class Part(NamedTuple):
    """Steps that were played together."""

    start: int
    end: int
    owned: list[float]  # [bets] after the last of them
    alarm: bool  # the last of them raised one


def play(owned: list[float], gains: Floats, newcomers: Floats, enough: float) -> Iterator[Part]:
    """Yield what bettors own after parts of the steps, who begin with `owned` [bets].

    Steps have gains [steps, bets], and what enters each bet with newcomers [steps]. A part ends where all own
    `enough` together: that is an alarm, and all capital is gone after it. The same steps give the same
    numbers however they are cut. Some 0.1 us a step and bet.

    >>> [(part.end, part.owned) for part in play([0.0], np.full((4, 1), 2.0), np.ones(4), enough=10.0)]
    [(3, [14.0]), (4, [2.0])]
    """
    start = 0
    while start < len(gains):
        stop = start + AT_ONCE
        entering = newcomers[start:stop].tolist()
        columns = gains[start:stop].T.tolist()
        held = np.array(
            [
                list(accumulate(zip(entering, column, strict=True), _step, initial=own))
                for own, column in zip(owned, columns, strict=True)
            ]
        )[:, 1:]
        reached = np.flatnonzero(np.add.accumulate(held)[-1] >= enough)
        alarm = len(reached) > 0
        end = start + (int(reached[0]) + 1 if alarm else held.shape[1])
        owned = held[:, end - start - 1].tolist()
        yield Part(start, end, owned, alarm)
        if alarm:
            owned = [0.0] * len(owned)
        start = end


def _step(owned: float, step: tuple[float, float]) -> float:
    entering, gain = step
    return gain * (entering + owned)


def grow(owned: Floats, gains: Floats) -> Floats:
    """Return what the bettors on many series own [steps, ...] after each step, who begin with `owned` [...].

    A new one enters every bet with 1 at each step; `gains` [steps, ...] are logarithms of what a step earns.
    """
    earned: Floats = np.exp(np.minimum(gains, MOST_LOG))
    for step in range(len(earned)):
        owned = np.multiply(np.minimum(owned + 1, MOST_CARRIED), earned[step], out=earned[step])
    return earned
