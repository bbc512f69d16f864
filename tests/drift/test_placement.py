import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tidegauge.drift.dependence import variance_inflation
from tidegauge.drift.error_baseline import bound
from tidegauge.drift.placement import MISSED, learn, placement_values


def rows(seed, count, share=0.3, apart=1.0, digits=1):
    """Return scores with ties, and labels."""
    rng = np.random.default_rng(seed)
    came = rng.random(count) < share
    return np.round(rng.normal(apart * came), digits), came


@pytest.mark.parametrize("seed", range(5))
def test_both_classes_placement_values_have_the_area_as_their_mean(seed):
    scores, came = rows(seed, 200)
    values = placement_values(scores, came)
    assert values[came].mean() == pytest.approx(roc_auc_score(came, scores), abs=1e-12)
    assert values[~came].mean() == pytest.approx(roc_auc_score(came, scores), abs=1e-12)


def test_a_placement_value_is_the_share_of_the_other_class_on_the_right_side():
    scores, came = rows(9, 60)
    expected = [
        np.mean([(one > other) + (one == other) / 2 for other in scores[~came]])
        if positive
        else np.mean([(other > one) + (one == other) / 2 for other in scores[came]])
        for one, positive in zip(scores, came, strict=True)
    ]
    assert placement_values(scores, came) == pytest.approx(expected, abs=1e-12)


def test_the_bound_is_that_of_delongs_variance_by_its_definition():
    scores, came = rows(3, 300)
    up, down = scores[came], scores[~came]
    wins = (up[:, None] > down) + (up[:, None] == down) / 2
    variance = wins.mean(axis=1).var(ddof=1) / len(up) + wins.mean(axis=0).var(ddof=1) / len(down)
    auc, found = wins.mean(), learn(scores, came)
    share = came.mean()
    influence = np.empty(300)
    influence[came], influence[~came] = (
        (wins.mean(axis=1) - auc) / share,
        (wins.mean(axis=0) - auc) / (1 - share),
    )
    inflation = variance_inflation(influence)
    binary = auc * (1 - auc)
    assert found.inflation == pytest.approx(inflation)
    assert found.auc == pytest.approx(auc)
    assert found.low == pytest.approx(bound(auc, binary, binary / variance / inflation, -1.0, MISSED))
    assert found.low == pytest.approx(auc - 1.2816 * np.sqrt(variance * inflation), abs=0.01)


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_the_true_area_lies_below_the_bound_as_seldom_as_it_says(share):
    below = 0
    for seed in range(200):
        scores, came = rows(seed, 1_000, share, digits=12)
        below += learn(scores, came).low > 0.7602  # of two normal laws one deviation apart
    assert below <= 200 * MISSED + 2 * np.sqrt(200 * MISSED)


def test_scores_that_part_the_classes_wholly_leave_room_for_chance():
    came = np.repeat([False, True], 30)
    found = learn(np.arange(60.0), came)
    assert found.auc == 1.0
    assert 0.9 < found.low < 1.0


def test_the_tolerance_lowers_what_is_bet_against():
    scores, came = rows(4, 500)
    assert learn(scores, came, 0.05).low == pytest.approx(learn(scores, came).low - 0.05)
