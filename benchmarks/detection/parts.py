"""The parts of the benchmark: each prints its tables and returns figures for the last line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import numpy as np

from benchmarks.detection import (
    calibration,
    costs,
    curves,
    errors,
    features,
    flights,
    label_delay,
    pairs,
    peers,
    separation,
)
from benchmarks.detection.tables import table
from tidegauge.drift.error_baseline import Terms

Figures = Mapping[str, object]


class Ask(NamedTuple):
    """What a run is asked for."""

    seed: int = 1
    folder: Path | None = None  # for figures


PROMISED = 10_000
EVER = 0.05
SHIFTS = (0.12, 0.15, 0.2, 0.3)
STREAMS, OUTCOMES = 1_000, 30_000
LABELLED = 120  # streams of scores and labels
SEPARATED = 100  # the same, with three detectors on each
LENGTHS = (1_000, 3_000, 10_000, 30_000, 100_000)  # of the curve
SHIFTED, LATER = 400, 3_000  # streams with a shift, so many outcomes after the reference
OTHER_LEVELS = (0.02, 0.3)  # of the error
CORRELATIONS = (0.0, 0.2, 0.5)
DEFAULT = Terms(run_length=PROMISED)
BASELINES = (
    Terms(mean=errors.MEAN, run_length=PROMISED),
    DEFAULT,
    Terms(reference=5_000, run_length=PROMISED),
)
RUNS = 15
FLIGHT_SEEDS = (1, 2, 3)
DELAYED, DELAY_WEEKS = 20, 60  # streams of labels and their delays
COHORTS = costs.FEW, costs.MANY
HEALTHY_WINDOWS = 1_000  # without a shift, for each reference
FEATURE_ROWS = (  # references, the rows of each, and the windows between it and the shift; the default first
    ("e-d-BH", features.e_d_bh, 3, 5_000, 50),
    ("e-d-BH", features.e_d_bh, 1, 5_000, 250),
    ("e-d-BH", features.e_d_bh, 1, 50_000, 500),
    ("KS+BH", features.ks_bh, 1, 5_000, 50),
    ("PSI>0.1", features.psi_above, 1, 5_000, 50),
)
PAIR_STREAMS, PAIR_STEPS, PAIR_PATIENCE, PAIR_RUNS = 25, 400, 200.0, 20  # patience in steps


def null_streams(ask: Ask) -> Figures:
    """Is the promised average run length kept?"""
    asked = [(terms, r, errors.MEAN) for terms in BASELINES for r in CORRELATIONS]
    asked += [(DEFAULT, r, mean) for mean in OTHER_LEVELS for r in CORRELATIONS]
    rows = [errors.null(ask.seed, STREAMS, OUTCOMES, r, terms, mean) for terms, r, mean in asked]
    head = (
        "baseline",
        "error",
        "lag-one correlation",
        "outcomes",
        "false alarms",
        "run length",
        "per 10 000",
    )
    table(
        f"False alarms of e_sr on {STREAMS} streams without a shift, {PROMISED} outcomes promised",
        head,
        [(n.baseline, n.mean, n.correlation, n.outcomes, n.alarms, n.run_length, n.per_10_000) for n in rows],
    )
    least = round(min(n.run_length for n in rows))
    found: dict[str, object] = {"arl_promised": PROMISED, "arl_measured": least}
    return found if least >= PROMISED else {**found, "broken": "run length"}


def delays(ask: Ask) -> Figures:
    """How soon is a rise of the error found?"""
    asked = [(terms, errors.Rise(0, clean=LATER, correlation=r)) for terms in BASELINES for r in CORRELATIONS]
    asked += [(DEFAULT, errors.Rise(0, clean=clean)) for clean in (0, 1_000, 15_000)]
    rows, found = [], {}
    for terms, rise in asked:
        rises = [rise._replace(to=to) for to in SHIFTS]
        some = [errors.delay(ask.seed + 1, SHIFTED, 4_000, one, terms) for one in rises]
        found[terms, rise] = dict(zip(SHIFTS, some, strict=True))
        rows.append((errors.name(terms), rise.clean, rise.correlation, *map(_delay, some)))
    head = ("baseline", "after", "lag-one correlation", *(f"{errors.MEAN} to {to}" for to in SHIFTS))
    table("Median outcomes until e_sr finds a shift (share found within 4000)", head, rows)
    _other_levels(ask)
    default = found[DEFAULT, errors.Rise(0, clean=LATER)]
    return {"delay_10_20": round(default[0.2].median), "delay_10_15": round(default[0.15].median)}


def one_shot(ask: Ask) -> Figures:
    """Is the probability of any false alarm kept, and what does it cost?"""
    promised = [terms._replace(run_length=None, ever=EVER) for terms in BASELINES]
    rows = [
        (errors.name(terms), r, _share(errors.ever(ask.seed, STREAMS, OUTCOMES, r, terms)))
        for terms in promised
        for r in CORRELATIONS
    ]
    head = ("baseline", "lag-one correlation", "streams with a false alarm")
    table(f"Of {STREAMS} streams without a shift, within {OUTCOMES} outcomes, {EVER:.0%} allowed", head, rows)
    found = []
    for terms in (one for pair in zip(promised, BASELINES, strict=True) for one in pair):
        for clean in (0, OUTCOMES):
            each = [
                errors.delay(ask.seed + 1, 200, 4_000, errors.Rise(to, clean=clean), terms) for to in SHIFTS
            ]
            name = "run length" if terms.ever is None else "once"
            found.append((name, errors.name(terms), clean, *map(_delay, each)))
    head = ("promise", "baseline", "healthy before", *(f"{errors.MEAN} to {to}" for to in SHIFTS))
    table("Median outcomes until a shift is found (share found within 4000)", head, found)
    return {}


def _other_levels(ask: Ask) -> None:
    rows = []
    for mean in OTHER_LEVELS:
        for factor in (1.5, 2.0):
            rise = errors.Rise(factor * mean, mean)
            found = (
                errors.delay(ask.seed + 1, SHIFTED, 4_000, rise, terms)
                for terms in (DEFAULT._replace(mean=mean), DEFAULT)
            )
            rows.append((mean, rise.to, *map(_delay, found)))
    table("The same for other errors", ("error", "to", "known", f"learned from {DEFAULT.reference}"), rows)


def against_river(ask: Ask) -> Figures:
    """The same streams, river's detectors."""
    rows, lines = [], {"e_sr": _own_curve(ask.seed)}
    for peer in peers.PEERS:
        at_default = peers.measure(peer, peer.default, ask.seed, SHIFTS)
        rows.append(_peer_row(peer, ask.seed, at_default, "default"))
        settings = [peers.measure(peer, p, ask.seed, (0.2,)) for p in peer.parameters]
        lines[peer.name] = [(one.per_10_000, one.delays[0.2].median) for one in settings]
        fitting = [one.parameter for one in settings if one.per_10_000 <= 1]
        if fitting:
            tuned = peers.measure(peer, fitting[0], ask.seed, SHIFTS)
            rows.append(_peer_row(peer, ask.seed, tuned, "tuned"))
    head = ("detector", "setting", "false per 10 000", "at r=.2", "at r=.5", *(f"to {to}" for to in SHIFTS))
    table(
        "River's detectors: at their defaults, and as lenient as one false alarm in 10 000 allows", head, rows
    )
    points = [(name, rate, median) for name, line in lines.items() for rate, median in line]
    table("False alarms against delay", ("detector", "false per 10 000", "median delay .1 to .2"), points)
    if ask.folder is not None:
        curves.write(ask.folder / "error-curves.svg", lines)
    return {}


