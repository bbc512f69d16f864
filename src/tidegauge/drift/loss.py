"""A loss on the scale from 0 to 1, which sequential detectors assume.

Detectors compare means by bounds that hold for values between 0 and 1; an absolute error in minutes or
euros has no bound. The scale is the 99.9 % quantile of a version's first errors; greater ones count 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COVERED = 0.999


def loss_scale(errors: Floats) -> float | None:
    """Return the scale of absolute errors [n]; None without errors, or where all are 0.

    >>> loss_scale(np.array([0.0, 1.0, 2.0, 4.0])).__round__(3)
    3.994
    """
    if not len(errors):
        return None
    scale = float(np.quantile(np.abs(errors), COVERED))
    return scale or float(np.abs(errors).max()) or None


def scaled_loss(errors: Floats, scale: float) -> Floats:
    """Return the losses [n] of errors, between 0 and 1.

    >>> scaled_loss(np.array([-1.0, 2.0, 100.0]), 4.0).tolist()
    [0.25, 0.5, 1.0]
    """
    return np.minimum(np.abs(errors) / scale, 1.0)
