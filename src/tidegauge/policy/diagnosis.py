"""What moved, and what that means: one table.

The first row that fits decides. What is unknown fits neither `+` nor `-`: a diagnosis rests on what is known.
An estimate of performance sees rows that moved and no change of what labels they have; the calibration
sees such changes and nothing else; labels see both, late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from tidegauge.policy.directions import direction
from tidegauge.policy.incidents import Test
from tidegauge.records import Diagnosed, Diagnosis, Moved, Sign

Cell = Literal["+", "-", "?", "not +", "not -", "any"]
Subject = Literal["data", "prediction", "realised", "calibration"]  # of which detectors and rules speak

FITS: Mapping[Cell, frozenset[Sign]] = {
    "+": frozenset({"moved"}),
    "-": frozenset({"still"}),
    "?": frozenset({"unknown"}),
    "not +": frozenset({"still", "unknown"}),
    "not -": frozenset({"moved", "unknown"}),
    "any": frozenset({"moved", "still", "unknown"}),
}


class Row(NamedTuple):
    """What must have moved for a diagnosis; rows are features or predictions."""

    quality: Cell
    rows: Cell
    estimate: Cell
    realised: Cell
    calibration: Cell
    immature: Cell
    diagnosis: Diagnosed

    def fits(self, signs: tuple[Sign, ...]) -> bool:
        """Return whether signs are those of the row, in the order of its cells."""
        cells = self.quality, self.rows, self.estimate, self.realised, self.calibration, self.immature
        return all(sign in FITS[cell] for sign, cell in zip(signs, cells, strict=True))


# quality, rows, estimate, realised, calibration, immature
TABLE: tuple[Row, ...] = (
    Row("+", "any", "any", "any", "any", "any", "data_quality"),
    Row("any", "+", "+", "-", "+", "any", "estimator_off_support"),
    Row("any", "any", "any", "any", "+", "any", "concept_drift"),
    Row("any", "+", "not -", "+", "-", "any", "harmful_covariate_shift"),
    Row("any", "+", "+", "?", "not +", "any", "harmful_covariate_shift"),
    Row("any", "+", "not +", "-", "not +", "any", "benign_drift"),
    Row("any", "+", "-", "?", "not +", "any", "benign_drift"),
    Row("any", "not +", "any", "+", "not +", "+", "immature_cohorts"),
)

_SUBJECTS: Mapping[Test, Subject] = {
    "rule": "realised",
    "detector": "realised",
    "separation": "realised",
    "calibration": "calibration",
    "feature_psi": "data",
    "feature_shift": "data",
    "pair_shift": "data",
    "prediction_psi": "prediction",
    "prediction_shift": "prediction",
}
_OF_SERVICE = ("latency_", "label_delay_", "coverage")


def diagnose(moved: Moved, completeness: float | None, mature_share: float) -> Diagnosis:
    """Return the diagnosis of what moved; `completeness` is the share of labels that have come.

    While fewer than `mature_share` have, that the realised performance stands still is not known.

    >>> diagnose(Moved(data="moved", realised="still"), 0.99, 0.95).verdict
    'benign_drift'
    >>> diagnose(Moved(data="moved", realised="still"), 0.40, 0.95).verdict
    'unknown'
    """
    immature = completeness is not None and completeness < mature_share
    realised = "unknown" if immature and moved.realised == "still" else moved.realised
    known = (moved.quality, rows_moved(moved), moved.estimate, realised, moved.calibration)
    signs: tuple[Sign, ...] = (*known, "moved" if immature else "still")
    fitting = (row.diagnosis for row in TABLE if row.fits(signs))
    return Diagnosis(verdict=next(fitting, "unknown"), moved=moved, completeness=completeness)


def rows_moved(moved: Moved) -> Sign:
    """Return whether the rows moved: a model is a function, so its predictions move because its rows do.

    >>> rows_moved(Moved(data="still")), rows_moved(Moved(data="unknown", prediction="moved"))
    ('still', 'moved')
    """
    return any_of((moved.data, moved.prediction))


def any_of(signs: Iterable[Sign]) -> Sign:
    """Return `moved` where one is, else `still` where one is.

    >>> any_of(["unknown", "still"]), any_of([])
    ('still', 'unknown')
    """
    found = set(signs)
    return "moved" if "moved" in found else "still" if "still" in found else "unknown"


def subject(test: Test, about: str) -> Subject | None:
    """Return what a test speaks of; None for what says nothing of the model's quality.

    >>> subject("rule", "f1"), subject("rule", "latency_p99_ms"), subject("rule", "kpi.revenue.mean")
    ('realised', None, None)
    """
    if test == "rule" and (direction(about) == "factor" or about.startswith(_OF_SERVICE)):
        return None
    return _SUBJECTS.get(test)
