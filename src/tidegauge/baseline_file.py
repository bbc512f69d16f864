"""The baseline file: what a version looked like where it was right, frozen and small.

Bins with their counts of every feature and of the prediction, counts of the classes, reference metrics,
moments of the loss, and labelled rows by score bin. Only sums: no row of the data is in it.
`schemas/baseline.schema.json` is generated from these classes.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
Column = Literal["score", "number", "class"]

NUMERIC_OUTSIDE = 3  # cells of a numeric feature beside one for each edge: over-range, null, changed type
CATEGORICAL_OUTSIDE = 4  # other, unseen, null, changed type
MOST_CLASSES = 1_000
_CLASSES = {"binary": (1, 2), "multiclass": (3, MOST_CLASSES), "regression": (0, 0)}  # fewest and most


class Histogram(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The bins of one column, in the order in which the monitor counts them."""

    kind: Literal["numeric", "categorical"]
    edges: Annotated[
        tuple[float, ...], Meta(description="numeric: ascending; a value belongs above each it reaches")
    ] = ()
    levels: Annotated[tuple[str, ...], Meta(description="categorical: the known ones")] = ()
    counts: Annotated[
        tuple[Count, ...],
        Meta(
            description="rows by cell. Numeric: below the first edge, between edges, at or above the last, "
            "null, changed type. Categorical: the levels, other, unseen, null, changed type"
        ),
    ]
    mean: float | None = None
    deviation: Annotated[float, Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        numeric = self.kind == "numeric"
        width = len(self.edges) + NUMERIC_OUTSIDE if numeric else len(self.levels) + CATEGORICAL_OUTSIDE
        if len(self.counts) != width:
            raise ValueError(f"expected {width} counts of a {self.kind} column, got {len(self.counts)}")
        if any(not low < high for low, high in pairwise(self.edges)) or not all(
            map(math.isfinite, self.edges)
        ):
            raise ValueError("expected finite edges in ascending order")
        if (self.levels if numeric else self.edges) or len(set(self.levels)) < len(self.levels):
            raise ValueError("expected edges of a numeric column, different levels of a categorical one")

    @property
    def rows(self) -> int:
        return sum(self.counts)

    @property
    def nulls(self) -> int:
        return self.counts[-2]


class PredictionHistogram(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bins of the predictions."""

    column: Annotated[Column, Meta(description="which of a prediction's values: score, number or class")]
    histogram: Histogram


class ReferenceMetric(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A metric where the version was right; the interval is missing where there is none."""

    value: float
    n: Count = 0
    low: float | None = None
    high: float | None = None


class Loss(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Moments of the error of an outcome: 1 where the class is wrong, or the absolute error."""

    n: Count
    mean: float
    variance: Annotated[float, Meta(ge=0)]


class BaselineFile(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Where a version is measured from."""

    tidegauge_baseline: Annotated[Literal[1], Meta(description="version of this format")]
    model_id: Annotated[str, Meta(min_length=1)]
    model_version: Annotated[str | None, Meta(description="null: every version of the model")] = None
    name: Annotated[str, Meta(description="for people: where it came from")] = ""
    made_at: Annotated[str, Meta(description="RFC 3339")] = ""
    rows: Count = 0
    features: dict[str, Histogram] = {}
    prediction: PredictionHistogram | None = None
    task: Literal["binary", "multiclass", "regression"] | None = None
    positive_class: str | None = None
    classes: Annotated[dict[str, Count], Meta(description="labelled rows by class: the priors")] = {}
    metrics: dict[str, ReferenceMetric] = {}
    loss: Loss | None = None
    scores: Annotated[
        dict[str, tuple[Count, ...]],
        Meta(
            description="labelled rows by score bin. `score:<class>`: rows of this class, by the score of "
            "the positive one; `own:<class>` and `other:<class>`: rows that are of the class, or not, by "
            "its probability"
        ),
    ] = {}

    def __post_init__(self) -> None:
        if len({len(bins) for bins in self.scores.values()}) > 1:
            raise ValueError("expected as many score bins of each class")
        fewest, most = _CLASSES.get(self.task or "", (0, MOST_CLASSES))
        if not fewest <= len(self.classes) <= most:
            raise ValueError(
                f"expected {fewest} to {most} classes of a {self.task} task, got {len(self.classes)}"
            )
        if self.positive_class is not None and self.positive_class not in self.classes:
            raise ValueError(f"expected a positive class among the classes, got {self.positive_class!r}")

    @property
    def score_bins(self) -> int | None:
        """How many score bins the calibration has; None without one."""
        return next((len(bins) for bins in self.scores.values()), None)

    @property
    def labelled(self) -> int:
        """How many labelled rows have a score."""
        own = [sum(bins) for name, bins in self.scores.items() if not name.startswith(("own:", "other:"))]
        first = next((name.partition(":")[2] for name in self.scores if name.startswith("own:")), None)
        maps = sum(sum(self.scores.get(f"{kind}:{first}", ())) for kind in ("own", "other"))
        return sum(own) + maps

    @property
    def identity(self) -> str:
        """Twelve characters that another baseline does not have."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:12]


def decode(text: bytes) -> BaselineFile:
    """Return the baseline in a file; raises ValueError that says what was expected and where."""
    return msgspec.json.decode(text, type=BaselineFile)


def encode(found: BaselineFile) -> bytes:
    """Return the text of a baseline's file: a line for each key, and for each item of a table."""
    tree = msgspec.to_builtins(found)
    return (
        "{" + ",\n".join(f"{_text(key)}: {_lines(value)}" for key, value in tree.items()) + "}\n"
    ).encode()


def _lines(value: object) -> str:
    if not isinstance(value, dict) or not value:
        return _text(value)
    return "{\n" + ",\n".join(f"  {_text(key)}: {_text(item)}" for key, item in value.items()) + "}"


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
