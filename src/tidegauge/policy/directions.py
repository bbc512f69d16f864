"""Which way each metric gets worse: one table."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import Literal

from tidegauge.config import Rule
from tidegauge.errors import ConfigError

# higher: more is better; lower: less is better; zero: nearer to zero is better;
# factor: the rule's factor says, below 1 for what should not fall, above 1 for what should not rise.
Direction = Literal["higher", "lower", "zero", "factor"]

DIRECTIONS: dict[str, Direction] = {
    "accuracy": "higher",
    "balanced_accuracy": "higher",
    "precision": "higher",
    "recall": "higher",
    "f1": "higher",
    "precision_macro": "higher",
    "recall_macro": "higher",
    "f1_macro": "higher",
    "f1_weighted": "higher",
    "mcc": "higher",
    "roc_auc": "higher",
    "pr_auc": "higher",
    "r2": "higher",
    "map": "higher",
    "mrr": "higher",
    "coverage": "higher",
    "log_loss": "lower",
    "brier": "lower",
    "ece": "lower",
    "mae": "lower",
    "rmse": "lower",
    "mape": "lower",
    "smape": "lower",
    "bias": "zero",
    "latency_p50_ms": "lower",
    "latency_p90_ms": "lower",
    "latency_p95_ms": "lower",
    "latency_p99_ms": "lower",
    "label_delay_p50_s": "lower",
    "label_delay_p90_s": "lower",
    "label_delay_p95_s": "lower",
    "label_delay_p99_s": "lower",
    "catalogue_items": "factor",
    "catalogue_coverage": "factor",
    "diversity": "factor",
    "novelty": "factor",
    "throughput_per_s": "factor",
    "predictions": "factor",
    "n": "factor",
}
FAMILIES: dict[str, Direction] = {"kpi": "factor", "resource": "factor"}  # <family>.<name>.<statistic>
AT_CUTOFF = ("precision", "recall", "ndcg", "hit_rate")  # <metric>@<k>, all "higher"
PER_CLASS = ("precision", "recall", "f1")  # <metric>[<class>]
BETTER_ABOVE = {"higher": True, "lower": False, "zero": False}


def direction(metric: str) -> Direction | None:
    """Return which way a metric gets worse, None for a name that is no metric.

    >>> [direction(metric) for metric in ("f1[cat]", "mae", "kpi.revenue.mean", "ndcg@10", "f2")]
    ['higher', 'lower', 'factor', 'higher', None]
    """
    name, bracket, rest = metric.partition("[")
    if bracket:
        return DIRECTIONS[name] if name in PER_CLASS and rest.endswith("]") else None
    if cutoff(metric) is not None:
        return "higher"
    family, dot, _ = metric.partition(".")
    return FAMILIES.get(family) if dot else DIRECTIONS.get(metric)


def cutoff(metric: str) -> int | None:
    """Return at how many items of a list a metric is cut off, None for one that is not.

    >>> cutoff("ndcg@10"), cutoff("map"), cutoff("kpi.a@5.mean")
    (10, None, None)
    """
    name, _, rest = metric.partition("@")
    return int(rest) if name in AT_CUTOFF and rest.isdecimal() else None


def check(rules: Iterable[Rule], cutoffs: Collection[int] = ()) -> None:
    """Raise ConfigError where a rule's metric is unknown, its factor contradicts it, or it stands twice.

    `cutoffs` are those of ranked lists for which metrics are kept.
    """
    seen: set[tuple[str, str, float, tuple[str, ...], str]] = set()
    for index, rule in enumerate(rules):
        _check_factor(f"rules[{index}]", rule)
        if cutoff(rule.metric) not in (None, *cutoffs):
            known = ", ".join(map(str, cutoffs))
            raise ConfigError(f"rules[{index}].metric: expected a cutoff of {known}, got {rule.metric!r}")
        same = (rule.metric, rule.window, rule.factor, rule.models, rule.baseline)
        if same in seen:
            raise ConfigError(f"rules[{index}]: {rule.metric} over {rule.window} stands twice")
        seen.add(same)


def _check_factor(key: str, rule: Rule) -> None:
    way = direction(rule.metric)
    if way is None:
        near = difflib.get_close_matches(rule.metric, DIRECTIONS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{key}.metric: expected a metric, got {rule.metric!r}{hint}")
    if way == "higher" and rule.factor > 1:
        raise ConfigError(f"{key}.factor: {rule.metric} should not fall: at most 1, got {rule.factor}")
    if way in ("lower", "zero") and rule.factor < 1:
        raise ConfigError(f"{key}.factor: {rule.metric} should not rise: at least 1, got {rule.factor}")
    if way == "factor" and rule.factor == 1:
        raise ConfigError(f"{key}.factor: below 1 if {rule.metric} should not fall, above if not rise; got 1")
