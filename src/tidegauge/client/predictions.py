"""A model's answers, on their way to the topic `predictions`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tidegauge.client.producer import EventProducer, OnFailure, now_ms
from tidegauge.client.wire import event_bytes
from tidegauge.config import Limits


class PredictionLogger(EventProducer):
    """Logs predictions; options of librdkafka are keywords with `_` for `.`.

    with PredictionLogger("127.0.0.1:9092") as log:
        log.log(prediction_id="42", model_id="churn", model_version="v1", prediction=1)
    """

    def __init__(
        self,
        bootstrap_servers: str = "127.0.0.1:9092",
        topic: str = "predictions",
        wait_seconds: float = 0.05,
        on_failure: OnFailure | None = None,
        limits: Limits | None = None,
        **options: Any,
    ) -> None:
        super().__init__(bootstrap_servers, topic, wait_seconds, on_failure, limits, **options)

    def log(  # noqa: PLR0913  # the fields of the event
        self,
        *,
        prediction_id: str,
        model_id: str,
        model_version: str,
        prediction: Any,
        predicted_at: datetime | str | float | None = None,
        prediction_proba: float | Mapping[Any, float] | None = None,
        features: Mapping[str, Any] | None = None,
        segments: Mapping[str, str] | None = None,
        entity_id: str | None = None,
        latency_ms: float | None = None,
        resources: Mapping[str, float] | None = None,
        value: float | None = None,
    ) -> bool:
        """Queue a prediction; without `predicted_at` its time is now.

        Returns False where it was dropped, because the queue stayed full for `wait_seconds`.
        Raises Rejected, and sends nothing, where a field is not what docs/events.md says.
        """
        fields = {
            "prediction_id": prediction_id,
            "model_id": model_id,
            "model_version": model_version,
            "prediction": prediction,
            "predicted_at": predicted_at,
            "prediction_proba": prediction_proba,
            "features": features,
            "segments": segments,
            "entity_id": entity_id,
            "latency_ms": latency_ms,
            "resources": resources,
            "value": value,
        }
        event = event_bytes(fields)
        self._judge.prediction(event, now_ms())
        return self._send(prediction_id, event)
