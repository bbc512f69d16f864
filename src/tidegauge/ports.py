"""What the stages need of the outside: adapters give it on servers, tests in a world of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

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

    def take(self, count: int, seconds: float) -> list[Record]: ...
    def rest(self, seconds: float) -> None: ...
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


class Store(Protocol):
    """State that others read, and snapshots: see `adapters.redis_state.RedisState`."""

    def claim(self, partition: int) -> int: ...
    def load(self, partition: int) -> Snapshot | None: ...
    def save(self, partition: int, epoch: int, snapshot: Snapshot) -> bool: ...
    def publish(self, partition: int, epoch: int, writes: Writes) -> bool: ...
    def write(self, writes: Writes) -> None: ...
    def add_members(self, key: str, members: list[str]) -> None: ...
    def members(self, key: str) -> set[str]: ...


class Patience(Protocol):
    """How a stage waits for a server that is away: see `stages.runner.StageService`."""

    def keep(self, call: Callable[[], Answer], rest: Callable[[float], None]) -> Answer: ...


JoinGroup = Callable[[Ownership], Consumer]  # becomes a member of a group, with these callbacks


def ends(records: Iterable[Record]) -> dict[Partition, int]:
    """Return the next offset to read of every partition among the records."""
    return {(record.topic, record.partition): record.offset + 1 for record in records}
