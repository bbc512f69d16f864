"""Ids and names are anybody's text: neither a terminal nor a log acts upon them."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tidegauge.cli.text import alert_lines, shown
from tidegauge.policy.alerts import build_alert
from tidegauge.policy.incidents import IncidentKey, Incidents
from tidegauge.policy.rules import Judgement
from tidegauge.records import Alert, Evidence
from tidegauge.redact import printable

NASTY = "m\x1b[2J\x1b]0;owned\x07\r\n2026 INFO all is well\u202e[bold red]"


@given(st.text())
def test_printable_text_is_in_one_line_without_control_or_format_characters(text: str) -> None:
    assert printable(text).isprintable()
    assert not text.isprintable() or printable(text) == text


def test_a_terminal_gets_neither_markup_nor_control_characters() -> None:
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None, width=200).print(shown(NASTY), soft_wrap=True)
    assert out.getvalue() == printable(NASTY) + "\n"


@pytest.mark.parametrize("field", ["model_id", "model_version", "segment", "rule"])
def test_an_alert_of_a_nasty_name_is_shown_in_its_lines(field: str) -> None:
    texts = {"model_id": "churn", "model_version": "v1", "segment": None, "rule": "f1"} | {field: NASTY}
    alert = Alert(
        alert_id="a", incident_id="i", status="firing", kind="performance", raised_at_ms=1, opened_at_ms=1,
        message=NASTY, evidence=Evidence(metric="f1", window="1000", n=1, feature=NASTY), **texts,
    )  # fmt: skip
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None, width=500).print(
        "\n".join(alert_lines(alert)), soft_wrap=True
    )
    assert "\x1b" not in out.getvalue()
    assert len(out.getvalue().splitlines()) == 3


def test_the_message_of_an_alert_is_one_printable_line() -> None:
    key = IncidentKey("churn", "v1", None, "feature_psi", "psi", NASTY)
    step = Incidents().step(key, "breach", 1_000, 1)
    assert step is not None
    evidence = Evidence(metric=NASTY, window="24h", n=1, feature=NASTY)
    alert = build_alert(key, step, Judgement("breach", evidence, NASTY), 1_000)
    assert alert.message.isprintable()
    assert "m\\x1b[2J" in alert.message
