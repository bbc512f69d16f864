"""The datum of a version: what each metric is compared with, and where that value came from.

The first of SOURCES that has a metric wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tidegauge.errors import SnapshotError
from tidegauge.metrics.value import Value

VERSION = 1
CONTROL_FILE, FILE = "control_file", "file"  # a baseline file that was set at run time, a configured one
SOURCES = ("control", CONTROL_FILE, "configured", FILE, "early_production")


class Baseline(NamedTuple):
    """The value a metric is compared with, and one of SOURCES."""

    value: float
    source: str


class Baselines:
    """The baselines of one version.

    >>> baselines = Baselines({"f1": 0.9})
    >>> baselines.get("f1")
    Baseline(value=0.9, source='configured')
    """

    def __init__(self, configured: Mapping[str, float]) -> None:
        self.frozen = False
        self._values: dict[str, dict[str, float]] = {source: {} for source in SOURCES}
        self._values["configured"].update(configured)

    def freeze(self, values: Mapping[str, Value]) -> None:
        """Keep the metrics of the admitted outcomes, once; what is undefined there gets no baseline."""
        if self.frozen:
            return
        self.frozen = True
        early = self._values["early_production"]
        early.update({metric: found.value for metric, found in values.items() if found.value is not None})

    def set(self, metrics: Mapping[str, float]) -> None:
        """Set baselines at run time."""
        self._values["control"].update(metrics)

    def take_file(self, metrics: Mapping[str, float], at_run_time: bool) -> None:
        """Have the reference metrics of a baseline file, and of no other file."""
        self._values[CONTROL_FILE] = dict(metrics) if at_run_time else {}
        self._values[FILE] = {} if at_run_time else dict(metrics)

    def get(self, metric: str) -> Baseline | None:
        """Return a metric's baseline, None where no source has one."""
        for source in SOURCES:
            value = self._values[source].get(metric)
            if value is not None:
                return Baseline(value, source)
        return None

    def all(self) -> dict[str, Baseline]:
        """Return the baseline of every metric that has one."""
        metrics = {metric for values in self._values.values() for metric in values}
        return {metric: found for metric in sorted(metrics) if (found := self.get(metric))}

    def dump(self) -> dict[str, Any]:
        """Return what was learned and set, as plain data; configured values stay in the configuration."""
        return {
            "version": VERSION,
            "frozen": self.frozen,
            "early_production": dict(self._values["early_production"]),
            "control": dict(self._values["control"]),
            CONTROL_FILE: dict(self._values[CONTROL_FILE]),
            FILE: dict(self._values[FILE]),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any], configured: Mapping[str, float]) -> Baselines:
        """Return the baselines that `dump` wrote; raises SnapshotError where it is something else."""
        baselines = cls(configured)
        try:
            if state["version"] != VERSION:
                raise SnapshotError(f"baselines: expected version {VERSION}, got {state['version']!r}")
            baselines.frozen = bool(state["frozen"])
            for source in ("early_production", "control", CONTROL_FILE, FILE):
                later = source in (CONTROL_FILE, FILE)  # than the first states
                kept = state.get(source, {}) if later else state[source]
                values = {str(metric): float(value) for metric, value in kept.items()}
                baselines._values[source] = values
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SnapshotError(f"baselines: {error!r}") from error
        return baselines
