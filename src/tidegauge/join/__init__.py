"""The join of predictions and labels: its words, its table, and the window in memory that reads it.

Each source partition is read in the order of its offsets: an arrival at or below the applied offset is
a replay, which changes nothing and yields its rows again. The script of the Redis window does the same
to the same arrivals and is tested against the window in memory.
"""

from tidegauge.join.answers import (
    Answers,
    answers,
    pack_answers,
    pack_context,
    pack_heads,
    pack_predicted,
    unpack_answers,
    unpack_context,
    unpack_predicted,
)
from tidegauge.join.columns import VERDICTS, Arrivals, Matched, Resolutions
from tidegauge.join.memory import MemoryWindow
from tidegauge.join.payload import (
    KEY_BYTES,
    key_of,
    keys_of,
    pack_labelled,
    pack_labels,
    unpack_floats,
    unpack_labelled,
)
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
    "KEY_BYTES",
    "VERDICTS",
    "Answers",
    "Arrival",
    "Arrivals",
    "Mark",
    "Matched",
    "MemoryWindow",
    "Orphan",
    "OutcomeRow",
    "Resolution",
    "Resolutions",
    "Rules",
    "Side",
    "Verdict",
    "advance",
    "answers",
    "key_of",
    "keys_of",
    "pack_answers",
    "pack_context",
    "pack_heads",
    "pack_labelled",
    "pack_labels",
    "pack_predicted",
    "unpack_answers",
    "unpack_context",
    "unpack_floats",
    "unpack_labelled",
    "unpack_predicted",
]
