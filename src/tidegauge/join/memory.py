"""The window in memory: the table at work on a dictionary of entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from tidegauge.join.table import settle, tell_again
from tidegauge.join.watermark import Mark, advance
from tidegauge.join.words import COUNTER_NAMES, Arrival, Entry, Held, Orphan, Resolution, Rules, Side, Verdict


class MemoryWindow:
    """The window in memory: the oracle of the Redis window, with its interface.

    >>> from tidegauge.join.payload import key_of
    >>> window = MemoryWindow(Rules(horizon_ms=1000, lateness_ms=0))
    >>> key = key_of("a")
    >>> came = [Arrival(Side.PREDICTION, key, 0, 0, 10, b"p"), Arrival(Side.LABEL, key, 0, 0, 20, b"l")]
    >>> [resolution.verdict.value for resolution in window.apply(came, 0)]
    ['waiting', 'matched']
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._entries: dict[bytes, Entry] = {}
        self._applied: dict[tuple[Side, int], int] = {}
        self._counts: Counter[str] = Counter()
        self._outbox: dict[tuple[int, int], Orphan] = {}
        self._marks: dict[str, Mark] = {}
        self._watermark_ms = 0

    def recognise(self) -> str:
        """Return the name of the window: memory loses nothing."""
        return "memory"

    def apply(self, arrivals: Sequence[Arrival], watermark_ms: int) -> list[Resolution]:
        """Return what became of each arrival, in their order."""
        return [self._take(arrival, watermark_ms) for arrival in arrivals]

    def begin(self, arrivals: Sequence[Arrival], watermark_ms: int) -> Callable[[], list[Resolution]]:
        """Apply arrivals, and return what returns the resolutions."""
        resolutions = self.apply(arrivals, watermark_ms)
        return lambda: resolutions

    def sweep(self, watermark_ms: int, buckets: int = 1) -> bool:
        """Let go of what is due; True when everything has been looked at."""
        for key in list(self._entries):
            self._expire(key, watermark_ms)
        return True

    def counters(self) -> dict[str, int]:
        """Return `predictions.received` and so on; those of a side add up (see COUNTERS)."""
        return {name: self._counts[name] for name in COUNTER_NAMES}

    def applied(self) -> dict[tuple[Side, int], int]:
        """Return the offset up to which each source partition has been applied."""
        return dict(self._applied)

    def outbox(self, limit: int = 1_000) -> list[Orphan]:
        """Return orphans whose dead letter has not been acknowledged."""
        return list(self._outbox.values())[:limit]

    def acknowledge(self, orphans: Iterable[Orphan]) -> None:
        """Take orphans out of the outbox, as their dead letters have been delivered."""
        for orphan in orphans:
            self._outbox.pop((orphan.partition, orphan.offset), None)

    def watermark(self, advances: Mapping[str, int | None]) -> int:
        """Return the watermark in ms after these advances of source partitions: see `advance`."""
        self._watermark_ms = advance(self._marks, self._watermark_ms, advances)
        return self._watermark_ms

    def close(self) -> None:
        """Nothing to let go of."""

    def _take(self, arrival: Arrival, watermark_ms: int) -> Resolution:
        source = (arrival.side, arrival.partition)
        if arrival.offset <= self._applied.get(source, -1):
            return self._replayed(arrival)
        self._applied[source] = arrival.offset
        resolution = self._settle(arrival, watermark_ms)
        self._counts[f"{arrival.side.plural}.received"] += 1
        self._counts[f"{arrival.side.plural}.{resolution.verdict}"] += 1
        return resolution

    def _settle(self, arrival: Arrival, watermark_ms: int) -> Resolution:
        if arrival.rejected:
            return Resolution(Verdict.REJECTED)
        self._expire(arrival.key, watermark_ms)
        entry = self._entries.setdefault(arrival.key, Entry())
        resolution, orphans = settle(entry, arrival, self._rules, self._counts)
        self._send_out(orphans)
        return resolution

    def _replayed(self, arrival: Arrival) -> Resolution:
        if arrival.rejected:
            return Resolution(Verdict.REJECTED, replay=True)
        return tell_again(self._entries.get(arrival.key, Entry()), arrival, self._rules)

    def _expire(self, key: bytes, watermark_ms: int) -> None:
        entry = self._entries.get(key)
        if entry is None:
            return
        if entry.prediction is None:
            due = [held for held in entry.labels if self._rules.due(held.position, watermark_ms)]
            self._send_out(due)
            entry.labels = [held for held in entry.labels if held not in due]
        elif self._rules.due(entry.prediction.position, watermark_ms):
            if not entry.labels:
                self._counts["predictions.waiting"] -= 1
                self._counts["predictions.expired"] += 1
            entry.prediction, entry.labels = None, []
        if entry.prediction is None and not entry.labels:
            del self._entries[key]

    def _send_out(self, orphans: Iterable[Held]) -> None:
        for held in orphans:
            at_ms, partition, offset = held.position
            self._counts["labels.waiting"] -= 1
            self._counts["labels.orphan"] += 1
            self._outbox[partition, offset] = Orphan(partition, offset, at_ms, held.prediction_id)
