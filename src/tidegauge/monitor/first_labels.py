"""First labels of outcomes: what detectors go by, series by series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Floats, Ints, OutcomeRows
from tidegauge.monitor.expansion import Expansion
from tidegauge.monitor.quality import Errors
from tidegauge.windows import Runs

Hashes = NDArray[np.uint64]


class FirstLabels(NamedTuple):
    """First labels, each once for every series that its outcome belongs to."""

    series: Ints  # [n]
    at_ms: Ints  # [n] of the prediction
    labelled_at_ms: Ints  # [n]
    id_hash: Hashes  # [n]
    loss: Floats  # [n] NaN where there is none
    scored: Floats  # [n, 2] a score and whether what it speaks of came; NaN without one, and for segments

    def take(self, which: Ints | slice) -> FirstLabels:
        """Return those at these places [m]."""
        columns: list[Any] = [column[which] for column in self]
        return FirstLabels(*columns)


def joined(parts: Sequence[FirstLabels]) -> FirstLabels:
    """Return those of all parts, one after the other."""
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return FirstLabels(*columns)


def first_labels(
    rows: OutcomeRows, expansion: Expansion, errors: Errors, losses: Floats
) -> tuple[FirstLabels, Runs]:
    """Return the first labels among outcome rows, with losses [rows], and runs; corrections are none."""
    first, runs = expansion.only((rows.revision == 0) & (rows.sign > 0))
    row, series = expansion.row[first], expansion.series[first]
    of_version = (series == expansion.version[row])[:, None]
    found = FirstLabels(
        series,
        rows.predicted_at_ms[row],
        rows.labelled_at_ms[row],
        rows.id_hash[row],
        losses[row],
        np.where(of_version, errors.scored[row], np.nan),
    )
    return found, runs
