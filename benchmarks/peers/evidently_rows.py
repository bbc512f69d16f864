"""Evidently: accuracy, F1, MAE and PSI of every feature against the reference, a report a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evidently import BinaryClassification, DataDefinition, Dataset, Regression, Report
from evidently.metrics import MAE, Accuracy, F1Score, ValueDrift

from benchmarks.peers.rows import features, main


def prepare(reference: Any) -> Callable[[Any], object]:
    """Return what makes the report of a batch."""
    names = features(reference)
    definition = DataDefinition(
        numerical_columns=[*names, "proba", "target", "prediction"],
        classification=[BinaryClassification(target="target", prediction_labels="prediction")],
        regression=[Regression(target="target", prediction="proba")],
    )
    drifts = [ValueDrift(column=name, method="psi") for name in (*names, "proba")]
    report = Report([Accuracy(), F1Score(), MAE(), *drifts])
    against = Dataset.from_pandas(reference, data_definition=definition)
    return lambda frame: report.run(Dataset.from_pandas(frame, data_definition=definition), against).dict()


if __name__ == "__main__":
    main("evidently", prepare)
