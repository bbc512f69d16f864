"""What stands when a prediction meets labels that waited for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tidegauge.join.partial import adds, is_partial, together
from tidegauge.join.words import Held, Position, Verdict


class Match(NamedTuple):
    """The label that stands, and what becomes of those that waited.

    `newest` is the newest label that says what stands. `others` are what a window that lost it may have told
    in its place, if labels came in the order of their offsets.
    """

    stands: Held
    newest: Position
    verdicts: list[Verdict]
    others: list[Held]


def match(inside: Sequence[Held]) -> Match:
    """Return what stands of labels within the horizon, oldest first: whole ones count before partial ones.

    >>> from tidegauge.join.partial import pack_partial, unpack_partial
    >>> first, second = (Held(Position(at, 0, at), pack_partial([item])) for at, item in ((5, "b"), (7, "a")))
    >>> found = match([first, second])
    >>> found.stands.position.at_ms, unpack_partial(found.stands.payload)
    (7, ['a', 'b'])
    """
    partial = [held for held in inside if is_partial(held.payload)]
    whole = [held for held in inside if not is_partial(held.payload)]
    return _of_whole(whole, partial) if whole else _of_partial(partial)


def no_earlier(held: Held, *at_ms: int) -> Held:
    """Return a label with the greatest of these times and its own."""
    position = held.position
    return held._replace(position=position._replace(at_ms=max(position.at_ms, *at_ms))) if at_ms else held


def _of_whole(whole: list[Held], partial: list[Held]) -> Match:
    """Return the first of those in a row that say the newest value; the partial ones are superseded."""
    newest, first = whole[-1], len(whole) - 1
    while first and whole[first - 1].payload == newest.payload:
        first -= 1
    said = [Verdict.DUPLICATE if held.payload == newest.payload else Verdict.SUPERSEDED for held in whole]
    said[first] = Verdict.MATCHED
    others = [held for held in whole if held.payload != newest.payload]
    stands = no_earlier(whole[first], *[held.position.at_ms for held in partial])
    said += [Verdict.SUPERSEDED] * len(partial)
    return Match(stands, newest.position, said, [*_stood(partial), *others])


def _of_partial(partial: list[Held]) -> Match:
    """Return all together, as the newest of them; the others are superseded by it."""
    stands = partial[-1]._replace(payload=together([held.payload for held in partial]))
    said = [*[Verdict.SUPERSEDED] * (len(partial) - 1), Verdict.MATCHED]
    return Match(stands, stands.position, said, _stood(partial)[:-1])


def _stood(partial: list[Held]) -> list[Held]:
    """Return what stands one after the other where partial labels come in the order of their offsets."""
    stood: list[Held] = []
    for held in sorted(partial, key=lambda held: held.position[1:]):
        before = stood[-1:]
        united = held._replace(payload=together([each.payload for each in (*before, held)]))
        united = no_earlier(united, *[each.position.at_ms for each in before])
        if before and not adds(held.payload, before[0].payload):
            stood.pop()
        stood.append(united)
    return stood
