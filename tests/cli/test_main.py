"""Commands as a user runs them: exit codes, one line on stderr, and nothing slow before it is needed."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tidegauge import config, schema
from tidegauge.cli import main, parser
from tidegauge.cli.exits import Exit
from tidegauge.cli.worker import ROLES

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEGAUGE_CONFIG", raising=False)
    yield


def test_help_names_every_command_and_imports_nothing_slow() -> None:
    code = (
        "import sys; from tidegauge.cli import parser; print(parser().format_help());"
        "slow = {'faust', 'river', 'numpy', 'confluent_kafka', 'redis', 'rich'} & set(sys.modules);"
        "sys.exit(f'imported: {slow}' if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in (
        "demo",
        "worker",
        "simulate",
        "topics",
        "status",
        "alerts",
        "baseline",
        "check-config",
        "doctor",
        "rebuild",
        "schema",
    ):
        assert f"\n    {name} " in done.stdout or f"\n    {name}\n" in done.stdout


def test_the_module_runs_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tidegauge.cli", "schema"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, list(schema.RECORDS))


@pytest.mark.parametrize(
    "argv", [[], ["dance"], ["topics"], ["worker", "--only", "archive"], ["status", "x"]]
)
def test_wrong_flags_are_unusable(argv: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == Exit.UNUSABLE
    assert "usage: tidegauge" in capsys.readouterr().err


def test_a_wrong_key_is_one_line_on_stderr_and_unusable(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGAUGE_REDIS__ULR", "x")
    assert main(["check-config"]) == Exit.UNUSABLE
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "tidegauge: environment: redis.ulr: no such key; did you mean redis.url?\n"


def test_a_schema_is_printed_as_it_is_in_its_file(capsys: Capture) -> None:
    assert main(["schema", "alert"]) == Exit.OK
    assert capsys.readouterr().out == schema.schema_text("alert")


def test_schemas_are_written_where_it_is_said(tmp_path: Path, capsys: Capture) -> None:
    assert main(["schema", "--write", str(tmp_path / "out")]) == Exit.OK
    assert sorted(capsys.readouterr().out.split()) == sorted(map(str, (tmp_path / "out").iterdir()))


def test_an_unknown_schema_is_an_error(capsys: Capture) -> None:
    assert main(["schema", "wave"]) == Exit.FOUND
    assert capsys.readouterr().err.startswith("tidegauge: no schema 'wave'; expected one of prediction")


FILE = """
[kafka]
options = { "sasl.username" = "app", "sasl.password" = "hunter2" }
[redis]
url = "redis://app:hunter2@db:6379/0"
[models."late arrival"]
task = "binary"
baseline = { f1 = 0.8 }
[[rules]]
metric = "f1"
[[rules]]
metric = "mae"
factor = 1.5
models = ["delay"]
"""


def test_check_config_prints_settings_that_read_back_but_for_their_secrets(
    tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FILE, encoding="utf-8")
    assert main(["check-config", str(path)]) == Exit.OK
    out = capsys.readouterr().out
    assert "hunter2" not in out
    found = msgspec.convert(tomllib.loads(out.replace("***", "hunter2")), config.Settings)
    assert found == config.load(path, {})


def test_check_config_as_json_is_one_object_without_secrets(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FILE, encoding="utf-8")
    assert main(["--config", str(path), "check-config", "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert found["redis"]["url"] == "redis://app:***@db:6379/0"
    assert found["kafka"]["options"] == {"sasl.username": "app", "sasl.password": "***"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[rules]]\nmetric = "f2"', "rules[0].metric: expected a metric, got 'f2'"),
        ('[[rules]]\nmetric = "mae"', "rules[0].factor"),
        ('[drift]\ndetectors = ["adwinn"]', "drift.detectors: expected one of e_sr, adwin"),
        ('[models.a]\ntask = "regression"\ndetectors = ["ddm"]', "models.a.detectors: 'ddm' needs errors"),
    ],
)
def test_check_config_judges_rules_and_detectors_too(
    tmp_path: Path, capsys: Capture, text: str, says: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    assert main(["check-config", str(path)]) == Exit.UNUSABLE
    assert says in capsys.readouterr().err


def test_the_file_is_the_flags_then_the_variables_then_the_one_here(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def group(*flags: str) -> str:
        assert main([*flags, "check-config", "--json"]) == Exit.OK
        return str(json.loads(capsys.readouterr().out)["kafka"]["group"])

    assert group() == "tidegauge"
    for name in ("tidegauge", "variable", "flag"):
        (tmp_path / f"{name}.toml").write_text(f'[kafka]\ngroup = "{name}-file"\n', encoding="utf-8")
    assert group() == "tidegauge-file"
    monkeypatch.setenv("TIDEGAUGE_CONFIG", "variable.toml")
    assert group() == "variable-file"
    assert group("--config", "flag.toml") == "flag-file"


@pytest.mark.parametrize(
    "argv", [["status", "--once"], ["status", "--json"], ["alerts"], ["alerts", "--active"]]
)
def test_a_store_out_of_reach_is_unavailable(
    argv: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", "redis://:hunter2@127.0.0.1:1/0")
    assert main(argv) == Exit.UNAVAILABLE
    err = capsys.readouterr().err
    assert err.startswith("tidegauge: Redis at redis://:***@127.0.0.1:1/0: ")
    assert err.count("\n") == 1


def test_a_broker_out_of_reach_is_unavailable(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert main(["topics", "create"]) == Exit.UNAVAILABLE
    assert capsys.readouterr().err.startswith("tidegauge: Kafka at 127.0.0.1:1: ")


def test_the_worker_offers_the_roles_that_the_application_has() -> None:
    from tidegauge import app  # it takes a second, and one test alone needs it

    assert ROLES == app.ROLES


def test_every_command_says_in_its_help_what_it_does() -> None:
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert all(choice.help for choice in commands._choices_actions)
    assert all(command.description for command in commands.choices.values())


ROWS = "age,plan,said,true,id\n31,free,0,0,a\n42,paid,1,1,b\n42,paid,1,0,c\n,free,0,0,d\n"
FIT = ["baseline", "fit", "rows.csv", "--model", "churn", "--version", "v1"]


def test_a_baseline_is_fitted_from_rows_and_shown(capsys: Capture) -> None:
    Path("rows.csv").write_text(ROWS, encoding="utf-8")
    assert main([*FIT, "--prediction", "said", "--label", "true", "--without", "id"]) == Exit.OK
    assert "churn.baseline.json: 4 rows, 2 features" in capsys.readouterr().out
    assert main(["baseline", "show", "churn.baseline.json"]) == Exit.OK
    shown = capsys.readouterr().out
    for text in (
        "churn v1",
        "rows.csv",
        "age",
        "numeric",
        "0.2500",
        "31 to 42",
        "free, paid",
        "accuracy",
        "0.7500",
    ):
        assert text in shown


def test_a_baseline_is_fitted_from_histograms(capsys: Capture) -> None:
    counts = {"rows": 3, "features": {"age": {"edges": [0, 1, 2], "counts": [1, 2]}}}
    Path("counts.json").write_text(json.dumps(counts), encoding="utf-8")
    assert main(["baseline", "fit", "counts.json", "--model", "churn", "-o", "out.json"]) == Exit.OK
    assert "out.json: 3 rows, 1 features" in capsys.readouterr().out
    assert main(["baseline", "set", "out.json"]) == Exit.UNUSABLE
    assert capsys.readouterr().err == "tidegauge: out.json: names no version: --version says which\n"


def test_a_configured_baseline_that_is_missing_is_a_wrong_setting(capsys: Capture) -> None:
    Path("tidegauge.toml").write_text("[models.churn]\nbaseline_file = 'none.json'\n", encoding="utf-8")
    assert main(["check-config"]) == Exit.UNUSABLE
    assert "models.churn.baseline_file: none.json: cannot be read" in capsys.readouterr().err
