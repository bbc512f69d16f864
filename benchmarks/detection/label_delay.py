"""The product's detector of labels that come later than they did, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.errors import Delay, summary
from tidegauge.drift.label_delay import REFERENCE, DelayTerms, LabelDelay

Floats = NDArray[np.float64]
Rng = np.random.Generator

HOUR, DAY, WEEK = 3_600.0, 86_400.0, 604_800.0
GRACE = DelayTerms().grace_ms / 1_000
TYPICAL = 2 * HOUR  # median of delays
SPREAD = 0.8  # standard deviation of their logarithm


class World(NamedTuple):
    """How predictions come, and their labels after them: times in seconds, without drift."""

    name: str
    a_day: float  # predictions
    delay: Callable[[Rng, Floats], Floats]
    stretch: int = 1  # times as long a stream, and until there is a reference, as where predictions are many
    age: float | None = None  # a label age that is set; else it is learned


def constant(_rng: Rng, at: Floats) -> Floats:
    """Return one delay for all predictions."""
    return np.full(len(at), TYPICAL)


def spread(rng: Rng, at: Floats) -> Floats:
    """Return delays that do not depend on one another."""
    return TYPICAL * np.exp(SPREAD * rng.normal(size=len(at)))


def by_the_hour(rng: Rng, at: Floats) -> Floats:
    """Return delays that are twice as long at midnight as usual, and half as long at noon."""
    return spread(rng, at) * 2 ** np.cos(2 * np.pi * at / DAY)


def by_hands(rng: Rng, at: Floats) -> Floats:
    """Return delays of labels that people make from 9 to 17 h, on five days of seven."""
    ready = at + spread(rng, at) / 4
    day, second = np.divmod(ready, DAY)
    day += second >= 17 * HOUR
    opens = np.where((second >= 9 * HOUR) & (second < 17 * HOUR), second, 9 * HOUR)
    weekend = day % 7 >= 5
    opens = np.where(weekend, 9 * HOUR, opens)
    return (day + np.where(weekend, 7 - day % 7, 0)) * DAY + opens - at


def in_runs(rng: Rng, at: Floats) -> Floats:
    """Return delays whose level wanders, with a correlation of .5 from hour to hour."""
    hours = np.empty(int(at[-1] / HOUR) + 1)
    level = 0.0
    for place, drawn in enumerate(rng.normal(size=len(hours))):
        level = hours[place] = 0.5 * level + np.sqrt(0.75) * drawn
    return spread(rng, at) * np.exp(0.4 * hours[(at / HOUR).astype(np.int64)])


class Change(NamedTuple):
    """What becomes of delays, which are endless without a label."""

    name: str
    of: Callable[[Rng, Floats], Floats]


def without(share: float) -> Callable[[Rng, Floats], Floats]:
    """Return the change after which a share of predictions has no label."""
    return lambda rng, delay: np.where(rng.random(len(delay)) < share, np.inf, delay)


CHANGES = (
    Change("delays double", lambda _rng, delay: 2 * delay),
    Change("20 % of labels stop", without(0.2)),
    Change("all labels stop", without(1.0)),
)
NULLS = (
    World("constant delays", 1_440, constant),
    World("independent delays", 1_440, spread),
    World("delays by the hour of the day", 1_440, by_the_hour),
    World("delays in runs of hours", 1_440, in_runs),
    World("labels made in working hours", 1_440, by_hands),
    World("labels made in working hours, label age 4 days", 1_440, by_hands, age=4 * DAY),
    World("rare: 10 predictions a day", 10, spread, 10),
)


def null(world: World, seed: int, streams: int, weeks: int, promised: float) -> tuple[int, int]:
    """Return panes after the reference, and alarms among them, of streams that last so many weeks."""
    panes = alarms = 0
    for number in range(streams):
        rng = np.random.default_rng((seed, number))
        detector, _ = _run(world, rng, weeks * WEEK, promised)
        panes += max(detector.shift.seen - REFERENCE, 0)
        alarms += detector.shift.changes
    return panes, alarms


def delay(world: World, change: Change, seed: int, streams: int, weeks: int, promised: float) -> Delay:
    """Return after how many hours a change is found that comes some time after the reference."""
    hours = np.full(streams, np.inf)
    for number in range(streams):
        rng = np.random.default_rng((seed, number))
        healthy = world.stretch * (4 + rng.random()) * WEEK
        _, found = _run(world, rng, healthy + weeks * WEEK, promised, change, healthy)
        hours[number] = min(((at - healthy) / HOUR for at in found if at > healthy), default=np.inf)
    return summary(hours)


def _run(
    world: World, rng: Rng, seconds: float, promised: float, change: Change | None = None, since: float = 0.0
) -> tuple[LabelDelay, list[float]]:
    """Return the detector after a stream, and the times of its alarms: looked at every hour."""
    at = np.sort(rng.random(rng.poisson(world.a_day * seconds / DAY))) * seconds
    took = world.delay(rng, at)
    if change is not None:
        took = np.where(at >= since, change.of(rng, took), took)
    some = np.isfinite(took)
    when = np.concatenate((at, (at + took)[some]))
    order = np.argsort(when, kind="stable")
    order = order[: np.searchsorted(when[order], seconds)]
    predicted = np.concatenate((at, at[some]))[order] * 1_000
    labelled = np.concatenate((np.full(len(at), np.nan), (at + took)[some]))[order] * 1_000
    age_ms = None if world.age is None else round(1_000 * world.age)
    detector, found = LabelDelay(DelayTerms(age_ms, run_length=promised)), []
    cuts = np.searchsorted(when[order], np.arange(since, seconds, HOUR) if change else [seconds])
    start = 0
    for cut in cuts.tolist():
        part = slice(start, cut)
        if detector.update(predicted[part].astype(np.int64), labelled[part]):
            found.append(float(when[order[cut - 1]]))
        start = cut
    return detector, found
