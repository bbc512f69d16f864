import numpy as np
import pytest

from tidegauge.drift.detectors import Detector
from tidegauge.drift.loss import loss_scale, scaled_loss


def test_a_loss_is_between_zero_and_one_and_one_beyond_the_scale():
    errors = np.random.default_rng(1).lognormal(3, 1, 5_000)
    scale = loss_scale(errors)
    losses = scaled_loss(errors, scale)
    assert losses.min() >= 0 and losses.max() == 1
    assert (losses == 1).mean() == pytest.approx(0.001, abs=0.001)


def test_there_is_no_scale_without_an_error():
    assert loss_scale(np.empty(0)) is None
    assert loss_scale(np.zeros(10)) is None


def test_one_error_among_zeros_is_the_scale():
    assert loss_scale(np.append(np.zeros(100_000), 5.0)) == 5


def test_a_rise_of_a_regressions_error_is_found_on_the_scaled_loss():
    rng = np.random.default_rng(2)
    before, after = rng.exponential(10, 2_000), rng.exponential(20, 2_000)
    scale = loss_scale(before[:1_000])
    found = Detector("adwin").update(scaled_loss(np.append(before, after), scale))
    assert found[0].worse
    assert 2_000 <= found[0].at < 2_400