def feature_drift(ask: Ask) -> Figures:
    """Which of 200 features have moved?"""
    rows = [_feature_row(ask.seed, *one) for one in FEATURE_ROWS]
    head = (
        "rule",
        "reference rows",
        "windows before",
        "healthy windows",
        "false ones",
        "first named",
        "all ten",
        "healthy named",
    )
    table("200 features of 100 rows a window; ten move slightly (u to the power 1.15)", head, rows)
    own, ks = rows[0], next(row for row in rows if row[0] == "KS+BH")
    return {"false_feature_windows": own[4], "feature_windows": _whole(own[6]), "kbh_windows": _whole(ks[6])}


def _feature_row(
    seed: int,
    name: str,
    rule: Callable[[features.Reference], features.Judge],
    references: int,
    count: int,
    before: int,
) -> tuple[Any, ...]:
    """Return what a rule does with references of `count` rows and a shift `before` windows after them."""
    known = [features.healthy(seed + 1_000 * number, count) for number in range(references)]
    false = [
        features.false_windows(rule(one), seed + 1 + number, before, HEALTHY_WINDOWS)[0]
        for number, one in enumerate(known)
    ]
    judges = (rule(known[run % references]) for run in range(RUNS))
    found = [features.find(judge, seed + 2 + run, before, 1_500) for run, judge in enumerate(judges)]
    first, last = (float(np.median(one)) for one in zip(*(f[:2] for f in found), strict=True))
    windows = references * HEALTHY_WINDOWS
    return (name, count, before, windows, sum(false), first, last, sum(f.falsely for f in found) / RUNS)


