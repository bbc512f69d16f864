"""The join of predictions and labels: its words, its table, and the window in memory that reads it.

Each source partition is read in the order of its offsets: an arrival at or below the applied offset is
a replay, which changes nothing and yields its rows again. The script of the Redis window does the same
to the same arrivals and is tested against the window in memory.
"""

from tidegauge.join.memory import MemoryWindow
from tidegauge.join.payload import key_of, pack_labelled, pack_predicted, unpack_labelled, unpack_predicted
from tidegauge.join.watermark import Mark, advance
from tidegauge.join.words import (
    COUNTER_NAMES,
    COUNTERS,
    Arrival,
    Orphan,
    OutcomeRow,
    Resolution,
    Rules,
    Side,
    Verdict,
)

__all__ = [
    "COUNTERS",
    "COUNTER_NAMES",
    "Arrival",
    "Mark",
    "MemoryWindow",
    "Orphan",
    "OutcomeRow",
    "Resolution",
    "Rules",
    "Side",
    "Verdict",
    "advance",
    "key_of",
    "pack_labelled",
    "pack_predicted",
    "unpack_labelled",
    "unpack_predicted",
]
