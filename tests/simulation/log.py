"""Kafka in memory: an append-only log, consumer groups, and the ports that a stage sees of them."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Mapping

from tests.simulation.points import Process
from tidegauge.errors import DeliveryFailed
from tidegauge.ports import Committed, Ownership, Partition, Record


class Log:
    """Topics of partitions of records; a record's offset is its place."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self.topics: dict[str, list[list[Record]]] = {
            topic: [[] for _ in range(count)] for topic, count in partitions.items()
        }

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> Record:
        if partition < 0:
            partition = zlib.crc32(key or b"") % len(self.topics[topic])
        records = self.topics[topic][partition]
        records.append(Record(topic, partition, len(records), -1, key, value))
        return records[-1]

    def end(self, partition: Partition) -> int:
        return len(self.topics[partition[0]][partition[1]])

    def all(self, topic: str) -> list[Record]:
        return [record for records in self.topics[topic] for record in records]


class Group:
    """A consumer group: who shall own each partition, and the committed offsets.

    A partition moves in two steps: its owner gives it up, then the next one gains it. What a member that
    was expelled still believes to own does not count.
    """

    def __init__(self, log: Log, topics: list[str]) -> None:
        self.log = log
        self.partitions = [(topic, number) for topic in topics for number in range(len(log.topics[topic]))]
        self.members: list[SimConsumer] = []
        self.committed: dict[Partition, int] = {}
        self.notes: dict[Partition, str] = {}
        self._target: dict[Partition, SimConsumer] = {}
        self._plan = 0

    def join(self, member: SimConsumer) -> None:
        self.members.append(member)
        self.assign(self._plan)

    def leave(self, member: SimConsumer) -> None:
        if member in self.members:
            self.members.remove(member)
        self.assign(self._plan)

    def assign(self, plan: int) -> None:
        """Give every partition to a member, by the digits of `plan`; the dead are out."""
        self._plan = plan
        self.members = [member for member in self.members if not member.process.dead]
        count = len(self.members)
        self._target = {}
        for place, partition in enumerate(self.partitions if count else []):
            self._target[partition] = self.members[(plan // count**place + place) % count]

    def wanted(self, member: SimConsumer) -> list[Partition]:
        return [partition for partition, owner in self._target.items() if owner is member]

    def free(self, partition: Partition) -> bool:
        return not any(partition in member.owned for member in self.members)


class SimConsumer:
    """A member of a group; a rebalance shows when it takes or rests, as with the real client."""

    def __init__(self, process: Process, group: Group, ownership: Ownership) -> None:
        self.process = process
        self.group = group
        self.owned: dict[Partition, int] = {}
        self.expelled = False
        self.patience = 0  # of a zombie: how many calls it takes to find out
        self.most, self.turn = 100, 0  # of the next take: records, and the partition to begin with
        self._ownership = ownership
        self._ends: dict[Partition, int] = {}
        self.withheld: set[Partition] = set()
        group.join(self)

    def expel(self, patience: int) -> None:
        """Out of the group, without knowing it."""
        if not self.expelled and self in self.group.members:
            self.expelled, self.patience = True, patience
            self.group.leave(self)

    def take(self, count: int, seconds: float) -> list[Record]:
        self.process.point("take")
        return self._fetched(count)

    def more(self, count: int) -> list[Record]:
        self.process.point("more")
        return self._fetched(count)

    def _fetched(self, count: int) -> list[Record]:
        self._serve()
        self._ends = {partition: self.group.log.end(partition) for partition in self.owned}
        taken: list[Record] = []
        owned = sorted(self.owned.keys() - self.withheld)
        turn = self.turn % max(1, len(owned))
        for partition in owned[turn:] + owned[:turn]:
            room = min(count, self.most) - len(taken)
            position = self.owned[partition]
            records = self.group.log.topics[partition[0]][partition[1]][position : position + room]
            self.owned[partition] = position + len(records)
            taken += records
        return taken

    def rest(self, seconds: float) -> None:
        self.process.point("rest")
        self._serve()
        self.withheld.clear()

    def withhold(self, partitions: Collection[Partition]) -> None:
        self.process.point("withhold")
        assert self.owned.keys() >= set(partitions)
        self.withheld = set(partitions)

    def seek(self, partition: Partition, offset: int) -> None:
        self.process.point("seek")
        assert partition in self.owned, f"seek of a partition that is not owned: {partition}"
        self.owned[partition] = offset

    def end_offset(self, partition: Partition) -> int | None:
        return self._ends.get(partition)

    def bounds(self, partition: Partition) -> tuple[int, int]:
        self.process.point("bounds")
        return 0, self.group.log.end(partition)

    def committed(self, topic: str, partitions: int) -> dict[int, Committed]:
        self.process.point("committed")
        group = self.group
        return {
            each[1]: Committed(offset, group.notes[each])
            for each, offset in group.committed.items()
            if each[0] == topic
        }

    def commit(self, offsets: Mapping[Partition, Committed]) -> bool:
        if not offsets:
            return True
        if self.process.point("commit") == "refused" or self.expelled or self not in self.group.members:
            return False
        self.group.committed |= {each: offset for each, (offset, _) in offsets.items()}
        self.group.notes |= {each: note for each, (_, note) in offsets.items()}
        self.process.world.committed(self.group)
        self.process.point("committed it")
        return True

    def close(self) -> None:
        try:
            if self.owned:
                call = self._ownership.lost if self.expelled else self._ownership.given_up
                call(list(self.owned))
        finally:
            self.owned.clear()
            self.group.leave(self)

    def _serve(self) -> None:
        """Tell the stage what has come and gone."""
        if self.expelled:
            self._find_out()
            return
        wanted = self.group.wanted(self)
        given = [partition for partition in self.owned if partition not in wanted]
        if given:
            try:
                self._ownership.given_up(given)
            finally:
                for partition in given:
                    del self.owned[partition]
                    self.withheld.discard(partition)
        gained = [partition for partition in wanted if self.group.free(partition)]
        if gained:
            starts: Mapping[Partition, int | None] = {}
            self.owned |= {each: self.group.committed.get(each, 0) for each in gained}
            starts = self._ownership.gained(gained)  # where it raises, the client goes on by itself
            for partition, start in starts.items():
                if start is not None:
                    self.owned[partition] = start

    def _find_out(self) -> None:
        if self.patience > 0:
            self.patience -= 1
            return
        try:
            if self.owned:
                self._ownership.lost(list(self.owned))
        finally:
            self.owned.clear()
            self.expelled = False
            if not self.process.dead:
                self.group.join(self)


class SimProducer:
    """Keeps the order of each partition and leaves no gap; delivers at the latest when told to flush."""

    def __init__(self, process: Process, log: Log) -> None:
        self.process = process
        self._log = log
        self._queue: list[tuple[str, int, bytes | None, bytes]] = []

    def send(self, topic: str, value: bytes, key: bytes | None = None, partition: int = -1) -> None:
        self._queue.append((topic, partition, key, value))

    def flush(self, seconds: float) -> None:
        if not self._queue:
            return
        if self.process.point("flush") == "refused":
            self._queue.clear()
            raise DeliveryFailed("the broker refused a message")
        self._deliver(len(self._queue))
        self.process.point("flushed")

    def partitions(self, topic: str) -> int:
        self.process.point("partitions")
        return len(self._log.topics[topic])

    def some(self, number: int) -> None:
        """Deliver of each partition a first part, by the digits of `number`."""
        places: dict[tuple[str, int], list[int]] = defaultdict(list)
        for place, (topic, partition, *_) in enumerate(self._queue):
            places[topic, partition].append(place)
        chosen: set[int] = set()
        for own in places.values():
            number, kept = divmod(number, len(own) + 1)
            chosen |= set(own[:kept])
        first = [message for place, message in enumerate(self._queue) if place in chosen]
        rest = [message for place, message in enumerate(self._queue) if place not in chosen]
        self._queue = first + rest
        self._deliver(len(first))

    def _deliver(self, count: int) -> None:
        for topic, partition, key, value in self._queue[:count]:
            self._log.append(topic, partition, key, value)
        del self._queue[:count]
