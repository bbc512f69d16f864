"""What the stages need of the outside: adapters give it on servers, tests in a world of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, overload

import numpy as np

from tidegauge.block import Ints
from tidegauge.join import Arrival, Orphan, Resolution, Side

Answer = TypeVar("Answer")

Partition = tuple[str, int]  # topic, partition
Writes = Mapping[str, Mapping[str, str]]  # hash key -> field -> text


class Record(NamedTuple):
    """A message of a topic; its time is -1 where the broker does not know it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Records(Sequence[Record]):
    """Columns [n] of `Record`: a firehose makes no tuple for each.

    >>> records = Records.of([Record("labels", 1, 7, -1, None, b"{}"), Record("labels", 0, 3, -1, None, b"")])
    >>> records.ends(), records[0].offset, len(records[1:])
    ({('labels', 1): 8, ('labels', 0): 4}, 7, 1)
    """

    sources: Sequence[Partition]
    source: Ints  # [n] places in sources
    offsets: Ints  # [n]
    timestamps_ms: Ints  # [n]
    keys: Sequence[bytes | None]  # [n]
    values: Sequence[bytes | None]  # [n]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Records:
        """Return the columns of records, whatever they come in."""
        if isinstance(records, Records):
            return records
        columns: Any = list(zip(*records, strict=True)) or [()] * len(Record._fields)
        return cls.of_columns(*columns)

    @classmethod
    def of_columns(
        cls,
        topics: Sequence[str],
        partitions: Sequence[int],
        offsets: Sequence[int],
        timestamps_ms: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
    ) -> Records:
        """Return the records whose fields [n] these are."""
        pairs = list(zip(topics, partitions, strict=True))
        numbers = {source: number for number, source in enumerate(dict.fromkeys(pairs))}
        source = np.fromiter(map(numbers.__getitem__, pairs), np.int64, len(pairs))
        at = np.array(offsets, np.int64), np.array(timestamps_ms, np.int64)
        return cls(list(numbers), source, *at, keys, values)

    def ends(self) -> dict[Partition, int]:
        """Return the next offset to read of every partition among the records."""
        ends = np.zeros(len(self.sources), np.int64)
        np.maximum.at(ends, self.source, self.offsets + 1)
        return {self.sources[number]: int(ends[number]) for number in np.unique(self.source).tolist()}

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Records: ...
    def __getitem__(self, place: int | slice) -> Record | Records:
        if isinstance(place, slice):
            parts: Any = (
                column[place]
                for column in (self.source, self.offsets, self.timestamps_ms, self.keys, self.values)
            )
            return Records(self.sources, *parts)
        topic, partition = self.sources[self.source[place]]
        numbers = int(self.offsets[place]), int(self.timestamps_ms[place])
        return Record(topic, partition, *numbers, self.keys[place], self.values[place])


class Ownership(NamedTuple):
    """What to do when partitions come and go; called by `take` and `close`, in their thread.

    `gained` returns the offset at which to start each partition, None for the group's own.
    `given_up` may still commit, `lost` may not: another worker owns the partitions already.
    """

    gained: Callable[[list[Partition]], Mapping[Partition, int | None]]
    given_up: Callable[[list[Partition]], None]
    lost: Callable[[list[Partition]], None]


class Snapshot(NamedTuple):
    """A monitor's state, and the offset of the first block that it has not seen."""

    offset: int
    state: bytes


class Committed(NamedTuple):
    """The offset to read next, and what the group keeps beside it."""

    offset: int
    note: str = ""


class Consumer(Protocol):
    """A member of a consumer group: see `adapters.kafka.BatchConsumer`."""

    def take(self, count: int, seconds: float) -> Sequence[Record]: ...
    def more(self, count: int) -> Sequence[Record]: ...
    def rest(self, seconds: float) -> None: ...
    def withhold(self, partitions: Collection[Partition]) -> None: ...
    def seek(self, partition: Partition, offset: int) -> None: ...
    def end_offset(self, partition: Partition) -> int | None: ...
    def bounds(self, partition: Partition) -> tuple[int, int]: ...
    def committed(self, topic: str, partitions: int) -> dict[int, Committed]: ...
    def commit(self, offsets: Mapping[Partition, Committed]) -> bool: ...
    def close(self) -> None: ...


class Producer(Protocol):
    """Sends and tells when all is delivered: see `adapters.kafka.RowProducer`."""

    def send(self, topic: str, value: bytes, key: bytes | None = None, partition: int = -1) -> None: ...
    def flush(self, seconds: float) -> None: ...
    def partitions(self, topic: str) -> int: ...


Applying = Callable[[], Sequence[Resolution]]  # what is under way: waits, and returns or raises as it ends


class Window(Protocol):
    """The join's window: see `join.MemoryWindow` and `adapters.redis_window.RedisWindow`."""

    def recognise(self) -> str: ...
    def apply(self, arrivals: Sequence[Arrival], watermark_ms: int) -> Sequence[Resolution]: ...
    def begin(self, arrivals: Sequence[Arrival], watermark_ms: int) -> Applying: ...
    def sweep(self, watermark_ms: int, buckets: int = 1) -> bool: ...
    def counters(self) -> dict[str, int]: ...
    def applied(self) -> dict[tuple[Side, int], int]: ...
    def outbox(self, limit: int = 1_000) -> list[Orphan]: ...
    def acknowledge(self, orphans: Iterable[Orphan]) -> None: ...
    def watermark(self, advances: Mapping[str, int | None]) -> int: ...
    def close(self) -> None: ...


Publishing = Callable[[], bool]  # likewise: whether the epoch is still the newest


class Store(Protocol):
    """State that others read, and snapshots: see `adapters.redis_state.RedisState`."""

    def claim(self, partition: int) -> int: ...
    def load(self, partition: int) -> Snapshot | None: ...
    def save(self, partition: int, epoch: int, snapshot: Snapshot) -> bool: ...
    def begin_publish(self, partition: int, epoch: int, writes: Writes) -> Publishing: ...
    def write(self, writes: Writes) -> None: ...
    def add_members(self, key: str, members: list[str]) -> None: ...
    def members(self, key: str) -> set[str]: ...


class Patience(Protocol):
    """How a stage waits for a server that is away: see `stages.runner.StageService`."""

    def keep(self, call: Callable[[], Answer], rest: Callable[[float], None]) -> Answer: ...


JoinGroup = Callable[[Ownership], Consumer]  # becomes a member of a group, with these callbacks
