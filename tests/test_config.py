"""Settings: what is wrong is named, and what is right is in effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegauge.config import Settings, duration_ms, load
from tidegauge.errors import ConfigError


def settings(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> Settings:
    path = tmp_path / "tidegauge.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environment or {})


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None, {}) == Settings()


def test_a_file_overrides_defaults_and_the_environment_overrides_the_file(tmp_path: Path) -> None:
    text = '[kafka]\ngroup = "mine"\n[join]\nshards = 4\n'
    found = settings(tmp_path, text, {"TIDEGAUGE_JOIN__SHARDS": "8", "HOME": "/"})
    assert (found.kafka.group, found.join.shards) == ("mine", 8)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('[kafka]\nbootstrap_server = "a:1"', ["kafka.bootstrap_server", "kafka.bootstrap_servers?"]),
        ("[jion]\nshards = 1", ["jion", "did you mean join?"]),
        ("[join]\nzebra = 1", ["join.zebra", "expected one of horizon_seconds"]),
        ('[models.churn]\ntsak = "binary"', ["models.churn.tsak", "models.churn.task?"]),
        ('[[rules]]\nmetric = "f1"\nfaktor = 1', ["rules[0].faktor", "rules[0].factor?"]),
        ('[join]\nshards = "many"', ["$.join.shards", "Expected `int`", "got `str`"]),
        ("[join]\nshards = 0", ["$.join.shards", ">= 1"]),
        ("[monitor]\nconfidence = 1.0", ["$.monitor.confidence", "< 1.0"]),
        ('[monitor]\ntime_windows = ["1w"]', ["monitor.time_windows[0]", "24h", "'1w'"]),
        ('[drift]\nwindow = "5m"', ["drift.window", "1000, 1h, 24h, 7d", "'5m'"]),
        ('[[rules]]\nmetric = "f1"\nwindow = "99"', ["rules[0].window", "'99'"]),
        (
            '[[rules]]\nmetric = "f1"\nwindow = "1000"\nmin_complete = 0.9',
            ["rules[0].min_complete", "last 1000 outcomes"],
        ),
        ("[[rules]]\nfactor = 0.5", ["$.rules[0]", "`metric`"]),
        ('[models.a]\ntask = "magic"', ["$.models[...].task", "'magic'"]),
        ('[kafka]\nstart = "middle"', ["$.kafka.start", "'middle'"]),
        ("kafka = 3", ["$.kafka", "Expected `object`"]),
        ("[kafka", ["not TOML"]),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, names: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        settings(tmp_path, text)
    for name in [*names, "tidegauge.toml"] if "window" not in text else names:
        assert name in str(error.value)


def test_all_wrong_keys_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"redis\.ulr.*web\.prot"):
        settings(tmp_path, '[redis]\nulr = ""\n[web]\nprot = 1\n')


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("TIDEGAUGE_REDIS__ULR", "x", "redis.ulr: no such key; did you mean redis.url?"),
        ("TIDEGAUGE_REDIS_URL", "x", "TIDEGAUGE_REDIS_URL: expected two underscores"),
        ("TIDEGAUGE_KAFKA__GROUP__NAME", "x", "$.kafka.group"),
        ("TIDEGAUGE_JOIN__SHARDS", "many", "$.join.shards"),
        ("TIDEGAUGE_REDIS__URL_FILE", "/nowhere/url", "/nowhere/url cannot be read"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(None, {name: text})
    assert says in str(error.value)


def test_a_table_cannot_be_entered_through_a_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"TIDEGAUGE_KAFKA__GROUP: kafka is not a table"):
        settings(tmp_path, "kafka = 3", {"TIDEGAUGE_KAFKA__GROUP": "a"})


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/t\.toml: cannot be read"):
        load(Path("/nowhere/t.toml"), {})


def test_a_variable_ending_in_file_reads_the_value_from_that_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("redis://:12345@db:6379/0\n", encoding="utf-8")
    found = load(None, {"TIDEGAUGE_REDIS__URL_FILE": str(secret)})
    assert found.redis.url == "redis://:12345@db:6379/0"


def test_librdkafka_options_come_from_the_environment_with_underscores_for_dots(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("12345", encoding="utf-8")
    environment = {
        "TIDEGAUGE_KAFKA__OPTIONS__SECURITY_PROTOCOL": "SASL_SSL",
        "TIDEGAUGE_KAFKA__OPTIONS__SASL_PASSWORD_FILE": str(secret),
        "TIDEGAUGE_KAFKA__OPTIONS__LOG_LEVEL": "3",
    }
    assert load(None, environment).kafka.options == {
        "security.protocol": "SASL_SSL",
        "sasl.password": "12345",
        "log_level": 3,
    }


def test_a_variable_without_a_section_is_left_to_others() -> None:
    assert load(None, {"TIDEGAUGE_CONFIG": "x.toml", "TIDEGAUGE_COLOUR": "1"}) == Settings()


def test_values_of_the_environment_are_toml_or_text() -> None:
    environment = {
        "TIDEGAUGE_MONITOR__TIME_WINDOWS": '["5m"]',
        "TIDEGAUGE_DRIFT__WINDOW": "5m",
        "TIDEGAUGE_RULES__": "x",
    }
    with pytest.raises(ConfigError):
        load(None, environment)
    del environment["TIDEGAUGE_RULES__"]
    found = load(None, environment)
    assert (found.monitor.time_windows, found.drift.window) == (("5m",), "5m")


def test_an_unconfigured_model_has_the_defaults(tmp_path: Path) -> None:
    found = settings(tmp_path, '[models.churn]\ntask = "binary"\n')
    assert (found.model("churn").task, found.model("other").task) == ("binary", None)


@pytest.mark.parametrize("text", ["", "h", "0h", "-1h", "1.5h", "24", "24 h", "h24"])
def test_a_duration_is_a_whole_positive_number_and_a_unit(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a duration"):
        duration_ms(text)


@pytest.mark.parametrize(("text", "ms"), [("90s", 90_000), ("5m", 300_000), ("7d", 604_800_000)])
def test_durations_are_milliseconds(text: str, ms: int) -> None:
    assert duration_ms(text) == ms
