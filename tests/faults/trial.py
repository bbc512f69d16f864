"""A trial: a stream, workers, faults, and what is true afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from tests.faults import examine, oracle
from tests.faults.examine import Findings, Undisturbed
from tests.faults.feed import Feed
from tests.faults.gauge import Gauge, resident_bytes
from tests.faults.generator import LABELS, PREDICTIONS, Spec, stream
from tests.faults.rig import PARTITIONS, Rig, wait
from tests.faults.sabotage import Plan
from tidegauge.servers.watchdog import Watchdog

HORIZON_SECONDS = 3_600
SESSION_TIMEOUT_MS = 6_000
RECOVERY_SECONDS = 60.0  # lag is back at zero by then, or the trial fails
_SETTLE_SECONDS = 60.0
_LASTING_SECONDS = 2.0  # more than gauge.FRESH_SECONDS, so that a lag which has just begun shows
_POINT_SECONDS = 30.0  # for a worker to come to the point that its plan names
_STEADY_SECONDS = 15.0  # for what is published now and then to appear
_STOP_SECONDS = 35.0
_RESIDENT_BYTES = 512 * 1_048_576  # of a worker, at most
_START_MS = 1_700_000_000_000
_CLOSING_MS = 10 * 86_400_000  # after the start: horizon and lateness are over for all that waits
ALL_ROLES = "join,monitor,control"


class Worker:
    """A worker process; it ends with this one."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._watchdog = Watchdog(process.pid, None)
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        if self.running:
            self.process.send_signal(number)

    def close(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait()
        self._watchdog.dismiss()

    @property
    def stopped(self) -> bool:
        """Whether the process is held by SIGSTOP."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state == "T"


@dataclass(slots=True)
class Result:
    """What a trial showed."""

    scenario: str
    seed: int
    kills: int
    fenced: int
    recoveries: list[float]
    findings: Findings
    resident: int
    seconds: float = 0.0
    logs: list[Path] = field(default_factory=list)


class Trial:
    """One scenario's stage and props. A scenario breaks things; `finish` heals and examines."""

    def __init__(
        self,
        rig: Rig,
        scenario: str,
        seed: int,
        rate: float,
        seconds: float,
        kafka_options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.rig = rig
        self.scenario = scenario
        self.seed = seed
        self.settings = rig.fresh(HORIZON_SECONDS, SESSION_TIMEOUT_MS, kafka_options)
        predictions = int(rate * seconds / 2.05)
        step_ms = 3 * 3_600_000 // predictions  # three hours of event time, so the window of 1h moves
        spec = Spec(seed=seed, predictions=predictions, start_ms=_START_MS, step_ms=step_ms)
        self._sent = stream(spec)
        self.feed = Feed(self.settings, self._sent, rate)
        self.gauge = Gauge(self.settings, rig.client())
        self.workers: list[Worker] = []
        self.recoveries: list[float] = []
        self.findings = Findings()
        self.kills = 0
        self._resident = 0
        self._folder = rig.scratch / f"{scenario}-{seed}"
        self._folder.mkdir()
        self._settings_path = self._folder / "settings.json"
        self._settings_path.write_bytes(msgspec.json.encode(self.settings))
        self._diary = self._folder / "diary"
        self._diary.touch()
        self._began = time.monotonic()

    # What scenarios are written in

    def hire(self, roles: str = ALL_ROLES, **plan: Any) -> Worker:
        """Start a worker, sabotaged as the plan says."""
        log = self._folder / f"worker-{len(self.workers)}.log"
        told = msgspec.json.encode(Plan(diary=str(self._diary), **plan)).decode()
        command = [sys.executable, "-m", "tests.faults.worker_main", str(self._settings_path), told, roles]
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env=_environment(), start_new_session=True
            )
        self.workers.append(Worker(process, log))
        return self.workers[-1]

    def begin(self, share: float = 0.0) -> None:
        """Start the stream once workers have the partitions; return when that share of it is joined."""
        claimed = ("tgw:{0}:marks", *(f"tgs:{{{number}}}:epoch" for number in range(PARTITIONS)))
        store = self.rig.client()
        if not wait(lambda: store.exists(*claimed) == len(claimed), _POINT_SECONDS):
            self.findings.broken.append(f"no worker had the partitions after {_POINT_SECONDS:.0f} s")
        self.feed.start()
        self.reach(share)

    def await_presence(self, *workers: Worker) -> None:
        """Return when workers say in Redis that they are at work."""
        store = self.rig.client()
        for worker in workers:
            ending = f":{worker.pid}".encode()
            if not wait(lambda ending=ending: _ends_so(store.hkeys("tg:workers"), ending), _POINT_SECONDS):
                self.findings.broken.append(f"a worker was not at work in {_POINT_SECONDS:.0f} s")

    def reach(self, share: float) -> None:
        """Return when that share of the stream is joined."""
        total = len(self._sent)
        if not wait(lambda: sum(self.gauge.joined()) >= share * total, _SETTLE_SECONDS):
            self.findings.broken.append(
                f"{share:.0%} of the stream was not joined in {_SETTLE_SECONDS:.0f} s"
            )

    def kill(self, worker: Worker) -> float:
        """Kill a worker from outside; return the moment."""
        worker.signal(signal.SIGKILL)
        return self.await_death(worker)

    def await_death(self, worker: Worker) -> float:
        """Return the moment at which a worker has killed itself."""
        if not wait(lambda: not worker.running, _POINT_SECONDS, 0.01):
            self.findings.broken.append("the worker never came to the point where it was to be killed")
            return time.monotonic()
        if worker.process.returncode != -signal.SIGKILL:
            self.findings.broken.append(f"a worker ended by itself: {worker.process.returncode}")
        self.kills += 1
        return time.monotonic()

    def await_stop(self, worker: Worker) -> float:
        """Return the moment at which a worker has stopped itself."""
        if not wait(lambda: worker.stopped, _POINT_SECONDS, 0.01):
            self.findings.broken.append("the worker never came to the point where it was to be stopped")
        return time.monotonic()

    def retire(self, worker: Worker) -> None:
        """Ask a worker to stop; it must do so in order."""
        worker.signal(signal.SIGTERM)
        try:
            code = worker.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.findings.broken.append(f"a worker did not stop in {_STOP_SECONDS:.0f} s after SIGTERM")
            return
        if code:
            self.findings.broken.append(f"a worker ended with {code} after SIGTERM")

    def recover(self, since: float) -> None:
        """Return when all is joined and monitored again; note the seconds since the fault.

        Nothing is noted of a fault that came after the stream and made no lag.
        """
        caught_up_at: float | None = None
        lagged = not self.feed.done

        def lasts() -> bool:
            nonlocal caught_up_at, lagged
            moment = time.monotonic()
            if not self.gauge.caught_up(self.feed):
                caught_up_at, lagged = None, True
            elif caught_up_at is None:
                caught_up_at = moment
            return caught_up_at is not None and moment - caught_up_at >= _LASTING_SECONDS

        if not wait(lasts, RECOVERY_SECONDS) or caught_up_at is None:
            self.findings.broken.append(f"lag was not back at zero in {RECOVERY_SECONDS:.0f} s")
        elif lagged:
            self.recoveries.append(max(0.0, caught_up_at - since))
        self._weigh()

    def window_counts(self) -> int:
        """Return how many events the window in Redis has counted, at this moment."""
        store = self.rig.client()
        shards = [store.hgetall(f"tgw:{{{n}}}:counters") for n in range(self.settings.join.shards)]
        return sum(int(n) for shard in shards for name, n in shard.items() if name.endswith(b"received"))

    def fenced(self) -> int:
        """Return how many writes of former owners were refused."""
        return len(self._diary.read_text().splitlines())

    # The end

    def settle(self) -> None:
        """Return when the whole stream is joined and monitored."""
        wait(lambda: self.feed.done, 2 * _SETTLE_SECONDS)
        if self.feed.undelivered:
            self.findings.broken.append(f"the stream itself lost {self.feed.undelivered} messages")
        if not wait(lambda: self.gauge.caught_up(self.feed), _SETTLE_SECONDS, 0.1):
            self.findings.broken.append(f"the stream was not joined in {_SETTLE_SECONDS:.0f} s after its end")

    def finish(self, steady_seconds: float = _STEADY_SECONDS) -> Result:
        """Hold everything against the oracle; the workers are gone afterwards."""
        self.settle()
        truth = oracle.tell(self._sent, HORIZON_SECONDS * 1_000)
        store = self.rig.client()
        self._until_clean(lambda found: examine.metrics(store, truth, found), steady_seconds)
        self._close_the_books(truth.counts)
        expected = truth.counts
        self._until_clean(
            lambda found: examine.counters(self.gauge.counters(), expected, found), steady_seconds
        )
        self._until_clean(lambda found: examine.dead_letters(self.settings, expected, found), 3.0)
        # Whoever logs the alerts has a group of its own, which may be looking for its coordinator still.
        self._until_clean(lambda found: examine.alerts(self.settings, store, found), RECOVERY_SECONDS)
        calm = Undisturbed.of(self.settings)
        self._until_clean(
            lambda found: examine.undisturbed(self.settings, store, calm, found), steady_seconds
        )
        examine.matched_set(self.settings, truth, self.findings)
        self._weigh()
        if self._resident > _RESIDENT_BYTES:
            self.findings.broken.append(f"a worker took {self._resident >> 20} MiB")
        return Result(
            self.scenario,
            self.seed,
            self.kills,
            self.fenced(),
            self.recoveries,
            self.findings,
            self._resident,
            time.monotonic() - self._began,
            [worker.log for worker in self.workers],
        )

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.feed.close()
        self.gauge.close()
        self.rig.discard(self.settings)

    def _close_the_books(self, expected: Counter[str]) -> None:
        """Send to each partition one event so late that all that waits expires."""
        at_ms = _START_MS + _CLOSING_MS
        for number in range(PARTITIONS):
            name = {"prediction_id": f"closing-{number}"}
            made = {"model_id": "closing", "model_version": "v1", "prediction": 0.5, "predicted_at": at_ms}
            self.feed.send_to(PREDICTIONS, number, json.dumps(name | made).encode())
            other = {"prediction_id": f"closing-label-{number}", "label": 1.5, "labelled_at": at_ms}
            self.feed.send_to(LABELS, number, json.dumps(other).encode())
        for side in (PREDICTIONS, LABELS):
            expected[f"{side}.received"] += PARTITIONS
            expected[f"{side}.waiting"] += PARTITIONS

    def _until_clean(self, examination: Any, seconds: float) -> None:
        """Examine until nothing is found, or for so long; keep the last findings."""
        found = Findings()

        def clean() -> bool:
            nonlocal found
            found = Findings()
            examination(found)
            return found.clean

        wait(clean, seconds, 0.2)
        self.findings.lost += found.lost
        self.findings.doubled += found.doubled
        self.findings.broken += found.broken

    def _weigh(self) -> None:
        running = [worker.pid for worker in self.workers if worker.running]
        self._resident = max(self._resident, resident_bytes(running))


def _ends_so(names: list[bytes], ending: bytes) -> bool:
    return any(name.endswith(ending) for name in names)


def _environment() -> dict[str, str]:
    root = Path(__file__).parent.parent.parent
    paths = [str(root), str(root / "src"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
