"""scikit-learn's answers on the same rows, with None where Tidegauge says undefined."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn import metrics as sk

from tests.metrics.streams import Rows


def thresholded(rows: Rows, classes: int, positive: int | None) -> dict[str, float | None]:
    """Return the metrics of the confusion matrix."""
    actual, predicted, weight = rows.actual, rows.predicted, rows.weight
    if not len(actual):
        return {}
    common = {"sample_weight": weight, "zero_division": np.nan}
    macro = {"sample_weight": weight, "zero_division": 0, "average": "macro"}
    found: dict[str, float | None] = {
        "accuracy": sk.accuracy_score(actual, predicted, sample_weight=weight),
        "f1_weighted": sk.f1_score(actual, predicted, **(macro | {"average": "weighted"})),
        "precision_macro": sk.precision_score(actual, predicted, **macro),
        "recall_macro": sk.recall_score(actual, predicted, **macro),
        "f1_macro": sk.f1_score(actual, predicted, **macro),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that is predicted only: left out, as we do
        found["balanced_accuracy"] = sk.balanced_accuracy_score(actual, predicted, sample_weight=weight)
        mcc = sk.matthews_corrcoef(actual, predicted, sample_weight=weight)
    both = len(set(actual.tolist())) > 1 and len(set(predicted.tolist())) > 1
    found["mcc"] = mcc if both else None  # scikit-learn says 0 for 0 / 0
    each = {
        kind: score(actual, predicted, labels=range(classes), average=None, **common)
        for kind, score in (
            ("precision", sk.precision_score),
            ("recall", sk.recall_score),
            ("f1", sk.f1_score),
        )
    }
    for kind, column in each.items():
        numbers = [None if np.isnan(x) else float(x) for x in column]
        if positive is None:
            found[kind] = found[f"{kind}_macro"]
            found |= {f"{kind}[{k}]": x for k, x in enumerate(numbers)}
        else:
            found[kind] = numbers[positive]
    return found


def areas(rows: Rows, classes: int, positive: int | None) -> dict[str, float | None]:
    """Return ROC AUC and average precision: of the positive class, or macro one against the rest."""
    roc, precision = [], []
    for code in range(classes) if positive is None else (positive,):
        hit = rows.actual == code
        if not len(hit) or hit.all() or not hit.any():
            continue
        score = rows.proba[:, code]
        roc.append(sk.roc_auc_score(hit, score, sample_weight=rows.weight))
        precision.append(sk.average_precision_score(hit, score, sample_weight=rows.weight))
    if not roc:
        return {"roc_auc": None, "pr_auc": None}
    return {"roc_auc": float(np.mean(roc)), "pr_auc": float(np.mean(precision))}


def losses(rows: Rows, classes: int, bins: int) -> dict[str, float | None]:
    """Return log loss, Brier score, and ECE by its definition, row by row."""
    if not len(rows.actual):
        return {"log_loss": None, "brier": None, "ece": None}
    labels, weight = list(range(classes)), rows.weight
    if classes == 2:
        claim, came = rows.proba[:, 1], rows.actual == 1
    else:
        top = rows.proba.argmax(axis=1)
        claim, came = rows.proba.max(axis=1), rows.actual == top
    error = 0.0
    place = np.minimum((claim * bins).astype(int), bins - 1)
    for b in range(bins):
        inside = place == b
        error += abs((weight * (claim - came))[inside].sum()) / weight.sum()
    return {
        "log_loss": sk.log_loss(rows.actual, rows.proba, labels=labels, sample_weight=weight),
        "brier": sk.brier_score_loss(rows.actual, rows.proba, labels=labels, sample_weight=weight),
        "ece": error,
    }
