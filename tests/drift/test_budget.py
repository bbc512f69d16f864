import pytest

from tidegauge.drift import budget


def test_the_shares_of_a_version_add_up_to_its_promise():
    segments = sum(budget.segment_share(place) for place in range(1, 10_000))
    assert segments == pytest.approx(budget.SHARES["segments"], rel=1e-3)
    assert segments <= budget.SHARES["segments"]
    assert sum(budget.SHARES.values()) == 1


def test_the_rates_of_false_alarms_add_up_to_one_in_so_many_days():
    shares = [*budget.SHARES.values()]
    rates = (100, 200, 50, 1e6, 3e4)
    lengths = [budget.run_length(30, rate, share) for rate, share in zip(rates, shares, strict=True)]
    a_day = sum(rate / length for rate, length in zip(rates, lengths, strict=True))
    assert a_day == pytest.approx(1 / 30)


@pytest.mark.parametrize("watched", [1, 2, 3])
def test_detectors_of_labels_beside_scores_share_one_fifth(watched):
    assert watched * budget.scores_share(watched) == pytest.approx(budget.SHARES["calibration"])


def test_where_no_time_passed_there_is_no_rate():
    assert budget.per_day(100, 5, 5) is None


def test_features_and_their_pairs_share_what_features_have():
    assert 2 * budget.features_share(pairs=True) == budget.features_share(pairs=False)
    assert budget.features_share(pairs=False) == budget.SHARES["features"]


def test_a_version_and_its_segments_share_one_probability():
    segments = sum(budget.probability(0.05, budget.segment_share(place)) for place in range(1, 10_000))
    assert budget.probability(0.05, budget.SHARES["error"]) + segments == pytest.approx(0.05, rel=1e-3)
