"""What crosses a boundary: the events users produce, and the records Tidegauge publishes.

The JSON Schemas under `schemas/` are generated from these classes (`tidegauge schema`).
Times on the wire are RFC 3339 text, or a number of seconds or milliseconds since the epoch;
inside Tidegauge every time is an integer of milliseconds since the epoch (`_ms`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tidegauge.baseline_file import BaselineFile

Id = Annotated[str, Meta(min_length=1)]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Gain = Annotated[float, Meta(ge=0)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Scalar = bool | Integer | float | str
Time = Annotated[
    str | int | float | None,
    Meta(description="RFC 3339 text, or seconds or milliseconds since the epoch"),
]


class Prediction(Struct, frozen=True, gc=False, kw_only=True):
    """A model's answer, as a service produces it to the topic `predictions`."""

    prediction_id: Annotated[Id, Meta(description="joins the prediction with its label; unique")]
    model_id: Id
    model_version: Id
    prediction: Annotated[
        Scalar | list[str | Integer | float],
        Meta(description="a class, a number, or a ranked list of items"),
    ]
    predicted_at: Time = None
    prediction_proba: Annotated[
        Probability | dict[str, Probability] | None,
        Meta(description="probability of the positive class, or of each class"),
    ] = None
    features: dict[str, Scalar | None] = {}
    segments: dict[str, str] = {}
    entity_id: str | None = None
    latency_ms: Annotated[float, Meta(ge=0)] | None = None
    resources: Annotated[
        dict[str, float], Meta(description="what serving cost, such as cpu, memory, gpu")
    ] = {}
    value: Annotated[float | None, Meta(description="business value at stake")] = None


class Label(Struct, frozen=True, gc=False, kw_only=True):
    """The truth about a prediction, as it becomes known, on the topic `labels`.

    A later label with another value for the same `prediction_id` is a correction. Of a ranked list the label
    is the items that were relevant so far, as a list, or as a map to their gains; a partial label names some
    that are added to those, and one that is not partial counts before all that are.
    """

    prediction_id: Id
    label: Annotated[
        Scalar | list[str | Integer | float] | dict[str, Gain],
        Meta(description="the true class, the true number, or the relevant items, with gains or without"),
    ]
    labelled_at: Time = None
    kpis: Annotated[dict[str, float], Meta(description="what followed, such as revenue or satisfaction")] = {}
    weight: Annotated[float, Meta(gt=0, description="weight of the outcome in metrics")] = 1.0
    partial: Annotated[bool, Meta(description="the items are added to those of other partial labels")] = False


# Why an event is in the dead-letter topic. The first group is decided on the event alone.
REASONS = {
    "malformed": "not a JSON object, truncated, not UTF-8, or nested too deeply",
    "too_large": "more bytes than limits.message_bytes",
    "missing_field": "a required field is absent",
    "wrong_type": "a field has another type than the schema says",
    "out_of_range": "a number, time or text outside what the field allows",
    "from_the_future": "its time is later than the record's time by more than limits.future_seconds",
    "too_many": "more features, segments, models or segment values than the limits allow",
    "too_many_revisions": "more corrections of one label than limits.revisions,"
    " or more items added up than limits.list_items",
    "late": "a label further from its prediction than join.horizon_seconds",
    "orphan": "a label whose prediction did not come within join.horizon_seconds",
}


class DeadLetter(Struct, frozen=True, kw_only=True):
    """An event that could not be used, on the topic `tidegauge.deadletter`: why, from where, its bytes."""

    reason: Annotated[str, Meta(description="one of: " + ", ".join(REASONS))]
    detail: Annotated[str, Meta(description="what was expected and what came")]
    path: Annotated[str, Meta(description="place inside the event, such as $.features.age")]
    topic: str
    partition: int
    offset: int
    value_base64: Annotated[
        str | None,
        Meta(description="the original bytes; absent for late discoveries: read them at the offset"),
    ] = None
    prediction_id: str | None = None


class Carrier(Struct, frozen=True, kw_only=True):
    """Outcomes whose loss rose by more than that of the others."""

    where: Annotated[dict[str, str], Meta(description="segment field or feature, and which part of it")]
    part: Annotated[float, Meta(description="of the change of the mean loss, in its units")]
    n: Annotated[int, Meta(description="outcomes in the window")]
    before: Annotated[
        float | None, Meta(description="mean loss in the reference; null without outcomes there")
    ]
    after: float
    p: Annotated[float, Meta(description="adjusted for all that was looked at (Holm)")]


