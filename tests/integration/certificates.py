"""An authority and the certificates it signs, made by openssl: good for a day, and for 127.0.0.1 alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    """A certificate authority in a directory; `ca` is what a client trusts."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("certificates are made by openssl, which is not on the PATH")
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.ca = directory / "ca.pem"
        self._key = directory / "ca.key"
        extensions = [
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=keyCertSign,cRLSign",
        ]
        openssl("req", "-x509", *_KEY, "-days", "1", "-subj", "/CN=test authority", *extensions,
                "-keyout", self._key, "-out", self.ca)  # fmt: skip

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a new certificate for 127.0.0.1 and of its key."""
        request, certificate, key = (self._directory / f"{name}.{end}" for end in ("csr", "pem", "key"))
        extensions = self._directory / f"{name}.ext"
        extensions.write_text("subjectAltName=IP:127.0.0.1\n", encoding="utf-8")
        openssl("req", "-new", *_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial",
                "-days", "1", "-extfile", extensions, "-out", certificate)  # fmt: skip
        return certificate, key

    def issue_store(self, name: str) -> Path:
        """Return one file with a new key and its certificate, as Kafka's PEM key store wants it."""
        certificate, key = self.issue(name)
        store = self._directory / f"{name}.store.pem"
        store.write_text(key.read_text() + certificate.read_text(), encoding="utf-8")
        return store


def openssl(*arguments: object) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
