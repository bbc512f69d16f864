"""Two small models, trained on January and February: late or not, and by how many minutes."""

# ruff: noqa: PLC0415 - what only the extra `demo` brings is imported when it is used
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.demo.flights import NEVER, NUMBERS, Flights

LATE_MINUTES = 15
TRAINING_MONTHS = (1, 2)
VERSION = "2013-02"
_FOLDS = 5
_DAY_MS = 86_400_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trained:
    """What the two models say of every flight [flights], and what validation promised."""

    late_probability: Floats
    delay_minutes: Floats
    late_baseline: dict[str, float]
    delay_baseline: dict[str, float]


def train(flights: Flights) -> Trained:
    """Return both models' predictions of all flights, and their baselines.

    A baseline is the metric on flights of the training months that the model had not seen
    (cross-validation by whole days). Takes about three seconds.
    """
    from sklearn import metrics
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GroupKFold, cross_val_predict

    inputs = _inputs(flights)
    known = np.isin(flights.month, TRAINING_MONTHS) & (flights.arrived_at_ms != NEVER)
    seen, minutes = inputs[known], flights.delay_minutes[known]
    late = minutes > LATE_MINUTES
    split = {"groups": flights.departed_at_ms[known] // _DAY_MS, "cv": GroupKFold(_FOLDS)}
    classifier, regressor = _pipeline(LogisticRegression(max_iter=300)), _pipeline(Ridge())
    held_out = cross_val_predict(classifier, seen, late, method="predict_proba", **split)[:, 1]
    held_out_minutes = cross_val_predict(regressor, seen, minutes, **split)
    return Trained(
        late_probability=classifier.fit(seen, late).predict_proba(inputs)[:, 1].round(6),
        delay_minutes=regressor.fit(seen, minutes).predict(inputs).round(3),
        late_baseline={
            "accuracy": float(metrics.accuracy_score(late, held_out >= 0.5)),
            "f1": float(metrics.f1_score(late, held_out >= 0.5)),
            "roc_auc": float(metrics.roc_auc_score(late, held_out)),
        },
        delay_baseline={
            "mae": float(metrics.mean_absolute_error(minutes, held_out_minutes)),
            "rmse": float(metrics.root_mean_squared_error(minutes, held_out_minutes)),
        },
    )


def _pipeline(model: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), model)


def _inputs(flights: Flights) -> Floats:
    """Return the numbers and a column of 0 and 1 for each carrier and origin: [flights, inputs]."""
    columns = [flights.numbers]
    for texts in (flights.carrier, flights.origin):
        values = np.unique(texts.astype(str))
        columns.append((texts.astype(str)[:, None] == values).astype(np.float64))
    assert columns[0].shape[1] == len(NUMBERS)
    return np.hstack(columns)
