"""Baseline files on disk, and in the settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tidegauge.baseline import files
from tidegauge.baseline_file import BaselineFile, Histogram
from tidegauge.config import Settings, load
from tidegauge.errors import ConfigError

AGE = Histogram(kind="numeric", edges=(1.0, 2.0), counts=(0, 5, 0, 0, 0))
FOUND = BaselineFile(tidegauge_baseline=1, model_id="churn", model_version="v1", features={"age": AGE})


def configured(tmp_path: Path, name: str = "churn.baseline.json", model: str = "churn") -> Settings:
    path = tmp_path / "tidegauge.toml"
    path.write_text(f'[models.{model}]\nbaseline_file = "{name}"\n')
    return load(path, {})


def test_a_baseline_file_lies_beside_the_settings_that_name_it(tmp_path):
    files.write(tmp_path / "churn.baseline.json", FOUND)
    assert files.configured(configured(tmp_path)) == {"churn": FOUND}


def test_the_environment_can_name_a_baseline_file(tmp_path):
    path = tmp_path / "churn.baseline.json"
    files.write(path, FOUND)
    settings = load(None, {"TIDEGAUGE_MODELS__CHURN__BASELINE_FILE": str(path)})
    assert files.configured(settings) == {"churn": FOUND}


def test_without_a_file_in_the_settings_there_is_nothing_to_read():
    assert files.configured(Settings()) == {}


def test_a_missing_file_names_the_key_and_the_path(tmp_path):
    with pytest.raises(
        ConfigError, match=r"models\.churn\.baseline_file: .*churn\.baseline\.json: cannot be"
    ):
        files.configured(configured(tmp_path))


def test_a_file_of_another_model_is_refused(tmp_path):
    files.write(tmp_path / "churn.baseline.json", FOUND)
    with pytest.raises(ConfigError, match="expected a baseline of 'fraud', got one of 'churn'"):
        files.configured(configured(tmp_path, model="fraud"))


def test_score_bins_of_other_settings_are_refused(tmp_path):
    scored = BaselineFile(tidegauge_baseline=1, model_id="churn", scores={"score:1": (1, 2)})
    files.write(tmp_path / "churn.baseline.json", scored)
    with pytest.raises(ConfigError, match=r"\$\.scores: expected 200 bins .* got 2"):
        files.configured(configured(tmp_path))


def changed(**fields: object) -> str:
    return json.dumps({"tidegauge_baseline": 1, "model_id": "churn"} | fields)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[]", "not a baseline file: Expected `object`"),
        (changed(tidegauge_baseline=2), r"Invalid enum value 2 - at `\$.tidegauge_baseline`"),
        (changed(feature={}), "unknown field `feature`"),
        (
            changed(features={"a": {"kind": "numeric", "counts": [1]}}),
            r"expected 3 counts of a numeric column",
        ),
        (
            changed(features={"a": {"kind": "categorical", "levels": ["x", "x"], "counts": [1] * 6}}),
            "different",
        ),
        (changed(features={"a": {"kind": "numeric", "edges": [2, 1], "counts": [1] * 5}}), "ascending order"),
        (changed(task="binary"), "expected 1 to 2 classes of a binary task, got 0"),
        (changed(task="multiclass", classes={"a": 1, "b": 1}), "expected 3 to 1000 classes"),
        (changed(task="binary", classes={"a": 1}, positive_class="b"), "positive class among .* got 'b'"),
        (changed(scores={"score:0": [1], "score:1": [1, 2]}), "as many score bins"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path, text, why):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"wrong\.json: .*{why}"):
        files.read(path)


def test_the_same_baseline_has_the_same_identity_and_another_a_different_one():
    other = BaselineFile(tidegauge_baseline=1, model_id="churn", model_version="v2")
    again = BaselineFile(tidegauge_baseline=1, model_id="churn", model_version="v1", features={"age": AGE})
    assert FOUND.identity == again.identity != other.identity
