"""Streams of raw events with known defects: synthetic models, and what the flights demo shares with them.

for chunk in simulate(Spec(start_ms=1_700_000_000_000, duration_seconds=60, drift_after_seconds=30)):
    ...
"""

from tidegauge.simulate.mischief import Mischief
from tidegauge.simulate.raw import LABELS, PREDICTIONS, RawEvent
from tidegauge.simulate.synthetic import Spec, simulate

__all__ = ["LABELS", "PREDICTIONS", "Mischief", "RawEvent", "Spec", "simulate"]
