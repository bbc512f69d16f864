"""Logging never stops serving: the queue is bounded, and what is lost is counted."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tidegauge.client import PredictionLogger
from tidegauge.errors import ConfigError, Unavailable

NOWHERE = "127.0.0.1:1"
EVENT: dict[str, Any] = {"model_id": "m", "model_version": "1", "prediction": 1}


def test_while_nothing_answers_a_call_waits_its_bound_then_drops_and_counts() -> None:
    lost: list[tuple[bytes, str]] = []
    logger = PredictionLogger(
        NOWHERE,
        wait_seconds=0.1,
        on_failure=lambda event, why: lost.append((event, why)),
        queue_buffering_max_messages=5,
        log_level=0,
    )
    assert [logger.log(prediction_id=str(i), **EVENT) for i in range(5)] == [True] * 5
    began = time.monotonic()
    assert logger.log(prediction_id="5", **EVENT) is False
    assert 0.1 <= time.monotonic() - began < 1.0
    assert logger.dropped == 1
    assert [(b'"5"' in event, why) for event, why in lost] == [(True, "the queue was full for 0.1 s")]


def test_an_event_that_is_not_delivered_in_time_is_failed_and_reported() -> None:
    lost: list[str] = []
    logger = PredictionLogger(
        NOWHERE, on_failure=lambda event, why: lost.append(why), message_timeout_ms=200, log_level=0
    )
    logger.log(prediction_id="a", **EVENT)
    assert logger.flush(5) == 0
    assert (logger.delivered, logger.failed, len(lost)) == (0, 1, 1)


def test_leaving_the_block_with_events_on_their_way_is_an_error() -> None:
    logger = PredictionLogger(NOWHERE, log_level=0)
    logger.log(prediction_id="a", **EVENT)
    logger.exit_seconds = 0.1
    with pytest.raises(Unavailable, match=r"1 event.* predictions.* not delivered"), logger:
        pass


def test_an_option_that_librdkafka_does_not_know_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"no\.such\.option"):
        PredictionLogger(NOWHERE, no_such_option=1)
