"""Rankings through the monitor, against the rows that each window should hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.metrics.test_catalogue import plainly
from tests.metrics.test_ranking import written_out
from tests.monitor.streams import HOUR_MS, Observed, binary, blocks
from tidegauge.adapters import block_codec
from tidegauge.config import Drift, Model, Rule, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.errors import ConfigError
from tidegauge.monitor import Monitor, check
from tidegauge.records import Alert, Control

KEY = "tg:metrics:shop:v1"
CUTOFFS = (3, 5)
SETTINGS = Settings(
    monitor=MonitorSettings(
        count_windows=(50,), time_windows=("1h", "24h"), baseline_outcomes=100, ranking_k=CUTOFFS
    ),
    rules=(Rule(metric="ndcg@5", window="50", min_samples=20, consecutive=2, every_outcomes=10),),
    models={"shop": Model(catalogue_items=60)},
    drift=Drift(reference_rows=200, min_samples=100, window="24h", consecutive=2, detectors=("adwin",)),
)


def ranked(count: int, seed: int, skill: float = 0.5, start: int = 0, **fields: Any) -> list[Observed]:
    """Return lists of eight items, of which some are relevant, more often the first ones; minutes apart."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(start, start + count):
        shown = [f"i{item}" for item in random.permutation(50)[:8]]
        chance = skill * 0.8 ** np.arange(8)
        gains = {item: float(random.integers(1, 4)) for item in np.array(shown)[random.random(8) < chance]}
        if random.random() < 0.3:
            gains["unseen"] = 2.0
        label: Any = {str(item): gain for item, gain in gains.items()}
        rows.append(Observed(f"{seed}-{number}", number * 60_000, shown, (label,), model="shop", **fields))
    return rows


def watch(settings: Settings, stream: list[Observed], size: int = 16) -> tuple[Monitor, list[Alert]]:
    monitor, alerts = Monitor(settings), []
    for block in blocks(stream, size, late=3):
        alerts += monitor.observe(block_codec.decode(block_codec.encode(block)))
    return monitor, alerts


def expected(rows: list[Observed], cutoffs: tuple[int, ...] = CUTOFFS) -> dict[str, float]:
    names = [f"{metric}@{k}" for k in cutoffs for metric in ("precision", "recall", "ndcg", "hit_rate")]
    each = np.array([written_out(one.prediction, one.labels[-1], cutoffs) for one in rows], np.float64)
    return dict(zip([*names, "map", "mrr"], np.nanmean(each, axis=0), strict=True))


def assert_is(fields: dict[str, str], window: str, rows: list[Observed]) -> None:
    for name, value in expected(rows).items():
        assert float(fields[f"{name}@{window}"]) == pytest.approx(value, abs=1e-12), (name, window)
    assert fields[f"precision@3@{window}.n"] == str(len(rows))
    assert fields[f"map@{window}.n"] == str(sum(bool(one.labels[-1]) for one in rows))


