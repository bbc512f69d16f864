"""Baseline files from counted histograms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tidegauge.baseline import histograms
from tidegauge.baseline.fit import About
from tidegauge.drift.frozen import bins_of
from tidegauge.errors import ConfigError

ABOUT = About("churn", "v1")


def test_a_histogram_of_numpy_counts_as_the_monitor_counts_the_same_values(tmp_path):
    values = np.random.default_rng(1).normal(size=1_000).round(2)
    counts, edges = np.histogram(values, bins=8)
    tree = {
        "rows": 1_003,
        "features": {
            "x": {"edges": edges.tolist(), "counts": counts.tolist(), "nulls": 3},
            "plan": {"levels": {"free": 700, "paid": 300}, "nulls": 3},
        },
        "metrics": {"f1": 0.8, "accuracy": {"value": 0.9, "n": 1000}},
        "prediction": {"column": "class", "histogram": {"levels": {"0": 600, "1": 400}}},
    }
    path = tmp_path / "counts.json"
    path.write_text(json.dumps(tree))
    found = histograms.read(path, ABOUT)
    bins = bins_of(found.features)
    x = bins.references[bins.names.index("x")]
    cells = x.cells(np.append(values, [np.nan] * 3))
    np.testing.assert_array_equal(np.bincount(cells, minlength=x.width), x.counts)
    assert bins.references[bins.names.index("plan")].counts.tolist() == [700, 300, 0, 0, 3, 0]
    assert (found.metrics["f1"].value, found.metrics["accuracy"].n) == (0.8, 1000)
    assert found.prediction is not None


@pytest.mark.parametrize(
    ("feature", "why"),
    [
        ({"edges": [0, 1], "counts": [1, 2]}, r"expected 1 counts between edges, got 2.*\$\.features"),
        ({"nulls": 1}, "either `edges` and `counts`, or `levels`"),
        ({"edges": [1, 0], "counts": [1]}, "ascending"),
        ({"levels": {"a": -1}}, r"\$\.features"),
    ],
)
def test_histograms_that_are_wrong_say_where(tmp_path, feature, why):
    path = tmp_path / "counts.json"
    path.write_text(json.dumps({"features": {"x": feature}}))
    with pytest.raises(ConfigError, match=rf"counts\.json: not histograms: .*{why}"):
        histograms.read(path, ABOUT)


def test_the_example_in_the_docs_is_right(tmp_path):
    docs = (Path(__file__).parents[2] / "docs/baselines.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```json\n(.*?)^```", docs, re.DOTALL | re.MULTILINE)
    path = tmp_path / "histograms.json"
    path.write_text(example, encoding="utf-8")
    found = histograms.read(path, ABOUT)
    assert {one.rows for one in found.features.values()} == {found.rows}
    assert sum(found.classes.values()) == found.rows
