"""What others read in Redis, as hashes of texts; docs/redis.md tells every key."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import NamedTuple

import msgspec
import numpy as np

from tidegauge import keys
from tidegauge.baseline_file import BaselineFile
from tidegauge.config import Rule
from tidegauge.drift.baseline import Baseline
from tidegauge.drift.calibration_shift import CalibrationShift
from tidegauge.drift.detectors import Detector
from tidegauge.drift.distances import FeatureDrift
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.drift.joint_measures import Statistic
from tidegauge.drift.label_delay import LabelDelay
from tidegauge.drift.measures import Measures
from tidegauge.drift.multivariate import Multivariate
from tidegauge.drift.separation_shift import SeparationShift
from tidegauge.metrics.columns import Columns
from tidegauge.metrics.value import Value
from tidegauge.monitor.roster import ModelState, SeriesKey
from tidegauge.policy.rules import PairsShifted, Shifted

MULTIVARIATE = "multivariate"  # of the fields
MOST_PAIRS = 100  # told of those that moved
Writes = dict[str, dict[str, str]]

HISTORY_METRICS = (
    "accuracy", "f1", "f1_macro", "precision", "recall", "roc_auc", "log_loss", "brier",
    "mae", "rmse", "bias", "r2", "map", "mrr",
)  # fmt: skip


class Report(NamedTuple):
    """The models that were touched, and the hashes to write."""

    models: list[str]
    writes: Writes

    def then(self, newer: Report) -> Report:
        """Return the report that writes this one and then a newer one."""
        writes = {
            key: self.writes.get(key, {}) | newer.writes.get(key, {}) for key in self.writes | newer.writes
        }
        return Report(sorted({*self.models, *newer.models}), writes)


def metric_fields(window: str, values: Mapping[str, Value]) -> dict[str, str]:
    """Return the fields of metrics over a window: value, count, and interval where there is one.

    >>> metric_fields("1h", {"mae": Value(0.5, 10, 0.4, 0.6)})
    {'mae@1h': '0.5', 'mae@1h.n': '10', 'mae@1h.lo': '0.4', 'mae@1h.hi': '0.6'}
    """
    fields = {}
    for metric, value in values.items():
        fields[keys.metric_field(metric, window)] = keys.number_text(value.value)
        fields[keys.metric_field(metric, window, "n")] = str(value.n)
        fields[keys.metric_field(metric, window, "lo")] = keys.number_text(value.low)
        fields[keys.metric_field(metric, window, "hi")] = keys.number_text(value.high)
    return fields


def add_table(hashes: Sequence[dict[str, str]], window: str, columns: Columns) -> None:
    """Add to the hash of each row of metrics over a window what `metric_fields` returns.

    >>> found: list[dict[str, str]] = [{}]
    >>> add_table(found, "1h", Columns(("mae",), *(np.array([[x]]) for x in (0.5, 10.0, 0.4, np.nan))))
    >>> found
    [{'mae@1h': '0.5', 'mae@1h.lo': '0.4', 'mae@1h.hi': 'null', 'mae@1h.n': '10'}]
    """
    names = _field_names(window, columns.names)
    floats = np.concatenate((columns.value, columns.low, columns.high), axis=1)
    texts = iter(keys.number_texts(floats.reshape(-1).tolist()))
    counts = iter(keys.number_texts(columns.n.astype(np.int64).reshape(-1).tolist()))
    parts, metrics = floats.shape[1], columns.n.shape[1]
    for fields in hashes:
        fields.update(zip(names, chain(islice(texts, parts), islice(counts, metrics)), strict=True))


@lru_cache(maxsize=1024)
def _field_names(window: str, metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fields of values, then of lower and upper limits, then of counts."""
    parts: tuple[keys.Part, ...] = ("value", "lo", "hi", "n")
    return tuple(keys.metric_field(metric, window, part) for part in parts for metric in metrics)


def confusion_field(window: str, classes: list[str], counts: list[list[int]]) -> dict[str, str]:
    """Return the field of a confusion matrix: rows are actual classes, columns predicted ones.

    >>> confusion_field("1h", ["no", "yes"], [[3, 1], [0, 4]])
    {'confusion@1h': '{"classes": ["no", "yes"], "counts": [[3, 1], [0, 4]]}'}
    """
    text = f'{{"classes": {_list_text(tuple(classes))}, "counts": {counts}}}'
    return {keys.metric_field(keys.CONFUSION, window): text}