def in_window(stream: list[Observed], window_ms: int, panes: int = 12) -> list[Observed]:
    pane_ms = window_ms // panes
    start = (stream[-1].at_ms // pane_ms - panes + 1) * pane_ms
    return [one for one in stream if one.at_ms >= start]


@pytest.mark.parametrize("size", [1, 7, 64, 1_000])
def test_every_window_is_the_mean_over_its_rows_whatever_the_blocks(size):
    stream = ranked(400, seed=1)
    monitor, _ = watch(SETTINGS, stream, size)
    fields = monitor.report().writes[KEY]
    assert_is(fields, "1h", in_window(stream, HOUR_MS))
    assert_is(fields, "24h", stream)
    assert_is(fields, "50", stream[-50:])
    assert json.loads(monitor.report().writes.get("tg:model:shop", {}).get("classes", "[]")) == []


def test_a_correction_puts_the_new_set_of_relevant_items_in_the_place_of_the_old() -> None:
    stream = [
        replace(one, labels=({}, {"i1": 1.0}, one.labels[0])) if number % 3 == 0 else one
        for number, one in enumerate(ranked(300, seed=2))
    ]
    fields = watch(SETTINGS, stream)[0].report().writes[KEY]
    assert_is(fields, "24h", stream)
    assert_is(fields, "50", stream[-50:])


def test_relevant_items_as_a_list_count_one_each_and_a_lone_text_is_a_list_of_one() -> None:
    stream = [
        Observed("a", 0, ["x", 7, "z"], (["z", 7.0, "q"],), model="shop"),
        Observed("b", 1, ["x", "y"], ("y",), model="shop"),
        Observed("c", 2, "x", (["x"],), model="shop"),
        Observed("d", 3, ["x"], (0.5,), model="shop"),
    ]
    fields = watch(SETTINGS, stream)[0].report().writes[KEY]
    ones = [
        replace(stream[0], prediction=["x", "7", "z"], labels=(dict.fromkeys(("z", "7", "q"), 1.0),)),
        replace(stream[1], labels=({"y": 1.0},)),
        replace(stream[2], prediction=["x"], labels=({"x": 1.0},)),
    ]
    assert_is(fields, "24h", ones)
    assert fields["n@24h"] == "4.0"


def test_a_state_continues_as_if_nothing_had_happened() -> None:
    stream = ranked(300, seed=3, segments=(("country", "FR"),))
    settings = msgspec.structs.replace(SETTINGS, models={"shop": Model(segments=("country",))})
    whole, _ = watch(settings, stream)
    first, _ = watch(settings, [])
    parts = list(blocks(stream, 16, late=3))
    for part in parts[:9]:
        first.observe(part)
    second = Monitor(settings)
    second.restore(block_codec.unpack(block_codec.pack(first.state())))
    for part in parts[9:]:
        second.observe(part)
    assert second.report().writes == whole.report().writes


def test_after_a_change_of_cutoffs_and_cells_the_rest_of_the_state_is_kept() -> None:
    monitor, _ = watch(SETTINGS, ranked(200, seed=4))
    changed = msgspec.structs.replace(
        SETTINGS,
        rules=(),
        monitor=msgspec.structs.replace(SETTINGS.monitor, ranking_k=(2,), catalogue_cells=1_024),
    )
    other = Monitor(changed)
    other.restore(block_codec.unpack(block_codec.pack(monitor.state())))
    more = ranked(20, seed=5, start=200)
    offset = Observed("skipped", 200 * 60_000, ["i1"], ({"i1": 1.0},), model="shop")
    for block in blocks([offset] * 200 + more, 220):
        other.observe(block)
    fields = other.report().writes[KEY]
    assert "ndcg@2@24h" in fields
    assert "ndcg@5@24h" not in fields
    assert int(float(fields["n@24h"])) == 220


def test_what_is_shown_is_told_without_any_label() -> None:
    stream = ranked(150, seed=6)
    monitor = Monitor(SETTINGS)
    for block in blocks(stream, 16, late=1_000):
        if len(block.predictions.offset):
            monitor.observe(block)
    fields = monitor.report().writes[KEY]
    items, diversity, novelty = plainly([one.prediction[:5] for one in in_window(stream, HOUR_MS)])
    assert float(fields["catalogue_items@1h"]) == pytest.approx(items, rel=0.03)
    assert float(fields["catalogue_coverage@1h"]) == pytest.approx(items / 60, rel=0.03)
    assert float(fields["diversity@1h"]) == pytest.approx(diversity, abs=0.01)
    assert float(fields["novelty@1h"]) == pytest.approx(novelty, abs=0.05)
    assert "ndcg@5@1h" not in fields


def test_another_task_has_neither_lists_nor_their_metrics() -> None:
    fields = watch(SETTINGS, binary(120, seed=7))[0].report().writes["tg:metrics:churn:v1"]
    assert not [name for name in fields if name.startswith(("ndcg", "novelty", "catalogue"))]


def test_worse_lists_raise_an_alert_of_the_rule_and_of_the_detector_and_better_ones_end_it() -> None:
    stream = [*ranked(600, seed=8, skill=0.9), *ranked(600, seed=9, skill=0.1, start=600)]
    _, alerts = watch(SETTINGS, stream)
    firing = {alert.rule for alert in alerts if alert.status == "firing"}
    assert "ndcg@5@50 < 0.9*baseline" in firing
    assert "adwin" in firing
    stream += ranked(600, seed=10, skill=0.9, start=1_200)
    _, alerts = watch(SETTINGS, stream)
    assert ("ndcg@5@50 < 0.9*baseline", "resolved") in {(alert.rule, alert.status) for alert in alerts}


def test_the_prediction_drift_of_a_ranking_is_that_of_the_first_item() -> None:
    fresh = [
        replace(one, prediction=["new", *one.prediction[1:]]) if one.at_ms > 400 * 60_000 else one
        for one in ranked(800, seed=11)
    ]
    fields = watch(SETTINGS, fresh)[0].report().writes["tg:drift:shop:v1"]
    assert fields["prediction.psi.verdict"] == "drift"
    assert fields["prediction.psi.moved_most"] in ("(other)", "new", "other", "unseen")


def test_a_rule_on_a_proxy_fires_against_early_production_without_a_word_of_truth() -> None:
    rule = Rule(metric="kpi.clicked.mean", window="1h", min_samples=20, consecutive=2, every_outcomes=10)
    settings = msgspec.structs.replace(SETTINGS, rules=(rule,))
    random = np.random.default_rng(12)
    stream = [
        replace(one, kpis={"clicked": float(random.random() < (0.5 if number < 400 else 0.2))})
        for number, one in enumerate(ranked(800, seed=12))
    ]
    _, alerts = watch(settings, stream)
    assert [alert.rule for alert in alerts if alert.kind == "performance"][:1] == [
        "kpi.clicked.mean@1h < 0.9*baseline"
    ]


def without_truth(count: int, seed: int, before: float, after: float, **fields: Any) -> list[Observed]:
    """Return lists of which nothing is known but whether one was clicked, less or more often at the end."""
    random = np.random.default_rng(seed)
    return [
        replace(
            one, labels=([],), kpis={"clicked": float(random.random() < (before, after)[2 * number > count])}
        )
        for number, one in enumerate(ranked(count, seed, **fields))
    ]


@pytest.mark.parametrize(("error", "after"), [("-kpi.clicked", 0.2), ("kpi.clicked", 0.8)])
@pytest.mark.parametrize("detector", ["e_sr", "adwin"])
def test_a_detector_finds_that_a_proxy_got_worse_and_nothing_where_it_got_better(error, after, detector):
    drift = msgspec.structs.replace(SETTINGS.drift, detectors=(detector,), reference_outcomes=500)
    settings = msgspec.structs.replace(SETTINGS, rules=(), drift=drift, models={"shop": Model(error=error)})
    _, alerts = watch(settings, without_truth(2_400, 14, 0.5, after))
    assert [(alert.rule, alert.drift_type) for alert in alerts][:1] == [(detector, "concept_drift")]
    _, alerts = watch(settings, without_truth(2_400, 14, 0.5, 1.0 - after))
    assert [alert for alert in alerts if alert.status == "firing"] == []


def test_a_rule_is_judged_though_no_list_had_a_relevant_item() -> None:
    rule = Rule(metric="kpi.clicked.mean", window="1h", min_samples=20, consecutive=2, every_outcomes=10)
    _, alerts = watch(msgspec.structs.replace(SETTINGS, rules=(rule,)), without_truth(800, 15, 0.5, 0.2))
    assert alerts[0].rule == "kpi.clicked.mean@1h < 0.9*baseline"


def test_the_error_of_another_model_stays_its_own() -> None:
    settings = msgspec.structs.replace(SETTINGS, models={"shop": Model(error="-kpi.clicked")})
    stream = binary(900, seed=16, kpis={"clicked": 1.0})
    alone, _ = watch(msgspec.structs.replace(SETTINGS, models={}), stream)
    beside, _ = watch(settings, stream)
    assert alone.report().writes == beside.report().writes


def test_a_reset_forgets_what_was_shown() -> None:
    monitor, _ = watch(SETTINGS, ranked(100, seed=13))
    monitor.control(Control(action="reset", model_id="shop", model_version="v1"))
    fields = monitor.report().writes[KEY]
    assert "novelty@24h" not in fields


def test_a_cutoff_that_is_not_kept_stops_the_start() -> None:
    with pytest.raises(ConfigError, match=r"rules\[0\]\.metric: expected a cutoff of 5, 10, got 'ndcg@7'"):
        check(Settings(rules=(Rule(metric="ndcg@7"),)))
    with pytest.raises(ConfigError, match=r"models\.shop\.detectors"):
        check(Settings(models={"shop": Model(task="ranking", detectors=("ddm",))}))
