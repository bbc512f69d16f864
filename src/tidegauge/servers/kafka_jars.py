"""The jars of Apache Kafka, fetched once by Maven and kept in the user's cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tidegauge.errors import Unavailable

KAFKA_VERSION = "4.1.1"
_JAVA_MAJOR = 17  # Kafka 4's servers need it
_FETCH_SECONDS = 900  # 43 MB, once

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tidegauge</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


def kafka_jars() -> Path:
    """Return the directory of Kafka's jars, fetching them the first time. Raises Unavailable."""
    jars = _cache() / f"kafka-{KAFKA_VERSION}"
    if not jars.is_dir():
        jars.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=jars.parent) as work:
            _fetch(Path(work))
            _adopt(Path(work) / "jars", jars)
    return jars


def java() -> str:
    """Return the path of a Java that can run Kafka. Raises Unavailable."""
    path = _tool("java", f"Java {_JAVA_MAJOR} or later, such as openjdk-17-jre-headless")
    answer = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', answer)
    if found is None or int(found[1]) < _JAVA_MAJOR:
        first = answer.strip().partition("\n")[0]
        raise Unavailable(f"Kafka needs Java {_JAVA_MAJOR} or later; {path} says: {first or 'nothing'}")
    return path


def _fetch(work: Path) -> None:
    maven = _tool("mvn", "Maven, such as Debian's maven")
    (work / "pom.xml").write_text(_POM.format(version=KAFKA_VERSION), encoding="utf-8")
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=jars"]
    try:
        done = subprocess.run(
            [maven, "--batch-mode", "--quiet", "-Dstyle.color=never", *goal],
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"Maven did not fetch Kafka {KAFKA_VERSION} in {_FETCH_SECONDS} s") from error
    if done.returncode:
        said = (done.stdout + done.stderr)[-2_000:].strip()
        raise Unavailable(f"Maven could not fetch Kafka {KAFKA_VERSION}:\n{said}")


def _adopt(fetched: Path, jars: Path) -> None:
    """Move the complete directory to its place in one step; another process may have been faster."""
    try:
        fetched.rename(jars)
    except OSError:
        if not jars.is_dir():
            raise


def _tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Unavailable(f"real Kafka needs `{name}` on the PATH: install {package}")
    return path


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegauge"
