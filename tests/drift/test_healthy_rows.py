import math

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from tidegauge.block import Layout
from tidegauge.drift import reference
from tidegauge.drift.dependence import RunningInflation
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.healthy_rows import AGREED, ALIKE, BATCHES, HealthyRows, agree
from tidegauge.errors import SnapshotError

LAYOUT = Layout(("a", "b", "c"), (False, False, False))


def bins_of(rows):
    columns = np.random.default_rng(1).random((3, rows))
    return FeatureBins(
        {name: reference.fit(column, [], 0, 10, 100) for name, column in zip("abc", columns, strict=True)}
    )


def test_agreement_is_a_test_of_homogeneity_and_of_the_mean_rank():
    bins, rng = bins_of(1_000), np.random.default_rng(14)
    for power in (1.0, 1.1, 1.2, 1.3):
        cells = bins.cells(LAYOUT, rng.random((500, 3)) ** power)
        batch = np.bincount(cells.ravel(), minlength=bins.width).astype(np.float64)
        expected = []
        for start, own in zip(bins.starts, bins.references, strict=True):
            table = np.stack((own.counts, batch[start : start + own.width]))
            table = table[:, table.sum(axis=0) > 0]
            found = chi2_contingency(table, correction=False)
            shares = own.counts / own.counts.sum()
            score = np.cumsum(shares) - shares / 2
            away = (batch[start : start + own.width] / 500 - shares) @ score
            z = away / np.sqrt(shares @ (score - shares @ score) ** 2 * (1 / 500 + 1 / 1_000))
            alike = found.statistic <= found.dof + ALIKE * math.sqrt(2 * found.dof)
            expected.append(alike and abs(z) <= AGREED)
        assert agree(bins, batch, np.ones(3)).tolist() == expected


def test_batches_are_as_many_rows_as_were_there_before_them():
    bins, rng = bins_of(1_000), np.random.default_rng(2)
    rows, over = HealthyRows(bins), []
    for step in range(1, 200):
        cells = bins.cells(LAYOUT, rng.random((100, 3)))
        counts = np.bincount(cells.ravel(), minlength=bins.width)
        if rows.add(counts, 100, RunningInflation(3)):
            over.append(step)
    assert over == [10, 30, 70, 150]
    assert len(over) == BATCHES
    assert rows.dump()["counts"].sum() == 3 * 16_000


def test_a_foreign_state_is_refused():
    state = HealthyRows(bins_of(1_000)).dump()
    with pytest.raises(SnapshotError):
        HealthyRows.load({**state, "counts": np.zeros(3)}, bins_of(1_000))


def test_bins_without_features_learn_nothing():
    assert HealthyRows(FeatureBins({})).dump()["counts"].tolist() == []
