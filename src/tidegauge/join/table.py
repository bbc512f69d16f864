"""The join as a table: what is stored, what arrives, what follows.

A label that comes first waits; so do later ones, because only the prediction's time tells which of
them lie within the horizon. When the prediction comes, the newest within the horizon matches. Newer
means greater (labelled_at, partition, offset). So the label that stands in the end does not depend
on the order of arrival.

Partial labels add up: the revisions begin with those that said something new, and each of them stands for
all until then. A label that is not partial counts before all that are, whatever their times; none of those
is taken after it. No revision is told with an earlier time than the one before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from tidegauge.join.match import match, no_earlier
from tidegauge.join.partial import adds, gains, is_partial, together
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

    @property
    def partial(self) -> bool:
        return is_partial(self.arrived.payload)

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


def _says_nothing_new(step: _Step) -> bool:
    last = step.entry.labels[-1]
    if not (step.partial and is_partial(last.payload)):
        return step.arrived.payload == last.payload
    inside = step.entry.prediction is None or _within(step)
    return inside and not adds(step.arrived.payload, _known(step.entry))


def _same_value_and_time(step: _Step) -> bool:
    return _twin(step) is not None


def _older(step: _Step) -> bool:
    return step.entry.newest is not None and step.arrived.position < step.entry.newest


def _outdone(step: _Step) -> bool:
    after_partial = is_partial(step.entry.labels[-1].payload)
    return not after_partial and (step.partial or _older(step))


def _full(step: _Step) -> bool:
    labels = step.entry.labels
    if len(labels) > step.rules.revisions or not (labels and step.partial):
        return len(labels) > step.rules.revisions
    return len(gains(together([_known(step.entry), step.arrived.payload]))) > step.rules.items


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
    entry, arrived, rules = step.entry, step.arrived, step.rules
    inside = [held for held in entry.labels if rules.within(held.position, arrived.position)]
    step.orphans.extend(held for held in entry.labels if held not in inside)
    found = match(inside)
    for verdict in found.verdicts:
        step.move(Side.LABEL, Verdict.WAITING, verdict)
    entry.prediction, entry.by_prediction = arrived, True
    entry.labels, entry.newest = [found.stands._replace(prediction_id="")], found.newest
    return _emit(entry, Verdict.MATCHED, 0, emit_prediction=True, others=found.others)


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
    entry, arrived = step.entry, step.arrived._replace(prediction_id="")
    before = [held.position.at_ms for held in entry.labels[-1:]]
    entry.labels.append(no_earlier(arrived, *before, *[entry.newest.at_ms] if entry.newest else ()))
    entry.newest = entry.labels[-1].position if step.partial else arrived.position
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
        (_says_nothing_new, _confirm),
        (_beyond, _say(Verdict.LATE)),
        (_outdone, _pass_over),
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
    current = _told(entry, revision)
    newest = no_earlier(current, *[entry.newest.at_ms] if entry.newest else ())
    taken_back = (_row(revision - 1, -1, _told(entry, revision - 1)),) if revision else ()
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


def _told(entry: Entry, revision: int) -> Held:
    """Return what a revision says: a partial label says all until then."""
    held = entry.labels[revision]
    if not is_partial(held.payload):
        return held
    return held._replace(payload=together([each.payload for each in entry.labels[: revision + 1]]))


def _known(entry: Entry) -> bytes:
    """Return what the partial labels of an entry say."""
    return together([held.payload for held in entry.labels if is_partial(held.payload)])


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
    if _full(step) and not _says_nothing_new(step):
        return Resolution(Verdict.REJECTED)
    return Resolution(Verdict.REPLAY)


def _same_source(one: Held, other: Held) -> bool:
    return one.position[1:] == other.position[1:]
