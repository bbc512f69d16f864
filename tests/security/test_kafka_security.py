"""Both clients of the worker get the same TLS and SASL, or the start stops and says which key cannot be."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.integration.certificates import Authority
from tidegauge import app
from tidegauge.adapters.kafka_security import MECHANISMS, security
from tidegauge.config import Kafka, Settings
from tidegauge.errors import ConfigError

SASL = {"sasl.mechanism": "PLAIN", "sasl.username": "me", "sasl.password": "hunter2"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def test_without_options_it_is_plain() -> None:
    assert security({}) == (None, None, None, None)
    assert security({"security.protocol": "plaintext", "linger.ms": 5}).tls is None


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    ("protocol", "tls"), [("SASL_PLAINTEXT", False), ("SASL_SSL", True), ("sasl_ssl", True)]
)
def test_sasl_comes_with_or_without_tls(protocol: str, tls: bool, mechanism: str) -> None:
    found = security(SASL | {"security.protocol": protocol, "sasl.mechanism": mechanism})
    assert (found.tls is not None, *found[1:]) == (tls, mechanism, "me", "hunter2")


def test_tls_checks_certificate_and_name_unless_told_otherwise(authority: Authority) -> None:
    options: dict[str, Any] = {"security.protocol": "SSL", "ssl.ca.location": str(authority.ca)}
    strict = security(options).tls
    any_name = security(options | {"ssl.endpoint.identification.algorithm": "none"}).tls
    anybody = security(options | {"enable.ssl.certificate.verification": False}).tls
    assert strict and any_name and anybody
    assert (strict.check_hostname, strict.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert (any_name.check_hostname, any_name.verify_mode) == (False, ssl.CERT_REQUIRED)
    assert (anybody.check_hostname, anybody.verify_mode) == (False, ssl.CERT_NONE)
    assert strict.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert len(strict.get_ca_certs()) == 1


def test_the_authorities_are_the_system_s_where_none_is_named(authority: Authority) -> None:
    text = security({"security.protocol": "ssl", "ssl.ca.pem": authority.ca.read_text()}).tls
    assert text is not None
    assert len(text.get_ca_certs()) == 1
    for options in ({}, {"ssl.ca.location": "probe"}):
        assert security({"security.protocol": "ssl"} | options).tls is not None


def test_a_client_certificate_comes_from_files_or_from_text(authority: Authority) -> None:
    certificate, key = authority.issue("client")
    base = {"security.protocol": "SSL", "ssl.ca.location": str(authority.ca)}
    security(base | {"ssl.certificate.location": str(certificate), "ssl.key.location": str(key)})
    security(base | {"ssl.certificate.pem": certificate.read_text(), "ssl.key.pem": key.read_text()})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"security.protocol": "tls"}, '"security.protocol": expected one of plaintext'),
        ({"security.protocol": "SASL_SSL"}, '"sasl.mechanism": expected one of PLAIN'),
        (SASL | {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}, "got OAUTHBEARER"),
        (SASL | {"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"}, "got GSSAPI"),
        (SASL | {"security.protocol": "SASL_SSL", "sasl.password": ""}, '"sasl.password": expected a text'),
        (SASL, '"sasl.mechanism": no effect with security.protocol plaintext'),
        ({"security.protocol": "ssl", "sasl.username": "me"}, '"sasl.username": no effect'),
        ({"ssl.ca.location": "/ca.pem"}, '"ssl.ca.location": no effect with security.protocol'),
        ({"security.protocol": "ssl", "ssl.keystore.location": "/k"}, '"ssl.keystore.location": Faust'),
        ({"security.protocol": "ssl", "ssl.ca.location": "/nowhere"}, '"ssl.ca.location": cannot be used'),
        ({"security.protocol": "ssl", "ssl.ca.pem": "hunter2"}, '"ssl.ca.pem": cannot be used'),
        ({"security.protocol": "ssl", "ssl.cipher.suites": "hunter2"}, '"ssl.cipher.suites": cannot'),
        ({"security.protocol": "ssl", "ssl.certificate.pem": "hunter2"}, '"ssl.key.location": expected'),
        (
            {"security.protocol": "ssl", "ssl.certificate.pem": "hunter2", "ssl.key.pem": "hunter2"},
            '"ssl.key.location": cannot be used',
        ),
        (
            {"security.protocol": "ssl", "ssl.endpoint.identification.algorithm": "maybe"},
            '"ssl.endpoint.identification.algorithm": cannot be used',
        ),
        (
            {"security.protocol": "ssl", "enable.ssl.certificate.verification": "maybe"},
            '"enable.ssl.certificate.verification": cannot be used',
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_and_no_secret_shown(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        security(options)
    assert str(error.value).startswith("kafka.options.")
    assert says in str(error.value)
    assert "hunter2" not in str(error.value)


def test_an_encrypted_key_without_its_password_is_refused_and_nobody_is_asked(
    authority: Authority, tmp_path: Path
) -> None:
    from tests.integration.certificates import openssl

    certificate, key = authority.issue("encrypted")
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", key, "-aes256", "-passout", "pass:hunter2", "-out", locked)
    options = {
        "security.protocol": "ssl",
        "ssl.certificate.location": str(certificate),
        "ssl.key.location": str(locked),
    }
    assert security(options | {"ssl.key.password": "hunter2"}).tls is not None
    for wrong in ({}, {"ssl.key.password": "hunter3"}):
        with pytest.raises(ConfigError, match=r"ssl\.key\.location"):
            security(options | wrong)


def test_faust_gets_the_credentials_of_the_same_options() -> None:
    def credentials(**options: str) -> Any:
        named = {name.replace("_", "."): value for name, value in options.items()}
        return app._credentials(Settings(kafka=Kafka(options=named)))

    assert credentials() is None
    assert credentials(security_protocol="SSL").protocol.value == "SSL"
    sasl = {name.replace(".", "_"): value for name, value in SASL.items()}
    found = credentials(**sasl | {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512"})
    assert (found.protocol.value, found.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (found.username, found.password) == ("me", "hunter2")
    assert "hunter2" not in repr(found)
