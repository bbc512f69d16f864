"""What users send in a schedule: few ids, so that events of one id meet often."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.simulation.log import Log

HORIZON_MS = 60_000
LATENESS_MS = 60_000
LEAP_MS = 200_000  # over horizon and lateness: what is older is due
PARTITIONS = 2
PREDICTIONS, LABELS = "predictions", "labels"
START_MS = 1_700_000_000_000
RECENT = 6  # ids that an event without a new one is about

MODELS = (("churn", "v1"), ("price", "v1"))  # a classification and a regression
RANKING = ("shop", "v1")  # of the lists
SHOWN = ("a", "b", "c", "d")
CLICKABLE = (*SHOWN, "e")  # one that no list shows
MOST_CLICKS = 9  # of the numbers that are drawn; those above are whole labels
FRESH_MS = 50_000  # a list takes clicks until then: all of them within the horizon
LAST_MODEL = ("last", "v1")  # of the events at the end, which move the watermark


class Sent(NamedTuple):
    """An id that events may be about."""

    name: str
    at_ms: int
    number: int
    partition: int  # of the prediction


class Users:
    """Sends events; their time goes on with every event, and leaps when told."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._now_ms = START_MS
        self._sent: list[Sent] = []
        self._lists: list[Sent] = []
        self._count = 0

    def leap(self) -> None:
        """Go on in time so far that nothing sent before can match what comes."""
        self._now_ms += LEAP_MS
        self._sent, self._lists = [], []

    def send(self, what: str, which: int, value: int) -> None:
        self._now_ms += 1_000
        getattr(self, f"_{what}")(which, value)

    def last(self) -> None:
        """Send to every partition an event that comes long after everything."""
        self._now_ms += 10 * LEAP_MS
        for partition in range(PARTITIONS):
            self._put(PREDICTIONS, partition, _prediction(f"end-{partition}", LAST_MODEL, self._now_ms, 0.0))
            self._put(LABELS, partition, _label(f"nothing-{partition}", self._now_ms, 0))

    def _pair(self, which: int, value: int) -> None:
        self._prediction(which, value)
        self._label(0, value)

    def _prediction(self, which: int, value: int) -> None:
        self._predict(self._new(which))

    def _early_label(self, which: int, value: int) -> None:
        """A label, and after it the prediction it is about."""
        sent = self._new(which // PARTITIONS)
        self._put(LABELS, which, _label(sent.name, self._now_ms, value % 2))
        self._predict(sent)

    def _label(self, which: int, value: int) -> None:
        for sent in self._about(which):
            at_ms = self._now_ms - 700 * (value % 3)
            self._put(LABELS, which // RECENT, _label(sent.name, at_ms, value % 2))

    def _twin(self, which: int, value: int) -> None:
        """The prediction again, as a retry sends it: to the partition of its key."""
        for sent in self._about(which):
            self._predict(sent)

    def _late(self, which: int, value: int) -> None:
        """A label so far from its prediction that it cannot match; no other label says what it says."""
        for sent in self._about(which):
            self._put(LABELS, which // RECENT, _label(sent.name, sent.at_ms - HORIZON_MS - 1, self._now_ms))

    def _stray(self, which: int, value: int) -> None:
        self._put(LABELS, which, _label(f"nobody-{self._now_ms}", self._now_ms, value % 2))

    def _garbage(self, which: int, value: int) -> None:
        self._put((PREDICTIONS, LABELS)[value % 2], which, (b"{", b"[]", b'{"label": 1}')[value % 3])

    def _list(self, which: int, value: int) -> None:
        """A ranked list, at times after its first click."""
        sent = Sent(f"list-{self._now_ms - START_MS}", self._now_ms, 0, which)
        self._lists.append(sent)
        if value % 3 == 0:
            self._click(0, value)
        self._put(PREDICTIONS, which, _prediction(sent.name, RANKING, sent.at_ms, list(SHOWN)))

    def _click(self, which: int, value: int) -> None:
        """A click, with its gain or without, or all that count: of a list through one partition."""
        fresh = [sent for sent in self._lists if sent.at_ms + FRESH_MS > self._now_ms][-3:]
        if not fresh:
            return
        sent, item = fresh[-1 - which % len(fresh)], CLICKABLE[(which + value) % len(CLICKABLE)]
        whole = which > MOST_CLICKS
        label: Any = [item] if value % 2 else {item: 1 + value % 3}
        at_ms = self._now_ms if whole else self._now_ms - 700 * (value % 3)
        self._put(LABELS, sent.partition, _label(sent.name, at_ms, label, partial=not whole))

    def _new(self, partition: int) -> Sent:
        sent = Sent(f"id-{self._now_ms - START_MS}", self._now_ms, self._count, partition)
        self._count += 1
        self._sent.append(sent)
        return sent

    def _predict(self, sent: Sent) -> None:
        self._put(PREDICTIONS, sent.partition, _of(sent))

    def _about(self, which: int) -> Iterator[Sent]:
        recent = self._sent[-RECENT:]
        if recent:
            yield recent[which % len(recent)]

    def _put(self, topic: str, partition: int, value: bytes) -> None:
        self._log.append(topic, partition % PARTITIONS, None, value)


WHATS = ("pair", "prediction", "label", "early_label", "twin", "late", "stray", "garbage", "list", "click")


def _of(sent: Sent) -> bytes:
    model, number = MODELS[sent.number % len(MODELS)], sent.number
    return _prediction(
        sent.name, model, sent.at_ms, bool(number // 2 % 2) if model[0] == "churn" else number / 4
    )


def _prediction(name: str, model: tuple[str, str], at_ms: int, predicted: Any) -> bytes:
    return json.dumps(
        {
            "prediction_id": name,
            "model_id": model[0],
            "model_version": model[1],
            "prediction": predicted,
            "predicted_at": at_ms,
        }
    ).encode()


def _label(name: str, at_ms: int, value: Any, partial: bool = False) -> bytes:
    event = {"prediction_id": name, "label": value, "labelled_at": at_ms}
    return json.dumps(event | {"partial": True} if partial else event).encode()
