"""The truth as it becomes known, on its way to the topic `labels`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tidegauge.client.producer import EventProducer, OnFailure, now_ms
from tidegauge.client.wire import event_bytes
from tidegauge.config import Limits


class LabelLogger(EventProducer):
    """Logs labels; options of librdkafka are keywords with `_` for `.`.

    with LabelLogger("127.0.0.1:9092") as log:
        log.log(prediction_id="42", label=0)
    """

    def __init__(
        self,
        bootstrap_servers: str = "127.0.0.1:9092",
        topic: str = "labels",
        wait_seconds: float = 0.05,
        on_failure: OnFailure | None = None,
        limits: Limits | None = None,
        **options: Any,
    ) -> None:
        super().__init__(bootstrap_servers, topic, wait_seconds, on_failure, limits, **options)

    def log(
        self,
        *,
        prediction_id: str,
        label: Any,
        labelled_at: datetime | str | float | None = None,
        kpis: Mapping[str, float] | None = None,
        weight: float | None = None,
        partial: bool = False,
    ) -> bool:
        """Queue a label; without `labelled_at` its time is now, without `weight` it weighs 1.

        With `partial` its relevant items are added to those of other partial labels of the prediction.

        Returns False where it was dropped, because the queue stayed full for `wait_seconds`.
        Raises Rejected, and sends nothing, where a field is not what docs/events.md says.
        """
        fields = {
            "prediction_id": prediction_id,
            "label": label,
            "labelled_at": labelled_at,
            "kpis": kpis,
            "weight": weight,
            "partial": partial or None,
        }
        event = event_bytes(fields)
        self._judge.label(event, now_ms())
        return self._send(prediction_id, event)
