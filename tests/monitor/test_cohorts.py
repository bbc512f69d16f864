"""With a label age, detectors see outcomes by the time of their prediction, each at the same age."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from tests.monitor.streams import HOUR_MS, Observed, binary, outcomes, prediction
from tests.monitor.test_layouts import leaves
from tidegauge.adapters import block_codec
from tidegauge.block import Block
from tidegauge.block_builder import BlockBuilder
from tidegauge.config import Drift, Model, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.errors import SnapshotError
from tidegauge.monitor import Monitor
from tidegauge.monitor.cohorts import Cohorts
from tidegauge.monitor.first_labels import FirstLabels
from tidegauge.monitor.roster import ModelState, Roster
from tidegauge.records import Alert, Control

AGES = {"slow": 50, "own": 8, "none": 0}  # seconds, by model
SERIES = [("slow", None), ("slow", "x=1"), ("own", None), ("own", "x=1"), ("none", None)]
MIX = 0x9E3779B97F4A7C15


class Label(NamedTuple):
    """A first label of an outcome in one series."""

    series: int
    at_ms: int
    labelled_at_ms: int
    id_hash: int


def cohorts(most: int = 1_000) -> Cohorts:
    models = {"own": Model(label_age_seconds=AGES["own"]), "none": Model(label_age_seconds=0)}
    settings = Settings(drift=Drift(label_age_seconds=AGES["slow"]), models=models)
    roster = Roster(settings)
    kept = [[model, ModelState().plain() | {"watermark_ms": 0}] for model in AGES]
    roster.restore({"models": kept, "series": [[model, "v1", segment] for model, segment in SERIES]})
    return Cohorts(settings, roster, most)


def columns(labels: Sequence[Label]) -> FirstLabels:
    series, at_ms, labelled_at_ms = (np.array([one[place] for one in labels], np.int64) for place in range(3))
    ids = np.array([one.id_hash for one in labels], np.uint64)
    numbers = (ids % np.uint64(1_000)).astype(np.float64)
    return FirstLabels(series, at_ms, labelled_at_ms, ids, numbers, np.stack((numbers, numbers), axis=1))


def seen(first: FirstLabels) -> list[tuple[int, int, int]]:
    rows = zip(first.series.tolist(), first.at_ms.tolist(), first.id_hash.tolist(), strict=True)
    return list(rows)


def stream(draw: random.Random, count: int, step_ms: int) -> list[Label]:
    """Return labels with delays around the ages, some of them in disorder, some in two series."""
    found = []
    for number in range(count):
        series = draw.choice([0, 2, 4])
        at_ms = number * step_ms
        delay_ms = int(draw.expovariate(1) * draw.choice([1, 4_000, 40_000]))
        label = Label(series, at_ms, at_ms + delay_ms, draw.getrandbits(64))
        found.append((label.labelled_at_ms + draw.choice([0, 0, 0, 9_000]), label))
    order = [label for _, label in sorted(found)]
    return [each for one in order for each in ([one, one._replace(series=one.series + 1)]
            if one.series < 4 and one.id_hash % 3 == 0 else [one])]  # fmt: skip


def by_hand(labels: list[Label], most: int) -> dict[str, list[Label]]:
    """Return what goes on of each model, from one label after the other."""
    found: dict[str, list[Label]] = {model: [] for model in AGES}
    waiting: dict[str, list[Label]] = {model: [] for model in AGES}
    clock, level = dict.fromkeys(AGES, 0), dict.fromkeys(AGES, 0)
    for one in labels:
        model = SERIES[one.series][0]
        age_ms = 1_000 * AGES[model]
        if age_ms == 0:
            found[model].append(one)
            continue
        clock[model] = max(clock[model], one.labelled_at_ms)
        if one.labelled_at_ms - one.at_ms <= age_ms and chosen(one, level[model]):
            waiting[model].append(one)
        due = [each for each in waiting[model] if each.at_ms + age_ms < clock[model]]
        found[model] += sorted(due, key=lambda each: (each.at_ms, each.id_hash))
        waiting[model] = [each for each in waiting[model] if each.at_ms + age_ms >= clock[model]]
        while len(waiting[model]) > most:
            level[model] += 1
            waiting[model] = [each for each in waiting[model] if chosen(each, level[model])]
    return found


def chosen(one: Label, level: int) -> bool:
    return (one.id_hash * MIX % (1 << 64)) >> (64 - level) == 0


def pieces(draw: random.Random, labels: list[Label], most: int) -> Iterator[list[Label]]:
    while labels:
        size = draw.randint(1, most)
        yield labels[:size]
        labels = labels[size:]


@pytest.mark.parametrize("seed", range(15))
def test_any_stream_in_any_cut_goes_on_as_label_after_label(seed: int) -> None:
    draw = random.Random(seed)
    most = draw.choice([5, 40, 1_000])
    labels = stream(draw, 400, draw.choice([0, 100, 2_000]))
    expected = by_hand(labels, most)
    states = []
    for size in (1, 7, 90, len(labels)):
        own = cohorts(most)
        found = [one for piece in pieces(draw, labels, size) for one in seen(own.observe(columns(piece)))]
        for series, (model, _) in enumerate(SERIES):
            wanted = [(one.series, one.at_ms, one.id_hash) for one in expected[model]]
            assert [one for one in found if one[0] == series] == [one for one in wanted if one[0] == series]
        states.append(block_codec.pack(own.state()))
    assert len(set(states)) == 1


def test_labels_in_order_of_their_time_go_on_in_order_of_their_predictions() -> None:
    draw = random.Random(1)
    labels = [Label(0, at, at + draw.randint(0, 50_000), at) for at in range(0, 1_000_000, 500)]
    labels.sort(key=lambda one: one.labelled_at_ms)
    found = cohorts().observe(columns(labels))
    assert (np.diff(found.at_ms) > 0).all()
    assert found.at_ms[-1] >= labels[-1].labelled_at_ms - 50_000 - 500


def test_what_a_label_says_stays_with_it() -> None:
    labels = [Label(0, 100 - place, 101, place) for place in range(100)]
    own = cohorts()
    assert len(own.observe(columns(labels)).series) == 0
    found = own.observe(columns([Label(0, 60_000, 60_001, 0)]))
    assert found.loss.tolist() == [float(place) for place in range(99, -1, -1)]
    assert found.scored[:, 1].tolist() == found.loss.tolist()


def test_every_outcome_has_gone_on_or_waits_or_is_counted_by_name() -> None:
    draw = random.Random(2)
    labels = [one for one in stream(draw, 3_000, 50) if one.series == 0][:500]
    own = cohorts(most=60)
    found = [one for piece in pieces(draw, labels, 50) for one in seen(own.observe(columns(piece)))]
    counts = {name: int(text) for name, text in own.fields(0).items()}
    assert counts["cohorts.overdue"] == sum(one.labelled_at_ms - one.at_ms > 50_000 for one in labels) > 0
    assert counts["cohorts.thinned"] > 0
    assert 0 < counts["cohorts.waiting"] <= 60
    assert len(found) + sum(counts.values()) == len(labels)


def test_a_model_without_an_age_is_told_as_it_comes_and_nothing_of_it() -> None:
    own = cohorts()
    labels = [Label(4, at, at + 90_000, at) for at in (5, 3, 9)]
    assert seen(own.observe(columns(labels))) == [(4, 5, 5), (4, 3, 3), (4, 9, 9)]
    assert own.fields(4) == {}


AGE = 24 * 3_600
SETTINGS = Settings(
    monitor=MonitorSettings(count_windows=(50,), baseline_outcomes=200, inference_outcomes=20),
    drift=Drift(
        detectors=("e_sr", "adwin"), features="none", reference_outcomes=500, every_outcomes=20,
        label_age_seconds=AGE, resolve_after=200,
    ),
    models={"churn": Model(segments=("city",))},
    rules=(),
)  # fmt: skip
KEY = "tg:drift:churn:v1"


def hard_and_easy(count: int, seed: int, wrong_from: int | None = None) -> list[Observed]:
    """Return rows two minutes apart: easy ones labelled in an hour, hard ones in a day, one in 50 later."""
    rng = np.random.default_rng(seed)
    found = []
    for number, one in enumerate(binary(count, seed, step_ms=120_000)):
        hard = rng.random() < 0.4
        error = (0.45 if hard else 0.05) + (0.2 if wrong_from is not None and number >= wrong_from else 0.0)
        label = (one.prediction == 1) ^ (rng.random() < error)
        hours = 30.0 if number % 50 == 0 else rng.uniform(16, 24) if hard else rng.uniform(0.2, 1)
        city = (("city", "ab"[number % 2]),)
        delay_ms = int(hours * HOUR_MS)
        found.append(replace(one, labels=(bool(label),), proba=None, delay_ms=delay_ms, segments=city))
    return found


def in_time(rows: list[Observed], sizes: Sequence[int]) -> list[Block]:
    """Return the blocks of a stream whose labels come when they come, cut into sizes over and over."""
    events = sorted([(one.at_ms, 0, place) for place, one in enumerate(rows)]
                    + [(one.at_ms + one.delay_ms, 1, place) for place, one in enumerate(rows)])  # fmt: skip
    found, offset, start, turn = [], 0, 0, 0
    while start < len(events):
        builder = BlockBuilder()
        for _, is_label, place in events[start : start + sizes[turn % len(sizes)]]:
            offset = add(builder, rows[place], place, is_label, offset)
        start += sizes[turn % len(sizes)]
        turn += 1
        found.append(builder.build())
    return found


def add(builder: BlockBuilder, one: Observed, place: int, is_label: int, offset: int) -> int:
    if is_label:
        return outcomes(builder, one, offset)
    prediction(builder, one, place)
    return offset


def watched(rows: list[Observed], age: int, sizes: Sequence[int] = (50,)) -> tuple[Monitor, list[Alert]]:
    drift = msgspec.structs.replace(SETTINGS.drift, label_age_seconds=age)
    monitor = Monitor(msgspec.structs.replace(SETTINGS, drift=drift))
    return monitor, [alert for block in in_time(rows, sizes) for alert in monitor.observe(block)]


def test_easy_labels_that_come_first_are_no_shift_of_cohorts() -> None:
    rows = hard_and_easy(6_000, seed=1)
    assert watched(rows, age=0)[1] != []
    monitor, alerts = watched(rows, age=AGE)
    assert alerts == []
    fields = monitor.report().writes[KEY]
    assert int(fields["cohorts.overdue"]) == 120
    assert fields["cohorts.waiting"] == "0"  # the last labels are late ones
    assert fields["error.e_sr.n"] == str(6_000 - 120)


def test_what_scores_mean_is_learned_from_cohorts_too() -> None:
    rows = [
        replace(one, proba=0.5 + 0.1 * (place % 3)) for place, one in enumerate(hard_and_easy(900, seed=7))
    ]
    fields = watched(rows, age=AGE)[0].report().writes[KEY]
    assert fields["calibration.e_sr.n"] == fields["error.e_sr.n"] == str(900 - 18)


def test_a_change_of_the_concept_is_found_in_cohorts() -> None:
    _, alerts = watched(hard_and_easy(6_000, seed=1, wrong_from=4_000), age=AGE)
    first = next(one for one in alerts if one.rule == "e_sr")
    assert first.status == "firing"
    assert 4_000 < first.raised_at_ms / 120_000 < 5_200


@pytest.mark.parametrize("sizes", [(1,), (7, 400), (100_000,)])
def test_detectors_see_the_same_whatever_the_blocks(sizes: Sequence[int]) -> None:
    rows = hard_and_easy(1_500, seed=2)
    one, other = (watched(rows, AGE, each)[0] for each in ((50,), sizes))
    assert block_codec.pack(one.state()["cohorts"]) == block_codec.pack(other.state()["cohorts"])
    fields, expected = (each.report().writes[KEY] for each in (other, one))
    assert {name: fields[name] for name in fields if name.startswith("cohorts.")} == {
        name: expected[name] for name in expected if name.startswith("cohorts.")
    }


@pytest.mark.parametrize("cut", [3, 30, 50])
def test_a_restored_monitor_goes_on_as_the_first(cut: int) -> None:
    every = in_time(hard_and_easy(1_500, seed=3, wrong_from=1_000), (50,))
    through, first, again = Monitor(SETTINGS), Monitor(SETTINGS), Monitor(SETTINGS)
    found = [through.observe(block) for block in every]
    for block in every[:cut]:
        first.observe(block)
    again.restore(block_codec.unpack(block_codec.pack(first.state())))
    assert [again.observe(block) for block in every[cut:]] == found[cut:]
    assert again.report() == through.report()


def test_a_snapshot_from_before_there_were_cohorts_is_taken_over() -> None:
    monitor, again = watched(hard_and_easy(300, seed=4), age=0)[0], Monitor(SETTINGS)
    state = monitor.state()
    del state["cohorts"]
    again.restore(block_codec.unpack(block_codec.pack(state)))
    assert again.report().writes[KEY]["error.e_sr.n"] == monitor.report().writes[KEY]["error.e_sr.n"]


def test_an_age_that_is_no_longer_set_forgets_what_waited() -> None:
    monitor, _ = watched(hard_and_easy(300, seed=4), age=AGE)
    drift = msgspec.structs.replace(SETTINGS.drift, label_age_seconds=0)
    again = Monitor(msgspec.structs.replace(SETTINGS, drift=drift))
    again.restore(monitor.state())
    assert len(again.state()["cohorts"]["slots"]["ids"]) == 0
    assert "cohorts.waiting" not in again.report().writes[KEY]


def test_a_reset_drops_what_waits() -> None:
    monitor, _ = watched(hard_and_easy(300, seed=4), age=AGE)
    monitor.control(Control(action="reset", model_id="churn", model_version="v1"))
    assert len(monitor.state()["cohorts"]["slots"]["ids"]) == 0
    assert monitor.report().writes[KEY]["cohorts.waiting"] == "0"


def test_a_damaged_state_is_refused_or_read() -> None:
    monitor, _ = watched(hard_and_easy(100, seed=5), age=AGE)
    data = block_codec.pack(monitor.state())
    for path in leaves(block_codec.unpack(data)["cohorts"]):
        for foreign in ("x", None, [1], {}, np.zeros((2, 1))):
            tree = block_codec.unpack(data)
            place = tree
            for key in ("cohorts", *path)[:-1]:
                place = place[key]
            place[("cohorts", *path)[-1]] = foreign
            try:
                Monitor(SETTINGS).restore(tree)
            except SnapshotError:
                continue


def test_rules_go_by_outcomes_as_they_come() -> None:
    rows = list(binary(400, seed=6, step_ms=60_000))
    metrics = [
        monitor.report().writes["tg:metrics:churn:v1"]
        for monitor in (watched(rows, age)[0] for age in (0, 86_400))
    ]
    assert metrics[0] == metrics[1]
    assert metrics[0]["n@50"] == "50.0"
