"""Kafka and Redis as in production: TLS, users with passwords, and the rights of docs/security.md alone.

Each has a second door, plain and on loopback, through which the tests are the administrator.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import redis
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.integration.certificates import Authority
from tidegauge.adapters.kafka_admin import TopicAdmin
from tidegauge.config import Kafka, Settings
from tidegauge.servers import KAFKA, REDIS, Place, Server
from tidegauge.servers.ports import free_port
from tidegauge.topics import wanted

DOC = Path(__file__).parents[2] / "docs" / "security.md"
USERS = ("tidegauge", "service", "subscriber", "operator")  # of Kafka
PASSWORD = "s3cr3t/of#{user}?@%2F"  # whatever a shell, a URL or a logger could stumble over
MECHANISMS = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}


@dataclass(frozen=True, slots=True)
class Fortress:
    """Where the doors are, and who may sign for them."""

    authority: Authority
    sasl: str  # bootstrap servers by password
    mutual: str  # bootstrap servers by certificate
    plain: str  # the administrator's
    redis_tls_port: int
    redis_plain: str

    def redis_url(self, user: str = "tidegauge", word: str | None = None, ca: Path | None = None) -> str:
        secret = quote(password(user) if word is None else word, safe="")
        trust = quote(str(ca or self.authority.ca), safe="/")
        return f"rediss://{user}:{secret}@127.0.0.1:{self.redis_tls_port}/0?ssl_ca_certs={trust}"

    def options(self, user: str = "tidegauge", mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": password(user),
            "ssl.ca.location": str(self.authority.ca),
        }


def password(user: str) -> str:
    return PASSWORD.format(user=user)


@contextmanager
def fortress(directory: Path) -> Iterator[Fortress]:
    """Run both servers with the topics, the users and the rights of the documentation."""
    authority = Authority(directory / "certificates")
    sasl, mutual, tls = free_port(), free_port(), free_port()
    with ExitStack() as stack:
        broker = Server(replace(KAFKA, command=_guarded(authority, sasl, mutual)))
        certificate, key = authority.issue("redis")
        store = Server(REDIS, settings={
            "tls-port": str(tls), "tls-cert-file": str(certificate), "tls-key-file": str(key),
            "tls-ca-cert-file": str(authority.ca), "tls-auth-clients": "no",
        })  # fmt: skip
        stack.enter_context(store)
        stack.enter_context(broker)
        _settle_kafka(broker.address)
        _settle_redis(store.address)
        yield Fortress(
            authority, f"127.0.0.1:{sasl}", f"127.0.0.1:{mutual}", broker.address, tls,
            f"redis://{store.address}/0",
        )  # fmt: skip


def acl_lines(command: str) -> list[str]:
    """Return the commands of docs/security.md that begin so, with continued lines joined."""
    text = DOC.read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(rf"^{re.escape(command)} .*$", text, re.MULTILINE)


def _guarded(authority: Authority, sasl: int, mutual: int):  # type: ignore[no-untyped-def]
    store = authority.issue_store("broker")
    controller = f"127.0.0.1:{free_port()}"

    def command(place: Place) -> list[str]:
        doors = f"PLAINTEXT://{place.address},SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{mutual}"
        plain_users = " ".join(f'user_{user}="{password(user)}"' for user in USERS)
        kinds = ("PLAINTEXT", "SASL_SSL", "SSL")
        settings = {
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"{doors},CONTROLLER://{controller}",
            "advertised.listeners": doors,
            "listener.security.protocol.map": ",".join(
                ["CONTROLLER:PLAINTEXT", *(f"{kind}:{kind}" for kind in kinds)]
            ),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {plain_users};"
            ),
            **{
                f"listener.name.sasl_ssl.{name.lower()}.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                )
                for name in MECHANISMS
            },
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.ca),
            "listener.name.ssl.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }
        return KAFKA.command(replace(place, settings=settings))

    return command


def _settle_kafka(address: str) -> None:
    plain = Settings(kafka=Kafka(bootstrap_servers=address))
    TopicAdmin(plain.kafka).create(wanted(plain), 1)
    admin = AdminClient({"bootstrap.servers": address})
    for mechanism in MECHANISMS.values():  # one of a user in a request
        information = ScramCredentialInfo(mechanism, 4_096)
        upsertions = [
            UserScramCredentialUpsertion(user, information, password(user).encode()) for user in USERS
        ]
        for done in admin.alter_user_scram_credentials(upsertions).values():
            done.result(15)
    bindings = [binding for line in acl_lines("kafka-acls.sh") for binding in _bindings(line)]
    for done in admin.create_acls(bindings).values():
        done.result(15)


def _bindings(line: str) -> Iterator[AclBinding]:
    """Yield what a line of kafka-acls.sh adds; with a certificate the worker has the same rights."""
    words = shlex.split(line)
    flags: dict[str, list[str]] = {}
    for name, value in pairwise(words):
        if name.startswith("--") and not value.startswith("--"):
            flags.setdefault(name, []).append(value)
    kinds = {"--topic": ResourceType.TOPIC, "--group": ResourceType.GROUP, "--cluster": ResourceType.BROKER}
    (pattern,) = flags.get("--resource-pattern-type", ["literal"])
    for kind, resource in kinds.items():
        names = ["kafka-cluster"] if kind == "--cluster" and kind in words else flags.get(kind, [])
        for name in names:
            for operation in flags["--operation"]:
                for principal in _principals(*flags["--allow-principal"]):
                    yield AclBinding(
                        resource, name, ResourcePatternType[pattern.upper()], principal, "*",
                        AclOperation[re.sub(r"(?<!^)(?=[A-Z])", "_", operation).upper()],
                        AclPermissionType.ALLOW,
                    )  # fmt: skip


def _principals(principal: str) -> tuple[str, ...]:
    return (principal, "User:CN=tidegauge") if principal == "User:tidegauge" else (principal,)


def _settle_redis(address: str) -> None:
    client = redis.Redis.from_url(f"redis://{address}/0")
    for line in acl_lines("ACL SETUSER"):
        words = line.split()
        if words[2] != "default":  # the tests are the administrator by it
            client.execute_command(
                *(f">{password(words[2])}" if word.startswith(">") else word for word in words)
            )
    client.close()
