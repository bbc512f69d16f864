"""For those who use Tidegauge: log predictions and labels, follow alerts, read metrics."""

from tidegauge.client.alerts import AlertFollower
from tidegauge.client.labels import LabelLogger
from tidegauge.client.metrics import Confusion, JoinCounters, MetricReader, MetricValue, ModelState
from tidegauge.client.predictions import PredictionLogger
from tidegauge.errors import Rejected, Unavailable
from tidegauge.records import Alert, Evidence

__all__ = [
    "Alert",
    "AlertFollower",
    "Confusion",
    "Evidence",
    "JoinCounters",
    "LabelLogger",
    "MetricReader",
    "MetricValue",
    "ModelState",
    "PredictionLogger",
    "Rejected",
    "Unavailable",
]
