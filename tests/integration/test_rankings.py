"""Rankings end to end: lists and relevant items in, metrics of both out."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from tests.integration.worker import counters, everything, metrics, produce, stop, wait_for, worker
from tests.metrics.test_ranking import written_out
from tidegauge.cli import main
from tidegauge.client import LabelLogger, PredictionLogger
from tidegauge.config import Join, Monitor, Settings
from tidegauge.metrics.ranking import Ranking

START_MS = 1_700_000_000_000
COUNT = 400


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Settings that publish and store often, with small batches."""
    return msgspec.structs.replace(
        settings,
        join=Join(batch=200, shards=4, buckets=8),
        monitor=Monitor(publish_seconds=0.1, snapshot_seconds=0.3, baseline_outcomes=200),
    )


def adds_up(number: int) -> bool:
    """Whether the clicks of a list come one by one."""
    return number % 4 == 1


def stream(seed: int) -> tuple[list[tuple[list[Any], list[Any]]], list[tuple[list[str], dict[str, float]]]]:
    """Return (list, labels in order) of each prediction, and what stands of both in the end."""
    draw = random.Random(seed)
    rows, truth = [], []
    for number in range(COUNT):
        shown: list[Any] = [f"i{item}" if item % 2 else item for item in draw.sample(range(60), 12)]
        named = [str(item) for item in shown]
        clicks = [item for rank, item in enumerate(named) if draw.random() < 0.5 / (1 + rank)]
        labels: list[Any] = [clicks[: at + 1] for at in range(len(clicks))] or [[]]  # the set so far
        final = dict.fromkeys(clicks, 1.0)
        if adds_up(number):
            labels = [[item] for item in clicks] or [[]]
        if number % 4 == 0:
            final = {item: float(draw.randint(1, 3)) for item in [*clicks, "unseen"]}
            labels.append(final)
        rows.append((shown, labels))
        truth.append((named, final))
    return rows, truth


def test_lists_and_sets_of_clicks_become_the_metrics_of_the_last_sets(
    quick: Settings,
    store: redis.Redis,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, truth = stream(seed=5)
    names = quick.topics
    log = tmp_path / "worker.log"
    sent = 0
    with worker(quick, log) as process:
        broker = quick.kafka.bootstrap_servers
        with (
            PredictionLogger(broker, names.predictions) as predictions,
            LabelLogger(broker, names.labels) as labels,
        ):
            for number, (shown, sets) in enumerate(rows):
                at_ms = START_MS + number
                times = list(enumerate(sets))
                random.Random(number).shuffle(times)  # the newest set counts, not the last that comes
                for place, (order, label) in enumerate(times):
                    event: dict[str, Any] = {
                        "prediction_id": f"r{number}",
                        "label": label,
                        "labelled_at": at_ms + 1_000 * (1 + order),
                        "partial": adds_up(number),
                    }
                    labels.log(**event)
                    if place == 0:
                        predictions.log(
                            prediction_id=f"r{number}",
                            model_id="shop",
                            model_version="v1",
                            prediction=shown,
                            predicted_at=at_ms,
                        )
                    if number % 7 == 0:
                        labels.log(**event)
                        sent += 1
                    sent += 1
        bad: list[Any] = [{"item": "i1"}, {"i1": -1}, [["i1"]], [str(item) for item in range(1_001)]]
        produce(quick, [("labels", {"prediction_id": "r0", "label": label}) for label in bad])
        wait_for(lambda: counters(store).get("labels.received") == sent + len(bad), log)
        wait_for(lambda: metrics(store, "tg:metrics:shop:v1").get("precision@5@7d.n") == str(COUNT), log)
        assert stop(process) == 0, log.read_text()[-3_000:]
    fields = metrics(store, "tg:metrics:shop:v1")
    each = [written_out(shown, label, (5, 10)) for shown, label in truth]  # type: ignore[arg-type]
    for column, name in enumerate(Ranking((5, 10)).names):
        defined = [row[column] for row in each if row[column] == row[column]]
        assert float(fields[f"{name}@7d"]) == pytest.approx(sum(defined) / len(defined), abs=1e-12), name
        assert int(fields[f"{name}@7d.n"]) == len(defined)
    assert float(fields["catalogue_items@7d"]) == pytest.approx(60, rel=0.05)
    reasons = sorted(letter["reason"] for letter in everything(quick, names.deadletter))
    assert reasons == ["out_of_range", "too_many", "wrong_type", "wrong_type"]
    assert store.hget("tg:model:shop", "task") == b"ranking"
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", quick.redis.url)
    assert main(["status", "--once"]) == 0
    assert "ndcg@10" in capsys.readouterr().out
