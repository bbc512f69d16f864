"""Rows made by columns are the rows that events make one by one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.block import Block, OutcomeRows, PredictionRows, Ragged, Trigger
from tidegauge.block_builder import DTYPES, MAPS, BlockBuilder
from tidegauge.block_check import check
from tidegauge.config import Limits
from tidegauge.errors import Rejected
from tidegauge.events import Decoder
from tidegauge.join import (
    Arrival,
    MemoryWindow,
    Resolution,
    Resolutions,
    Rules,
    Side,
    key_of,
    pack_labelled,
    pack_predicted,
    unpack_labelled,
    unpack_predicted,
)
from tidegauge.ports import Record
from tidegauge.stages import rows as stage_rows
from tidegauge.stages.batch import Contexts, decoded
from tidegauge.stages.rows import Resolved, Rows, destination, letters

SIDES = {"predictions": Side.PREDICTION, "labels": Side.LABEL}
RULES = Rules(1_000_000, 0)
LIMITS = Limits(segments=2, text_bytes=40, id_bytes=16)
NUMBERS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(-1e9, 1e9))
SCALARS = st.one_of(NUMBERS, st.sampled_from(["x", "12", "é" * 12]))
TIMES = st.one_of(
    st.none(),
    st.integers(1_357_000_000, 1_357_000_400),
    st.floats(1_357_000_000, 1_357_000_400),
    st.integers(1_357_000_000_000, 1_357_000_400_000),
    st.sampled_from(["2013-01-01T00:30:00Z", "yesterday", -5, 1e300, 2**80, 1_999_000_000]),
)
PREDICTIONS = st.fixed_dictionaries(
    {
        "prediction_id": st.sampled_from(["a", "b", "c", "d", "é" * 9, ""]),
        "model_id": st.sampled_from(["churn", "price", "flights"]),
        "model_version": st.sampled_from(["v1", "v2"]),
        "prediction": st.one_of(SCALARS, st.lists(st.integers(0, 9), max_size=3)),
        "predicted_at": TIMES,
    },
    optional={
        "prediction_proba": st.one_of(
            st.none(), st.floats(0, 1), st.dictionaries(st.sampled_from(["x", "y"]), st.floats(0, 1))
        ),
        "features": st.dictionaries(st.sampled_from(["f", "g", "h"]), st.one_of(SCALARS, st.none())),
        "segments": st.dictionaries(st.sampled_from(["s", "t", "u"]), st.sampled_from(["1", "2"])),
        "entity_id": st.one_of(st.none(), st.sampled_from(["e1", "e2"])),
        "latency_ms": st.one_of(st.none(), st.floats(0, 100)),
        "resources": st.dictionaries(st.sampled_from(["cpu", "gpu"]), st.floats(0, 9)),
        "value": st.one_of(st.none(), st.floats(-10, 10)),
    },
)
LABELS = st.fixed_dictionaries(
    {
        "prediction_id": st.sampled_from(["a", "b", "c", "d"]),
        "label": st.one_of(
            SCALARS,
            st.lists(st.one_of(st.integers(0, 9), st.sampled_from(["x", "7"])), max_size=3),
            st.dictionaries(st.sampled_from(["x", "7", "z"]), st.sampled_from([0, 1, 2.5, -1]), max_size=3),
        ),
        "labelled_at": TIMES,
    },
    optional={
        "weight": st.sampled_from([1.0, 0.5, 0]),
        "kpis": st.dictionaries(st.sampled_from(["k", "j"]), st.floats(0, 9)),
        "partial": st.booleans(),
    },
)
VALUES = st.one_of(
    st.tuples(st.just("predictions"), PREDICTIONS.map(lambda each: json.dumps(each).encode())),
    st.tuples(st.just("labels"), LABELS.map(lambda each: json.dumps(each).encode())),
    st.tuples(
        st.sampled_from(list(SIDES)), st.sampled_from([None, b"", b"{", b'{"a": "\xff"}', b"[" * 5_000])
    ),
)


def admit(model_id: str, version: str) -> None:
    if (model_id, version) == ("flights", "v2"):
        raise Rejected("too_many", "one too many", "$.model_id")


def records(values: list[tuple[str, bytes | None]], time_ms: int) -> list[Record]:
    offsets = dict.fromkeys(((topic, part) for topic in SIDES for part in (0, 1)), 0)
    found = []
    for number, (topic, value) in enumerate(values):
        partition = number * 7 % 3 % 2
        offsets[topic, partition] += 1
        found.append(Record(topic, partition, offsets[topic, partition], time_ms, None, value))
    return found


def padded(value: bytes | None) -> bytes | None:
    """The same event in so many bytes that its features are read by layouts."""
    return value[:-1] + b', "seen": "%s"}' % (b"." * 5_000) if value and value.endswith(b"}") else value


def one_by_one(batch: list[Record]) -> tuple[list[Arrival], list[Any]]:
    decoder, arrivals, events = Decoder(LIMITS), [], []
    for topic, partition, offset, time_ms, _, value in batch:
        side = SIDES[topic]
        try:
            if side is Side.PREDICTION:
                event: Any = decoder.prediction(value, time_ms)
                admit(event.predicted.model_id, event.predicted.model_version)
                at_ms, payload = event.predicted.predicted_at_ms, pack_predicted(event.predicted)
            else:
                event = decoder.label(value, time_ms)
                at_ms, payload = event.labelled_at_ms, pack_labelled(event.labelled)
        except Rejected as reason:
            arrivals.append(Arrival(side, b"", partition, offset, 0, b"", rejected=True))
            events.append(reason)
            continue
        key = key_of(event.prediction_id)
        arrivals.append(Arrival(side, key, partition, offset, at_ms, payload, event.prediction_id))
        events.append(event)
    return arrivals, events


def built(
    batch: list[Record], arrivals: list[Arrival], events: list[Any], found: list[Resolution], again: bool
) -> dict[int, Block]:
    builders: dict[int, BlockBuilder] = {}
    for record, arrival, event, resolution in zip(batch, arrivals, events, found, strict=True):
        outcomes = resolution.outcomes + (resolution.instead if again and not resolution.replay else ())
        if not (resolution.emit_prediction or outcomes):
            continue
        trigger = Trigger(record.topic, record.partition, record.offset)
        number = int.from_bytes(arrival.key[:8], "little")
        if arrival.side is Side.PREDICTION:
            predicted = event.predicted
        else:
            predicted = unpack_predicted(resolution.predicted, resolution.predicted_at_ms)
        builder = builders.setdefault(destination(predicted.model_id, 2), BlockBuilder())
        if resolution.emit_prediction:
            builder.prediction(
                event.prediction_id, number, trigger, predicted,
                event.features, event.latency_ms, event.resources, event.entity_id,
            )  # fmt: skip
        for row in outcomes:
            builder.outcome(
                event.prediction_id, number, trigger, predicted, unpack_labelled(row.label),
                row.labelled_at_ms, row.revision, row.sign, again and not resolution.replay,
            )  # fmt: skip
    return {partition: builder.build() for partition, builder in builders.items()}


def plain(block: Block, table: str) -> list[dict[str, Any]]:
    """The rows of a table, without the codes that a block is free to give."""
    rows: PredictionRows | OutcomeRows = getattr(block, table)
    columns: dict[str, list[Any]] = {}
    for name in DTYPES[table]:
        column = getattr(rows, name)
        columns[name] = list(column) if isinstance(column, tuple) else column.tolist()
    for name in ("model", "version", "text", "label_text", "entity"):
        if name in columns:
            columns[name] = [None if code < 0 else block.strings[code] for code in columns[name]]
    columns["segments"] = [block.segments[code] for code in columns["segments"]]
    columns["source"] = [block.sources[code] for code in columns["source"]]
    for name in MAPS[table]:
        columns[name] = maps(getattr(rows, name), block.strings)
    return [
        {name: _known(value) for name, value in zip(columns, row, strict=True)}
        for row in zip(*columns.values(), strict=True)
    ]


def maps(column: Ragged, strings: tuple[str, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{}] * len(column.layout)
    for layout, places, values in column.groups():
        for place, row in zip(places.tolist(), values.tolist(), strict=True):
            found[place] = {
                name: _known(value) if not text else strings[int(value)] if value >= 0 else None
                for name, text, value in zip(layout.names, layout.text, row, strict=True)
            }
    return found


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


@settings(deadline=None, max_examples=300)
@given(st.lists(VALUES, max_size=12), st.booleans(), st.sampled_from([-1, 1_357_000_200_000]), st.booleans())
def test_columns_say_what_events_say_one_by_one(
    values: list[tuple[str, bytes | None]], again: bool, time_ms: int, wide: bool
) -> None:
    batch = records([(topic, padded(value) if wide else value) for topic, value in values], time_ms)
    arrivals, events = one_by_one(batch)
    contexts = Contexts(admit)
    taken = decoded(batch, SIDES, Decoder(LIMITS), contexts)
    assert [each._replace(prediction_id="") for each in taken.arrivals] == [
        each._replace(prediction_id="") for each in arrivals
    ]
    assert {place: (each.reason, each.path) for place, each in taken.rejected.items()} == {
        place: (each.reason, each.path) for place, each in enumerate(events) if isinstance(each, Rejected)
    }
    window = MemoryWindow(RULES)
    for found in (window.apply(arrivals, 0), window.apply(arrivals, 0)):
        resolutions = Resolutions.of(found)
        resolved = Resolved(taken, resolutions, again & ~resolutions.replayed)
        blocks = dict(Rows(resolved, contexts, 2).blocks())
        wanted = built(batch, arrivals, events, found, again)
        assert blocks.keys() == wanted.keys()
        for partition, block in blocks.items():
            check(block)
            for table in ("predictions", "outcomes"):
                assert plain(block, table) == plain(wanted[partition], table)
        assert [letter.offset for letter in letters(resolved)] == [
            record.offset
            for record, event, each in zip(batch, events, found, strict=True)
            if isinstance(event, Rejected) or each.verdict in ("late", "rejected")
        ]


def test_a_batch_of_many_bytes_becomes_blocks_in_the_order_of_its_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage_rows, "BLOCK_BYTES", 300)
    event = {"model_id": "m", "model_version": "v", "prediction": 1, "predicted_at": 1_357_000_000}
    values = [json.dumps(event | {"prediction_id": f"p{number}"}).encode() for number in range(9)]
    batch = [Record("predictions", 0, number, -1, None, value) for number, value in enumerate(values)]
    contexts = Contexts(lambda model_id, version: None)
    taken = decoded(batch, SIDES, Decoder(Limits()), contexts)
    resolutions = Resolutions.of(MemoryWindow(RULES).apply(taken.arrivals, 0))
    found = list(Rows(Resolved(taken, resolutions, resolutions.replayed), contexts, 1).blocks())
    assert len(found) > 2
    assert np.concatenate([block.predictions.offset for _, block in found]).tolist() == list(range(9))
