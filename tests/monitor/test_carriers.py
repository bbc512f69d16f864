"""An alert on the error says which segments or features carry it, whatever the blocks and restarts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.monitor.streams import Observed, blocks, corrected
from tidegauge.adapters import block_codec
from tidegauge.config import Drift, Model, Rule, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.monitor import Monitor
from tidegauge.records import Alert, Control

KEY = "tg:attribution:churn:v1"
BROKEN = 1_500  # from this outcome on, one city and plan is answered wrong half of the time
KEPT = 400


def settings(attribution: Any = "segments", model: Model | None = None, **drift: Any) -> Settings:
    return Settings(
        monitor=MonitorSettings(
            count_windows=(300,), time_windows=("24h",), baseline_outcomes=400, inference_outcomes=50
        ),
        rules=(
            Rule(metric="accuracy", window="300", factor=0.95),
            Rule(metric="latency_p50_ms", window="24h"),
        ),
        drift=Drift(
            attribution=attribution,
            attribution_outcomes=KEPT,
            reference_outcomes=400,
            reference_rows=200,
            **drift,
        ),
        models={"churn": model or Model(segments=("city", "plan"))},
    )


def stream(seed: int = 1, count: int = 2_500) -> list[Observed]:
    """Return outcomes of which one in ten is wrong; later, of the city b, every second."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        city, plan, age = random.choice(list("abcd")), random.choice(["free", "paid"]), random.random()
        chance = 0.5 if number >= BROKEN and city == "b" else 0.1
        label = bool(random.random() < 0.5)
        said = label ^ bool(random.random() < chance)
        found.append(
            Observed(
                f"p{number}",
                number * 10_000,
                said,
                (label,),
                segments=(("city", str(city)), ("plan", str(plan))),
                features={"age": float(age), "region": f"region of {city}", "plan": str(plan)},
            )
        )
    return found


def watched(monitor: Monitor, rows: list[Observed], size: int = 100, late: int = 0) -> list[Alert]:
    return [alert for block in blocks(rows, size, late) for alert in monitor.observe(block)]


def first_of(alerts: list[Alert], kind: str, segment: str | None = None) -> Alert:
    return next(
        one for one in alerts if one.status == "firing" and one.kind == kind and one.segment == segment
    )


@pytest.mark.parametrize("kind", ["performance", "drift"])
def test_an_alert_on_the_error_names_the_segment_that_carries_it(kind: str) -> None:
    alert = first_of(watched(Monitor(settings()), stream()), kind)
    found = alert.evidence.attribution
    assert found is not None
    assert found.carriers[0].where == {"city": "b"}
    assert found.carriers[0].p < 0.01
    assert "of the change of the error lies in city=b" in alert.message
    for column in found.columns:
        change = column.mix + column.rate + column.interaction
        assert change == pytest.approx(found.after - found.before)


def test_the_numbers_are_those_of_the_first_and_the_last_outcomes() -> None:
    monitor, rows = Monitor(settings()), corrected(stream(), every=7)
    watched(monitor, rows)
    (fields,) = [fields for key, fields in monitor.report().writes.items() if key == KEY]
    first_labels = [float(one.prediction != one.labels[0]) for one in rows[:KEPT]]
    last_labels = [float(one.prediction != one.labels[-1]) for one in rows[-KEPT:]]
    assert float(fields["before"]) == pytest.approx(np.mean(first_labels))
    assert float(fields["after"]) == pytest.approx(np.mean(last_labels))
    for place, field in enumerate(("city", "plan")):
        told = json.loads(fields[f"{field}.split"])
        known = sorted({one.segments[place][1] for one in rows})
        mix = rate = both = 0.0
        for value in known:
            old, new = (
                [e for one, e in zip(part, errors, strict=True) if one.segments[place][1] == value]
                for part, errors in ((rows[:KEPT], first_labels), (rows[-KEPT:], last_labels))
            )
            moved, rose = len(new) / KEPT - len(old) / KEPT, np.mean(new) - np.mean(old)
            mix, rate = mix + moved * np.mean(old), rate + len(old) / KEPT * rose
            both += moved * rose
        assert (told["mix"], told["rate"], told["interaction"]) == pytest.approx((mix, rate, both))
    assert max(json.loads(fields["city.split"])["parts"].items(), key=lambda one: one[1])[0] == "b"


