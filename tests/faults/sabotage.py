"""The worker's ports, wrapped: they fail at a named point, write down what a fence refused, or drop a guard.

The points, in the order of a step:
  applied    JOIN: after the window's script, before anything is produced
  produced   JOIN: rows are on their way, their delivery reports are not in
  delivered  JOIN: rows are delivered, offsets are not committed
  publishing MONITOR: before metric state is written
  saving     MONITOR: before a snapshot is stored
  saved      MONITOR: after a snapshot is stored, before the commit
  revoking-join, revoking-monitor: in the callback that gives partitions up
"""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import redis

from tidegauge.adapters import block_codec
from tidegauge.join import Arrival, Resolution, Side
from tidegauge.ports import Ownership, Partition, Publishing, Record, Snapshot, Writes

Point = Literal[
    "applied",
    "produced",
    "delivered",
    "publishing",
    "saving",
    "saved",
    "revoking-join",
    "revoking-monitor",
]
Guard = Literal["fence", "dedupe", "offsets"]
_ON_ITS_WAY_SECONDS = 0.03
_ALL = 1 << 47  # more than any offset
_PARTITIONS = 64  # more than any topic here has


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What shall go wrong in one worker."""

    diary: str  # file to which refused writes are added, a line each
    point: Point | None = None
    passage: int = 1  # the how-manieth time the point is passed
    then: Literal["kill", "stop", "last"] = "kill"  # last: stop, and die after the write that follows
    without: Guard | None = None


class Sabotage:
    """Carries out a plan; shared by the wrapped ports of one worker."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._passed = 0

    def passes(self, point: Point) -> None:
        """End or stop this process, if this is the passage that the plan names."""
        if point != self.plan.point:
            return
        self._passed += 1
        if self._passed == self.plan.passage:
            os.kill(os.getpid(), signal.SIGKILL if self.plan.then == "kill" else signal.SIGSTOP)

    def written(self) -> None:
        """End this process, if it was to write once more after its passage."""
        if self.plan.then == "last" and self._passed >= self.plan.passage:
            os.kill(os.getpid(), signal.SIGKILL)

    def refused(self, what: str) -> None:
        with Path(self.plan.diary).open("a") as diary:
            diary.write(f"{what}\n")

    def ownership(self, own: Ownership, point: Point) -> Ownership:
        def given_up(partitions: list[Partition]) -> None:
            if partitions:
                self.passes(point)
            own.given_up(partitions)

        return own._replace(given_up=given_up)


class _Port:
    """Hands everything on to the port that it wraps."""

    def __init__(self, inner: Any, sabotage: Sabotage) -> None:
        self._inner = inner
        self._sabotage = sabotage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class JoinProducer(_Port):
    _sent = 0

    def send(self, topic: str, value: bytes, key: bytes | None = None, partition: int = -1) -> None:
        self._sent += 1
        self._inner.send(topic, value, key, partition)

    def flush(self, seconds: float) -> None:
        sent, self._sent = self._sent, 0
        if sent and self._sabotage.plan.point == "produced":
            time.sleep(_ON_ITS_WAY_SECONDS)
            self._sabotage.passes("produced")
        self._inner.flush(seconds)
        if sent:
            self._sabotage.passes("delivered")


class JoinWindow(_Port):
    def __init__(self, inner: Any, sabotage: Sabotage, forget: Callable[[], None]) -> None:
        super().__init__(inner, sabotage)
        self._forget = forget

    def apply(self, arrivals: Sequence[Arrival], watermark_ms: int) -> list[Resolution]:
        if self._sabotage.plan.without == "offsets":
            self._forget()
        resolutions: list[Resolution] = self._inner.apply(arrivals, watermark_ms)
        if len(arrivals):
            self._sabotage.passes("applied")
        return resolutions

    def begin(self, arrivals: Sequence[Arrival], watermark_ms: int) -> Callable[[], list[Resolution]]:
        if self._sabotage.plan.without == "offsets":
            self._forget()
        applying: Callable[[], list[Resolution]] = self._inner.begin(arrivals, watermark_ms)

        def ended() -> list[Resolution]:
            resolutions = applying()
            if len(arrivals):
                self._sabotage.passes("applied")
            return resolutions

        return ended

    def applied(self) -> dict[tuple[Side, int], int]:
        if self._sabotage.plan.without == "offsets":  # nobody knows, so nobody reads again
            return {(side, partition): _ALL for side in Side for partition in range(_PARTITIONS)}
        found: dict[tuple[Side, int], int] = self._inner.applied()
        return found


class MonitorStore(_Port):
    def __init__(self, inner: Any, sabotage: Sabotage, newest: Callable[[int], int]) -> None:
        super().__init__(inner, sabotage)
        self._newest = newest

    def save(self, partition: int, epoch: int, snapshot: Snapshot) -> bool:
        self._sabotage.passes("saving")
        stored: bool = self._inner.save(partition, self._epoch(partition, epoch), snapshot)
        self._sabotage.passes("saved")
        if not stored:
            self._sabotage.refused(f"save {partition} {epoch}")
        return stored

    def begin_publish(self, partition: int, epoch: int, writes: Writes) -> Publishing:
        if writes:  # a partition without models has nothing to say
            self._sabotage.passes("publishing")
        publishing: Publishing = self._inner.begin_publish(partition, self._epoch(partition, epoch), writes)

        def ended() -> bool:
            written = publishing()
            self._sabotage.written()
            if not written:
                self._sabotage.refused(f"publish {partition} {epoch}")
            return written

        return ended

    def _epoch(self, partition: int, epoch: int) -> int:
        return self._newest(partition) if self._sabotage.plan.without == "fence" else epoch


class MonitorConsumer(_Port):
    """Without the dedupe: every block looks as if it came from a source of its own."""

    def take(self, count: int, seconds: float) -> list[Record]:
        records: list[Record] = self._inner.take(count, seconds)
        return [_unrecognizable(record) for record in records]


def _unrecognizable(record: Record) -> Record:
    if record.key is not None or record.value is None:
        return record
    block = block_codec.decode(record.value)
    sources = tuple((f"{topic}@{record.offset}", partition) for topic, partition in block.sources)
    return record._replace(value=block_codec.encode(dataclasses.replace(block, sources=sources)))


def forgetting(client: redis.Redis, shards: int) -> Callable[[], None]:
    """Return what makes the window forget which offsets it has applied."""
    return lambda: client.delete(*(f"tgw:{{{shard}}}:applied" for shard in range(shards)))


def newest_epoch(client: redis.Redis) -> Callable[[int], int]:
    """Return what tells the newest epoch of a partition."""
    return lambda partition: int(client.get(f"tgs:{{{partition}}}:epoch") or 0)
