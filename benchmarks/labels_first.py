"""Every label before its prediction: the labels are taken in first, then the predictions are recorded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.product import check, received, window_of, workers
from benchmarks.race import Contender, Failed, measure, tail
from benchmarks.rig import Filled, Rig, new_name
from tidegauge import keys

_TAKE_SECONDS = 120.0


def measure_labels_first(rig: Rig, case: Case, log: Path) -> dict[str, Any]:
    """Return the figures of the predictions, all of which find their label waiting."""
    names = new_name("predictions"), new_name("labels")
    rig.topics(names)
    filled = rig.record(case.stream, *names, sides="labels")
    rig.empty()
    settings = rig.settings(filled)
    with workers(rig, filled, settings, log) as contender:
        _await_labels(rig, filled, contender)
    rig.record(case.stream, *names, sides="predictions")
    window = window_of(settings)
    with workers(rig, filled, settings, log) as contender:
        begun = contender._replace(
            begun=lambda: window.counters()["predictions.received"] > 0,
            taken=lambda: received(window),  # the labels are in already
        )
        found = measure(rig, begun, filled) | {"counters": check(rig, filled)}
    window.close()
    return found


def _await_labels(rig: Rig, filled: Filled, contender: Contender) -> None:
    until = time.monotonic() + _TAKE_SECONDS
    while int(str(rig.redis.hget(keys.JOIN, "labels.received") or 0)) < filled.stream.pairs:
        if time.monotonic() > until or contender.processes[0].poll() is not None:
            raise Failed(f"the labels are not taken in:\n{tail(contender.log)}")
        time.sleep(0.1)
