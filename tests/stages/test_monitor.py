"""The monitor stage by a clock that only its store moves: what goes out when, and that all of it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.monitor.streams import binary, blocks
from tidegauge.adapters import block_codec
from tidegauge.config import Settings
from tidegauge.errors import Unavailable
from tidegauge.ports import Answer, Ownership, Publishing, Record, Snapshot, Writes
from tidegauge.stages.monitor import MonitorStage

TOPIC = Settings().topics.observations
MODELS = 40
SECONDS_A_SERIES = 0.004  # to write it
STEP_SECONDS = 0.02  # at least


@dataclass
class World:
    """A topic, of one partition unless told, a store that takes its time, and the clock."""

    waiting: list[list[Record]]
    seconds: float = 100.0
    published: list[tuple[float, float, set[str]]] = field(default_factory=list)  # from, to, keys
    drift: list[tuple[float, float, set[str]]] = field(default_factory=list)
    written: list[Writes] = field(default_factory=list)
    saved: list[float] = field(default_factory=list)
    saved_partitions: list[int] = field(default_factory=list)
    published_partitions: list[int] = field(default_factory=list)
    named: list[str] = field(default_factory=list)  # models, as they were put into the set of all
    lingers: list[float] = field(default_factory=list)  # how long it was waited for more, each time
    writing: bool = False  # a publication is on its way
    refuses: int = 0  # publications that fail: the store is away
    while_away: Callable[[], None] = lambda: None  # what happens then
    partitions: int = 1
    ownership: Ownership | None = None
    gained: bool = False

    def join(self, ownership: Ownership) -> Any:
        self.ownership = ownership
        return self

    def take(self, count: int, seconds: float) -> list[Record]:
        assert self.ownership is not None
        if not self.gained:
            self.ownership.gained([(TOPIC, number) for number in range(self.partitions)])
            self.gained = True
        self.lingers.append(seconds)
        self.seconds += STEP_SECONDS if self.waiting else max(seconds, STEP_SECONDS)
        return self.waiting.pop(0) if self.waiting else []

    def keep(self, call: Callable[[], Answer], rest: Callable[[float], None]) -> Answer:
        while True:
            try:
                return call()
            except Unavailable:
                self.seconds += 1.0
                self.while_away()

    def rest(self, seconds: float) -> None:
        raise AssertionError("no server is away")

    def bounds(self, partition: tuple[str, int]) -> tuple[int, int]:
        return 0, 0

    def end_offset(self, partition: tuple[str, int]) -> int | None:
        return None

    def commit(self, next_offsets: dict[tuple[str, int], int]) -> bool:
        return True

    def close(self) -> None:
        assert self.ownership is not None
        self.ownership.given_up([(TOPIC, 0)])

    def flush(self, seconds: float) -> None: ...
    def send(self, topic: str, value: bytes, key: bytes | None = None, partition: int = -1) -> None: ...

    def add_members(self, key: str, members: list[str]) -> None:
        self.named += members

    def claim(self, partition: int) -> int:
        return 1

    def load(self, partition: int) -> Snapshot | None:
        return None

    def save(self, partition: int, epoch: int, snapshot: Snapshot) -> bool:
        assert not self.writing, "a snapshot tells the tally of what was published, so that must be known"
        self.seconds += 1.0
        self.saved.append(self.seconds)
        self.saved_partitions.append(partition)
        return True

    def begin_publish(self, partition: int, epoch: int, writes: Writes) -> Publishing:
        if self.refuses:
            self.refuses -= 1
            return self.fail
        self.written.append(writes)
        found = {key for key in writes if key.startswith("tg:metrics:")}
        started = self.seconds
        self.seconds += SECONDS_A_SERIES * len(found)
        if found:
            self.published.append((started, self.seconds, found))
            self.published_partitions.append(partition)
        drift = {key for key in writes if key.startswith("tg:drift:")}
        if drift:
            self.drift.append((started, self.seconds, drift))
        assert not self.writing
        self.writing = True
        return self.arrive

    def arrive(self) -> bool:
        self.writing = False
        return True

    def fail(self) -> bool:
        raise Unavailable("the store is away")


def stage(world: World) -> MonitorStage:
    any_world: Any = world
    return MonitorStage(Settings(), world.join, any_world, any_world, any_world, lambda: world.seconds)


def records(rounds: int, models: int = MODELS) -> list[list[Record]]:
    """Return blocks, each with an outcome of every model, one to a batch."""
    stream = [one for i in range(models * rounds) for one in binary(1, i, i * 1_000, model=f"m{i % models}")]
    return [
        [Record(TOPIC, 0, offset, 0, None, block_codec.encode(block))]
        for offset, block in enumerate(blocks(stream, models))
    ]


def of_partitions(batches: list[list[Record]], count: int) -> list[list[Record]]:
    """Return the same blocks in each of so many partitions."""
    return [
        [record._replace(partition=partition) for record in batch for partition in range(count)]
        for batch in batches
    ]


def test_a_stage_waits_for_more_until_something_is_due_and_not_longer_than_it_must() -> None:
    world = World(records(rounds=1, models=2))
    running = stage(world)
    while not world.published:
        running.step()
    assert world.lingers == [0.2, pytest.approx(0.02)]  # a block soon, and a piece .04 s after the start
    while not world.drift:
        running.step()
    assert world.drift[0][0] == pytest.approx(101.0)  # not some steps after its second
    running.step()
    assert world.lingers[-1] == 0.2


def test_a_busy_stage_rests_as_long_as_a_piece_took_and_no_model_is_left_behind() -> None:
    world = World(records(rounds=60))
    running = stage(world)
    while world.waiting:
        running.step()
    for (started, ended, _), (following, _, _) in zip(world.published, world.published[1:], strict=False):
        assert following - ended >= min(0.9 * (ended - started), Settings().monitor.publish_seconds) - 0.021
    count = {f"tg:metrics:m{i}:v1": 0 for i in range(MODELS)}
    for _, _, found in world.published:
        for key in found:
            count[key] += 1
    assert min(count.values()) > 0
    assert max(count.values()) - min(count.values()) <= 2


def test_a_quiet_stage_publishes_what_is_left_and_then_nothing() -> None:
    world = World(records(rounds=1))
    running = stage(world)
    for _ in range(30):
        running.step()
    assert set().union(*(found for _, _, found in world.published)) == {
        f"tg:metrics:m{i}:v1" for i in range(MODELS)
    }
    before = len(world.published)
    for _ in range(30):
        running.step()
    assert len(world.published) == before


@pytest.mark.parametrize("idle_steps", [0, 3])
def test_drift_that_fits_a_piece_goes_out_once_a_second(idle_steps: int) -> None:
    blocks = records(rounds=150, models=2)
    world = World([batch for block in blocks for batch in (block, *([[]] * idle_steps))])
    running = stage(world)
    while world.waiting:
        running.step()
    assert len(world.drift) >= 2
    for (earlier, _, _), (later, _, found) in zip(world.drift, world.drift[1:], strict=False):
        assert later - earlier >= 1.0
        assert found == {"tg:drift:m0:v1", "tg:drift:m1:v1"}


def test_drift_takes_a_small_part_of_the_time_and_all_of_it_goes_out_when_nothing_else_is_left() -> None:
    world = World(records(rounds=150))
    running = stage(world)
    while world.waiting:
        running.step()
    for (earlier, ended, _), (later, _, _) in zip(world.drift, world.drift[1:], strict=False):
        assert later - earlier >= 6 * (ended - earlier) - 1e-9
    for _ in range(60):
        running.step()
    assert set().union(*(found for *_, found in world.drift)) == {f"tg:drift:m{i}:v1" for i in range(MODELS)}


def test_partitions_take_turns_and_a_full_piece_is_of_one() -> None:
    world = World(of_partitions(records(rounds=100), 3))
    world.partitions = 3
    running = stage(world)
    while world.waiting:
        running.step()
    assert [len(found) for _, _, found in world.published] == [16] * len(world.published)
    assert world.published_partitions[:6] == [0, 1, 2, 0, 1, 2]


def test_a_model_is_named_when_it_is_new_and_once_after_each_whole_report() -> None:
    world = World(records(rounds=100, models=2))
    running = stage(world)
    while world.waiting:
        running.step()
    assert len(world.published) > 2 * len(world.drift)
    assert world.named[:2] == ["m0", "m1"]
    assert len(world.named) <= 2 * (len(world.drift) + 1)


def test_what_could_not_be_written_is_written_with_what_came_after() -> None:
    def told(refuses: int) -> dict[str, dict[str, str]]:
        world, found = World(records(rounds=3, models=2), refuses=refuses), dict[str, dict[str, str]]()
        running = stage(world)
        for _ in range(60):
            running.step()
        for key, fields in (each for writes in world.written for each in writes.items()):
            found.setdefault(key, {}).update(fields)
        return found

    assert told(refuses=0)["tg:metrics:m1:v1"]["n@7d"] == "3.0"
    assert told(refuses=3) == told(refuses=0)


def come_and_go(world: World) -> None:
    assert world.ownership is not None
    world.ownership.lost([(TOPIC, 0)])
    world.ownership.gained([(TOPIC, 0)])


@pytest.mark.parametrize("when", ["on its way", "kept"])
def test_a_report_of_a_partition_that_was_lost_is_not_written_when_it_comes_back(when: str) -> None:
    world = World(records(rounds=1, models=2), refuses=1)
    running = stage(world)
    while world.refuses:
        running.step()
    if when == "on its way":
        come_and_go(world)
    else:
        world.while_away = lambda: come_and_go(world)
    for _ in range(60):
        running.step()
    assert not any(world.written)


def test_a_stage_that_leaves_publishes_everything_first() -> None:
    world = World(records(rounds=1))
    running = stage(world)
    running.step()
    running.close(failed=False)
    assert sum(len(found) for _, _, found in world.published) == MODELS


def test_snapshots_take_at_most_a_twentieth_of_the_time() -> None:
    world = World(records(rounds=40))
    running = stage(world)
    for _ in range(40):
        running.step()
        world.seconds += 2.0
    assert len(world.saved) > 2
    gaps = [after - before for before, after in zip(world.saved, world.saved[1:], strict=False)]
    assert min(gaps) >= 20.0


def test_snapshots_of_several_partitions_are_stored_in_turn_with_a_rest_after_each() -> None:
    world = World(of_partitions(records(rounds=100), 3))
    world.partitions = 3
    running = stage(world)
    for _ in range(100):
        running.step()
        world.seconds += 2.0
    assert world.saved_partitions[:6] == [0, 1, 2, 0, 1, 2]
    gaps = [after - before for before, after in zip(world.saved, world.saved[1:], strict=False)]
    assert min(gaps) >= 20.0
