"""A secret is in no repr, no error and no printed settings, whatever it looks like."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegauge.adapters.kafka_security import security
from tidegauge.adapters.redis_state import RedisState
from tidegauge.cli import main
from tidegauge.client import MetricReader
from tidegauge.config import Kafka, Redis, Settings, load
from tidegauge.errors import ConfigError
from tidegauge.redact import redacted, redacted_url

SECRET = "hunter2hunter2"


def secretive() -> Settings:
    return Settings(
        kafka=Kafka(options={"sasl.password": SECRET, "ssl.key.pem": SECRET, "sasl.username": "me"}),
        redis=Redis(url=f"rediss://me:{SECRET}@db:6380/0"),
    )


def test_the_repr_of_settings_hides_secrets_and_shows_the_rest() -> None:
    shown = repr(secretive())
    assert SECRET not in shown
    assert "'sasl.username': 'me'" in shown
    assert "rediss://me:***@db:6380/0" in shown
    assert SECRET not in f"{secretive().kafka} {secretive().redis!s}"
    assert SECRET not in str(redacted(secretive()))


def test_the_repr_of_what_holds_a_secret_hides_it() -> None:
    state = RedisState(secretive().redis)
    found = security(
        {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "me",
         "sasl.password": SECRET}
    )  # fmt: skip
    assert found.password == SECRET
    assert SECRET not in f"{found!r} {state!r} {state._redis!r}"


UNSAFE = ("pa/ss@{}", "{}/x", "{}?x", "{}#x", "a:{}", "{}@x", "[{}", "{}%", "{}%2Fx")


@pytest.mark.parametrize("form", UNSAFE)
@pytest.mark.parametrize("at", ["db", "db:6379/0", "db:port/0", "[::1", ""])
def test_an_error_of_a_redis_url_does_not_show_its_password(form: str, at: str) -> None:
    url = f"redis://me:{form.format(SECRET)}@{at}"
    assert SECRET not in redacted_url(url)
    try:
        RedisState(load(None, {"TIDEGAUGE_REDIS__URL": url}).redis)
    except ConfigError as error:
        assert SECRET not in "".join(traceback.format_exception(error))
    try:
        MetricReader(url).close()
    except ConfigError as error:
        assert SECRET not in str(error)


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=8))
@example("/@")
def test_a_redacted_url_has_no_part_of_its_password(noise: str) -> None:
    assert SECRET not in redacted_url(f"redis://me:{SECRET}{noise}@db:6379/0")
    assert SECRET not in redacted_url(f"redis://me:{noise}{SECRET}@db:6379/0")


@pytest.mark.parametrize("password", ["0123", "12345", "1e5", "true", "[1]", '"quoted"', "1_000", "a=b", " "])
def test_a_password_of_the_environment_is_text_whatever_it_looks_like(password: str) -> None:
    found = load(None, {"TIDEGAUGE_KAFKA__OPTIONS__SASL_PASSWORD": password})
    assert found.kafka.options == {"sasl.password": password}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TIDEGAUGE_REDIS__URL", f"http://me:{SECRET}@db"),
        ("TIDEGAUGE_REDIS__URL", f"redis://me:{SECRET}@db:0/0"),
        ("TIDEGAUGE_REDIS__URL", f"redis://me:{SECRET}@db/0?ssl_ca_certs=/nowhere"),
        ("TIDEGAUGE_REDIS__URLS", f"redis://me:{SECRET}@db"),
        ("TIDEGAUGE_REDIS_URL", f"redis://me:{SECRET}@db"),
        ("TIDEGAUGE_KAFKA__OPTIONS", SECRET),
        ("TIDEGAUGE_KAFKA__OPTIONS__SASL_PASSWORD__X", SECRET),
        ("TIDEGAUGE_KAFKA__SASL_PASSWORD", SECRET),
        ("TIDEGAUGE_REDIS__URL_FILE", "/nowhere/url"),
    ],
)
def test_an_error_of_the_settings_does_not_show_a_secret(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, text)
    assert main(["check-config"]) == 2
    out, error = capsys.readouterr()
    assert len(error.splitlines()) == 1
    assert SECRET not in out + error


def test_check_config_hides_secrets_in_both_forms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "word").write_text(SECRET, encoding="utf-8")
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", f"redis://me:{SECRET}@db")
    monkeypatch.setenv("TIDEGAUGE_KAFKA__OPTIONS__SASL_PASSWORD_FILE", str(tmp_path / "word"))
    for arguments in (["check-config"], ["check-config", "--json"]):
        assert main(arguments) == 0
        assert SECRET not in "".join(capsys.readouterr())
