import pytest

from tidegauge.drift.baseline import Baseline, Baselines
from tidegauge.errors import SnapshotError
from tidegauge.metrics.value import Value, undefined


def value(number):
    return Value(number, 10, None, None)


def test_a_configured_value_wins_over_early_production_and_a_control_message_over_both():
    baselines = Baselines({"f1": 0.9})
    baselines.freeze({"f1": value(0.7), "mcc": value(0.5)})
    assert baselines.get("f1") == Baseline(0.9, "configured")
    assert baselines.get("mcc") == Baseline(0.5, "early_production")
    baselines.set({"f1": 0.8})
    assert baselines.get("f1") == Baseline(0.8, "control")
    assert list(baselines.all()) == ["f1", "mcc"]


def test_a_metric_without_a_source_has_no_baseline_and_zero_is_one():
    baselines = Baselines({"bias": 0.0})
    baselines.freeze({"f1": undefined()})
    assert baselines.get("f1") is None
    assert baselines.get("bias") == Baseline(0.0, "configured")


def test_early_production_is_frozen_once():
    baselines = Baselines({})
    baselines.freeze({"f1": value(0.7)})
    baselines.freeze({"f1": value(0.1)})
    assert baselines.get("f1").value == 0.7


@pytest.mark.parametrize("frozen", [False, True])
def test_baselines_that_were_dumped_and_loaded_are_the_same(frozen):
    baselines = Baselines({"f1": 0.9})
    if frozen:
        baselines.freeze({"mcc": value(0.5)})
    baselines.set({"mae": 2.0})
    again = Baselines.load(baselines.dump(), {"f1": 0.95})
    assert again.get("f1") == Baseline(0.95, "configured")
    assert again.get("mcc") == baselines.get("mcc")
    assert again.get("mae") == baselines.get("mae")
    assert again.frozen is frozen
    assert again.dump() == baselines.dump()


@pytest.mark.parametrize("change", [{"version": 99}, {"control": 3}, {"early_production": None}])
def test_a_foreign_state_is_refused(change):
    with pytest.raises(SnapshotError, match="baselines"):
        Baselines.load(Baselines({}).dump() | change, {})
