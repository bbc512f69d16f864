"""Baseline files from rows: scikit-learn and the monitor's own reference are the oracles."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from tidegauge.baseline.fit import About, Roles, fit
from tidegauge.baseline.tables import Column, Table, column_of
from tidegauge.baseline_file import decode, encode
from tidegauge.block import Layout
from tidegauge.config import Model, Settings
from tidegauge.drift.frozen import bins_of
from tidegauge.drift.sample import ReferenceSample
from tidegauge.errors import ConfigError
from tidegauge.metrics.scores import bin_of

ABOUT = About("churn", "v1", "test", "2026-01-01T00:00:00+00:00")


def numbers(values: np.ndarray) -> Column:
    return Column(np.asarray(values, np.float64), np.full(len(values), -1), [])


def binary_table(count: int, seed: int) -> Table:
    random = np.random.default_rng(seed)
    score = random.random(count)
    age = random.normal(40, 10, count)
    age[::50] = np.nan
    plan = random.choice(["free", "paid", ""], count, p=[0.6, 0.3, 0.1])
    columns = {
        "age": numbers(age),
        "plan": column_of(plan.tolist()),
        "score": numbers(score),
        "said": numbers(score > 0.5),
        "true": numbers(random.random(count) < score),
    }
    return Table(count, columns)


ROLES = Roles("said", "true", {"": "score"})


def test_metrics_are_those_of_scikit_learn_on_the_rows():
    table = binary_table(3_000, seed=1)
    found = fit(table, ROLES, ABOUT, Settings())
    said, true, score = (table.columns[name].numbers for name in ("said", "true", "score"))
    expected = {
        "accuracy": sk.accuracy_score(true, said),
        "f1": sk.f1_score(true, said),
        "roc_auc": sk.roc_auc_score(true, score),
        "pr_auc": sk.average_precision_score(true, score),
        "log_loss": sk.log_loss(true, score),
        "brier": sk.brier_score_loss(true, score),
    }
    assert {name: found.metrics[name].value for name in expected} == pytest.approx(expected, rel=1e-9)
    assert found.metrics["accuracy"].n == 3_000
    assert (found.task, found.positive_class) == ("binary", "1")
    assert found.classes == {"0": int((true == 0).sum()), "1": int((true == 1).sum())}
    assert found.loss is not None
    assert (found.loss.mean, found.loss.variance) == pytest.approx(
        ((said != true).mean(), (said != true).var())
    )


def test_the_bins_are_those_that_the_monitor_freezes_from_the_same_rows():
    table = binary_table(2_000, seed=2)
    found = bins_of(fit(table, ROLES, ABOUT, Settings()).features)
    sample = ReferenceSample(needed=2_000)
    age, plan = table.columns["age"], table.columns["plan"]
    values = np.stack((age.numbers, plan.codes.astype(np.float64)), axis=1)
    sample.add(Layout(("age", "plan"), (False, True)), values, plan.strings)
    frozen = sample.freeze(Settings().drift.bins, Settings().drift.max_categories)
    assert found.names == frozen.names == ("age", "plan")
    np.testing.assert_array_equal(found.counts, frozen.counts)
    for one, other in zip(found.references, frozen.references, strict=True):
        np.testing.assert_array_equal(one.edges, other.edges)
        assert one.levels == other.levels


def test_labelled_scores_are_counted_by_class_and_bin():
    table = binary_table(1_000, seed=3)
    found = fit(table, ROLES, ABOUT, Settings())
    at, true = bin_of(table.columns["score"].numbers, 200), table.columns["true"].numbers
    for code in (0, 1):
        expected = np.bincount(at[true == code], minlength=200)
        assert found.scores[f"score:{code}"] == tuple(expected.tolist())
    assert found.labelled == 1_000
    assert found.prediction is not None
    assert found.prediction.column == "score"


def test_probabilities_of_each_class_are_counted_for_and_against_it():
    random = np.random.default_rng(4)
    proba = random.dirichlet([1, 1, 1], 900)
    names = np.array(["a", "b", "c"])
    true = names[(proba.cumsum(axis=1) < random.random((900, 1))).sum(axis=1)]
    columns = {
        "said": column_of(names[proba.argmax(axis=1)].tolist()),
        "true": column_of(true.tolist()),
        **{f"p_{name}": numbers(proba[:, place]) for place, name in enumerate(names)},
    }
    roles = Roles("said", "true", {name: f"p_{name}" for name in names.tolist()})
    found = fit(Table(900, columns), roles, ABOUT, Settings())
    assert found.task == "multiclass"
    expected = sk.roc_auc_score(true, proba, multi_class="ovr")
    assert found.metrics["roc_auc"].value == pytest.approx(expected, rel=1e-9)
    for place, name in enumerate(names.tolist()):
        at = bin_of(proba[:, place], 200)
        assert found.scores[f"own:{name}"] == tuple(np.bincount(at[true == name], minlength=200).tolist())
        assert found.scores[f"other:{name}"] == tuple(np.bincount(at[true != name], minlength=200).tolist())
    assert found.labelled == 900
    assert found.prediction is not None
    assert found.prediction.column == "class"
    assert found.features == {}


def test_a_regression_has_its_metrics_and_the_moments_of_its_absolute_error():
    random = np.random.default_rng(5)
    true = random.normal(100, 20, 500)
    said = true + random.normal(0, 3, 500)
    columns = {"said": numbers(said), "true": numbers(true), "x": numbers(true)}
    found = fit(Table(500, columns), Roles("said", "true"), ABOUT, Settings())
    expected = {
        "mae": sk.mean_absolute_error(true, said),
        "rmse": sk.root_mean_squared_error(true, said),
        "r2": sk.r2_score(true, said),
    }
    assert found.task == "regression"
    assert {name: found.metrics[name].value for name in expected} == pytest.approx(expected, rel=1e-9)
    assert found.loss is not None
    assert found.loss.variance == pytest.approx(np.abs(said - true).var())


def test_without_labels_there_are_bins_alone():
    found = fit(binary_table(100, seed=6), Roles(features=["age"]), ABOUT, Settings())
    assert list(found.features) == ["age"]
    assert (found.task, found.metrics, found.scores, found.prediction) == (None, {}, {}, None)


def test_the_configured_positive_class_is_that_of_the_file():
    settings = Settings(models={"churn": Model(positive_class="0")})
    assert fit(binary_table(200, seed=7), ROLES, ABOUT, settings).positive_class == "0"


def test_a_column_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(
        ConfigError, match=r"no column 'truth' .* expected one of age, plan, score, said, true"
    ):
        fit(binary_table(10, seed=8), Roles(label="truth"), ABOUT, Settings())


def test_scores_that_are_no_probabilities_are_refused():
    with pytest.raises(ConfigError, match="'age': expected probabilities"):
        fit(binary_table(10, seed=9), Roles("said", "true", {"": "age"}), ABOUT, Settings())


def test_a_file_reads_back_as_what_was_written():
    found = fit(binary_table(500, seed=10), ROLES, ABOUT, Settings())
    assert decode(encode(found)) == found
    assert decode(encode(found)).identity == found.identity
