import itertools

import pytest

from tidegauge.policy.diagnosis import FITS, TABLE, diagnose, subject
from tidegauge.records import Moved

SIGN = {"+": "moved", "-": "still", "?": "unknown"}
MATURE = 0.95


def verdict(signs, completeness=1.0):
    """Return the diagnosis of signs written as quality, data, estimate, realised, calibration."""
    names = ("quality", "data", "estimate", "realised", "calibration")
    moved = Moved(**{name: SIGN[sign] for name, sign in zip(names, signs, strict=True)})
    return diagnose(moved, completeness, MATURE).verdict


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ("-+++-", "harmful_covariate_shift"),
        ("-+---", "benign_drift"),
        ("---++", "concept_drift"),
        ("-+-++", "concept_drift"),
        ("-++-+", "estimator_off_support"),
        ("+++++", "data_quality"),
        ("+-?--", "data_quality"),
        ("---+-", "unknown"),
        ("-----", "unknown"),
        ("?????", "unknown"),
    ],
)
def test_the_decision_table(signs, expected):
    assert verdict(signs) == expected


@pytest.mark.parametrize(
    ("signs", "completeness", "expected"),
    [
        ("---+-", 0.5, "immature_cohorts"),
        ("---+?", 0.5, "immature_cohorts"),
        ("---+-", 0.99, "unknown"),
        ("---+-", None, "unknown"),
        ("---++", 0.5, "concept_drift"),
    ],
)
def test_a_drop_by_labels_alone_may_be_that_of_early_labels(signs, completeness, expected):
    assert verdict(signs, completeness) == expected


def test_before_the_labels_have_come_the_estimate_decides_and_without_one_nothing_does():
    assert verdict("-++--", 0.2) == "harmful_covariate_shift"
    assert verdict("-+---", 0.2) == "benign_drift"
    assert verdict("-+?--", 0.2) == "unknown"
    assert verdict("-+?--", 0.99) == "benign_drift"


def test_covariate_shift_is_told_from_concept_drift_only_where_the_calibration_is_known():
    assert verdict("-++++") == "concept_drift"
    assert verdict("-+++?") == "unknown"


def test_predictions_that_moved_stand_for_features_that_are_not_known():
    moved = Moved(data="unknown", prediction="moved", estimate="still", realised="still")
    assert diagnose(moved, 1.0, MATURE).verdict == "benign_drift"


def test_a_diagnosis_says_what_it_rests_on():
    moved = Moved(data="moved", realised="still")
    found = diagnose(moved, 0.4, MATURE)
    assert (found.moved, found.completeness) == (moved, 0.4)


def test_every_row_of_the_table_decides_something_that_no_row_before_it_does():
    every = list(itertools.product(["moved", "still", "unknown"], repeat=6))
    left = set(every)
    for row in TABLE:
        mine = {signs for signs in left if row.fits(signs)}
        assert mine, row
        left -= mine
    assert len(left) < len(every) / 2


def test_what_is_unknown_is_neither_moved_nor_still():
    assert "unknown" not in FITS["+"] | FITS["-"]
    assert FITS["not +"] | FITS["+"] == FITS["any"] == FITS["not -"] | FITS["-"]


@pytest.mark.parametrize(
    ("test", "about", "expected"),
    [
        ("rule", "mae", "realised"),
        ("rule", "label_delay_p95_s", None),
        ("rule", "throughput_per_s", None),
        ("rule", "resource.cpu.mean", None),
        ("detector", "error", "realised"),
        ("separation", "separation", "realised"),
        ("calibration", "calibration", "calibration"),
        ("feature_shift", "features", "data"),
        ("prediction_psi", "prediction", "prediction"),
    ],
)
def test_only_what_speaks_of_the_models_quality_is_its_performance(test, about, expected):
    assert subject(test, about) == expected
