"""The worker end to end: events in, metric state, alerts and dead letters out."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from tests.integration.worker import (
    counters,
    environment,
    everything,
    metrics,
    original,
    produce,
    stop,
    wait_for,
    worker,
)
from tidegauge.adapters.redis_forget import forget
from tidegauge.client import MetricReader
from tidegauge.config import Join, Monitor, Settings, Web
from tidegauge.servers import Servers
from tidegauge.servers.ports import free_port

START_MS = 1_700_000_000_000
MINUTE_MS = 60_000


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Settings that publish and store often, with small batches."""
    return replace(
        settings,
        join=Join(batch=200, shards=4, buckets=8),
        monitor=Monitor(publish_seconds=0.1, snapshot_seconds=0.3, baseline_outcomes=200),
    )


def prediction(number: int, score: float, **fields: Any) -> tuple[str, dict[str, Any]]:
    event = {
        "prediction_id": f"p{number}",
        "model_id": "churn",
        "model_version": "v1",
        "predicted_at": START_MS + number * MINUTE_MS,
        "prediction": int(score > 0.5),
        "prediction_proba": score,
        "features": {"age": number % 50, "plan": "free"},
        "latency_ms": 3.0,
    }
    return "predictions", event | fields


def label(number: int, value: Any, delay_minutes: int = 5, **fields: Any) -> tuple[str, dict[str, Any]]:
    at_ms = START_MS + (number + delay_minutes) * MINUTE_MS
    return "labels", {"prediction_id": f"p{number}", "label": value, "labelled_at": at_ms} | fields


def stream(count: int, seed: int) -> tuple[list[tuple[str, Any]], dict[int, tuple[float, bool]]]:
    """Return events with every nuisance, and the truth: score and last label of what should match."""
    draw = random.Random(seed)
    events: list[tuple[str, Any]] = []
    truth = {}
    for number in range(count):
        score = draw.random()
        positive = draw.random() < score
        truth[number] = (score, positive)
        mine = [prediction(number, score)]
        nuisance = draw.random()
        if nuisance < 0.05:
            mine += [mine[0], label(number, positive)]
        elif nuisance < 0.10:
            mine += [label(number, not positive), label(number, positive, 9)]
        elif nuisance < 0.15:
            mine += [label(number, positive), label(number, positive)]
        elif nuisance < 0.20:
            mine = [label(number, positive), *mine]
        elif nuisance < 0.25:
            truth.pop(number)
        else:
            mine.append(label(number, positive))
        events += mine
    return events, truth