def concept_drift(ask: Ask) -> Figures:
    """Is it the labels that changed, or only the rows?"""
    rows = []
    for move in calibration.NULLS:
        for correlation in CORRELATIONS if move.before == move.after == calibration.HEALTHY else (0.0,):
            found = calibration.null(move, ask.seed, LABELLED, OUTCOMES, PROMISED, correlation)
            lengths = (found.outcomes / max(1, alarms) for alarms in found[1:])
            rows.append((move.name, correlation, found.outcomes, *lengths))
    head = ("labels and scores", "lag-one correlation", "outcomes", "calibration", "error")
    table(
        f"Outcomes from alarm to alarm of e_sr while labels keep to scores, {PROMISED} promised", head, rows
    )
    found_rows = []
    for reference in (1_000, 5_000):
        for to in calibration.SHIFTS:
            both = calibration.delay(to, ask.seed + 1, 200, 4_000, reference, PROMISED)
            found_rows.append((to.name, reference, *map(_delay, both)))
    table(
        "Median outcomes until e_sr finds that labels follow another law (share found within 4000)",
        ("law", "reference", "calibration", "error"),
        found_rows,
    )
    return {}


def separation_falls(ask: Ask) -> Figures:
    """Do scores still tell the classes apart?"""
    rows: list[tuple[object, ...]] = []
    for move in separation.NULLS:
        for correlation in CORRELATIONS if move.before == move.after else (0.0,):
            found = separation.null(move, ask.seed, SEPARATED, OUTCOMES, PROMISED, correlation)
            rows.append((move.name, correlation, *(SEPARATED * OUTCOMES / max(1, one) for one in found)))
    detectors = ("separation", "calibration", "error")
    table(
        f"Outcomes from alarm to alarm of e_sr while the AUC stays {separation.AUC}, {PROMISED} promised",
        ("classes and scores", "lag-one correlation", *detectors),
        rows,
    )
    rows = []
    for reference in (1_000, 5_000):
        for move in separation.SHIFTS:
            delays = separation.delay(move, ask.seed + 1, SEPARATED, 4_000, reference, PROMISED)
            rows.append((move.name, reference, *map(_delay, delays)))
    table(
        f"Median outcomes until e_sr finds that an AUC of {separation.AUC} fell (share found within 4000)",
        ("classes and scores", "reference", *detectors),
        rows,
    )
    return {}


def pair_drift(ask: Ask) -> Figures:
    """Which features go together otherwise?"""
    rows: list[tuple[object, ...]] = []
    for law in pairs.HEALTHY:
        one = pairs.null(law, ask.seed, PAIR_STREAMS, PAIR_STEPS, PAIR_PATIENCE)
        rows.append((law.name, one.steps, one.steps / PAIR_PATIENCE, one.false, *map(_share, one.beyond)))
    head = ("rows", "steps", "false steps allowed", "false steps", "max z", "T2", "reconstruction")
    table(f"{pairs.FEATURES} healthy features, steps of 250 rows; windows of 1000 beyond chance", head, rows)
    rows = []
    for law in pairs.SHIFTS:
        found = [pairs.find(law, ask.seed + 100 + run, PAIR_PATIENCE, 80) for run in range(PAIR_RUNS)]
        beyond = (_share(float(np.mean([f.beyond[place] for f in found]))) for place in range(3))
        named = [f for f in found if np.isfinite(f.pairs)]
        right = _share(sum(f.right for f in named) / len(named)) if named else "-"
        medians = (_rows(float(np.median([f[place] for f in found]))) for place in (0, 2))
        rows.append((law.name, next(medians), right, next(medians), *beyond))
    head = (
        "shift",
        "a pair after",
        "the right one first",
        "a feature after",
        "max z",
        "T2",
        "reconstruction",
    )
    table("Rows until a shift is named, and windows of 1000 rows after it that are beyond chance", head, rows)
    costs_of = [
        (size, pairs.pair_ns(size), pairs.pair_ns(size, classify=True)) for size in (10, 50, 100, 200)
    ]
    table("Pairs: ns a value", ("features", "ns", "with the domain classifier"), costs_of)
    return {}


def late_labels(ask: Ask) -> Figures:
    """Are labels of easy cases, which come first, taken for a shift?"""
    rows = flights.flown()
    head = (
        "flights",
        "order",
        "detector",
        "labels used",
        "alarms",
        "hours until 10 % flipped labels are found",
    )
    streams = {
        "as they were": [rows],
        "in random order": [flights.in_random_order(rows, seed) for seed in FLIGHT_SEEDS],
        f"in random order, {flights.DENSER} times as dense": [
            flights.in_random_order(rows, seed, flights.DENSER) for seed in FLIGHT_SEEDS
        ],
    }
    told: list[tuple[object, ...]] = []
    for name, every in streams.items():
        runs = [flights.measured(one, ask.seed) for one in every]
        for same in zip(*runs, strict=True):
            order, detector, _ = same[0]
            used = _share(float(np.mean([one.used for _, _, one in same])))
            alarms = float(np.mean([one.healthy for _, _, one in same]))
            hours = _rows(float(np.median([one.hours for _, _, one in same])))
            told.append((name, order, detector, used, alarms, hours))
    table(
        f"{len(rows.error)} flights of ten months, {flights.PROMISED} outcomes promised, "
        f"label age {flights.label_age(rows)} s",
        head,
        told,
    )
    table(
        f"Mean error of labels that came within {flights.FIRST_HOURS} h, and of all; hours that labels take",
        ("early", "all", "median", f"{flights.AGE_QUANTILE:.0%}"),
        [(*(f"{error:.3f}" for error in flights.early(rows)), *flights.delays(rows))],
    )
    return {}