class ColumnSplit(Struct, frozen=True, kw_only=True):
    """The change of the mean loss, split by one segment field or feature into parts that add up to it."""

    name: str
    mix: Annotated[float, Meta(description="from other shares of its parts")]
    rate: Annotated[float, Meta(description="from other losses within its parts")]
    interaction: float


class Attribution(Struct, frozen=True, kw_only=True):
    """Where a change of the mean loss lies: the last outcomes against the first."""

    loss: Annotated[str, Meta(description="`error`, or the KPI that is watched instead")]
    before: float
    after: float
    n_before: int
    n: int
    carriers: tuple[Carrier, ...] = ()
    columns: Annotated[tuple[ColumnSplit, ...], Meta(description="the greatest mix first")] = ()


class Evidence(Struct, frozen=True, kw_only=True):
    """The numbers an alert rests on. What is undefined is null."""

    metric: str
    window: str
    n: int
    coverage: float | None = None
    current: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    baseline_source: Annotated[
        str | None,
        Meta(
            description="control, control_file, configured, file, early_production, rolling or seasonal;"
            " of PSI first, rolling or seasonal"
        ),
    ] = None
    threshold: float | None = None
    detector: str | None = None
    feature: str | None = None
    attribution: Annotated[
        Attribution | None, Meta(description="what carries the change; null where it is not kept")
    ] = None


Sign = Literal["moved", "still", "unknown"]
Diagnosed = Literal[
    "data_quality",
    "concept_drift",
    "harmful_covariate_shift",
    "estimator_off_support",
    "benign_drift",
    "immature_cohorts",
    "unknown",
]


class Moved(Struct, frozen=True, kw_only=True):
    """What moved when an alert was raised, or shortly before."""

    data: Annotated[Sign, Meta(description="the features")] = "unknown"
    quality: Annotated[Sign, Meta(description="more nulls, unseen levels or values of another type")] = (
        "unknown"
    )
    prediction: Sign = "unknown"
    estimate: Annotated[Sign, Meta(description="the estimated performance got worse")] = "unknown"
    realised: Annotated[Sign, Meta(description="the performance by the labels that came got worse")] = (
        "unknown"
    )
    calibration: Annotated[Sign, Meta(description="labels break with what scores have meant")] = "unknown"


class Diagnosis(Struct, frozen=True, kw_only=True):
    """What an alert probably means, by what moved and what did not."""

    verdict: Diagnosed
    moved: Moved
    completeness: Annotated[
        float | None, Meta(description="share of the predictions of drift.window whose label has come")
    ] = None


class Alert(Struct, frozen=True, kw_only=True):
    """A finding on the topic `alerts`: it fires once and is resolved once in an incident.

    A replay publishes the same alert with the same `alert_id`: subscribers drop the ids they know.
    """

    alert_id: Annotated[str, Meta(description="identifies this message")]
    incident_id: Annotated[str, Meta(description="shared by the firing alert and its resolution")]
    status: Literal["firing", "resolved"]
    kind: Literal["performance", "drift"]
    drift_type: Literal["data_drift", "concept_drift", "prediction_drift", "label_delay"] | None = None
    rule: str
    model_id: str
    model_version: str
    segment: Annotated[str | None, Meta(description="name=value; null for the whole version")] = None
    raised_at_ms: Annotated[int, Meta(description="event time of the evaluation")]
    opened_at_ms: Annotated[int, Meta(description="event time at which the incident opened")]
    message: str
    evidence: Evidence
    diagnosis: Annotated[
        Diagnosis | None, Meta(description="null where nothing is known, as after a reset")
    ] = None


class Control(Struct, frozen=True, kw_only=True):
    """A request to the running workers, on the topic `tidegauge.control`.

    `set_baseline` sets the named metrics' baseline, or all that a baseline file holds,
    `reset` forgets a version's rolling state, `silence` keeps a version's alerts from being published until
    `until_ms`.
    """

    action: Literal["set_baseline", "reset", "silence"]
    model_id: Id
    model_version: Id
    metrics: dict[str, float] = {}
    baseline: Annotated[BaselineFile | None, Meta(description="the content of a baseline file")] = None
    until_ms: int | None = None
