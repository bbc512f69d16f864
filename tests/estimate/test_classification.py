"""Estimates against scikit-learn: a row that is positive with probability c is a positive row of weight c
and a negative one of weight 1 - c."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tidegauge.estimate.calibration import Calibration, monotone
from tidegauge.estimate.classification import METRICS, binary, extrapolated, multiclass

BINS = 20
Z = 1.959963984540054


def certain(probability):
    """Return a curve without an error of its own."""
    probability = np.asarray(probability, np.float64)
    return Calibration(
        probability, np.arange(len(probability)), np.zeros(len(probability)), 0, len(probability) - 1
    )


def rows_of(counts):
    return np.repeat(np.arange(len(counts)), counts)


def oracle(own, other, c):
    bins = np.concatenate((rows_of(own), rows_of(other)))
    predicted = np.repeat([1, 0], [own.sum(), other.sum()])
    actual, twice = np.repeat([1, 0], len(bins)), np.tile(bins, 2)
    weight = np.concatenate((c[bins], 1 - c[bins]))
    said = np.tile(predicted, 2)
    return {
        "accuracy": sk.accuracy_score(actual, said, sample_weight=weight),
        "precision": sk.precision_score(actual, said, sample_weight=weight),
        "recall": sk.recall_score(actual, said, sample_weight=weight),
        "f1": sk.f1_score(actual, said, sample_weight=weight),
        "roc_auc": sk.roc_auc_score(actual, twice, sample_weight=weight),
    }


counts = st.lists(st.integers(0, 6), min_size=BINS, max_size=BINS).map(np.array)
curves = st.lists(st.floats(0.01, 0.99), min_size=BINS, max_size=BINS).map(sorted).map(np.array)


@settings(max_examples=60)
@given(counts.filter(np.any), counts.filter(np.any), curves)
def test_every_estimate_is_scikit_learns_metric_of_rows_with_both_labels(own, other, c):
    found = binary(own.astype(float), other.astype(float), certain(c), Z)
    wanted = oracle(own, other, c)
    assert {name: value.value for name, value in found.items()} == pytest.approx(wanted, abs=1e-9)
    assert {value.n for value in found.values()} == {own.sum() + other.sum()}


def test_the_interval_is_as_wide_as_realised_values_scatter():
    random = np.random.default_rng(7)
    own, other = np.zeros(BINS), np.zeros(BINS)
    own[BINS // 2 :], other[: BINS // 2] = 40, 40
    c = np.linspace(0.05, 0.95, BINS)
    found = binary(own, other, certain(c), Z)
    bins, said = np.repeat(np.arange(BINS), 40), np.repeat([0, 1], BINS // 2 * 40)
    realised = {name: [] for name in METRICS}
    for _ in range(600):
        actual = random.random(len(bins)) < c[bins]
        realised["accuracy"].append(sk.accuracy_score(actual, said))
        realised["precision"].append(sk.precision_score(actual, said))
        realised["recall"].append(sk.recall_score(actual, said))
        realised["f1"].append(sk.f1_score(actual, said))
        realised["roc_auc"].append(sk.roc_auc_score(actual, bins))
    for name, values in realised.items():
        spread = (found[name].high - found[name].low) / (2 * Z)
        assert spread == pytest.approx(np.std(values), rel=0.12), name


def test_the_interval_has_the_error_of_a_calibration_of_few_rows():
    """Of 95 % intervals from 300 labels, about 95 % hold; without that error far fewer would."""
    random = np.random.default_rng(11)
    held, narrow = [], []
    for _ in range(150):
        score = random.integers(0, BINS, 300)
        came = random.random(300) < (score + 0.5) / BINS
        rows = np.bincount(score, minlength=BINS).astype(float)
        curve = monotone(np.stack((rows, np.bincount(score, came, BINS), rows)))
        bins = random.integers(0, BINS, 3_000)
        actual = random.random(3_000) < (bins + 0.5) / BINS
        own = np.bincount(bins[bins >= BINS // 2], minlength=BINS).astype(float)
        other = np.bincount(bins[bins < BINS // 2], minlength=BINS).astype(float)
        realised = sk.f1_score(actual, bins >= BINS // 2)
        for where, one in ((held, curve), (narrow, certain(curve.probability))):
            found = binary(own, other, one, Z)["f1"]
            where.append(found.low <= realised <= found.high)
    assert np.mean(held) >= 0.92
    assert np.mean(narrow) < 0.8


def test_what_no_row_defines_is_undefined():
    none = np.zeros(BINS)
    some = np.ones(BINS)
    assert binary(none, none, certain(some / 2), Z)["accuracy"].value is None
    assert binary(some, some, None, Z)["accuracy"] == (None, 2 * BINS, None, None)
    never = binary(none, some, certain(none), Z)
    assert never["accuracy"].value == 1.0
    assert [never[name].value for name in ("precision", "recall", "f1", "roc_auc")] == [None] * 4


def test_many_classes_are_each_against_the_rest():
    random = np.random.default_rng(3)
    proba = random.dirichlet(np.ones(3), 30_000)
    actual = (proba.cumsum(axis=1) < random.random((30_000, 1))).sum(axis=1)
    predicted, bins = proba.argmax(axis=1), np.minimum((proba * BINS).astype(int), BINS - 1)
    past, now = slice(0, 20_000), slice(20_000, None)
    curves_, own, other = [], [], []
    for k in range(3):
        rows = np.bincount(bins[past, k], minlength=BINS).astype(float)
        came = np.bincount(bins[past, k], actual[past] == k, BINS)
        curves_.append(monotone(np.stack((rows, came, rows))))
        mine = predicted[now] == k
        own.append(np.bincount(bins[now, k][mine], minlength=BINS))
        other.append(np.bincount(bins[now, k][~mine], minlength=BINS))
    found = multiclass(np.array(own, float), np.array(other, float), curves_, Z)
    realised = {
        "accuracy": sk.accuracy_score(actual[now], predicted[now]),
        "precision_macro": sk.precision_score(actual[now], predicted[now], average="macro"),
        "recall_macro": sk.recall_score(actual[now], predicted[now], average="macro"),
        "f1_macro": sk.f1_score(actual[now], predicted[now], average="macro"),
        "roc_auc": sk.roc_auc_score(actual[now], proba[now], multi_class="ovr"),
    }
    assert found.keys() == realised.keys()
    for name, value in realised.items():
        assert found[name].low <= value <= found[name].high, name
        assert found[name].value == pytest.approx(value, abs=0.02), name
        assert found[name].n == 10_000


def test_a_predicted_class_that_never_had_a_label_leaves_the_accuracy_undefined():
    ones = np.ones((2, BINS))
    assert multiclass(ones, ones, [certain(ones[0] / 2), None], Z)["accuracy"].value is None


def test_scores_beyond_all_labelled_ones_are_counted():
    cells = np.zeros((3, BINS))
    cells[:, 5:10] = 1.0
    rows = np.ones(BINS)
    assert extrapolated(rows, rows, monotone(cells)) == pytest.approx(15 / 20)
