"""The worker: one Faust application with the stages as services, two agents, and two health pages.

Faust owns the lifecycle, the agents on topics of low rate, and the web. The agent on
`tidegauge.control` hands a request on to the observations of the model it names, so that it takes
effect between two blocks and a replay meets it at the same place. The agent on `alerts` keeps the
list of active alerts in Redis.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import faust
import msgspec
from faust.web.base import BlueprintManager

from tidegauge import config, keys
from tidegauge.adapters.kafka import BatchConsumer, RowProducer
from tidegauge.adapters.kafka_admin import TopicAdmin
from tidegauge.adapters.kafka_security import security
from tidegauge.adapters.redis_state import RedisState
from tidegauge.adapters.redis_window import RedisWindow
from tidegauge.baseline.files import configured
from tidegauge.baseline_file import BaselineFile
from tidegauge.config import Settings
from tidegauge.errors import Rejected, TidegaugeError
from tidegauge.events import dead_letter, read
from tidegauge.join import Rules
from tidegauge.monitor import check
from tidegauge.ports import Patience
from tidegauge.records import Alert, Control
from tidegauge.stages.join import JoinStage
from tidegauge.stages.monitor import CONTROL_KEY, MonitorStage
from tidegauge.stages.rows import destination
from tidegauge.stages.runner import Stage, StageService

_log = logging.getLogger("tidegauge")

ROLES = ("join", "monitor", "control")
PRESENCE_SECONDS = 1.0
ANSWER_SECONDS = 1.0  # of Redis, before /readyz says that it does not answer
LAST_RESORT_SECONDS = 10.0  # for Faust to close what it has, when the stages have ended

Builders = Mapping[str, Callable[[Patience], Stage]]  # by role


def run(settings: Settings, roles: frozenset[str], builders: Builders | None = None) -> int:
    """Run a worker until SIGTERM or SIGINT, and return its exit code.

    `builders` make the stages, by role; without them they are wired to the servers of the settings.

    Raises ConfigError where settings contradict each other or a server refuses them, Unavailable where
    Redis or a topic is missing at the start.
    """
    check(settings)
    baselines = configured(settings)
    security(settings.kafka.options)
    state = RedisState(settings.redis)
    state.require()
    TopicAdmin(settings.kafka).brokers()
    producer = RowProducer(settings.kafka)
    names = settings.topics
    for topic in (names.predictions, names.labels, names.observations, names.control, names.alerts):
        producer.partitions(topic)
    logging.getLogger("faust").setLevel(logging.WARNING)
    app = create_app(settings, roles, state, builders or stage_builders(settings, state, baselines))
    worker = Worker(app, loglevel="info", redirect_stdouts=False)
    worker.stages = app.stages
    _rest_collector()
    try:
        worker.execute_from_commandline()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def _rest_collector() -> None:
    """Let the garbage collector look at what was made since the start, and seldom.

    A batch makes tens of thousands of tuples, no cycles among them; by default the collector walks through
    them every 700, which took a fifth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


