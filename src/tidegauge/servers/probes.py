"""Readiness, asked in the server's own protocol."""

from __future__ import annotations

import socket

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tidegauge.errors import Unavailable
from tidegauge.servers.spec import HOST, Place, PortTaken

_ANSWER_SECONDS = 1.0


def kafka_answers(place: Place, pid: int) -> None:
    """Return once the broker of this place answers a metadata request and names itself in it."""
    _connect(place)  # librdkafka is slow to notice that nobody listens
    admin = AdminClient({"bootstrap.servers": place.address, "log_level": 0})
    try:
        cluster = admin.list_topics(timeout=_ANSWER_SECONDS)
    except KafkaException as error:
        raise Unavailable(f"{place.address}: no answer to a metadata request: {error}") from error
    if cluster.cluster_id != place.cluster:
        raise PortTaken(f"{place.address}: another broker answers, {cluster.cluster_id!r}")
    if not cluster.brokers:
        raise Unavailable(f"{place.address}: the cluster has no broker yet")


def redis_answers(place: Place, pid: int) -> None:
    """Return once the store with this process id answers PING; while it loads its data it does not."""
    _connect(place)
    client = redis.Redis(host=HOST, port=place.port, socket_timeout=_ANSWER_SECONDS)
    try:
        client.ping()
        answered = int(client.info("server")["process_id"])
    except redis.RedisError as error:
        raise Unavailable(f"{place.address}: no answer to PING: {error}") from error
    finally:
        client.close()
    if answered != pid:
        raise PortTaken(f"{place.address}: another server answers, process {answered}")


def _connect(place: Place) -> None:
    try:
        socket.create_connection((HOST, place.port), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        raise Unavailable(f"{place.address}: nobody listens: {error.strerror or error}") from error
