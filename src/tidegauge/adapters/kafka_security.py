"""Kafka's TLS and SASL for Faust's client, from the same `kafka.options` that librdkafka reads.

The worker has two clients: librdkafka for the stages, aiokafka (Faust's) for the agents. librdkafka takes
the options as they are; this module says the same to the other one, and refuses what it could not say, so
that no half of a worker goes without what was asked for.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tidegauge.errors import ConfigError

PROTOCOLS = {
    "plaintext": (False, False),
    "ssl": (True, False),
    "sasl_plaintext": (False, True),
    "sasl_ssl": (True, True),
}  # whether it is TLS, whether it is SASL
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

_BOOLEANS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
_PREFIXES = ("ssl.", "sasl.", "security.", "enable.ssl.", "enable.sasl.", "https.")


class Security(NamedTuple):
    """How to come in: `tls` is None without TLS, `mechanism` None without SASL."""

    tls: ssl.SSLContext | None
    mechanism: str | None = None
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Security(tls={self.tls is not None}, mechanism={self.mechanism}, username={self.username})"


def security(options: Mapping[str, str | int | float | bool]) -> Security:
    """Return what `kafka.options` ask for.

    Raises ConfigError naming the key: one that is wrong, missing, without effect, or known to librdkafka
    alone. A file that cannot be read counts as wrong.
    """
    protocol = str(options.get("security.protocol", "plaintext")).lower()
    if protocol not in PROTOCOLS:
        raise _wrong("security.protocol", f"expected one of {', '.join(PROTOCOLS)}", protocol)
    tls, sasl = PROTOCOLS[protocol]
    known = {"security.protocol"} | (_TLS.keys() | _TLS_FILES if tls else set()) | (_SASL if sasl else set())
    for key in sorted(options):
        if key.startswith(_PREFIXES) and key not in known:
            idle = key in _TLS.keys() | _TLS_FILES | _SASL
            why = f"no effect with security.protocol {protocol}" if idle else "Faust's client has no such key"
            raise ConfigError(f'kafka.options."{key}": {why}; expected one of {", ".join(sorted(known))}')
    context = _tls_context(options) if tls else None
    return Security(context, *_sasl(options)) if sasl else Security(context)


def _sasl(options: Mapping[str, Any]) -> tuple[str, str, str]:
    name = "sasl.mechanisms" if "sasl.mechanisms" in options else "sasl.mechanism"
    mechanism = str(options.get(name, "nothing (GSSAPI)"))
    if mechanism not in MECHANISMS:
        raise _wrong(name, f"expected one of {', '.join(MECHANISMS)}", mechanism)
    for key in ("sasl.username", "sasl.password"):
        if not options.get(key):
            raise ConfigError(f'kafka.options."{key}": expected a text, as sasl.mechanism is {mechanism}')
    return mechanism, str(options["sasl.username"]), str(options["sasl.password"])


def _tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return a context that checks the broker's certificate and name, unless the options say not to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if "ssl.ca.location" not in options and "ssl.ca.pem" not in options:
        context.load_default_certs()
    for key, apply in _TLS.items():
        if key in options:
            _applied(key, apply, context, options[key])
    _load_own_certificate(context, options)
    return context


def _applied(key: str, apply: Callable[[ssl.SSLContext, Any], None], *arguments: Any) -> None:
    try:
        apply(*arguments)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; none of them shows the value
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise ConfigError(f'kafka.options."{key}": cannot be used: {why}') from None


def _load_own_certificate(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    if not options.keys() & _TLS_FILES:
        return
    password = options.get("ssl.key.password")
    # Python's ssl reads a certificate and its key from files alone.
    with tempfile.TemporaryDirectory(prefix="tidegauge-") as work:
        paths = {part: _path(part, options, Path(work)) for part in ("certificate", "key")}
        for part, path in paths.items():
            if path is None:
                raise ConfigError(f'kafka.options."ssl.{part}.location": expected a file beside the other')
        _applied(
            "ssl.key.location",
            lambda tls, word: tls.load_cert_chain(str(paths["certificate"]), str(paths["key"]), word),
            context,
            str(password) if password is not None else _refuse_to_ask,
        )


def _path(part: str, options: Mapping[str, Any], work: Path) -> Path | None:
    if f"ssl.{part}.pem" in options:
        path = work / part
        path.touch(mode=0o600)
        path.write_text(str(options[f"ssl.{part}.pem"]), encoding="utf-8")
        return path
    return Path(str(options[f"ssl.{part}.location"])) if f"ssl.{part}.location" in options else None


def _refuse_to_ask() -> str:
    raise ValueError("the key is encrypted")  # else OpenSSL asks the terminal


def _trust_location(context: ssl.SSLContext, value: Any) -> None:
    if value == "probe":  # librdkafka's word for the system's own
        context.load_default_certs()
        return
    path = Path(str(value))
    context.load_verify_locations(**{"capath" if path.is_dir() else "cafile": str(path)})


def _trust_text(context: ssl.SSLContext, value: Any) -> None:
    context.load_verify_locations(cadata=str(value))


def _check_name(context: ssl.SSLContext, value: Any) -> None:
    if str(value) not in ("https", "none"):
        raise ValueError
    context.check_hostname = str(value) == "https"


def _check_certificate(context: ssl.SSLContext, value: Any) -> None:
    text = str(value).lower()
    if text not in _BOOLEANS:
        raise ValueError
    if not _BOOLEANS[text]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE


# librdkafka's key, and what it means to Python's context; the name is settled before the certificate.
_TLS: Mapping[str, Callable[[ssl.SSLContext, Any], None]] = {
    "ssl.ca.location": _trust_location,
    "ssl.ca.pem": _trust_text,
    "ssl.cipher.suites": lambda context, value: context.set_ciphers(str(value)),
    "ssl.endpoint.identification.algorithm": _check_name,
    "enable.ssl.certificate.verification": _check_certificate,
}
_TLS_FILES = frozenset(
    {
        "ssl.certificate.location",
        "ssl.certificate.pem",
        "ssl.key.location",
        "ssl.key.pem",
        "ssl.key.password",
    }
)
_SASL = frozenset({"sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password"})


def _wrong(key: str, expected: str, came: str) -> ConfigError:
    return ConfigError(f'kafka.options."{key}": {expected}, got {came}')
