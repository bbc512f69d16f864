import json
from collections import Counter
from itertools import chain, pairwise
from pathlib import Path

import pytest

from tidegauge.simulate import LABELS, PREDICTIONS, Mischief, RawEvent, Spec, raw, simulate

START_MS = 1_700_000_000_000
CLEAN = Mischief(**dict.fromkeys(Mischief.__slots__, 0.0))


def events(**changes) -> list[RawEvent]:
    settings = {"start_ms": START_MS, "duration_seconds": 300, "rate": 10.0} | changes
    return list(chain.from_iterable(simulate(Spec(**settings))))


def told(found: list[RawEvent], side: str) -> list[dict]:
    return [json.loads(event.value) for event in found if event.side == side]


def test_events_come_in_true_time_order_across_slices():
    found = events(rate=200.0)
    assert all(one.time_ms <= other.time_ms for one, other in pairwise(found))
    assert (
        len({json["prediction_id"] for json in told(events(rate=200.0, mischief=CLEAN), PREDICTIONS)})
        == 60_000
    )


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not():
    assert events() == events()
    assert events() != events(seed=1)


def test_every_label_has_its_prediction_where_nothing_goes_wrong():
    found = events(mischief=CLEAN)
    predicted = [event["prediction_id"] for event in told(found, PREDICTIONS)]
    labelled = [event["prediction_id"] for event in told(found, LABELS)]
    assert sorted(predicted) == sorted(labelled)
    assert len(predicted) == 3_000


def test_models_get_shares_that_fall_with_their_number():
    counts = Counter(
        event["model_id"] for event in told(events(models=4, zipf=1.0, mischief=CLEAN), PREDICTIONS)
    )
    assert counts["binary-1"] == pytest.approx(3_000 / (1 + 1 / 2 + 1 / 3 + 1 / 4), rel=0.1)
    assert counts["binary-1"] > counts["multiclass-2"] > counts["regression-3"] > counts["binary-4"]


def test_a_model_is_right_about_the_world_until_the_drift():
    found = events(
        models=1, tasks=("regression",), duration_seconds=600, drift_after_seconds=300, mischief=CLEAN
    )
    said = {event["prediction_id"]: event for event in told(found, PREDICTIONS)}
    errors = {
        label["prediction_id"]: abs(label["label"] - said[label["prediction_id"]]["prediction"])
        for label in told(found, LABELS)
    }
    before = [errors[name] for name, event in said.items() if event["predicted_at"] < START_MS + 300_000]
    after = [errors[name] for name, event in said.items() if event["predicted_at"] >= START_MS + 300_000]
    assert sum(before) / len(before) == pytest.approx(0.8, abs=0.05)  # of noise alone
    assert sum(after) / len(after) > 1.0


def test_a_spool_gives_back_what_was_written(tmp_path: Path):
    found, path = events(duration_seconds=30), tmp_path / "events"
    with path.open("wb") as file:
        raw.write(found, file)
    assert list(raw.read(path)) == found