def expect(store: redis.Redis, truth: dict[int, tuple[float, bool]], window: str = "7d") -> bool:
    found = metrics(store, "tg:metrics:churn:v1")
    newest = max(truth)
    pane = 7 * 24 * 60 // 12
    first = (START_MS // MINUTE_MS + newest) // pane * pane - 11 * pane - START_MS // MINUTE_MS
    rows = [row for number, row in truth.items() if number >= first]
    hits = sum((score > 0.5) == positive for score, positive in rows)
    same_count = found.get(f"n@{window}") == str(float(len(rows)))
    return same_count and abs(float(found[f"accuracy@{window}"]) - hits / len(rows)) < 1e-12


def adds_up(found: dict[str, int]) -> bool:
    return all(
        found[f"{side}.received"]
        == sum(n for name, n in found.items() if name.startswith(side) and not name.endswith("received"))
        for side in ("predictions", "labels")
    )


def received(store: redis.Redis, events: list[tuple[str, Any]]) -> bool:
    found = counters(store)
    return all(
        found.get(f"{side}.received", 0) == sum(role == side for role, _ in events)
        for side in ("predictions", "labels")
    )


def test_predictions_and_labels_become_metrics_and_every_event_is_counted_once(
    quick: Settings, store: redis.Redis, tmp_path: Path
) -> None:
    events, truth = stream(1_500, seed=1)
    log = tmp_path / "worker.log"
    with worker(quick, log) as process:
        produce(quick, events)
        wait_for(lambda: received(store, events) and expect(store, truth), log)
        assert stop(process) == 0, log.read_text()[-3_000:]
    found = counters(store)
    assert adds_up(found)
    assert found["predictions.matched"] == len(truth)
    assert store.smembers("tg:models") == {b"churn"}
    assert json.loads(store.hget("tg:model:churn", "versions")) == ["v1"]


def test_bad_input_goes_to_the_dead_letter_topic_with_its_bytes_and_the_rest_goes_on(
    quick: Settings, store: redis.Redis, tmp_path: Path
) -> None:
    bad = [b"", b"{", b"[1]", b'{"prediction_id": "x"}', b'{"prediction_id": 7}', b"\xff\xfe", b"[" * 5_000]
    bad.append(json.dumps(prediction(1, 0.5)[1] | {"prediction": None}).encode())
    bad.append(json.dumps(prediction(1, 0.5)[1]).replace("0.5", "NaN").encode())
    good = [prediction(number, 0.9) for number in range(50)] + [label(number, True) for number in range(50)]
    far = label(3, False, delay_minutes=60 * 24 * 30)
    log = tmp_path / "worker.log"
    with worker(quick, log):
        produce(quick, [("predictions", value) for value in bad] + good)
        wait_for(lambda: counters(store).get("predictions.matched") == 50, log)  # before it: an orphan
        produce(quick, [far])
        wait_for(lambda: counters(store).get("labels.late") == 1, log)
    letters = everything(quick, quick.topics.deadletter)
    assert {original(letter) for letter in letters if letter["topic"] == quick.topics.predictions} == set(bad)
    assert [letter["prediction_id"] for letter in letters if letter["reason"] == "late"] == ["p3"]
    found = counters(store)
    assert (found["predictions.rejected"], found["predictions.matched"]) == (len(bad), 50)
    assert adds_up(found)


def test_an_alert_lands_on_its_topic_and_in_redis_and_is_resolved(
    quick: Settings, store: redis.Redis, tmp_path: Path
) -> None:
    healthy = [prediction(n, 0.9) for n in range(400)] + [label(n, n % 10 > 0) for n in range(400)]
    broken = [prediction(n, 0.9) for n in range(400, 1_400)] + [
        label(n, n % 10 > 5) for n in range(400, 1_400)
    ]
    again = [prediction(n, 0.9) for n in range(1_400, 3_000)] + [
        label(n, n % 10 > 0) for n in range(1_400, 3_000)
    ]
    log = tmp_path / "worker.log"
    with worker(quick, log):
        for part, key in ((healthy, b"0"), (broken, b"1"), (again, b"0")):
            for start in range(0, len(part) // 2, 100):  # side by side, as they would come
                both = part[start : start + 100] + part[len(part) // 2 + start :][:100]
                produce(quick, both)
            wait_for(lambda key=key: fired(store) == (key == b"1"), log)
    alerts = [
        alert for alert in everything(quick, quick.topics.alerts) if alert["rule"].startswith("accuracy")
    ]
    assert [alert["status"] for alert in alerts] == ["firing", "resolved"]
    assert alerts[0]["incident_id"] == alerts[1]["incident_id"]
    assert alerts[0]["evidence"]["current"] < alerts[0]["evidence"]["threshold"]
    logged = [json.loads(text) for text in store.lrange("tg:alerts:log", 0, -1)]
    assert {alert["alert_id"] for alert in alerts} <= {alert["alert_id"] for alert in logged}


def fired(store: redis.Redis) -> bool:
    active = [json.loads(text) for text in store.hgetall("tg:alerts:active").values()]
    return any(alert["rule"].startswith("accuracy") for alert in active)


def test_a_worker_that_is_killed_leaves_nothing_lost_and_nothing_counted_twice(
    quick: Settings, store: redis.Redis, tmp_path: Path
) -> None:
    events, truth = stream(2_000, seed=2)
    log = tmp_path / "worker.log"
    thirds = [
        events[: len(events) // 3],
        events[len(events) // 3 : 2 * len(events) // 3],
        events[2 * len(events) // 3 :],
    ]
    sent: list[tuple[str, Any]] = []
    for part in thirds[:2]:
        sent += part
        with worker(quick, log) as process:
            produce(quick, part)
            quarter = len(sent) // 4
            wait_for(lambda quarter=quarter: counters(store).get("predictions.received", 0) > quarter, log)
            process.kill()
            process.wait()
    with worker(quick, log):
        produce(quick, thirds[2])
        wait_for(lambda: received(store, events) and expect(store, truth), log)
    assert adds_up(counters(store))
    assert counters(store)["predictions.matched"] == len(truth)


LOSSES: dict[str, Callable[[Settings, redis.Redis], Any]] = {
    "everything": lambda settings, store: store.flushall(),
    "what rebuild removes": lambda settings, store: forget(settings.redis, ("window", "snapshots")),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
def test_a_redis_that_lost_something_is_filled_again_from_the_topics(
    quick: Settings, store: redis.Redis, tmp_path: Path, lose: Callable[[Settings, redis.Redis], Any]
) -> None:
    events, truth = stream(1_200, seed=4)
    half = len(events) // 2
    log = tmp_path / "worker.log"
    with worker(quick, log):
        produce(quick, events[:half])
        wait_for(lambda: received(store, events[:half]), log)
        lose(quick, store)
        produce(quick, events[half:])
        wait_for(lambda: received(store, events) and expect(store, truth), log)
    assert adds_up(counters(store))
    assert counters(store)["predictions.matched"] == len(truth)


def test_a_worker_holds_still_while_redis_is_away_and_goes_on(
    quick: Settings, store: redis.Redis, servers: Servers, tmp_path: Path
) -> None:
    events, truth = stream(900, seed=5)
    half = len(events) // 2
    port = free_port()
    log = tmp_path / "worker.log"
    with worker(replace(quick, web=Web(port=port)), log):
        produce(quick, events[:half])
        wait_for(lambda: received(store, events[:half]), log)
        servers.store.pause()
        try:
            produce(quick, events[half:])
            wait_for(lambda: status(port, "readyz")[0] == 503, log)
            assert status(port, "livez")[0] == 200
        finally:
            servers.store.resume()
        wait_for(lambda: received(store, events) and expect(store, truth), log)
        wait_for(lambda: status(port, "readyz")[0] == 200, log)
        restarts = [stage["restarts"] for stage in status(port, "readyz")[1]["stages"].values()]
        assert restarts == [0, 0]
    assert adds_up(counters(store))


def test_a_defect_in_one_stage_ends_the_whole_worker_with_an_exit_code(
    quick: Settings, store: redis.Redis, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with worker(quick, log, module="tests.integration.defective_worker") as process:
        assert process.wait(45) not in (0, None)
    assert "ValueError: a defect of the test" in log.read_text()


def test_roles_share_the_work_between_processes(quick: Settings, store: redis.Redis, tmp_path: Path) -> None:
    events, truth = stream(600, seed=3)
    log = tmp_path / "worker.log"
    with (
        worker(quick, log, "--only", "join") as first,
        worker(quick, log, "--only", "join") as second,
        worker(quick, log, "--only", "monitor") as third,
    ):
        produce(quick, events)
        wait_for(lambda: received(store, events) and expect(store, truth), log)
        assert [stop(process) for process in (first, second, third)] == [0, 0, 0]
    assert adds_up(counters(store))


def test_a_control_message_changes_the_baseline_of_the_running_worker(
    quick: Settings, store: redis.Redis, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    request = {
        "action": "set_baseline",
        "model_id": "churn",
        "model_version": "v1",
        "metrics": {"accuracy": 0.77},
    }
    with worker(quick, log):
        produce(quick, [prediction(n, 0.9) for n in range(10)] + [label(n, True) for n in range(10)])
        wait_for(lambda: b"churn" in store.smembers("tg:models"), log)
        produce(quick, [("control", b"not json"), ("control", request)])
        wait_for(lambda: store.hget("tg:baseline:churn:v1", "accuracy") == b"0.77", log)
        wait_for(lambda: any(letter["topic"] == quick.topics.control for letter in dead(quick)), log)


def test_a_baseline_file_is_fitted_configured_and_replaced_at_run_time(
    quick: Settings, store: redis.Redis, tmp_path: Path
) -> None:
    log, draw = tmp_path / "worker.log", random.Random(1)
    rows = ["age,plan,said,score,true"]
    for n in range(6_000):
        score = draw.random()
        rows.append(f"{n % 50},free,{int(score > 0.5)},{score},{int(draw.random() < score)}")
    (tmp_path / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    columns = ["--prediction", "said", "--label", "true", "--score", "score"]
    for name in ("first", "second"):
        fit = ["fit", "rows.csv", "--model", "churn", "--version", "v1", "--name", name, "-o", f"{name}.json"]
        assert "6,000 rows, 2 features" in command(quick, tmp_path, *fit, *columns)
    assert "score" in command(quick, tmp_path, "show", "first.json")
    (tmp_path / "tidegauge.toml").write_text(
        "[models.churn]\nbaseline_file = 'first.json'\n", encoding="utf-8"
    )
    with worker(quick, log, "--config", str(tmp_path / "tidegauge.toml")):
        produce(quick, [prediction(n, 0.9) for n in range(300)])
        wait_for(lambda: store.hget("tg:baseline:churn:v1", "file.name") == b"first", log)
        wait_for(lambda: int(store.hget("tg:drift:churn:v1", "age.psi.n") or 0) >= 200, log)  # some wait
        wait_for(lambda: store.hget("tg:estimates:churn:v1", "accuracy@24h.n") == b"300", log)
        estimate = float(store.hget("tg:estimates:churn:v1", "accuracy@24h") or 0)
        assert estimate == pytest.approx(0.9, abs=0.05)
        assert "churn v1: baseline " in command(quick, tmp_path, "set", "second.json")
        wait_for(lambda: store.hget("tg:baseline:churn:v1", "file.name") == b"second", log)
        with MetricReader(quick.redis.url) as reader:
            wait_for(lambda: reader.baseline("churn", "v1").get("accuracy") is not None, log)
            assert reader.baseline_file("churn", "v1")["rows"] == "6000"


def command(settings: Settings, place: Path, *arguments: str) -> str:
    """Run `tidegauge baseline` as a user does; return what it prints."""
    words = [sys.executable, "-m", "tidegauge.cli", "baseline", *arguments]
    done = subprocess.run(words, cwd=place, env=environment(settings), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def dead(settings: Settings) -> list[dict[str, Any]]:
    return everything(settings, settings.topics.deadletter)


def test_the_health_pages_tell_the_truth(quick: Settings, store: redis.Redis, tmp_path: Path) -> None:
    port = free_port()
    settings = replace(quick, web=Web(port=port))
    log = tmp_path / "worker.log"
    with worker(settings, log) as process:
        wait_for(lambda: status(port, "readyz")[0] == 200, log)
        assert status(port, "livez") == (200, {"stages": {"join": True, "monitor": True}})
        assert stop(process) == 0
    assert status(port, "livez")[0] == 0


def status(port: int, page: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, None


def test_a_worker_without_its_topics_says_what_to_do(quick: Settings, tmp_path: Path) -> None:
    settings = replace(quick, topics=replace(quick.topics, labels="no.such.topic"))
    log = tmp_path / "worker.log"
    with worker(settings, log) as process:
        assert process.wait(60) != 0
    assert "tidegauge topics create" in log.read_text()