@lru_cache(maxsize=1024)
def _list_text(names: tuple[str, ...]) -> str:
    return json.dumps(names)


def metrics_key(series: SeriesKey) -> str:
    """Return the key of the metrics of a series."""
    name, equals, value = (series.segment or "").partition("=")
    return keys.metrics_key(series.model_id, series.version, (name, value) if equals else None)


def model_fields(state: ModelState, watermark_ms: int, held: int) -> dict[str, str]:
    """Return what is known of a model; `held` outcomes wait for its task."""
    return {
        "task": state.task or "undecided",
        "versions": _list_text(tuple(state.versions)),
        "classes": _list_text(tuple(state.classes)),
        "positive_class": state.positive or "",
        "status": "active" if state.task else f"waiting for its task with {held} outcomes",
        "watermark_ms": str(watermark_ms),
        "last_seen_ms": str(watermark_ms),
    }


def history_field(at_ms: int, values: Mapping[str, Value]) -> dict[str, str]:
    """Return the field of one pane of history: the main metrics as JSON under its start."""
    main = {name: _finite(values[name].value) for name in HISTORY_METRICS if name in values}
    n = max((value.n for value in values.values()), default=0)
    return {str(at_ms): json.dumps({"n": n, **main})}


def _finite(value: float | None) -> float | None:
    """Return the value, None where it is beyond float64: JSON has no word for that."""
    return value if value is not None and math.isfinite(value) else None


def psi_fields(name: str, found: FeatureDrift, cell: str | None, baseline: str) -> dict[str, str]:
    """Return the fields of one feature's drift, or of the prediction's."""
    verdict = {True: "drift", False: "stable", None: "undecided"}[found.drift]
    return {
        f"{name}.psi": keys.number_text(found.psi),
        f"{name}.psi.threshold": keys.number_text(found.threshold),
        f"{name}.psi.n": str(found.n),
        f"{name}.psi.verdict": verdict,
        f"{name}.psi.moved_most": cell or keys.UNDEFINED,
        f"{name}.psi.baseline": baseline,
    }


def measure_fields(name: str, found: Measures) -> dict[str, str]:
    """Return the field of how far one feature is from its reference, as JSON; none without rows."""
    if not found.distances:
        return {}
    told: dict[str, object] = {"n": found.n}
    for measure, (value, chance, beyond, p) in found.distances.items():
        told[measure] = {"value": value, "chance": chance, "beyond": beyond}
        if p is not None:
            told[measure] = {"value": value, "chance": chance, "beyond": beyond, "p": p}
    for share, (value, before, p, beyond) in found.shares.items():
        told[share] = {"value": value, "reference": before, "p": p, "beyond": beyond}
    return {f"{name}.measures": msgspec.json.encode(told).decode()}


def baseline_fields(
    metrics: Mapping[str, Baseline], file: BaselineFile | None, identity: str | None
) -> dict[str, str]:
    """Return the fields of what a version is measured against, and of the file some of it came from."""
    fields = {name: keys.number_text(found.value) for name, found in metrics.items()}
    if file is not None and identity is not None:
        about = {"id": identity, "name": file.name, "made_at": file.made_at, "rows": str(file.rows)}
        fields |= {f"{keys.BASELINE_FILE}{name}": text for name, text in about.items()}
    return fields


def moving_fields(rules: Iterable[tuple[Rule, Value | None]]) -> dict[str, str]:
    """Return the fields of rolling and seasonal baselines; `null` while there is too little for one.

    >>> moving_fields([(Rule(metric="f1", window="24h", baseline="rolling"), Value(0.75, 900, None, None))])
    {'f1@24h.rolling': '0.75', 'f1@24h.rolling.n': '900'}
    """
    fields = {}
    for rule, found in rules:
        name = f"{keys.metric_field(rule.metric, rule.window)}.{rule.baseline}"
        fields[name] = keys.number_text(found.value if found else None)
        fields[f"{name}.n"] = str(found.n) if found else "0"
    return fields


def shift_fields(found: Shifted, n: int, prediction: bool) -> dict[str, str]:
    """Return the fields of e-d-BH on all features, or on the prediction.

    >>> shift_fields(Shifted(("age", "plan"), 9e4, 6e4), 12_000, prediction=False)
    {'shift.moved': '["age", "plan"]', 'shift.n': '12000'}
    """
    name = "prediction.shift" if prediction else "shift"
    return {f"{name}.moved": json.dumps(found.names), f"{name}.n": str(n)}


