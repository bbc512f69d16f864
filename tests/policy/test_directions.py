import pytest

from tidegauge.config import DEFAULT_RULES, Rule
from tidegauge.errors import ConfigError
from tidegauge.policy.directions import DIRECTIONS, check, direction


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", "higher"),
        ("recall[1]", "higher"),
        ("rmse", "lower"),
        ("latency_p99_ms", "lower"),
        ("bias", "zero"),
        ("resource.cpu.mean", "factor"),
        ("mae[1]", None),
        ("f1[", None),
        ("ndcg@10", "higher"),
        ("kpi.a@5.mean", "factor"),
        ("ndcg@", None),
        ("mae@10", None),
        ("nothing", None),
        ("other.revenue.sum", None),
    ],
)
def test_every_metric_has_a_direction_and_another_name_has_none(metric, expected):
    assert direction(metric) == expected


def test_the_default_rules_are_sound():
    check(DEFAULT_RULES)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule(metric="acuracy"), r"rules\[0\]\.metric: .*'acuracy'; did you mean accuracy"),
        (Rule(metric="zzz"), r"rules\[0\]\.metric: .*'zzz'$"),
        (Rule(metric="accuracy", factor=1.1), r"rules\[0\]\.factor: accuracy should not fall: at most 1"),
        (Rule(metric="mae"), r"rules\[0\]\.factor: mae should not rise: at least 1, got 0.9"),
        (Rule(metric="bias"), r"bias should not rise"),
        (Rule(metric="kpi.revenue.sum", factor=1), r"kpi\.revenue\.sum should not fall, above"),
    ],
)
def test_a_rule_that_contradicts_its_metric_stops_the_start(rule, message):
    with pytest.raises(ConfigError, match=message):
        check([rule])


def test_a_rule_that_stands_twice_stops_the_start():
    with pytest.raises(ConfigError, match=r"rules\[1\]: f1 over 1000 stands twice"):
        check([Rule(metric="f1"), Rule(metric="f1", consecutive=9)])
    check([Rule(metric="f1"), Rule(metric="f1", models=("churn",)), Rule(metric="f1", factor=0.8)])


def test_no_metric_of_the_table_is_written_with_a_class_or_a_dot():
    assert not [name for name in DIRECTIONS if set(name) & set("[].")]
