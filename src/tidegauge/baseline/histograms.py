"""A baseline file from histograms that somebody has counted already; docs/baselines.md shows the input."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from tidegauge.baseline.fit import FORMAT, About
from tidegauge.baseline_file import (
    BaselineFile,
    Column,
    Count,
    Histogram,
    Loss,
    PredictionHistogram,
    ReferenceMetric,
)
from tidegauge.errors import ConfigError


class Counted(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A counted column: `edges` and `counts` as of numpy.histogram, or `levels` with their counts."""

    edges: tuple[float, ...] | None = None  # the last bin holds its upper edge
    counts: tuple[Count, ...] = ()
    below: Count = 0
    above: Count = 0
    levels: dict[str, Count] | None = None
    other: Count = 0
    nulls: Count = 0
    mean: float | None = None
    deviation: float | None = None

    def __post_init__(self) -> None:
        if (self.edges is None) == (self.levels is None):
            raise ValueError("expected either `edges` and `counts`, or `levels`")
        if self.edges is not None and len(self.counts) != len(self.edges) - 1:
            raise ValueError(f"expected {len(self.edges) - 1} counts between edges, got {len(self.counts)}")

    def histogram(self) -> Histogram:
        """Return the bins as a baseline file has them."""
        if self.levels is not None:
            counts = (*self.levels.values(), self.other, 0, self.nulls, 0)
            return Histogram(kind="categorical", levels=tuple(self.levels), counts=counts)
        edges = (*(self.edges or ())[:-1], float(np.nextafter((self.edges or ())[-1], np.inf)))
        counts = (self.below, *self.counts, self.above, self.nulls, 0)
        return Histogram(kind="numeric", edges=edges, counts=counts, mean=self.mean, deviation=self.deviation)


class CountedPrediction(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The predictions, and which of their values was counted."""

    column: Column
    histogram: Counted


class Histograms(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `tidegauge baseline fit` takes in the place of rows."""

    features: dict[str, Counted]
    rows: Count = 0
    prediction: CountedPrediction | None = None
    task: Literal["binary", "multiclass", "regression"] | None = None
    positive_class: str | None = None
    classes: dict[str, Count] = {}
    metrics: dict[str, float | ReferenceMetric] = {}
    loss: Loss | None = None
    scores: dict[str, tuple[Count, ...]] = {}


def read(path: Path, about: About) -> BaselineFile:
    """Return the baseline of the histograms in a file; raises ConfigError that says where it is wrong."""
    try:
        return baseline_of(msgspec.json.decode(path.read_bytes(), type=Histograms), about)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path}: not histograms: {error}; docs/baselines.md shows some") from error


def baseline_of(found: Histograms, about: About) -> BaselineFile:
    """Return the baseline that histograms make."""
    own = found.prediction
    metrics = {
        name: ReferenceMetric(value=one) if isinstance(one, int | float) else one
        for name, one in found.metrics.items()
    }
    return BaselineFile(
        tidegauge_baseline=FORMAT,
        **about._asdict(),
        rows=found.rows,
        features={name: one.histogram() for name, one in found.features.items()},
        prediction=PredictionHistogram(column=own.column, histogram=own.histogram.histogram())
        if own
        else None,
        task=found.task,
        positive_class=found.positive_class,
        classes=found.classes,
        metrics=metrics,
        loss=found.loss,
        scores=found.scores,
    )
