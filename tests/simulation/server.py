"""Redis in memory, as the sequence of the writes that made it: a replica holds a first part of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from tests.simulation.points import Process
from tidegauge.errors import TidegaugeError, WentBack
from tidegauge.join import Arrival, MemoryWindow, Orphan, Resolution, Rules, Side
from tidegauge.ports import Publishing, Snapshot, Writes

SHARDS = 2
Sources = Mapping[tuple[Side, int], int]


class Write(NamedTuple):
    """A write, by the name of the method that does it."""

    part: str  # window or store
    name: str
    arguments: tuple[Any, ...]


class Server:
    """Everything that production keeps on one Redis."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.claims = 0  # of all time, as epochs go by the clock
        self.name = "1"  # of the process and its filling: another one after every loss
        self.writes: list[Write] = []
        self._clear()

    def do(self, part: str, name: str, *arguments: Any) -> Any:
        """Do a write and remember it; one that raises has not been done."""
        result = getattr(self, name)(*arguments)
        self.writes.append(Write(part, name, arguments))
        return result

    def lose(self, kept: int, parts: frozenset[str] = frozenset({"window", "store"})) -> None:
        """Lose every write of these parts but the first `kept` of all."""
        remaining = [each for place, each in enumerate(self.writes) if place < kept or each.part not in parts]
        self._clear()
        self.name = str(int(self.name) + 1)
        self.writes = []
        for write in remaining:
            self.do(*write[:2], *write.arguments)

    def _clear(self) -> None:
        self.shards = [MemoryWindow(self._rules) for _ in range(SHARDS)]
        self.marks = MemoryWindow(self._rules)
        self.epochs: dict[int, int] = {}
        self.tallies: dict[int, tuple[int, int]] = {}  # of what was published, by epoch
        self.snapshots: dict[int, list[Snapshot | None]] = {}  # newest last, None where damaged
        self.hashes: dict[str, dict[str, str]] = {}
        self.sets: dict[str, set[str]] = {}
        self.stale = 0  # writes taken although their epoch was not the newest

    def apply(
        self, shard: int, arrivals: list[Arrival], watermark_ms: int, last: Sources
    ) -> list[Resolution]:
        window = self.shards[shard]
        resolutions = window.apply(arrivals, watermark_ms)
        for source, offset in last.items():
            window._applied[source] = max(offset, window._applied.get(source, -1))
        return resolutions

    def sweep(self, shard: int, watermark_ms: int) -> None:
        self.shards[shard].sweep(watermark_ms)

    def acknowledge(self, shard: int, orphans: list[Orphan]) -> None:
        self.shards[shard].acknowledge(orphans)

    def watermark(self, advances: Mapping[str, int | None]) -> int:
        return self.marks.watermark(advances)

    def claim(self, partition: int, epoch: int) -> int:
        self.epochs[partition] = epoch
        return epoch

    def owns(self, partition: int, epoch: int) -> bool:
        return self.epochs.get(partition, 0) == epoch

    def save(self, partition: int, epoch: int, snapshot: Snapshot) -> bool:
        if not self._takes(partition, epoch):
            return False
        self.snapshots[partition] = [*self.snapshots.get(partition, [])[-1:], snapshot]
        return True

    def damage(self, partition: int) -> None:
        if self.snapshots.get(partition):
            self.snapshots[partition][-1] = None

    def publish(self, partition: int, epoch: int, count: int, writes: Writes) -> bool:
        if not self._takes(partition, epoch):
            return False
        self.tallies[partition] = (epoch, count)
        self.write(writes)
        return True

    def _takes(self, partition: int, epoch: int) -> bool:
        takes = self.owns(partition, epoch)
        self.stale += takes and self.epochs.get(partition, 0) > epoch
        return takes

    def write(self, writes: Writes) -> None:
        for key, fields in writes.items():
            self.hashes.setdefault(key, {}).update(fields)

    def add_members(self, key: str, members: list[str]) -> None:
        self.sets.setdefault(key, set()).update(members)

    def counters(self) -> dict[str, int]:
        each = [shard.counters() for shard in self.shards]
        return {name: sum(counts[name] for counts in each) for name in each[0]}

    def applied(self) -> dict[tuple[Side, int], int]:
        each = [shard.applied() for shard in self.shards]
        return {source: min(one.get(source, -1) for one in each) for source in {**each[0], **each[1]}}

    def outbox(self) -> list[Orphan]:
        return [orphan for shard in self.shards for orphan in shard.outbox()]