class Worker(faust.Worker):
    """Faust's worker, which ends. After a defect Faust may leave stages at work, or wait for ever."""

    stages: Sequence[StageService] = ()

    def on_worker_shutdown(self) -> None:
        super().on_worker_shutdown()
        for stage in self.stages:
            stage.halt()
        last_resort = threading.Timer(LAST_RESORT_SECONDS, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()


class WorkerApp(faust.App):
    """A Faust application whose stages start and stop with it."""

    stages: Sequence[StageService] = ()

    def on_init_dependencies(self) -> Iterable[Any]:
        return [*super().on_init_dependencies(), *self.stages]


def stage_builders(
    settings: Settings, state: RedisState, baselines: Mapping[str, BaselineFile] | None = None
) -> Builders:
    """Return what builds each stage, wired to the servers of the settings."""
    return {
        "join": lambda patience: _join_stage(settings, state, patience),
        "monitor": lambda patience: _monitor_stage(settings, state, baselines, patience),
    }


def create_app(settings: Settings, roles: frozenset[str], state: RedisState, builders: Builders) -> WorkerApp:
    """Return the application of one worker: the stages of its roles, the agents, the pages."""
    session_seconds = settings.kafka.session_timeout_ms / 1_000
    app = WorkerApp(
        f"{settings.kafka.group}.control",
        broker=[f"kafka://{server}" for server in settings.kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        broker_session_timeout=session_seconds,
        broker_heartbeat_interval=session_seconds / 4,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_host=settings.web.host,
        web_bind=settings.web.host,
        web_enabled=settings.web.port > 0,
        web_port=settings.web.port or config.Web().port,  # Faust takes no 0, even where it serves nothing
        datadir=str(
            Path(tempfile.gettempdir()) / f"tidegauge-{os.getuid()}"
        ),  # it has no tables to put there
    )
    app.stages = [StageService(name, build) for name, build in builders.items() if name in roles]
    _add_control_agent(app, settings)
    _add_alerts_agent(app, settings, state)
    _add_pages(app, state)
    _add_presence(app, roles, state)
    return app


def _join_stage(settings: Settings, state: RedisState, patience: Patience) -> JoinStage:
    join, kafka = settings.join, settings.kafka
    topics = [settings.topics.predictions, settings.topics.labels]
    limits = settings.limits
    rules = Rules(
        join.horizon_seconds * 1_000, join.lateness_seconds * 1_000, limits.revisions, limits.list_items
    )
    timeout_seconds = settings.redis.timeout_seconds
    window = RedisWindow.connect(
        settings.redis.url, rules, join.shards, join.buckets, timeout_seconds=timeout_seconds
    )
    return JoinStage(
        settings,
        lambda ownership: BatchConsumer(kafka, "join", topics, ownership, join.gather_ms / 1_000),
        RowProducer(kafka),
        window,
        state,
        patience,
    )


def _monitor_stage(
    settings: Settings, state: RedisState, baselines: Mapping[str, BaselineFile] | None, patience: Patience
) -> MonitorStage:
    kafka, topics = settings.kafka, [settings.topics.observations]
    return MonitorStage(
        settings,
        lambda ownership: BatchConsumer(kafka, "monitor", topics, ownership),
        RowProducer(kafka),
        state,
        patience,
        baselines=baselines,
    )


def _add_control_agent(app: WorkerApp, settings: Settings) -> None:
    control = _raw_topic(app, settings.topics.control)
    observations = _raw_topic(app, settings.topics.observations)
    deadletter = _raw_topic(app, settings.topics.deadletter)
    partitions = RowProducer(settings.kafka).partitions(settings.topics.observations)

    @app.agent(control, name="control")
    async def control_agent(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            try:
                request = read(event.value, Control)
            except Rejected as rejected:
                _log.warning("control: %s", rejected)
                letter = dead_letter(
                    rejected,
                    event.message.topic,
                    event.message.partition,
                    event.message.offset,
                    event.value,
                )
                await deadletter.send(value=msgspec.json.encode(letter))
                continue
            partition = destination(request.model_id, partitions)
            await observations.send(key=CONTROL_KEY, value=event.value, partition=partition)


def _add_alerts_agent(app: WorkerApp, settings: Settings, state: RedisState) -> None:
    @app.agent(_raw_topic(app, settings.topics.alerts), name="alerts")
    async def alerts_agent(stream: faust.StreamT[bytes]) -> None:
        async for value in stream:
            try:
                alert = read(value, Alert)
            except Rejected as rejected:
                _log.warning("alerts: somebody else's message: %s", rejected)
                continue
            firing = alert.status == "firing"
            await asyncio.to_thread(state.log_alert, alert.incident_id, value, firing)


def _credentials(settings: Settings) -> Any:
    """Return for Faust's client what `kafka.options` say to the other one."""
    found = security(settings.kafka.options)
    if found.mechanism is None:
        return faust.SSLCredentials(found.tls) if found.tls else None
    return faust.SASLCredentials(
        username=found.username, password=found.password, ssl_context=found.tls, mechanism=found.mechanism
    )


def _add_pages(app: WorkerApp, state: RedisState) -> None:
    app.web.blueprints = BlueprintManager()  # Faust's own pages show what is not everybody's

    @app.page("/livez")
    async def livez(web: Any, request: Any) -> Any:
        """Answers 200 while every stage's thread moves, if only to wait for a server."""
        alive = {stage.name: stage.alive() for stage in app.stages}
        return web.json({"stages": alive}, status=200 if all(alive.values()) else 503)

    @app.page("/readyz")
    async def readyz(web: Any, request: Any) -> Any:
        """Answers 200 when every stage is at work and Redis answers; else 503 and why."""
        try:
            redis_answers = await asyncio.wait_for(asyncio.to_thread(state.ping), ANSWER_SECONDS)
        except TimeoutError:
            redis_answers = False
        stages = {
            stage.name: {"ready": stage.ready(), "trouble": stage.trouble, "restarts": stage.restarts}
            for stage in app.stages
        }
        ready = redis_answers and all(stage.ready() for stage in app.stages)
        status = 200 if ready else 503
        return web.json({"ready": ready, "redis": redis_answers, "stages": stages}, status=status)


def _add_presence(app: WorkerApp, roles: frozenset[str], state: RedisState) -> None:
    started_ms = int(time.time() * 1_000)
    name = f"{platform.node()}:{os.getpid()}"

    async def presence() -> None:
        """Says in Redis that this worker is there, and how far it is."""
        card = {
            "host": platform.node(),
            "pid": os.getpid(),
            "roles": sorted(roles),
            "started_ms": started_ms,
            "seen_ms": int(time.time() * 1_000),
            "processed": {stage.name: stage.processed for stage in app.stages},
            "trouble": {stage.name: stage.trouble for stage in app.stages if stage.trouble},
        }
        try:
            await asyncio.to_thread(state.write, {keys.WORKERS: {name: json.dumps(card)}})
        except TidegaugeError as error:
            _log.warning("presence: %s", error)

    app.timer(PRESENCE_SECONDS)(presence)


def _raw_topic(app: faust.App, name: str) -> Any:
    return app.topic(name, key_serializer="raw", value_serializer="raw", value_type=bytes)
