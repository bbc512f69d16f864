"""After the window lost writes: what it is given again before anything new.

Everything below the offsets committed at the time of the loss was delivered. It is applied again, by all
workers together: first the predictions, so that the labels of an id become the same revisions, then the
labels. No row follows from it, but for outcomes of which one event is not settled: it was new to another
window than its partner. Only when all of it is in the window does anything at or above those offsets count;
so "below the committed offset" always means "delivered", also for a loss during a refill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tidegauge.join import Arrival, Resolution, Side
from tidegauge.ports import Partition, Record, Records

Applied = Mapping[tuple[Side, int], int]  # side, partition -> offset


class Refill:
    """The committed offsets at a loss, and how far they are applied again.

    `settled` are the offsets below which an event met, before it was committed, whatever was committed
    then. Above them one worker may have committed what it joined in a window that was lost, while another
    was at work in the next one already.

    >>> sides = {"predictions": Side.PREDICTION, "labels": Side.LABEL}
    >>> committed = {("predictions", 0): 3, ("labels", 0): 2}
    >>> refill = Refill(committed, committed, sides)
    >>> refill.missing({(Side.PREDICTION, 0): 1, (Side.LABEL, 0): 1})
    {('predictions', 0): 2}
    >>> refill.missing({(Side.PREDICTION, 0): 2})
    {('labels', 0): 0}
    """

    def __init__(
        self,
        committed: Mapping[Partition, int],
        settled: Mapping[Partition, int],
        sides: Mapping[str, Side],
    ) -> None:
        self._committed = dict(committed)
        self._settled = settled
        self._sides = sides
        self._topics = {side: topic for topic, side in sides.items()}
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

    def wanted(self, records: Iterable[Record], missing: Mapping[Partition, int]) -> Records:
        """Return the records to apply now; the others are noted, to be read again afterwards."""
        kept = []
        for record in records:
            partition = (record.topic, record.partition)
            if partition in missing and record.offset < self._committed[partition]:
                kept.append(record)
            else:
                self.resumes.setdefault(partition, record.offset)
        return Records.of(kept)

    def remaining(self, arrival: Arrival, resolution: Resolution) -> Resolution:
        """Return what is to be emitted for an event applied again: an outcome that may not be settled."""
        other = Side.LABEL if arrival.side is Side.PREDICTION else Side.PREDICTION
        partition, offset = resolution.partner or (0, -1)
        unsettled = arrival.offset >= self._settled.get(
            (self._topics[arrival.side], arrival.partition), 0
        ) or offset >= self._settled.get((self._topics[other], partition), 0)
        kept = resolution._replace(emit_prediction=False)
        return kept if unsettled else kept._replace(outcomes=(), instead=())

    def wants(self, missing: Mapping[Partition, int]) -> Side | None:
        """Return whose turn it is, with so much missing."""
        return self._side(next(iter(missing))) if missing else self.turn

    def _side(self, partition: Partition) -> Side:
        return self._sides[partition[0]]

    def _source(self, partition: Partition) -> tuple[Side, int]:
        return self._side(partition), partition[1]
