"""The servers of production: Apache Kafka in KRaft mode, and Redis from the system."""

from __future__ import annotations

import re
import shutil
import subprocess

from tidegauge.errors import Unavailable
from tidegauge.servers.embedded import flags, store_settings
from tidegauge.servers.kafka_jars import java, kafka_jars
from tidegauge.servers.ports import free_port
from tidegauge.servers.probes import kafka_answers, redis_answers
from tidegauge.servers.spec import HOST, Place, Spec

_REDIS_MAJOR = 7
_JVM = [
    *("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC"),
    "-XX:TieredStopAtLevel=1",  # else a broker that lives for minutes compiles most of the time
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]


def _broker(place: Place) -> list[str]:
    """Write the broker's configuration, format its storage if it is new, and return the command line."""
    properties = place.data / "server.properties"
    lines = [f"{key}={value}\n" for key, value in {**_broker_settings(place), **place.settings}.items()]
    properties.write_text("".join(lines), encoding="utf-8")
    machine = [java(), *_JVM, "-cp", f"{kafka_jars()}/*"]
    if not (place.data / "log" / "meta.properties").exists():
        _format(machine, place, str(properties))
    return [*machine, "kafka.Kafka", str(properties)]


def _broker_settings(place: Place) -> dict[str, str]:
    controller = f"{HOST}:{free_port()}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{place.address},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{place.address}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(place.data / "log"),
        "auto.create.topics.enable": "false",  # a misspelt topic must not come into being
        # One broker cannot hold the three replicas that Kafka takes for its own topics.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Of 50 partitions each, creation alone takes seconds on a small machine.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        # Tests wait neither for members that will not come nor for members that were killed.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # A killed broker cannot come back before its old registration has run out.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # The demo's events are years old: by their time Kafka would delete them half a minute after its
        # start, in a topic with a retention of its own too, so the task that does it is put off by a day.
        "log.retention.ms": "-1",
        "log.initial.task.delay.ms": "86400000",
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),  # the default is a third of the heap
    }


def _format(machine: list[str], place: Place, properties: str) -> None:
    tool = ["kafka.tools.StorageTool", "format", "--cluster-id", place.cluster, "--config", properties]
    done = subprocess.run([*machine, *tool], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"Kafka's storage could not be formatted:\n{(done.stdout + done.stderr)[-2_000:]}")


def _store(place: Place) -> list[str]:
    path = shutil.which("redis-server") or shutil.which("valkey-server")
    if path is None:
        raise Unavailable(
            f"`redis-server` is not on the PATH: install Redis {_REDIS_MAJOR} or later, "
            "such as Debian's redis-server"
        )
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)", answer)
    if found is None or int(found[1]) < _REDIS_MAJOR:
        raise Unavailable(
            f"expected Redis {_REDIS_MAJOR} or later; {path} says: {answer.strip() or 'nothing'}"
        )
    return [path, *flags({**store_settings(place), **place.settings})]


KAFKA = Spec(
    name="Apache Kafka",
    command=_broker,
    probe=kafka_answers,
    ready_seconds=90,
    stop_seconds=30,
    persistent=True,
)
REDIS = Spec(
    name="Redis",
    command=_store,
    probe=redis_answers,
    ready_seconds=15,
    stop_seconds=10,
    persistent=True,
)
