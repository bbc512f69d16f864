"""The pure core of the product in one process, from raw events to what it would publish."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from tidegauge.block import Trigger
from tidegauge.block_builder import BlockBuilder
from tidegauge.config import Settings
from tidegauge.demo.book import Seen
from tidegauge.demo.stored import Stored, _series
from tidegauge.errors import Rejected
from tidegauge.events import Decoder
from tidegauge.join import (
    Arrival,
    MemoryWindow,
    Rules,
    Side,
    key_of,
    pack_labelled,
    pack_predicted,
    unpack_labelled,
    unpack_predicted,
)
from tidegauge.monitor import Monitor
from tidegauge.records import Alert
from tidegauge.simulate.raw import PREDICTIONS, RawEvent


class Run(NamedTuple):
    stored: Stored
    order: list[Seen]
    alerts: list[Alert]


def run(settings: Settings, events: Iterable[RawEvent], block_events: int = 400) -> Run:
    """Return what the product publishes about the events, taken in this order."""
    join = settings.join
    window = MemoryWindow(Rules(join.horizon_seconds * 1_000, join.lateness_seconds * 1_000))
    decoder, monitor = Decoder(settings.limits), Monitor(settings)
    alerts: list[Alert] = []
    order: list[Seen] = []
    offsets = dict.fromkeys(Side, 0)
    watermark_ms, block, builder = 0, 0, BlockBuilder()
    for number, event in enumerate(events):
        side = Side.PREDICTION if event.side == PREDICTIONS else Side.LABEL
        offset = offsets[side] = offsets[side] + 1
        watermark_ms = max(watermark_ms, event.time_ms)
        arrival, decoded = _arrival(decoder, event, side, offset)
        (resolution,) = window.apply([arrival], watermark_ms)
        trigger = Trigger(event.side, 0, offset)
        if resolution.emit_prediction:
            builder.prediction(
                decoded.prediction_id, _hash(arrival), trigger, decoded.predicted, decoded.features,
                decoded.latency_ms, decoded.resources, decoded.entity_id,
            )  # fmt: skip
        for row in resolution.outcomes:
            builder.outcome(
                decoded.prediction_id, _hash(arrival), trigger,
                unpack_predicted(resolution.predicted, resolution.predicted_at_ms),
                unpack_labelled(row.label), row.labelled_at_ms, row.revision, row.sign,
            )  # fmt: skip
            order.append(Seen(decoded.prediction_id, row.revision, row.sign, block))
        if number % block_events == block_events - 1:
            alerts += monitor.observe(builder.build())
            block, builder = block + 1, BlockBuilder()
    alerts += monitor.observe(builder.build())
    window.sweep(watermark_ms)
    counters = window.counters() | {"watermark_ms": watermark_ms}
    return Run(_stored(monitor, counters, alerts), order, alerts)


def _arrival(decoder: Decoder, event: RawEvent, side: Side, offset: int) -> tuple[Arrival, Any]:
    try:
        if side is Side.PREDICTION:
            made = decoder.prediction(event.value, event.time_ms)
            key, at_ms = key_of(made.prediction_id), made.predicted.predicted_at_ms
            return Arrival(side, key, 0, offset, at_ms, pack_predicted(made.predicted)), made
        told = decoder.label(event.value, event.time_ms)
        payload = pack_labelled(told.labelled)
        arrival = Arrival(
            side, key_of(told.prediction_id), 0, offset, told.labelled_at_ms, payload, told.prediction_id
        )
        return arrival, told
    except Rejected:
        return Arrival(side, b"", 0, offset, 0, b"", rejected=True), None


def _hash(arrival: Arrival) -> int:
    return int.from_bytes(arrival.key[:8])


def _stored(monitor: Monitor, counters: dict[str, int], alerts: list[Alert]) -> Stored:
    stored = Stored(join={name: str(count) for name, count in counters.items()})
    for key, fields in monitor.report().writes.items():
        if key.startswith("tg:metrics:"):
            stored.metrics[_series(key)] = fields
        elif key.startswith("tg:model:"):
            stored.models[key.removeprefix("tg:model:")] = fields
        elif key.startswith("tg:baseline:"):
            stored.baselines[_series(key)] = fields
    for alert in alerts:
        if alert.status == "firing":
            stored.active[alert.incident_id] = msgspec.to_builtins(alert)
        else:
            del stored.active[alert.incident_id]
    stored.log = [msgspec.to_builtins(alert) for alert in reversed(alerts)][:1_000]
    return stored


def write(client: Any, run: Run) -> None:
    """Put what is published into a store, under the documented keys."""
    client.hset("tg:join", mapping=run.stored.join)
    for model, fields in run.stored.models.items():
        client.sadd("tg:models", model)
        client.hset(f"tg:model:{model}", mapping=fields)
    for kind, hashes in (("metrics", run.stored.metrics), ("baseline", run.stored.baselines)):
        for series, fields in hashes.items():
            segment = f":{'='.join(series.segment)}" if series.segment else ""
            client.hset(f"tg:{kind}:{series.model}:{series.version}{segment}", mapping=fields)
    for incident, alert in run.stored.active.items():
        client.hset("tg:alerts:active", incident, msgspec.json.encode(alert))
    for alert in run.stored.log:
        client.rpush("tg:alerts:log", msgspec.json.encode(alert))