def estimates(_ask: Ask) -> Figures:
    """Performance before labels, where that part of the benchmark is there."""
    if find_spec("benchmarks.detection.estimates") is None:
        return {}
    try:
        found = import_module("benchmarks.detection.estimates").figures()
    except CalledProcessError as error:  # of pip, which fetches the data
        print(f"\nNo data for the estimates: {error}. With an index that has nannyml, pip fetches its wheel.")
        return {}
    return {name: f"{value:.4f}" for name, value in found.items()}


def cost(_ask: Ask) -> Figures:
    """What an outcome and a value cost, in blocks."""
    error_ns, feature_ns = costs.error_ns(), costs.feature_ns()
    rows = [
        ("an outcome, e_sr on the error", error_ns),
        ("an outcome, e_sr on what scores mean", costs.calibration_ns()),
        ("an outcome, e_sr on the AUC", costs.separation_ns()),
        ("a value, cells and e-d-BH", feature_ns),
        ("a prediction or first label, e_sr on label delay", costs.label_delay_ns()),
        *((f"an outcome, while {n} wait for their label age", costs.cohort_ns(n)) for n in COHORTS),
    ]
    table("Cost", ("what", "ns"), rows)
    return {"error_ns": round(error_ns), "feature_ns": round(feature_ns)}


def late_or_missing(ask: Ask) -> Figures:
    """Do labels come later than they did, or not at all?"""
    rows: list[tuple[object, ...]] = []
    for world in label_delay.NULLS:
        found = label_delay.null(world, ask.seed, DELAYED, DELAY_WEEKS * world.stretch, PROMISED)
        rows.append((world.name, *found, _run_length(*found)))
    head = ("labels", "panes", "false alarms", "panes from alarm to alarm")
    table(f"False alarms of e_sr on labels that come as they did, {PROMISED} panes promised", head, rows)
    rows = []
    for world in label_delay.NULLS[1:]:
        delays = (
            label_delay.delay(world, change, ask.seed + 1, DELAYED, 2 * world.stretch, PROMISED)
            for change in label_delay.CHANGES
        )
        rows.append((world.name, *map(_delay, delays)))
    head = ("labels", *(change.name for change in label_delay.CHANGES))
    grace = label_delay.GRACE / label_delay.HOUR
    table(f"Median hours until e_sr finds it, {grace:.0f} of them the grace (share found)", head, rows)
    return {}


PARTS: Mapping[str, Callable[[Ask], Figures]] = {
    "null": null_streams,
    "delays": delays,
    "once": one_shot,
    "river": against_river,
    "concept": concept_drift,
    "separation": separation_falls,
    "features": feature_drift,
    "pairs": pair_drift,
    "flights": late_labels,
    "label_delay": late_or_missing,
    "estimates": estimates,
    "cost": cost,
}


class _Row(NamedTuple):
    name: str
    setting: str
    clean: float
    little: float
    much: float


def _peer_row(peer: peers.Peer, seed: int, found: peers.Measured, how: str) -> tuple[object, ...]:
    dependent = (peers.per_10_000(peer, found.parameter, seed, r) for r in CORRELATIONS[1:])
    row = _Row(found.name, f"{how} {found.parameter:g}", found.per_10_000, *dependent)
    return (*row, *(_delay(found.delays[to]) for to in SHIFTS))


def _own_curve(seed: int) -> list[tuple[float, float]]:
    line = []
    for length in LENGTHS:
        terms = Terms(mean=errors.MEAN, run_length=length)
        rate = errors.null(seed, STREAMS, OUTCOMES, 0.0, terms).per_10_000
        line.append((rate, errors.delay(seed + 1, 200, 4_000, errors.Rise(0.2), terms).median))
    return line


def _delay(found: errors.Delay) -> str:
    median = "-" if np.isinf(found.median) else f"{found.median:.0f}"
    return median if found.found == 1 else f"{median} ({found.found:.0%})"


def _run_length(panes: int, alarms: int) -> str:
    return f"{panes / alarms:.0f}" if alarms else f"none in {panes}"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _rows(value: float) -> object:
    return "-" if np.isinf(value) else round(value)


def _whole(value: float) -> object:
    return ">1500" if np.isinf(value) else round(value)
