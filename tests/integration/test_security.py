"""The worker behind TLS, with passwords and only the rights that docs/security.md gives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pytest
import redis
from confluent_kafka import KafkaError, Message, Producer

from tests.integration.certificates import Authority
from tests.integration.fortress import Fortress, acl_lines, fortress, password
from tests.integration.worker import counters, wait_for
from tidegauge.cli.exits import Exit
from tidegauge.client import AlertFollower, LabelLogger, MetricReader, PredictionLogger
from tidegauge.servers import Kind
from tidegauge.servers.ports import free_port

START_SECONDS = 1_700_000_000


@pytest.fixture(scope="module")
def walls(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    """Guarded servers, for this module alone."""
    if kind != "real":
        pytest.skip("TLS, SASL and ACLs are those of Apache Kafka and Redis: --servers=real")
    with fortress(tmp_path_factory.mktemp("fortress")) as found:
        yield found


@dataclass(frozen=True, slots=True)
class Setting:
    """The environment of a command, its log, and the words that must be nowhere."""

    environment: dict[str, str]
    directory: Path
    port: int
    secrets: tuple[str, ...]

    @property
    def log(self) -> Path:
        return self.directory / "worker.log"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tidegauge.cli", *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def show(self, text: str) -> None:
        """Fail where a text has a secret, plain or percent-encoded."""
        assert not [word for word in self.secrets if word in text], text[-3_000:]


def setting(
    walls: Fortress,
    directory: Path,
    options: dict[str, str],
    *,
    servers: str | None = None,
    redis_url: str | None = None,
    more: dict[str, str] | None = None,
) -> Setting:
    """Return how a command is told of the servers: passwords in files, the rest in the environment."""
    port = free_port()
    url = redis_url or walls.redis_url()
    (directory / "url").write_text(url + "\n", encoding="utf-8")
    environment = {
        **os.environ,
        "TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS": servers or walls.sasl,
        "TIDEGAUGE_KAFKA__GROUP": f"tidegauge.{directory.name}",
        "TIDEGAUGE_KAFKA__SESSION_TIMEOUT_MS": "6000",
        "TIDEGAUGE_REDIS__URL_FILE": str(directory / "url"),
        "TIDEGAUGE_WEB__PORT": str(port),
        "TIDEGAUGE_JOIN__BATCH": "100",  # alerts are judged at the end of a block
        "TIDEGAUGE_MONITOR__PUBLISH_SECONDS": "0.1",
        "TIDEGAUGE_MONITOR__BASELINE_OUTCOMES": "200",
    } | (more or {})
    for name, text in options.items():
        variable = f"TIDEGAUGE_KAFKA__OPTIONS__{name.replace('.', '_').upper()}"
        if name == "sasl.password":
            (directory / "password").write_text(text, encoding="utf-8")
            environment[f"{variable}_FILE"] = str(directory / "password")
        else:
            environment[variable] = text
    encoded = url.partition("@")[0].rpartition(":")[2]
    secrets = {options.get("sasl.password", encoded), encoded, unquote(encoded), password("tidegauge")}
    return Setting(environment, directory, port, tuple(secrets))


@contextmanager
def worker(told: Setting) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tidegauge.cli", "worker"]
    with told.log.open("ab") as out:
        process = subprocess.Popen(command, env=told.environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def page(told: Setting, name: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{told.port}/{name}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def end(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(40)


@pytest.fixture
def store(walls: Fortress) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(walls.redis_plain)
    client.flushall()
    yield client
    client.close()


def client_options(walls: Fortress, user: str) -> dict[str, str]:
    return {name.replace(".", "_"): value for name, value in walls.options(user).items()}


def test_a_worker_and_its_clients_work_over_tls_by_password_with_the_documented_rights_alone(
    walls: Fortress, store: redis.Redis, tmp_path: Path
) -> None:
    told = setting(
        walls, tmp_path, walls.options(), more={"TIDEGAUGE_KAFKA__OPTIONS__DEBUG": "security,conf"}
    )
    service, subscriber = client_options(walls, "service"), client_options(walls, "subscriber")
    with (
        worker(told) as process,
        AlertFollower(walls.sasl, group="pager", start="earliest", **subscriber) as alerts,
    ):
        wait_for(lambda: page(told, "readyz")[0] == 200, told.log)
        with (
            PredictionLogger(walls.sasl, **service) as predictions,
            LabelLogger(walls.sasl, **service) as labels,
        ):
            for number in range(1_500):
                at = START_SECONDS + number * 60
                event = {"prediction_id": f"p{number}", "model_id": "churn", "model_version": "v1"}
                predictions.log(**event, prediction=1, predicted_at=at)
                labels.log(prediction_id=f"p{number}", label=int(number < 500), labelled_at=at + 60)
        wait_for(lambda: counters(store).get("predictions.matched") == 1_500, told.log)
        found = first(alerts, lambda alert: alert.status == "firing" and alert.rule.startswith("accuracy"))
        assert (found.model_id, found.model_version) == ("churn", "v1")
        wait_for(
            lambda: found.incident_id.encode() in store.hgetall("tg:alerts:active"), told.log
        )  # by Faust
        pages = {
            name: page(told, name) for name in ("livez", "readyz", "", "table", "graph", "router", "stats")
        }
        card = json.dumps([text.decode() for text in store.hvals("tg:workers")])
        assert end(process) == 0, told.log.read_text()[-3_000:]
    assert [pages[name][0] for name in ("livez", "readyz")] == [200, 200]
    assert {status for name, (status, _) in pages.items() if name not in ("livez", "readyz")} == {404}
    for text in (told.log.read_text(), card, *(body for _, body in pages.values())):
        told.show(text)


def first(alerts: AlertFollower, wanted: Callable[..., bool], seconds: float = 30) -> object:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        alert = alerts.poll(0.5)
        if alert is not None and wanted(alert):
            return alert
    raise AssertionError("no such alert came")


@pytest.mark.parametrize("door", ["PLAIN", "SCRAM-SHA-256", "certificate"])
def test_both_clients_of_a_worker_come_in_by_every_door(
    walls: Fortress, store: redis.Redis, tmp_path: Path, door: str
) -> None:
    if door == "certificate":
        certificate, key = walls.authority.issue("tidegauge")
        options = {
            "security.protocol": "SSL",
            "ssl.ca.location": str(walls.authority.ca),
            "ssl.certificate.location": str(certificate),
            "ssl.key.location": str(key),
        }
        told = setting(walls, tmp_path, options, servers=walls.mutual)
    else:
        told = setting(walls, tmp_path, walls.options(mechanism=door))
    producer = Producer({"bootstrap.servers": walls.plain})
    alert = {
        "alert_id": f"a.{door}", "incident_id": f"i.{door}", "status": "firing", "kind": "performance",
        "rule": "r", "model_id": "m", "model_version": "v", "raised_at_ms": 1, "opened_at_ms": 1,
        "message": "text", "evidence": {"metric": "f1", "window": "1000", "n": 1},
    }  # fmt: skip
    with worker(told) as process:
        wait_for(lambda: page(told, "readyz")[0] == 200, told.log)  # librdkafka: both groups
        producer.produce("alerts", json.dumps(alert).encode())
        producer.flush(10)
        wait_for(lambda: bool(store.hexists("tg:alerts:active", f"i.{door}")), told.log)  # aiokafka
        assert end(process) == 0, told.log.read_text()[-3_000:]
    told.show(told.log.read_text())


@pytest.mark.parametrize(
    ("mechanism", "debug"), [("SCRAM-SHA-512", ""), ("SCRAM-SHA-256", "all"), ("PLAIN", "all")]
)
def test_a_wrong_kafka_password_is_one_line_and_exit_code_2_without_the_password(
    walls: Fortress, tmp_path: Path, mechanism: str, debug: str
) -> None:
    options = walls.options(mechanism=mechanism) | {"sasl.password": "wr0ng/pass#word"}
    if debug:
        options |= {"debug": debug, "log_level": "7"}
    told = setting(walls, tmp_path, options)
    done = told.run("worker")
    assert done.returncode == Exit.UNUSABLE
    lines = [line for line in done.stderr.splitlines() if line.startswith("tidegauge: ")]
    assert len(lines) == 1
    assert "kafka.options" in lines[0]
    assert "uthentication failed" in lines[0]
    assert debug or done.stderr.splitlines() == lines
    told.show(done.stdout + done.stderr)


def test_a_broker_that_the_authority_did_not_sign_is_one_line_and_exit_code_2(
    walls: Fortress, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    told = setting(walls, tmp_path, walls.options() | {"ssl.ca.location": str(other.ca)})
    for command in (("worker",), ("topics", "create"), ("doctor",)):
        done = told.run(*command)
        assert done.returncode == Exit.UNUSABLE
        assert len(done.stderr.splitlines()) == 1
        assert "certificate verify failed" in done.stderr
        told.show(done.stdout + done.stderr)


def test_a_wrong_redis_password_or_authority_is_one_line_and_an_exit_code(
    walls: Fortress, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    wrong = {
        walls.redis_url(word="wr0ng/pass#word"): (Exit.UNUSABLE, "redis.url"),
        walls.redis_url(ca=other.ca): (Exit.UNAVAILABLE, "certificate verify failed"),
        walls.redis_url(ca=Path("/nowhere/ca.pem")): (Exit.UNUSABLE, "redis.url"),
    }
    for url, (code, says) in wrong.items():
        told = setting(walls, tmp_path, walls.options(), redis_url=url)
        done = told.run("worker")
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
        assert says in done.stderr
        told.show(done.stdout + done.stderr)


def test_check_config_and_doctor_show_no_secret(walls: Fortress, tmp_path: Path) -> None:
    told = setting(walls, tmp_path, walls.options())
    for command in (("check-config",), ("check-config", "--json"), ("doctor",), ("doctor", "--json")):
        done = told.run(*command)
        assert done.stdout
        assert done.returncode in (Exit.OK, Exit.FOUND), done.stdout  # what it may not read is a warning
        told.show(done.stdout + done.stderr)


def test_the_worker_s_redis_user_can_neither_administrate_nor_touch_other_keys(
    walls: Fortress, store: redis.Redis
) -> None:
    user = redis.Redis.from_url(walls.redis_url())
    store.set("other", "1")
    forbidden = (
        "FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET save", "CONFIG SET save 1", "ACL LIST", "SWAPDB 0 1",
        "SHUTDOWN NOSAVE", "SCRIPT FLUSH", "GET other", "SET other 2", "DEL other", "FUNCTION LIST",
        "MONITOR", "REPLICAOF NO ONE", "CLIENT KILL ID 1", "PUBLISH a b", "SAVE", "MODULE LIST",
    )  # fmt: skip
    for command in forbidden:
        with pytest.raises(redis.exceptions.NoPermissionError):
            user.execute_command(*command.split())
    with pytest.raises(redis.exceptions.ResponseError, match=r"permission|access"):
        user.eval("return redis.call('GET', 'other')", 0)
    assert store.get("other") == b"1"
    user.close()


def test_the_dashboard_s_redis_user_reads_metrics_and_writes_nothing(
    walls: Fortress, store: redis.Redis
) -> None:
    store.sadd("tg:models", "churn")
    store.set("tgs:{0}:epoch", 1)
    url = walls.redis_url("dashboard")
    with MetricReader(url) as reader:
        assert reader.models() == ["churn"]
    user = redis.Redis.from_url(url)
    for command in ("SADD tg:models x", "GET tgs:{0}:epoch", "DEL tg:models", "FLUSHALL", "EVAL return 0"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            user.execute_command(*command.split())
    user.close()


def note(fate: dict[str, KafkaError | None], error: KafkaError | None, message: Message) -> None:
    fate[message.topic() or ""] = error


def test_a_service_and_a_subscriber_have_the_documented_rights_and_no_other(walls: Fortress) -> None:
    allowed = {"service": {"predictions", "labels"}, "subscriber": set(), "operator": {"tidegauge.control"}}
    for user, topics in allowed.items():
        producer = Producer(
            {"bootstrap.servers": walls.sasl, "message.timeout.ms": 10_000, "log_level": 0}
            | walls.options(user)
        )
        fate: dict[str, KafkaError | None] = {}
        for topic in ("predictions", "labels", "alerts", "tidegauge.observations", "tidegauge.control"):
            producer.produce(topic, b"{}", on_delivery=partial(note, fate))
        producer.flush(20)
        assert {topic for topic, error in fate.items() if error is None} == topics
        assert {error.code() for error in fate.values() if error} == {KafkaError.TOPIC_AUTHORIZATION_FAILED}


def test_the_documentation_has_a_line_for_every_role() -> None:
    assert len(acl_lines("kafka-acls.sh")) == 9
    assert len(acl_lines("ACL SETUSER")) == 3
