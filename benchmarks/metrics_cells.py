"""What the metric families cost, beside scikit-learn on the same rows: `python -m benchmarks.metrics_cells`.

Each figure is the best of five repeats on one core: nanoseconds a row to make and add the cells,
microseconds to read all metrics from their sum, and scikit-learn's time for the same metrics of the rows.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import metrics as sk

from tidegauge.metrics.classification import Classification
from tidegauge.metrics.distribution import Distribution
from tidegauge.metrics.moments import Moments
from tidegauge.metrics.order import exact_order_metrics
from tidegauge.metrics.regression import Regression

ROWS = 4_000  # one batch of the join
WINDOW = 1_000  # the default count window


def seconds(call: Callable[[], Any], number: int) -> float:
    """Return the best time of one call."""
    return min(timeit.repeat(call, number=number, repeat=5)) / number


def classified(classes: int, n: int = ROWS) -> tuple[Any, ...]:
    """Return predicted, actual, proba, weight of n rows."""
    rng = np.random.default_rng(1)
    actual = rng.integers(0, classes, n).astype(np.int32)
    proba = rng.dirichlet(np.ones(classes), n)
    proba[np.arange(n), actual] += 0.5
    proba /= proba.sum(axis=1, keepdims=True)
    return proba.argmax(axis=1).astype(np.int32), actual, proba, np.ones(n)


def sklearn_classified(predicted: Any, actual: Any, proba: Any, weight: Any) -> None:
    """Compute with scikit-learn what `Classification.values` returns, intervals and ECE aside."""
    binary = proba.shape[1] == 2
    average = "binary" if binary else "macro"
    sk.accuracy_score(actual, predicted, sample_weight=weight)
    sk.balanced_accuracy_score(actual, predicted, sample_weight=weight)
    for score in (sk.precision_score, sk.recall_score, sk.f1_score):
        score(actual, predicted, average=average, sample_weight=weight)
        score(actual, predicted, average="macro" if binary else None, sample_weight=weight)
    sk.f1_score(actual, predicted, average="weighted", sample_weight=weight)
    sk.matthews_corrcoef(actual, predicted, sample_weight=weight)
    for code in (1,) if binary else range(proba.shape[1]):
        sk.roc_auc_score(actual == code, proba[:, code], sample_weight=weight)
        sk.average_precision_score(actual == code, proba[:, code], sample_weight=weight)
    sk.log_loss(actual, proba, sample_weight=weight)
    sk.brier_score_loss(actual, proba, sample_weight=weight)


def sklearn_regressed(prediction: Any, actual: Any, weight: Any) -> None:
    """Compute with scikit-learn what it has of `Regression.values`."""
    sk.mean_absolute_error(actual, prediction, sample_weight=weight)
    sk.root_mean_squared_error(actual, prediction, sample_weight=weight)
    sk.mean_absolute_percentage_error(actual, prediction, sample_weight=weight)
    sk.r2_score(actual, prediction, sample_weight=weight)


def line(name: str, family: Any, rows: tuple[Any, ...], values: Callable[[Any], Any], peer: Any) -> str:
    """Return a row of the table."""

    def summed() -> Any:
        index, amount = family.cells(*rows)
        return np.bincount(index.ravel(), amount.ravel(), family.width)

    cells = summed()
    make = seconds(lambda: family.cells(*rows), 20) / len(rows[0])
    add = seconds(summed, 20) / len(rows[0])
    read = seconds(lambda: values(cells), 300)
    text = f"{name:22}{family.width:7}{make * 1e9:11.0f}{add * 1e9:14.0f}{read * 1e6:12.0f}"
    if peer is None:
        return text
    theirs = seconds(lambda: peer(*rows), 3)
    return text + f"{theirs * 1e3:14.2f}{theirs / read:10.0f}x"


def main() -> None:
    """Print the table."""
    print(f"{'family':22}{'width':>7}{'cells ns':>11}{'and add ns':>14}", end="")
    print(f"{'values us':>12}{'sklearn ms':>14}{'ratio':>11}")
    for classes, positive in ((2, 1), (3, None), (10, None), (50, None)):
        family, names = Classification(classes), [str(k) for k in range(classes)]
        peer = sklearn_classified if classes <= 10 else None

        def read(cells: Any, family: Any = family, names: Any = names, positive: Any = positive) -> Any:
            return family.values(cells, names, positive)

        print(line(f"{classes} classes", family, classified(classes), read, peer))
    binary, rows = Classification(2), classified(2)
    for name, read in (
        ("2 classes, f1 alone", lambda c: binary.values(c, ["0", "1"], 1, only=["f1"])),
        ("2 classes, bounds", lambda c: binary.bounds(c, 1)),
    ):
        print(line(name, binary, rows, read, None))
    rng = np.random.default_rng(2)
    x, y = rng.normal(10, 3, ROWS), rng.normal(10, 3, ROWS)
    regression, moments, distribution = Regression(10.0), Moments(10.0), Distribution(0.1, 1e5)
    print(line("regression", regression, (x, y, np.ones(ROWS)), regression.values, sklearn_regressed))
    print(line("moments", moments, (x, y), lambda c: moments.values(c, ROWS), None))
    quantiles = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
    times = (np.exp(x / 5),)
    print(line("distribution", distribution, times, lambda c: distribution.values(c, quantiles), None))
    _, actual, proba, weight = classified(2, WINDOW)
    exact = seconds(lambda: exact_order_metrics(actual, proba, weight, 1, 0.95), 200)
    theirs = seconds(
        lambda: (sk.roc_auc_score(actual, proba[:, 1]), sk.average_precision_score(actual, proba[:, 1])), 20
    )
    print(f"exact areas of {WINDOW} rows: {exact * 1e6:.0f} us", end="; ")
    print(f"scikit-learn {theirs * 1e3:.2f} ms, {theirs / exact:.0f}x")


if __name__ == "__main__":
    main()