def multivariate_fields(found: Multivariate, pairs: PairsShifted | None) -> dict[str, str]:
    """Return the fields of what features have in common: the pairs that moved, and the last whole window."""
    fields = {f"{MULTIVARIATE}.features": json.dumps(found.names)}
    if pairs is not None:
        moved = [
            {"pair": one.features, "correlation": one.correlation, "reference": one.reference}
            for one in pairs.moved[:MOST_PAIRS]
        ]
        fields |= {f"{MULTIVARIATE}.moved": json.dumps(moved), f"{MULTIVARIATE}.n": str(pairs.n)}
    if found.joint is None:
        return fields
    joint, extreme = found.joint, found.joint.extreme
    told = {
        "max_z": _statistic(extreme.test)
        | {
            "of": extreme.of,
            "features": [found.names[place] for place in extreme.features],
            "current": _finite(extreme.value),
            "reference": _finite(extreme.reference),
        },
        "t_squared": _statistic(joint.hotelling),
        "reconstruction": _statistic(joint.reconstruction) | {"reference": joint.reconstruction_reference},
    }
    if found.domain is not None:
        told["domain_auc"] = _statistic(found.domain)
    fields |= {f"{MULTIVARIATE}.{name}": json.dumps({"n": joint.rows} | told[name]) for name in told}
    return fields


def _statistic(found: Statistic) -> dict[str, object]:
    return {"value": _finite(found.value), "p": found.p, "beyond": found.beyond}


def detector_fields(detector: Detector | ErrorShift) -> dict[str, str]:
    """Return the fields of a sequential detector on the error."""
    name, last = f"error.{detector.name}", detector.last
    return {
        f"{name}.n": str(detector.seen),
        f"{name}.changes": str(detector.changes),
        f"{name}.last_n": str(last.seen) if last else keys.UNDEFINED,
        f"{name}.last_worse": str(int(last.worse)) if last else keys.UNDEFINED,
        f"{name}.before": keys.number_text(last.before if last else None),
        f"{name}.after": keys.number_text(last.after if last else None),
    }


def score_fields(detector: CalibrationShift | SeparationShift) -> dict[str, str]:
    """Return the fields of a detector that looks at labels beside their scores."""
    if isinstance(detector, SeparationShift):
        return _separation_fields(detector)
    name, last = f"calibration.{detector.name}", detector.last
    return {
        f"{name}.n": str(detector.seen),
        f"{name}.breaks": str(detector.breaks),
        f"{name}.last_n": str(last.seen) if last else keys.UNDEFINED,
        f"{name}.how": last.how if last else keys.UNDEFINED,
        f"{name}.expected": keys.number_text(last.expected if last else None),
        f"{name}.came": keys.number_text(last.came if last else None),
    }


def _separation_fields(detector: SeparationShift) -> dict[str, str]:
    name, last = f"separation.{detector.name}", detector.last
    return {
        f"{name}.n": str(detector.seen),
        f"{name}.falls": str(detector.falls),
        f"{name}.last_n": str(last.seen) if last else keys.UNDEFINED,
        f"{name}.before": keys.number_text(detector.reference.auc if detector.reference else None),
        f"{name}.after": keys.number_text(last.after if last else None),
    }


def delay_fields(detector: LabelDelay | None) -> dict[str, str]:
    """Return the fields of how late labels are; none where no detector is.

    >>> from tidegauge.drift.label_delay import DelayTerms
    >>> list(delay_fields(LabelDelay(DelayTerms(age_ms=60_000))).values())
    ['60.0', '0', '0', '0', 'null', 'null', 'null']
    """
    if detector is None:
        return {}
    name, shift, age_ms = f"label_delay.{detector.name}", detector.shift, detector.age_ms
    return {
        "label_delay.age_s": keys.number_text(None if age_ms is None else age_ms / 1_000),
        "label_delay.unseen": str(detector.unseen),
        f"{name}.n": str(shift.seen),
        f"{name}.rises": str(shift.changes),
        f"{name}.last_n": str(shift.last.seen) if shift.last else keys.UNDEFINED,
        f"{name}.before": keys.number_text(detector.share_before),
        f"{name}.after": keys.number_text(detector.share_after),
    }


def merged(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return one hash of several."""
    return {field: text for part in parts for field, text in part.items()}
