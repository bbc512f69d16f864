"""The join as a table: what is stored, what arrives, what follows.

A label that comes first waits; so do later ones, because only the prediction's time tells which of
them lie within the horizon. When the prediction comes, the newest within the horizon matches. Newer
means greater (labelled_at, partition, offset). So the label that stands in the end does not depend
on the order of arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from tidegauge.join.words import Arrival, Entry, Held, OutcomeRow, Position, Resolution, Rules, Side, Verdict


class Stored(Enum):
    """What an entry holds: the rows of the table."""

    NOTHING = auto()
    PREDICTION = auto()
    LABELS = auto()
    MATCHED = auto()


@dataclass(slots=True)
class _Step:
    """One arrival at one entry, and where its side effects are written."""

    entry: Entry
    arrived: Held
    rules: Rules
    counts: Counter[str]
    orphans: list[Held]

    @property
    def predicted(self) -> Held:
        assert self.entry.prediction is not None  # the table's row says so
        return self.entry.prediction

    def move(self, side: Side, before: Verdict, after: Verdict) -> None:
        self.counts[f"{side.plural}.{before}"] -= 1
        self.counts[f"{side.plural}.{after}"] += 1


def _always(step: _Step) -> bool:
    return True


def _within(step: _Step) -> bool:
    return step.rules.within(step.arrived.position, step.predicted.position)


def _beyond(step: _Step) -> bool:
    return not _within(step)


def _any_within(step: _Step) -> bool:
    return any(step.rules.within(held.position, step.arrived.position) for held in step.entry.labels)


def _same_value(step: _Step) -> bool:
    return step.arrived.payload == step.entry.labels[-1].payload


def _same_value_and_time(step: _Step) -> bool:
    return _twin(step) is not None


def _older(step: _Step) -> bool:
    return step.entry.newest is not None and step.arrived.position < step.entry.newest


def _full(step: _Step) -> bool:
    return len(step.entry.labels) > step.rules.revisions


def _keep_prediction(step: _Step) -> Resolution:
    step.entry.prediction = step.arrived
    step.orphans.extend(step.entry.labels)
    step.entry.labels = []
    return Resolution(Verdict.WAITING, emit_prediction=True)


def _keep_label(step: _Step) -> Resolution:
    step.entry.labels = sorted([*step.entry.labels, step.arrived])
    return Resolution(Verdict.WAITING)


def _keep_newer_twin(step: _Step) -> Resolution:
    twin = _twin(step)
    assert twin is not None  # the condition of this action
    others = [held for held in step.entry.labels if held is not twin]
    step.entry.labels = sorted([*others, max(twin, step.arrived)])
    return Resolution(Verdict.DUPLICATE)


def _match_prediction(step: _Step) -> Resolution:
    """The waiting label that matches is the first of those in a row that say the newest value."""
    entry, arrived, rules = step.entry, step.arrived, step.rules
    inside = [held for held in entry.labels if rules.within(held.position, arrived.position)]
    step.orphans.extend(held for held in entry.labels if held not in inside)
    first = len(inside) - 1
    while first and inside[first - 1].payload == inside[-1].payload:
        first -= 1
    step.move(Side.LABEL, Verdict.WAITING, Verdict.MATCHED)
    for held in (*inside[:first], *inside[first + 1 :]):
        told_again = held.payload == inside[-1].payload
        after = Verdict.DUPLICATE if told_again else Verdict.SUPERSEDED
        step.move(Side.LABEL, Verdict.WAITING, after)
    entry.prediction, entry.by_prediction = arrived, True
    entry.labels = [inside[first]._replace(prediction_id="")]
    entry.newest = inside[-1].position
    others = [held for held in inside if held.payload != inside[-1].payload]
    return _emit(entry, Verdict.MATCHED, 0, emit_prediction=True, others=others)


def _match_label(step: _Step) -> Resolution:
    step.move(Side.PREDICTION, Verdict.WAITING, Verdict.MATCHED)
    return _revise(step, Verdict.MATCHED)


def _correct(step: _Step) -> Resolution:
    return _revise(step, Verdict.CORRECTED)


def _confirm(step: _Step) -> Resolution:
    if _within(step) and not _older(step):
        step.entry.newest = step.arrived.position
    return Resolution(Verdict.DUPLICATE)


def _pass_over(step: _Step) -> Resolution:
    """An older label changes nothing, but may have been told when it was the newest."""
    revision = len(step.entry.labels) - 1
    resolution = _emit(step.entry, Verdict.SUPERSEDED, revision, others=[step.arrived])
    return resolution._replace(outcomes=())


def _revise(step: _Step, verdict: Verdict) -> Resolution:
    entry = step.entry
    entry.labels.append(step.arrived._replace(prediction_id=""))
    entry.newest = step.arrived.position
    return _emit(entry, verdict, len(entry.labels) - 1)


def _say(verdict: Verdict) -> Action:
    resolution = Resolution(verdict)
    return lambda step: resolution


Condition = Callable[[_Step], bool]
Action = Callable[[_Step], Resolution]

# The first action whose condition holds is taken.
TABLE: Mapping[tuple[Stored, Side], tuple[tuple[Condition, Action], ...]] = {
    (Stored.NOTHING, Side.PREDICTION): ((_always, _keep_prediction),),
    (Stored.NOTHING, Side.LABEL): ((_always, _keep_label),),
    (Stored.PREDICTION, Side.PREDICTION): ((_always, _say(Verdict.DUPLICATE)),),
    (Stored.PREDICTION, Side.LABEL): (
        (_within, _match_label),
        (_always, _say(Verdict.LATE)),
    ),
    (Stored.LABELS, Side.PREDICTION): (
        (_any_within, _match_prediction),
        (_always, _keep_prediction),
    ),
    (Stored.LABELS, Side.LABEL): (
        (_same_value_and_time, _keep_newer_twin),
        (_full, _say(Verdict.REJECTED)),
        (_always, _keep_label),
    ),
    (Stored.MATCHED, Side.PREDICTION): ((_always, _say(Verdict.DUPLICATE)),),
    (Stored.MATCHED, Side.LABEL): (
        (_same_value, _confirm),
        (_beyond, _say(Verdict.LATE)),
        (_older, _pass_over),
        (_full, _say(Verdict.REJECTED)),
        (_always, _correct),
    ),
}


def settle(
    entry: Entry, arrival: Arrival, rules: Rules, counts: Counter[str]
) -> tuple[Resolution, list[Held]]:
    """Return what follows from a new arrival, and the labels that became orphans.

    Changes `entry`, and in `counts` what becomes of others than the arrival.
    """
    step = _Step(entry, _held(arrival), rules, counts, [])
    row = TABLE[_stored(entry), arrival.side]
    action = next(action for condition, action in row if condition(step))
    return action(step), step.orphans


def tell_again(entry: Entry, arrival: Arrival, rules: Rules) -> Resolution:
    """Return what is to be emitted for an arrival that was settled before. Changes nothing."""
    step = _Step(entry, _held(arrival), rules, Counter(), [])
    again = _prediction_again(step) if arrival.side is Side.PREDICTION else _label_again(step)
    return again._replace(replay=True)


def _held(arrival: Arrival) -> Held:
    position = Position(arrival.at_ms, arrival.partition, arrival.offset)
    return Held(position, arrival.payload, arrival.prediction_id)


def _stored(entry: Entry) -> Stored:
    if entry.prediction is None:
        return Stored.LABELS if entry.labels else Stored.NOTHING
    return Stored.MATCHED if entry.labels else Stored.PREDICTION


def _twin(step: _Step) -> Held | None:
    arrived = step.arrived
    for held in step.entry.labels:
        if held.position.at_ms == arrived.position.at_ms and held.payload == arrived.payload:
            return held
    return None


def _emit(
    entry: Entry,
    verdict: Verdict,
    revision: int,
    *,
    emit_prediction: bool = False,
    others: Sequence[Held] = (),
) -> Resolution:
    """Return the outcome rows of a revision: before it, what it takes back; `others` stood in its place."""
    assert entry.prediction is not None  # there are no outcomes without one
    current = entry.labels[revision]
    newest = current._replace(position=entry.newest or current.position)
    taken_back = (_row(revision - 1, -1, entry.labels[revision - 1]),) if revision else ()
    held = entry.prediction
    partner = entry.labels[revision] if emit_prediction else held
    return Resolution(
        verdict,
        emit_prediction,
        (*taken_back, _row(revision, 1, current)),
        held.payload,
        held.position.at_ms,
        partner=(partner.position.partition, partner.position.offset),
        instead=tuple(
            row for other in others for row in (_row(revision, -1, other), _row(revision, 1, newest))
        ),
    )


def _row(revision: int, sign: int, held: Held) -> OutcomeRow:
    return OutcomeRow(revision, sign, held.position.at_ms, held.payload)


def _prediction_again(step: _Step) -> Resolution:
    entry = step.entry
    if entry.prediction is None or not _same_source(entry.prediction, step.arrived):
        return Resolution(Verdict.REPLAY)
    if entry.by_prediction:
        return _emit(entry, Verdict.REPLAY, 0, emit_prediction=True)
    return Resolution(Verdict.REPLAY, emit_prediction=True)


def _label_again(step: _Step) -> Resolution:
    entry = step.entry
    for revision, held in enumerate(entry.labels):
        if _same_source(held, step.arrived):
            if entry.prediction is None or (revision == 0 and entry.by_prediction):
                return Resolution(Verdict.REPLAY)
            return _emit(entry, Verdict.REPLAY, revision)
    if entry.prediction is not None and _beyond(step):
        return Resolution(Verdict.LATE)
    if _full(step) and not _same_value(step):
        return Resolution(Verdict.REJECTED)
    return Resolution(Verdict.REPLAY)


def _same_source(one: Held, other: Held) -> bool:
    return one.position[1:] == other.position[1:]