class SimWindow:
    """The window port of one process: a script a shard, one after another."""

    def __init__(self, process: Process, server: Server) -> None:
        self.process = process
        self._server = server
        self._name = ""

    def recognise(self) -> str:
        self.process.point("recognise")
        self._name = self._server.name
        return self._name

    def _check(self) -> None:
        if self._name != self._server.name:
            raise WentBack(f"{self._name} is {self._server.name} now")

    def apply(self, arrivals: Sequence[Arrival], watermark_ms: int) -> list[Resolution]:
        last = {(arrival.side, arrival.partition): arrival.offset for arrival in arrivals}
        found: dict[int, Resolution] = {}
        for shard in range(SHARDS):
            self.process.point("apply")
            places = [place for place, arrival in enumerate(arrivals) if _shard(arrival) == shard]
            own = [arrivals[place] for place in places]
            self._check()
            resolutions = self._server.do("window", "apply", shard, own, watermark_ms, last)
            found |= zip(places, resolutions, strict=True)
        self.process.point("applied it")
        return [found[place] for place in range(len(arrivals))]

    def begin(self, arrivals: Sequence[Arrival], watermark_ms: int) -> Callable[[], list[Resolution]]:
        try:
            found = self.apply(arrivals, watermark_ms)
        except TidegaugeError as error:  # it is told when the stage asks
            reason = error
        else:
            return lambda: found

        def fail() -> NoReturn:
            raise reason

        return fail

    def sweep(self, watermark_ms: int, buckets: int = 1) -> bool:
        for shard in range(SHARDS):
            self.process.point("sweep")
            self._check()
            self._server.do("window", "sweep", shard, watermark_ms)
        return True

    def counters(self) -> dict[str, int]:
        self.process.point("counters")
        return self._server.counters()

    def applied(self) -> dict[tuple[Side, int], int]:
        self.process.point("applied")
        self._check()
        return self._server.applied()

    def outbox(self, limit: int = 1_000) -> list[Orphan]:
        self.process.point("outbox")
        return self._server.outbox()

    def acknowledge(self, orphans: Iterable[Orphan]) -> None:
        orphans = list(orphans)
        for shard in range(SHARDS if orphans else 0):
            self.process.point("acknowledge")
            self._server.do("window", "acknowledge", shard, orphans)

    def watermark(self, advances: Mapping[str, int | None]) -> int:
        self.process.point("watermark")
        self._check()
        found: int = self._server.do("window", "watermark", dict(advances))
        self.process.point("watermark moved")
        return found

    def close(self) -> None:
        pass


class SimStore:
    """The store port of one process."""

    def __init__(self, process: Process, server: Server) -> None:
        self.process = process
        self._server = server
        self._published: dict[int, tuple[int, int]] = {}

    def claim(self, partition: int) -> int:
        self._server.claims += 1
        return int(self._do("claim", partition, self._server.claims))

    def load(self, partition: int) -> Snapshot | None:
        """The newest that is whole; only Redis itself knows how to say that none is."""
        self.process.point("load")
        whole = [each for each in self._server.snapshots.get(partition, []) if each is not None]
        return whole[-1] if whole else None

    def save(self, partition: int, epoch: int, snapshot: Snapshot) -> bool:
        self.process.point("save")
        self._check(partition, epoch)  # and the write are one script
        stored = bool(self._server.do("store", "save", partition, epoch, snapshot))
        self.process.point("did save")
        return stored

    def _check(self, partition: int, epoch: int) -> None:
        last, count = self._published.get(partition, (0, 0))
        stored = self._server.tallies.get(partition)
        known = stored in ((epoch, count), (epoch, count + 1))
        if last == epoch and self._server.owns(partition, epoch) and not known:
            raise WentBack(f"published {count}, stored {stored}")

    def begin_publish(self, partition: int, epoch: int, writes: Writes) -> Publishing:
        """Nothing is written before somebody waits for it."""
        return lambda: self._publish(partition, epoch, writes)

    def _publish(self, partition: int, epoch: int, writes: Writes) -> bool:
        self._check(partition, epoch)
        last, count = self._published.get(partition, (0, 0))
        count = count + 1 if last == epoch else 1
        took = bool(self._do("publish", partition, epoch, count, {key: dict(writes[key]) for key in writes}))
        if took:
            self._published[partition] = (epoch, count)
        return took

    def write(self, writes: Writes) -> None:
        self._do("write", {key: dict(writes[key]) for key in writes})

    def add_members(self, key: str, members: list[str]) -> None:
        if members:
            self._do("add_members", key, list(members))

    def members(self, key: str) -> set[str]:
        self.process.point("members")
        return set(self._server.sets.get(key, ()))

    def _do(self, name: str, *arguments: Any) -> Any:
        self.process.point(name)
        result = self._server.do("store", name, *arguments)
        self.process.point(f"did {name}")
        return result


def _shard(arrival: Arrival) -> int:
    return (arrival.partition if arrival.rejected else arrival.key[0]) % SHARDS
