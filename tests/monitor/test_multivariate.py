"""What features have in common is watched, published and kept, where the settings say so."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.monitor.streams import Observed, binary, blocks
from tests.monitor.test_any_stream import FEATURES
from tests.monitor.test_layouts import leaves
from tidegauge.adapters import block_codec
from tidegauge.block import Block
from tidegauge.config import Drift, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.drift.pair_shift import LEAST_REFERENCE, STEP
from tidegauge.errors import SnapshotError
from tidegauge.monitor import Monitor
from tidegauge.records import Alert, Control

REFERENCE = 2_000
HEALTHY = REFERENCE + LEAST_REFERENCE + 8 * STEP
SETTINGS = Settings(
    monitor=MonitorSettings(count_windows=(50,), time_windows=("24h",), panes=4),
    rules=(),
    drift=Drift(
        reference_rows=REFERENCE, min_samples=100, window="24h", multivariate=10, domain_classifier=True
    ),
)
KEY = "tg:drift:churn:v1"


@cache
def every() -> list[Block]:
    """Return rows whose age and income are correlated by 0.7, and after HEALTHY rows by -0.7."""
    draw = np.random.default_rng(1)
    stream: list[Observed] = []
    for place, one in enumerate(binary(HEALTHY + 8 * STEP, seed=1, step_ms=5_000)):
        age, other = draw.normal(size=2)
        together = 0.7 if place < HEALTHY else -0.7
        income = together * age + (1 - together**2) ** 0.5 * other
        features = {"age": age, "income": income, "plan": "abc"[draw.integers(3)]}
        stream.append(replace(one, features=features))
    return list(blocks(stream, 500))


def alerts_of(monitor: Monitor, some: list[Block]) -> list[Alert]:
    return [alert for block in some for alert in monitor.observe(block)]


def test_a_pair_that_turns_round_is_one_alert_though_no_feature_moves() -> None:
    monitor = Monitor(SETTINGS)
    alerts = alerts_of(monitor, every())
    assert [(one.status, one.drift_type, one.rule) for one in alerts] == [("firing", "data_drift", "e_d_bh")]
    assert alerts[0].evidence.metric == "pairs.shift"
    assert alerts[0].evidence.feature == "age and income"
    assert "age and income (0.6" in alerts[0].message
    fields = monitor.report().writes[KEY]
    assert json.loads(fields["multivariate.features"]) == ["age", "income", "plan"]
    assert [one["pair"] for one in json.loads(fields["multivariate.moved"])] == [["age", "income"]]
    assert int(fields["multivariate.n"]) == 16 * STEP
    extreme = json.loads(fields["multivariate.max_z"])
    assert (extreme["of"], extreme["features"]) == ("correlation", ["age", "income"])
    assert extreme["beyond"]
    assert not json.loads(fields["multivariate.t_squared"])["beyond"]
    assert json.loads(fields["multivariate.reconstruction"])["n"] == 4 * STEP
    assert json.loads(fields["multivariate.domain_auc"])["value"] == pytest.approx(0.5, abs=0.05)
    assert json.loads(fields["shift.moved"]) == []


@pytest.mark.parametrize("cut", [3, 10, 16, 18])
def test_what_was_learned_survives_a_restart(cut: int) -> None:
    through, first, again = (Monitor(SETTINGS) for _ in range(3))
    expected = [through.observe(block) for block in every()]
    alerts_of(first, every()[:cut])
    again.restore(block_codec.unpack(block_codec.pack(first.state())))
    assert [again.observe(block) for block in every()[cut:]] == expected[cut:]
    assert again.report() == through.report()


def test_without_the_setting_nothing_is_kept_and_nothing_is_said() -> None:
    off = msgspec.structs.replace(SETTINGS, drift=msgspec.structs.replace(SETTINGS.drift, multivariate=0))
    monitor = Monitor(off)
    assert alerts_of(monitor, every()) == []
    assert not [field for field in monitor.report().writes[KEY] if field.startswith("multivariate")]


def test_a_snapshot_from_before_the_setting_is_read_and_one_from_before_it_went() -> None:
    off = msgspec.structs.replace(SETTINGS, drift=msgspec.structs.replace(SETTINGS.drift, multivariate=0))
    for before, after in ((off, SETTINGS), (SETTINGS, off)):
        first, again = Monitor(before), Monitor(after)
        alerts_of(first, every()[:6])
        again.restore(block_codec.unpack(block_codec.pack(first.state())))
        alerts_of(again, every()[6:])
        fields = again.report().writes[KEY]
        assert ("multivariate.features" in fields) == (after is SETTINGS)


def test_a_reset_learns_anew() -> None:
    monitor = Monitor(SETTINGS)
    alerts_of(monitor, every())
    reset = Control(action="reset", model_id="churn", model_version="v1")
    (closed,) = monitor.control(reset)
    assert closed.status == "resolved"
    assert "reset" in closed.message


def test_a_part_that_is_something_else_is_refused_or_read() -> None:
    monitor = Monitor(SETTINGS)
    alerts_of(monitor, every()[:16])
    data = block_codec.pack(monitor.state())
    where = ("shift", "kept", 0, 1, "features", "multivariate")
    for path in leaves(inside(block_codec.unpack(data), where)):
        for foreign in ("x", None, [1], {}, np.zeros((2, 1)), np.full((3, 5), 9_999)):
            state = block_codec.unpack(data)
            inside(state, (*where, *path[:-1]) if path else where[:-1])[(*where, *path)[-1]] = foreign
            again = Monitor(SETTINGS)
            try:
                again.restore(state)
            except SnapshotError:
                continue
            alerts_of(again, every()[16:])


def inside(tree: Any, path: tuple[Any, ...]) -> Any:
    """Return what stands at a path."""
    for key in path:
        tree = tree[key]
    return tree


@pytest.mark.parametrize("seed", range(3))
def test_any_features_are_learned_and_looked_at(seed: int) -> None:
    draw = random.Random(seed)
    settings = msgspec.structs.replace(
        SETTINGS, drift=msgspec.structs.replace(SETTINGS.drift, reference_rows=300)
    )
    kinds = list(FEATURES.values())
    stream = [
        replace(one, features={"score": draw.random(), **draw.choice(kinds)(draw)})
        for one in binary(LEAST_REFERENCE + 8 * STEP, seed=seed)
    ]
    monitor = Monitor(settings)
    for block in blocks(stream, 70):
        monitor.observe(block)
    fields = monitor.report().writes[KEY]
    assert int(fields["multivariate.n"]) >= 4 * STEP
    assert json.loads(fields["multivariate.max_z"])["value"] is not None
