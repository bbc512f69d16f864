import copy
from itertools import chain

import pytest
from msgspec.structs import replace

from tests.demo import pipeline
from tidegauge.config import Drift, Join, Model, Rule, Settings
from tidegauge.demo.check import Verdict, judge
from tidegauge.demo.stored import Series, Stored, fetch
from tidegauge.simulate import Spec, simulate

SPEC = Spec(
    start_ms=1_700_000_000_000,
    duration_seconds=2 * 3_600,
    rate=0.6,
    models=3,
    drift_after_seconds=3_600,
    horizon_seconds=3_600,
)
SETTINGS = Settings(
    join=Join(horizon_seconds=3_600, lateness_seconds=600),
    models={
        "binary-1": Model(segments=("region",), baseline={"accuracy": 0.8, "f1": 0.8}),
        "regression-3": Model(baseline={"mae": 0.8}),
    },
    rules=(
        Rule(metric="accuracy", every_outcomes=50),
        Rule(metric="f1", every_outcomes=50),
        Rule(metric="mae", factor=1.1, every_outcomes=50),
    ),
    drift=Drift(detectors=("adwin",)),
)
BINARY = Series("binary-1", "v1")


@pytest.fixture(scope="module")
def events():
    return list(chain.from_iterable(simulate(SPEC)))


@pytest.fixture(scope="module")
def settings():
    return replace(
        SETTINGS,
        monitor=replace(SETTINGS.monitor, count_windows=(500,), baseline_outcomes=300),
        rules=tuple(replace(rule, window="500") for rule in SETTINGS.rules),
    )


@pytest.fixture(scope="module")
def published(events, settings):
    return pipeline.run(settings, events)


@pytest.fixture
def run(published):
    return published._replace(stored=copy.deepcopy(published.stored))


def verdict(settings, events, run: pipeline.Run) -> Verdict:
    return judge(settings, iter(events), run.stored, run.order, run.alerts)


def test_what_the_product_publishes_is_right(events, settings, run):
    found = verdict(settings, events, run)
    assert found.differences == []
    received = int(run.stored.join["predictions.received"])
    assert found.lines()[-1].startswith(f"check: ok predictions={received} matched=")
    assert found.summary["alerts"] == len(run.alerts) > 0
    assert {"firing"} <= {alert.status for alert in run.alerts if alert.kind == "performance"}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("accuracy@500", "0.5"),
        ("accuracy@500", "null"),
        ("roc_auc@24h", "0.5"),
        ("latency_p99_ms@24h", "1000.0"),
        ("label_delay_p50_s@24h", "1.0"),
        ("kpi.revenue.sum@7d", "1.0"),
        ("n@1h", "1.0"),
        ("f1@24h.n", "1"),
        ("accuracy@24h.lo", "0.99"),
        ("confusion@24h", '{"classes": ["0", "1"], "counts": [[1, 1], [1, 1]]}'),
        ("made_up@24h", "1.0"),
        ("updated_ms", "1"),
    ],
)
def test_a_wrong_metric_fails(events, settings, run, field: str, text: str):
    run.stored.metrics[BINARY][field] = text
    found = verdict(settings, events, run)
    assert not found.ok
    assert all("binary-1 v1" in line for line in found.differences)
    assert found.lines()[-1].startswith("check: FAILED binary-1 v1")


def test_a_value_that_is_off_by_a_millionth_fails(events, settings, run):
    fields = run.stored.metrics[BINARY]
    fields["accuracy@500"] = str(float(fields["accuracy@500"]) * (1 + 1e-6))
    assert len(verdict(settings, events, run).differences) == 1


def test_a_missing_metric_fails(events, settings, run):
    del run.stored.metrics[BINARY]["f1@24h"]
    assert "f1@24h: expected" in verdict(settings, events, run).differences[0]


def test_a_missing_segment_and_a_made_up_one_fail(events, settings, run):
    fields = run.stored.metrics.pop(Series("binary-1", "v1", ("region", "north")))
    run.stored.metrics[Series("binary-1", "v1", ("region", "moon"))] = fields
    found = verdict(settings, events, run).differences
    assert found[0] == "series: binary-1 v1 region=north is missing"
    assert found[1].startswith("series: binary-1 v1 region=moon is stored")


def test_a_counter_that_is_off_by_one_fails(events, settings, run):
    run.stored.join["predictions.matched"] = str(int(run.stored.join["predictions.matched"]) + 1)
    found = verdict(settings, events, run).differences
    assert any(line.startswith("predictions.matched: expected") for line in found)
    assert any("the parts add up to" in line for line in found)


def test_a_lost_and_a_phantom_outcome_fail(events, settings, run):
    first, *rest = run.order
    lost = verdict(settings, events, run._replace(order=rest))
    assert f"outcome {first.prediction_id} is missing from the observations" in lost.differences
    phantom = verdict(
        settings, events, run._replace(order=[*run.order, first._replace(prediction_id="ghost")])
    )
    assert "outcome ghost is in the observations, and no label matches it" in phantom.differences


def test_a_replayed_observation_changes_nothing(events, settings, run):
    assert verdict(settings, events, run._replace(order=[*run.order, *run.order[-50:]])).ok


def test_a_swallowed_alert_fails(events, settings, run):
    gone = next(alert for alert in run.alerts if alert.kind == "performance")
    left = [alert for alert in run.alerts if alert.incident_id != gone.incident_id]
    found = verdict(settings, events, run._replace(alerts=left)).differences
    assert any(line.startswith(f"alerts of {gone.model_id} v1") for line in found)


def test_an_alert_with_another_value_fails(events, settings, run):
    place, alert = next((i, a) for i, a in enumerate(run.alerts) if a.kind == "performance")
    wrong = replace(alert, evidence=replace(alert.evidence, current=(alert.evidence.current or 0) + 0.001))
    alerts = [*run.alerts[:place], wrong, *run.alerts[place + 1 :]]
    assert "must be" in verdict(settings, events, run._replace(alerts=alerts)).differences[0]


def test_a_forgotten_open_incident_fails(events, settings, run):
    run.stored.active["ghost"] = {}
    assert "incident ghost is open only in the Redis" in verdict(settings, events, run).differences[0]


def test_a_baseline_that_nobody_measured_fails(events, settings, run):
    run.stored.baselines[BINARY] |= {"f1": "0.7", "brier": "0.5"}
    assert [line.partition(":")[0] for line in verdict(settings, events, run).differences] == [
        "binary-1 v1 baseline brier",
        "binary-1 v1 baseline f1",
    ]


def test_a_wrong_number_in_a_real_store_fails(events, settings, run):
    """From the keys of a running store, as the demo reads them."""
    import redis

    from tidegauge.servers import VALKEY, Server

    with Server(VALKEY) as server:
        client = redis.Redis.from_url(f"redis://{server.address}/0", decode_responses=True)
        pipeline.write(client, run)
        stored: Stored = fetch(client)
        assert verdict(settings, events, run._replace(stored=stored)).ok
        client.hset("tg:metrics:binary-1:v1", "accuracy@500", "0.1")
        assert not verdict(settings, events, run._replace(stored=fetch(client))).ok
        client.close()
