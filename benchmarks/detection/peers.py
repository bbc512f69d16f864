"""River's detectors on the same streams, each at its defaults and tuned to the same rate of false alarms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river import drift
from river.drift import binary

from benchmarks.detection.errors import MEAN, Delay, summary
from benchmarks.detection.streams import Errors

Floats = NDArray[np.float64]

NULL_STREAMS, NULL_OUTCOMES = 30, 20_000
SHIFT_STREAMS, CLEAN, WITHIN = 60, 3_000, 4_000


class Peer(NamedTuple):
    """A detector with one parameter: its default, and values from lenient to strict."""

    name: str
    build: Callable[[float], Any]
    default: float
    parameters: tuple[float, ...]
    share: float = 1.0  # of the streams; slow ones see fewer


PEERS: Sequence[Peer] = (
    Peer("ADWIN", lambda p: drift.ADWIN(delta=p), 0.002, (0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.002)),
    Peer(
        "PageHinkley", lambda p: drift.PageHinkley(threshold=p, mode="up"), 50.0, (10, 15, 20, 25, 30, 40, 50)
    ),
    Peer("DDM", lambda p: binary.DDM(drift_threshold=p), 3.0, (1.5, 2.0, 2.5, 2.8, 3.0, 3.5, 4.0)),
    Peer("EDDM", lambda p: binary.EDDM(beta=p), 0.9, (0.9, 0.8, 0.7, 0.6, 0.5)),
    Peer("HDDM_A", lambda p: binary.HDDMA(drift_confidence=p), 0.001, (0.2, 0.1, 0.05, 0.02, 0.01, 0.001)),
    Peer("HDDM_W", lambda p: binary.HDDMW(drift_confidence=p), 0.001, (0.2, 0.1, 0.05, 0.02, 0.01, 0.001)),
    Peer("KSWIN", lambda p: drift.KSWIN(alpha=p, seed=1), 0.005, (), share=0.1),
)


class Measured(NamedTuple):
    """What one setting of a peer costs and finds."""

    name: str
    parameter: float
    per_10_000: float
    delays: Mapping[float, Delay]


def alarms(detector: Any, values: Floats) -> list[int]:
    """Return the places in values [n] where the detector signals a drift."""
    found = []
    for place, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(place)
    return found


def per_10_000(peer: Peer, parameter: float, seed: int, correlation: float = 0.0) -> float:
    """Return the false alarms in 10 000 outcomes without a shift."""
    streams = max(2, round(NULL_STREAMS * peer.share))
    outcomes = round(NULL_OUTCOMES * max(peer.share, 0.5))
    rows = Errors(np.random.default_rng(seed), streams, MEAN, correlation).take(outcomes)
    count = sum(len(alarms(peer.build(parameter), row)) for row in rows)
    return count / rows.size * 10_000


def delay(peer: Peer, parameter: float, seed: int, to: float) -> Delay:
    """Return the delay of the first alarm after the error rises to `to`."""
    streams = max(6, round(SHIFT_STREAMS * peer.share))
    source = Errors(np.random.default_rng(seed), streams, MEAN, 0.0)
    clean = source.take(CLEAN)
    source.mean = to
    rows = np.hstack((clean, source.take(WITHIN)))
    return summary(np.array([_first(peer.build(parameter), row) for row in rows]))


def measure(peer: Peer, parameter: float, seed: int, shifts: Sequence[float]) -> Measured:
    """Return the rate of false alarms and the delays of one setting."""
    delays = {to: delay(peer, parameter, seed + 1, to) for to in shifts}
    return Measured(peer.name, parameter, per_10_000(peer, parameter, seed), delays)


def tuned(peer: Peer, seed: int, most: float) -> float | None:
    """Return the most lenient parameter with at most `most` false alarms in 10 000; None where none has."""
    for parameter in peer.parameters:
        if per_10_000(peer, parameter, seed) <= most:
            return parameter
    return None


def _first(detector: Any, row: Floats) -> float:
    for value in row[:CLEAN].tolist():
        detector.update(value)
    for place, value in enumerate(row[CLEAN:].tolist(), start=1):
        detector.update(value)
        if detector.drift_detected:
            return place
    return np.inf
