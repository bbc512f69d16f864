"""The docs say what there is: every setting, flag, exit code, metric and key, and nothing that is not."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidegauge import config, keys
from tidegauge.cli import parser
from tidegauge.cli.exits import Exit
from tidegauge.cli.toml_text import toml_value
from tidegauge.policy.directions import DIRECTIONS

ROOT = Path(__file__).parents[1]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def settings_rows() -> Iterator[tuple[str, str]]:
    for section in msgspec.structs.fields(config.Settings):
        yield from section_rows(section.name)


def section_rows(section: str) -> Iterator[tuple[str, str]]:
    named: dict[str, tuple[str, Any]] = {
        "models": ("models.<id>", config.Model),
        "rules": ("rules[]", config.Rule),
    }
    default = getattr(config.Settings(), section)
    prefix, struct = named.get(section, (section, type(default)))
    for field in msgspec.structs.fields(struct):
        yield f"{prefix}.{field.name}", default_text(field)


def default_text(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None:
        return "none"
    return "`{}`" if value == {} else f"`{toml_value(value)}`"


def test_configuration_says_every_key_with_its_default_and_a_meaning() -> None:
    rows = re.findall(
        r"^\| `([^`]+\.[^`]+)` \| (.+?) \| (.+) \|$", text("docs/configuration.md"), re.MULTILINE
    )
    found = {key: default for key, default, _ in rows if "TIDEGAUGE_" not in key}
    assert found == dict(settings_rows())
    assert all(meaning.strip() for _, _, meaning in rows)


def test_the_example_file_has_every_key_and_is_the_defaults() -> None:
    assert config.load(ROOT / "tidegauge.example.toml", {}) == config.Settings()
    example = text("tidegauge.example.toml")
    for key, _ in settings_rows():
        assert re.search(rf"^(# )?{key.rpartition('.')[2]} = ", example, re.MULTILINE), key


def test_the_example_of_configuration_is_right(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", text("docs/configuration.md"), re.DOTALL | re.MULTILINE)
    path = tmp_path / "example.toml"
    path.write_text(example, encoding="utf-8")
    assert config.load(path, {}).model("churn").segments == ("country",)


def commands(root: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    below = [action for action in root._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, root
    for action in below:
        for word, command in action.choices.items():
            yield from commands(command, f"{name} {word}")


COMMANDS = dict(commands(parser(), "tidegauge"))


@pytest.mark.parametrize("name", COMMANDS)
def test_cli_says_every_flag_of_a_command_and_no_other(name: str) -> None:
    (section,) = re.findall(rf"^## `{name}`\n(.*?)(?=^## |\Z)", text("docs/cli.md"), re.DOTALL | re.MULTILINE)
    options = [option for action in COMMANDS[name]._actions for option in action.option_strings]
    wanted = {option for option in options if option.startswith("--")} - {"--help", "--config"}
    assert set(re.findall(r"^\| `(--[a-z-]+)` \|", section, re.MULTILINE)) == wanted


def test_cli_has_no_section_for_a_command_that_is_not() -> None:
    assert set(re.findall(r"^## `(.+)`$", text("docs/cli.md"), re.MULTILINE)) == set(COMMANDS)


def test_cli_says_every_exit_code() -> None:
    found = {int(code) for code in re.findall(r"^\| (\d+) \|", text("docs/cli.md"), re.MULTILINE)}
    assert found == set(map(int, Exit))


def test_redis_says_every_key() -> None:
    made = [
        keys.MODELS, keys.JOIN, keys.WORKERS, keys.ALERTS_ACTIVE, keys.ALERTS_LOG,
        keys.model_key("M"), keys.metrics_key("M", "V"), keys.metrics_key("M", "V", ("S", "W")),
        keys.drift_key("M", "V"), keys.estimates_key("M", "V"), keys.baseline_key("M", "V"),
        keys.series_key("M", "V", 0), keys.attribution_key("M", "V"),
    ]  # fmt: skip
    names = {"M": "<model>", "V": "<version>", "S=W": "<segment>=<value>", "19700101": "<yyyymmdd>"}
    wanted = {":".join(names.get(part, part) for part in key.split(":")) for key in made}
    assert set(re.findall(r"^\| `(tg:[^`]+)` \|", text("docs/redis.md"), re.MULTILINE)) == wanted


def test_redis_says_every_metric_that_a_rule_can_name() -> None:
    assert [name for name in DIRECTIONS if f"`{name}`" not in text("docs/redis.md")] == []


def test_redis_says_the_sum_of_each_side() -> None:
    for side, terms in keys.JOIN_TERMS.items():
        assert f"| `{side}.*` | {', '.join(f'`{term}`' for term in terms)} |" in text("docs/redis.md")


def test_every_link_to_a_file_leads_somewhere() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
