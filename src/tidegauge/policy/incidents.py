"""The life of an incident: a table of state x verdict, and the engine that reads it.

`needed` breaches in a row fire, `needed` healthy judgements in a row resolve, undecided changes nothing.
A richer policy (levels, cooldown, budgets) is more states and actions in the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import msgspec

from tidegauge.errors import SnapshotError
from tidegauge.policy.rules import Verdict

VERSION = 1
ID_BYTES = 16
OPEN = ("firing", "recovering")
State = Literal["quiet", "suspect", "firing", "recovering"]
Status = Literal["firing", "resolved"]
Test = Literal[
    "rule",
    "feature_psi",
    "prediction_psi",
    "detector",
    "calibration",
    "separation",
    "label_delay",
    "feature_shift",
    "prediction_shift",
    "pair_shift",
]


class Move(NamedTuple):
    """Where a verdict leads: to `state`, or, the `needed`th time in a row, to `then` with `action`."""

    state: State
    then: State | None = None
    action: Status | None = None


# Verdicts without a row change nothing: every undecided one.
TABLE: Mapping[tuple[State, Verdict], Move] = {
    ("quiet", "healthy"): Move("quiet"),
    ("quiet", "breach"): Move("suspect", then="firing", action="firing"),
    ("suspect", "healthy"): Move("quiet"),
    ("suspect", "breach"): Move("suspect", then="firing", action="firing"),
    ("firing", "healthy"): Move("recovering", then="quiet", action="resolved"),
    ("firing", "breach"): Move("firing"),
    ("recovering", "healthy"): Move("recovering", then="quiet", action="resolved"),
    ("recovering", "breach"): Move("firing"),
}


class IncidentKey(NamedTuple):
    """What an incident is about; it has at most one open incident at a time."""

    model_id: str
    model_version: str
    segment: str | None  # name=value
    test: Test
    rule: str  # a rule's name, a detector's, e_d_bh, or psi@<window>
    subject: str  # the metric, the feature, or `features` for all of them


class Step(NamedTuple):
    """An alert is due: the incident opened or is resolved."""

    status: Status
    incident_id: str
    alert_id: str
    opened_at_ms: int


class _Incident(msgspec.Struct, array_like=True):
    state: State = "quiet"
    count: int = 0  # judgements in a row towards the next state
    opened_at_ms: int | None = None  # of the open incident, or the last one
    repeat: int = 0  # incidents of this key that opened at the same event time before


class _Saved(msgspec.Struct):
    version: int
    incidents: list[tuple[IncidentKey, _Incident]]


class Incidents:
    """The state of every key that is not quiet, or once had an incident.

    >>> incidents = Incidents()
    >>> key = IncidentKey("churn", "v1", None, "rule", "f1@1000 < 0.9*baseline", "f1")
    >>> incidents.step(key, "breach", now_ms=1_000, needed=2)
    >>> incidents.step(key, "breach", now_ms=2_000, needed=2).status
    'firing'
    """

    def __init__(self) -> None:
        self._incidents: dict[IncidentKey, _Incident] = {}

    def step(self, key: IncidentKey, verdict: Verdict, now_ms: int, needed: int) -> Step | None:
        """Take a verdict at event time `now_ms`; return the step that calls for an alert, if this is one."""
        incident = self._incidents.get(key)
        state: State = incident.state if incident else "quiet"
        move = TABLE.get((state, verdict))
        if move is None or (incident is None and move.state == "quiet"):
            return None
        if incident is None:
            incident = self._incidents[key] = _Incident()
        incident.count = incident.count + 1 if move.state == state else 1
        incident.state = move.state
        if incident.state == "quiet" and incident.opened_at_ms is None:
            del self._incidents[key]
        if move.then is None or move.action is None or incident.count < needed:
            return None
        incident.state, incident.count = move.then, 0
        if move.action == "firing":
            _open(incident, now_ms)
        return _step(key, incident, move.action)

    def state(self, key: IncidentKey) -> State:
        """Return the state of a key, quiet where nothing is known of it."""
        incident = self._incidents.get(key)
        return incident.state if incident else "quiet"

    def forget(self, model_id: str, model_version: str) -> list[tuple[IncidentKey, Step]]:
        """Forget a version's incidents; return the steps that resolve the open ones."""
        version = (model_id, model_version)
        keys = sorted((key for key in self._incidents if key[:2] == version), key=str)
        gone = [(key, self._incidents.pop(key)) for key in keys]
        return [(key, _step(key, was, "resolved")) for key, was in gone if was.state in OPEN]

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data that `restore` reads back."""
        saved: dict[str, Any] = msgspec.to_builtins(_Saved(VERSION, list(self._incidents.items())))
        return saved

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Incidents:
        """Return the incidents that `snapshot` wrote; raises SnapshotError where it is something else."""
        try:
            saved = msgspec.convert(state, _Saved)
        except msgspec.ValidationError as error:
            raise SnapshotError(f"incidents: {error}") from error
        if saved.version != VERSION:
            raise SnapshotError(f"incidents: expected version {VERSION}, got {saved.version}")
        incidents = cls()
        incidents._incidents = dict(saved.incidents)
        return incidents


def _open(incident: _Incident, now_ms: int) -> None:
    """Give the incident its time; one that opens again at the same event time still gets an id of its own."""
    incident.repeat = incident.repeat + 1 if incident.opened_at_ms == now_ms else 0
    incident.opened_at_ms = now_ms


def _step(key: IncidentKey, incident: _Incident, status: Status) -> Step:
    opened_at_ms = incident.opened_at_ms or 0
    incident_id = identify(*key, opened_at_ms, incident.repeat)
    return Step(status, incident_id, identify(incident_id, status), opened_at_ms)


def identify(*parts: str | int | None) -> str:
    """Return an id that depends on the parts alone: 32 hexadecimal digits.

    >>> identify("a", "bc") == identify("ab", "c")
    False
    """
    return blake2b(msgspec.json.encode(parts), digest_size=ID_BYTES).hexdigest()
