"""A worker of the product, with sabotaged ports: `python -m tests.faults.worker_main SETTINGS PLAN ROLES`."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import redis

from tests.faults import sabotage
from tests.faults.sabotage import JoinProducer, JoinWindow, MonitorConsumer, MonitorStore, Plan, Sabotage
from tidegauge import app
from tidegauge.adapters.kafka import BatchConsumer, RowProducer
from tidegauge.adapters.redis_state import RedisState
from tidegauge.adapters.redis_window import RedisWindow
from tidegauge.config import Settings
from tidegauge.join import Rules
from tidegauge.ports import Consumer, Ownership, Patience
from tidegauge.stages.join import JoinStage
from tidegauge.stages.monitor import MonitorStage


def main(settings_path: str, plan_text: str, roles: str) -> int:
    settings = msgspec.json.decode(Path(settings_path).read_bytes(), type=Settings)
    spoiled = Sabotage(msgspec.json.decode(plan_text, type=Plan))
    return app.run(settings, frozenset(roles.split(",")), _builders(settings, spoiled))


def _builders(settings: Settings, spoiled: Sabotage) -> app.Builders:
    state = RedisState(settings.redis)
    client = redis.Redis.from_url(settings.redis.url)
    kafka, topics, join = settings.kafka, settings.topics, settings.join
    rules = Rules(join.horizon_seconds * 1_000, join.lateness_seconds * 1_000, settings.limits.revisions)

    def join_group(own: Ownership) -> Consumer:
        names = [topics.predictions, topics.labels]
        own = spoiled.ownership(own, "revoking-join")
        return BatchConsumer(kafka, "join", names, own, join.gather_ms / 1_000)

    def monitor_group(own: Ownership) -> Consumer:
        own = spoiled.ownership(own, "revoking-monitor")
        consumer = BatchConsumer(kafka, "monitor", [topics.observations], own)
        return MonitorConsumer(consumer, spoiled) if spoiled.plan.without == "dedupe" else consumer

    def join_stage(patience: Patience) -> JoinStage:
        window = RedisWindow.connect(
            settings.redis.url,
            rules,
            join.shards,
            join.buckets,
            timeout_seconds=settings.redis.timeout_seconds,
        )
        producer = JoinProducer(RowProducer(kafka), spoiled)
        wrapped = JoinWindow(window, spoiled, sabotage.forgetting(client, join.shards))
        return JoinStage(settings, join_group, producer, wrapped, state, patience)

    def monitor_stage(patience: Patience) -> MonitorStage:
        store = MonitorStore(state, spoiled, sabotage.newest_epoch(client))
        return MonitorStage(settings, monitor_group, RowProducer(kafka), store, patience)

    return {"join": join_stage, "monitor": monitor_stage}


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