def test_what_is_told_is_the_same_for_any_blocks_and_after_a_restart() -> None:
    rows = corrected(stream(), every=9)
    whole, pieces = Monitor(settings()), Monitor(settings())
    watched(whole, rows, size=100, late=30)
    for block in blocks(rows, 37, late=30):
        pieces.observe(block)
        again = Monitor(settings())
        again.restore(block_codec.unpack(block_codec.pack(pieces.state())))
        pieces = again

    def split(monitor: Monitor) -> dict[str, str]:
        fields = monitor.report().writes[KEY]
        return {name: text for name, text in fields.items() if not name.startswith("alert.")}

    assert split(pieces) == split(whole)


def test_features_carry_it_where_they_are_asked_for() -> None:
    monitor = Monitor(settings("features", Model()))
    alert = first_of(watched(monitor, stream(), late=20), "performance")
    found = alert.evidence.attribution
    assert found is not None
    assert found.carriers[0].where == {"region": "region of b"}
    again = Monitor(settings("features", Model()))
    again.restore(block_codec.unpack(block_codec.pack(monitor.state())))
    told = again.report().writes[KEY]
    assert told == monitor.report().writes[KEY]
    carriers = json.loads(told["alert.attribution"])["carriers"]
    assert all(one["where"].get("region") == "region of b" for one in carriers[:1])


def test_a_feature_with_the_name_of_a_segment_field_is_told_apart() -> None:
    monitor = Monitor(settings("features"))
    watched(monitor, stream())
    names = {name for name in monitor.report().writes[KEY] if name.endswith(".split")}
    assert names == {"city.split", "plan.split", "age.split", "region.split", "features.plan.split"}


def test_the_alert_of_a_segment_is_about_its_own_rows() -> None:
    monitor = Monitor(settings(attribution="segments"))
    alert = first_of(watched(monitor, stream(count=4_000)), "performance", "city=b")
    assert alert.evidence.attribution is not None
    assert alert.evidence.attribution.n <= KEPT / 2
    assert alert.evidence.attribution.after > 0.3


def test_of_a_kpi_that_is_watched_the_alert_of_the_detector_says_where_it_fell() -> None:
    rows = [replace(one, kpis={"clicks": float((one.prediction == one.labels[0]) * 3)}) for one in stream(3)]
    monitor = Monitor(settings(model=Model(segments=("city", "plan"), error="-kpi.clicks")))
    alerts = watched(monitor, rows)
    found = first_of(alerts, "drift").evidence.attribution
    assert found is not None
    assert (found.loss, found.carriers[0].where) == ("kpi.clicks", {"city": "b"})
    assert found.after < found.before
    assert first_of(alerts, "performance").evidence.attribution is None  # accuracy is another matter


@pytest.mark.parametrize("found", [settings("none"), settings(model=Model())])
def test_without_columns_nothing_is_kept_and_nothing_told(found: Settings) -> None:
    monitor = Monitor(found)
    assert first_of(watched(monitor, stream()), "performance").evidence.attribution is None
    assert KEY not in monitor.report().writes
    assert monitor.state()["carriers"]["rows"]["columns"] == []


def test_a_reset_and_other_columns_start_a_new_reference() -> None:
    monitor, rows = Monitor(settings()), stream()
    watched(monitor, rows)
    other = Monitor(settings(model=Model(segments=("plan",))))
    other.restore(monitor.state())
    other.report()
    assert other.state()["carriers"]["rows"]["columns"] == []
    monitor.control(Control(action="reset", model_id="churn", model_version="v1"))
    assert KEY not in monitor.report().writes
    assert monitor.state()["carriers"]["rows"]["columns"] == []


def test_a_snapshot_without_this_part_is_read() -> None:
    monitor = Monitor(settings())
    watched(monitor, stream(count=600))
    state = monitor.state()
    del state["carriers"]
    again = Monitor(settings())
    again.restore(state)
    assert KEY not in again.report().writes
