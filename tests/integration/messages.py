"""Messages as tests send them."""

from __future__ import annotations

from tidegauge.adapters.kafka import RowProducer
from tidegauge.config import Settings
from tidegauge.records import Alert, Evidence


def sent(settings: Settings, topic: str, values: list[bytes]) -> None:
    """Send values to partition 0 as the worker does: those of one call are one batch."""
    producer = RowProducer(settings.kafka)
    for value in values:
        producer.send(topic, value, partition=0)
    producer.flush(20)


def make_alert(number: int, at_ms: int = 0) -> Alert:
    """Return an alert of this number."""
    return Alert(
        alert_id=f"alert-{number}",
        incident_id=f"incident-{number}",
        status="firing",
        kind="performance",
        rule="f1",
        model_id="churn",
        model_version="v1",
        raised_at_ms=at_ms,
        opened_at_ms=at_ms,
        message=f"number {number}",
        evidence=Evidence(metric="f1", window="1000", n=1_000, current=0.5),
    )
