"""The settings of the demo, each with the reason why it is not the default."""

from __future__ import annotations

from msgspec.structs import replace

from tidegauge.config import Model, Rule, Settings
from tidegauge.demo.stream import DELAY, LATE
from tidegauge.demo.train import Trained

_DAY_SECONDS = 86_400
_WINDOW = 5_000  # outcomes: five to six days of flights, so that one stormy day is no incident


def demo_settings(
    base: Settings, late_baseline: dict[str, float], delay_baseline: dict[str, float]
) -> Settings:
    """Return the settings under which the year is monitored; servers are those of `base`.

    A day passes in a quarter of a second, so what is a second between two topics is days of event
    time: `lateness_seconds` and the drift window are long for that reason, not for the data's.
    """
    return replace(
        base,
        join=replace(base.join, horizon_seconds=7 * _DAY_SECONDS, lateness_seconds=14 * _DAY_SECONDS),
        monitor=replace(base.monitor, count_windows=(1_000, _WINDOW)),
        drift=replace(
            base.drift,
            window="7d",  # a shorter one would see single weekdays as drift
            reference_rows=26_000,  # four weeks
            psi_threshold=0.3,  # every week's weather differs from the average of four
            reference_outcomes=9_000,  # ten days of all flights, a month of one airport's: storms last days
            tolerance=0.05,  # five flights in a hundred would call nobody out; a storm brings as many
            every_outcomes=1_000,
            resolve_after=20_000,  # three weeks
            label_grace_seconds=14 * _DAY_SECONDS,  # as far as the topics may be apart
        ),
        models={
            LATE: Model(segments=("origin",), baseline=late_baseline),
            DELAY: Model(segments=("origin",), baseline=delay_baseline),
        },
        rules=(
            Rule(metric="accuracy", window=str(_WINDOW), every_outcomes=500, min_samples=1_000),
            Rule(metric="f1", window=str(_WINDOW), every_outcomes=500, min_samples=1_000),
            Rule(metric="mae", window=str(_WINDOW), factor=1.2, every_outcomes=500, min_samples=1_000),
        ),
    )


def trained_settings(base: Settings, trained: Trained) -> Settings:
    """Return the demo's settings with the baselines that validation gave."""
    return demo_settings(base, trained.late_baseline, trained.delay_baseline)
