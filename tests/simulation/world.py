"""A world in one process: users, a log, a server, and workers that are killed, stopped and fooled.

Everything that happens is an action of a schedule; while a worker is stopped in the middle of a step
the next actions happen around it. There is no thread, no clock and no chance in here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from tests.simulation.events import HORIZON_MS, LABELS, LATENESS_MS, PARTITIONS, PREDICTIONS, WHATS, Users
from tests.simulation.log import Group, Log, SimConsumer, SimProducer
from tests.simulation.points import Fault, Killed, Process
from tests.simulation.server import Server, SimStore, SimWindow
from tidegauge.config import Drift, Join, Limits, Model, Monitor, Rule, Settings, Topics
from tidegauge.errors import TidegaugeError, Unavailable
from tidegauge.join import Rules, Side
from tidegauge.ports import Ownership, Partition
from tidegauge.stages.join import JoinStage
from tidegauge.stages.monitor import MonitorStage

RULES = Rules(HORIZON_MS, LATENESS_MS)
WINDOW = "1d"
SETTINGS = Settings(
    topics=Topics(partitions=PARTITIONS),
    limits=Limits(future_seconds=10**9),
    join=Join(
        horizon_seconds=HORIZON_MS // 1_000, lateness_seconds=LATENESS_MS // 1_000, batch=12, linger_ms=1
    ),
    monitor=Monitor(
        count_windows=(5,),
        time_windows=(WINDOW,),
        panes=2,
        score_bins=2,
        calibration_bins=2,
        classes=2,
        recent_outcomes=1_000,
        snapshot_seconds=3.0,
        publish_seconds=1.0,
    ),
    drift=Drift(detectors=(), window=WINDOW),
    models={
        "churn": Model(task="binary", baseline={"accuracy": 0.9}),
        "price": Model(task="regression", baseline={"mae": 0.1}),
        "shop": Model(task="ranking"),
    },
    rules=(
        Rule(metric="accuracy", window="5", min_samples=2, consecutive=1, every_outcomes=1),
        Rule(metric="mae", window="5", factor=1.1, min_samples=2, consecutive=1, every_outcomes=1),
    ),
)
ROLES = ("join", "monitor")
WORKERS = tuple(f"{role} {number}" for role in ROLES for number in (1, 2))
MOST_ROUNDS = 60  # to come to rest


class Action(NamedTuple):
    """Something that happens; what the numbers mean is said at the function of that name."""

    name: str
    worker: int = 0
    number: int = 0
    more: int = 0
    fault: Fault | None = None

    def __repr__(self) -> str:
        fault = f", {self.fault}" if self.fault else ""
        return f"Action({self.name!r}, {self.worker}, {self.number}, {self.more}{fault})"


class Ports(NamedTuple):
    """What makes the ports of a process; a test puts faulty ones in their place."""

    consumer: Callable[[Process, Group, Ownership], Any] = SimConsumer
    producer: Callable[[Process, Log], Any] = SimProducer
    window: Callable[[Process, Server], Any] = SimWindow
    store: Callable[[Process, Server], Any] = SimStore


PORTS = Ports()


class World:
    """Runs a schedule; `violations` are what was seen to be wrong on the way."""

    def __init__(
        self,
        ports: Ports = PORTS,
        server: Callable[[Rules], Server] = Server,
        workers: Sequence[str] = WORKERS,
    ) -> None:
        names = SETTINGS.topics
        self.log = Log(
            {
                PREDICTIONS: PARTITIONS,
                LABELS: PARTITIONS,
                names.observations: PARTITIONS,
                names.deadletter: 1,
                names.alerts: 1,
            }
        )
        self.users = Users(self.log)
        self.server = server(RULES)
        self.groups = {
            "join": Group(self.log, [PREDICTIONS, LABELS]),
            "monitor": Group(self.log, [names.observations]),
        }
        self.seconds = 0.0
        self.struck: Counter[str] = Counter()
        self.steps = 0
        self.left: dict[Partition, int] = {}  # records not committed although all is at rest
        self.on_commit: Callable[[Group], None] = lambda group: None
        self._ports = ports
        self._workers = workers
        self._processes: dict[str, Process] = {}
        self._coming: deque[Action] = deque()

    def run(self, schedule: Iterable[Action]) -> None:
        """Let everything happen, then everything come to rest, twice: the last events make all due."""
        self._coming.extend(schedule)
        while self._coming:
            self._do(self._coming.popleft())
        self._come_to_rest()
        self.users.last()
        self._come_to_rest()

    def others(self, count: int) -> None:
        """Let the next actions happen while somebody is stopped."""
        for _ in range(min(count, len(self._coming))):
            if self._coming:  # others may have been stopped in their turn
                self._do(self._coming.popleft())

    def committed(self, group: Group) -> None:
        self.on_commit(group)

    def _do(self, action: Action) -> None:
        getattr(self, f"_{action.name}")(action)

    # What can happen

    def _send(self, action: Action) -> None:
        self.users.send(WHATS[action.worker % len(WHATS)], action.number, action.more)

    def _leap(self, action: Action) -> None:
        """Time leaps, unless somebody would be late by more than lateness: a step that is not finished, or
        a partition that counts as read to its end and is not.
        """
        applied, marks = self.server.applied(), self.server.marks._marks
        unread = [
            f"{topic}-{number}"
            for side, topic in ((Side.PREDICTION, PREDICTIONS), (Side.LABEL, LABELS))
            for number in range(PARTITIONS)
            if applied.get((side, number), -1) + 1 < self.log.end((topic, number))
        ]
        held_back = all(source in marks and not marks[source].idle for source in unread)
        if held_back and not any(process.busy for process in self._processes.values()):
            self.users.leap()

    def _wait(self, action: Action) -> None:
        self.seconds += 1 + action.number

    def _step(self, action: Action) -> None:
        """A worker takes at most `number` records, from partition `more` on."""
        process = self._process(action)
        if process.busy:
            return
        self.steps += 1
        process.expect(action.fault)
        process.busy = True
        try:
            if process.stage is None:
                self._build(process)
            process.consumer.most, process.consumer.turn = action.number or 100, action.more
            process.stage.step()
            process.fault = None
        except Killed:
            self._bury(process, action.more)
        except TidegaugeError:
            self._close(process, failed=True)
            self._bury(process, action.more)
        finally:
            process.busy = False

    def _stop(self, action: Action) -> None:
        """A worker is told to stop, and does so in good order."""
        process = self._process(action)
        if process.stage is not None and not process.busy:
            process.expect(action.fault)
            self._close(process, failed=False)
            self._bury(process, action.more)

    def _expel(self, action: Action) -> None:
        """The group goes on without a worker, who finds out after `number` calls."""
        process = self._process(action)
        if process.consumer is not None:
            process.consumer.expel(action.number)

    def _rebalance(self, action: Action) -> None:
        self.groups[ROLES[action.worker % 2]].assign(action.more)

    def _lose(self, action: Action) -> None:
        """The server loses its last `number` writes, or all of them: of both parts, or of one."""
        parts = (frozenset({"window", "store"}), frozenset({"window"}), frozenset({"store"}))
        kept = len(self.server.writes) - action.number if action.number else 0
        self.server.lose(max(0, kept), parts[action.more % len(parts)])

    def _damage(self, action: Action) -> None:
        self.server.damage(action.more % PARTITIONS)

    # Processes

    def _process(self, action: Action) -> Process:
        name = self._workers[action.worker % len(self._workers)]
        process = self._processes.get(name)
        if process is None:
            process = self._processes[name] = Process(self, name)
        return process

    def _build(self, process: Process) -> None:
        role = process.role.partition(" ")[0]
        process.producer = producer = self._ports.producer(process, self.log)
        store = self._ports.store(process, self.server)

        def join_group(ownership: Ownership) -> Any:
            process.consumer = self._ports.consumer(process, self.groups[role], ownership)
            return process.consumer

        waits = Waits()
        if role == "join":
            window = self._ports.window(process, self.server)
            process.stage = JoinStage(SETTINGS, join_group, producer, window, store, waits, self._clock)
        else:
            process.stage = MonitorStage(SETTINGS, join_group, producer, store, waits, self._clock)

    def _clock(self) -> float:
        return self.seconds

    def _close(self, process: Process, failed: bool) -> None:
        """Close a stage as its supervisor does."""
        process.busy = True
        try:
            if process.stage is not None:
                process.stage.close(failed)
        except (Killed, TidegaugeError):
            pass
        finally:
            process.busy = False

    def _bury(self, process: Process, delivered: int) -> None:
        """What the process had queued may still be delivered, each partition's first part of it."""
        process.dead = True
        if process.producer is not None:
            process.producer.some(delivered)
        if self._processes.get(process.role) is process:
            del self._processes[process.role]

    # The end

    def _come_to_rest(self) -> None:
        for group in self.groups.values():
            group.assign(0)
        for process in self._processes.values():
            if process.consumer is not None:
                process.consumer.patience = 0
        self.seconds += 120  # whatever is done once a minute
        before, quiet = None, 0
        for _ in range(MOST_ROUNDS):
            self.seconds += 3.5  # longer than the stages wait to publish, or to store
            for worker in range(len(self._workers)):
                self._step(Action("step", worker))
            before, found = self._progress(), before
            quiet = quiet + 1 if before == found else 0
            if quiet == 2:
                self.left |= self._lags()
                return
        raise AssertionError("does not come to rest")

    def _progress(self) -> Any:
        ends = [len(records) for topic in self.log.topics.values() for records in topic]
        offsets = [dict(group.committed) for group in self.groups.values()]
        positions = [sorted(one.owned.items()) for group in self.groups.values() for one in group.members]
        return ends, offsets, positions, len(self.server.outbox())

    def _lags(self) -> dict[Partition, int]:
        """Return how many records of each partition are not committed."""
        lags = {
            partition: self.log.end(partition) - group.committed.get(partition, 0)
            for group in self.groups.values()
            for partition in group.partitions
        }
        return {partition: lag for partition, lag in lags.items() if lag}


class Waits:
    """The patience of a worker: tries again until the server is back."""

    def keep(self, call: Callable[[], Any], rest: Callable[[float], None]) -> Any:
        while True:
            try:
                return call()
            except Unavailable:
                rest(1.0)
