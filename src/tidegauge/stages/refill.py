"""After the window lost writes: what it is given again before anything new.

Everything below the offsets committed at the time of the loss was delivered. It is applied again, by all
workers together, and no row follows from it, but for outcomes of which one event is new: first the
predictions, so that the labels of an id become the same revisions, then the labels. Only when all of it is
in the window does anything at or above those offsets count; so "below the committed offset" always means
"delivered", also for a loss during a refill.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegauge.join import Arrival, Resolution, Side
from tidegauge.ports import Partition, Record

Applied = Mapping[tuple[Side, int], int]  # side, partition -> offset


class Refill:
    """The committed offsets at a loss, and how far they are applied again.

    >>> sides = {"predictions": Side.PREDICTION, "labels": Side.LABEL}
    >>> refill = Refill({("predictions", 0): 3, ("labels", 0): 2}, sides)
    >>> refill.missing({(Side.PREDICTION, 0): 1, (Side.LABEL, 0): 1})
    {('predictions', 0): 2}
    >>> refill.missing({(Side.PREDICTION, 0): 2})
    {('labels', 0): 0}
    """

    def __init__(self, committed: Mapping[Partition, int], sides: Mapping[str, Side]) -> None:
        self._committed = dict(committed)
        self._sides = sides
        self.resumes: dict[Partition, int] = dict(committed)  # where each partition goes on afterwards
        self.turn: Side | None = None  # the side that is read now

    def missing(self, applied: Applied) -> dict[Partition, int]:
        """Return the first offset to apply of each partition that lacks some; predictions come first."""
        lacking = {
            partition: known + 1
            for partition, below in self._committed.items()
            if (known := applied.get(self._source(partition), -1)) < below - 1
        }
        predictions = {each: at for each, at in lacking.items() if self._side(each) is Side.PREDICTION}
        return predictions or lacking

    def wanted(self, records: list[Record], missing: Mapping[Partition, int]) -> list[Record]:
        """Return the records to apply now; the others are noted, to be read again afterwards."""
        kept = []
        for record in records:
            partition = (record.topic, record.partition)
            if partition in missing and record.offset < self._committed[partition]:
                kept.append(record)
            else:
                self.resumes.setdefault(partition, record.offset)
        return kept

    def remaining(self, arrival: Arrival, resolution: Resolution) -> Resolution:
        """Return what is to be emitted for an event applied again: an outcome whose other event is new.

        Another worker may have applied and emitted a prediction before it noticed the loss of its label.
        """
        other = Side.LABEL if arrival.side is Side.PREDICTION else Side.PREDICTION
        topic = next(topic for topic, side in self._sides.items() if side is other)
        partition, offset = resolution.partner or (0, -1)
        met_new = offset >= self._committed.get((topic, partition), 0)
        return resolution._replace(emit_prediction=False, outcomes=resolution.outcomes if met_new else ())

    def begins(self, missing: Mapping[Partition, int]) -> bool:
        """Return whether another side's turn begins with these."""
        turn = self._side(next(iter(missing)))
        began, self.turn = turn is not self.turn, turn
        return began

    def _side(self, partition: Partition) -> Side:
        return self._sides[partition[0]]

    def _source(self, partition: Partition) -> tuple[Side, int]:
        return self._side(partition), partition[1]
