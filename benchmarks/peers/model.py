"""What every streaming peer does with an outcome: river, one at a time, and an alert below a threshold.

State is published as hashes `metrics:<model>` twice a second, as often as Tidegauge does by default.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any, NamedTuple

from river import drift, metrics, utils

WINDOW = 1_000
THRESHOLD = 0.7  # of accuracy
MIN_SAMPLES = 200
PUBLISH_SECONDS = 0.5
HORIZON_SECONDS = 7 * 86_400


class Place(NamedTuple):
    """Where a peer finds its servers and topics."""

    broker: str
    redis_url: str
    predictions: str
    labels: str
    alerts: str
    group: str


def place() -> Place:
    """Return the place that the environment names."""
    return Place(*(os.environ[f"BENCH_{name.upper()}"] for name in Place._fields))


class Model:
    """Rolling accuracy, F1 and MAE over 1000 outcomes, ADWIN on the error, and whether it is too bad."""

    def __init__(self) -> None:
        self.n = self.changes = 0
        self.accuracy = utils.Rolling(metrics.Accuracy(), WINDOW)
        self.f1 = utils.Rolling(metrics.F1(), WINDOW)
        self.mae = utils.Rolling(metrics.MAE(), WINDOW)
        self.adwin = drift.ADWIN()
        self.low = False

    def learn(self, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any] | None:
        """Count an outcome; return an alert where the accuracy has just fallen below the threshold."""
        truth, predicted = bool(label["label"]), bool(prediction["prediction"])
        self.n += 1
        self.accuracy.update(truth, predicted)
        self.f1.update(truth, predicted)
        self.mae.update(float(truth), prediction["prediction_proba"])
        self.adwin.update(int(truth != predicted))
        self.changes += self.adwin.drift_detected
        was_low, self.low = self.low, self.n >= MIN_SAMPLES and self.accuracy.get() < THRESHOLD
        if self.low and not was_low:
            return {"model_id": prediction["model_id"], "accuracy": self.accuracy.get(), "n": self.n}
        return None

    def state(self) -> dict[str, Any]:
        """Return the fields of its hash."""
        values = {"accuracy": self.accuracy.get(), "f1": self.f1.get(), "mae": self.mae.get()}
        return {"n": self.n, "changes": self.changes, **values}


class Models:
    """The models of a process, by id."""

    def __init__(self) -> None:
        self._models: dict[str, Model] = {}

    def learn(self, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any] | None:
        """Count an outcome of the model that predicted it."""
        return self._models.setdefault(prediction["model_id"], Model()).learn(prediction, label)

    def states(self) -> dict[str, dict[str, Any]]:
        """Return what is to be published."""
        return {f"metrics:{name}": model.state() for name, model in list(self._models.items())}

    def publish_all_the_time(self, client: Any) -> None:
        """Publish from a thread of its own, for libraries that have no timer."""

        def publish() -> None:
            while not threading.Event().wait(PUBLISH_SECONDS):
                for key, fields in self.states().items():
                    client.hset(key, mapping=fields)

        threading.Thread(target=publish, daemon=True).start()


# KEYS what the other side left, where to leave this; ARGV this, seconds. In one call, or two agents that
# look at the same time would both find nothing and leave theirs for good.
EXCHANGE = """
local other = redis.call('GETDEL', KEYS[1])
if not other then redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2]) end
return other
"""


class Join:
    """Pairs predictions and labels in Redis: who comes second takes what the first has left."""

    def __init__(self, client: Any, models: Models) -> None:
        self._exchange = client.register_script(EXCHANGE)
        self._models = models

    def prediction(self, prediction: dict[str, Any]) -> dict[str, Any] | None:
        """Return the alert that a prediction leads to, if its label is there."""
        label = self._exchange(*exchanged("label", "prediction", prediction))
        return self._models.learn(prediction, json.loads(label)) if label else None

    def label(self, label: dict[str, Any]) -> dict[str, Any] | None:
        """Return the alert that a label leads to, if its prediction is there."""
        prediction = self._exchange(*exchanged("prediction", "label", label))
        return self._models.learn(json.loads(prediction), label) if prediction else None


def exchanged(other: str, mine: str, event: dict[str, Any]) -> tuple[list[str], list[Any]]:
    """Return keys and arguments of `EXCHANGE` for an event."""
    name = event["prediction_id"]
    return [f"{other}:{name}", f"{mine}:{name}"], [json.dumps(event), HORIZON_SECONDS]
