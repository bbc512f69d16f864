"""The simulation finds what it is for: a protection taken away is noticed within some hundred schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.events import LABELS, PREDICTIONS
from tests.simulation.log import SimConsumer, SimProducer
from tests.simulation.points import Stuck
from tests.simulation.schedules import (
    CLICKS,
    Violated,
    check,
    examples,
    leap_schedules,
    schedules,
    zombie_schedules,
)
from tests.simulation.server import Server, SimWindow, Sources
from tests.simulation.world import PORTS, Action, Ports
from tidegauge.block import Block
from tidegauge.join import Arrival, Resolution, match, table
from tidegauge.monitor import Monitor
from tidegauge.ports import Committed, Partition, Snapshot

ENOUGH = 1_000
CRASHES = schedules(lossy=False)


def assert_noticed(
    ports: Ports = PORTS,
    server: type[Server] = Server,
    among: st.SearchStrategy[list[Action]] = CRASHES,
) -> None:
    @examples(ENOUGH, shrink=False)
    @given(among)
    def run(schedule: list[Action]) -> None:
        check(schedule, ports, server)

    with pytest.raises((Violated, Stuck)):
        run()


class HastyProducer(SimProducer):
    """Delivers nothing before the commit."""

    def flush(self, seconds: float) -> None:
        if self.process.role.startswith("monitor"):
            super().flush(seconds)


class HastyConsumer(SimConsumer):
    """Commits, and delivers then."""

    def commit(self, offsets: Mapping[Partition, Committed]) -> bool:
        done = super().commit(offsets)
        SimProducer.flush(self.process.producer, 0)
        return done


def test_a_commit_before_the_delivery_is_noticed() -> None:
    assert_noticed(Ports(consumer=HastyConsumer, producer=HastyProducer))


def test_a_monitor_that_counts_known_rows_again_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(self: Monitor, block: Block) -> Block:
        return block

    monkeypatch.setattr(Monitor, "_new_rows", everything)
    assert_noticed()


class OpenServer(Server):
    """Takes writes of former owners too."""

    def owns(self, partition: int, epoch: int) -> bool:
        return True


def test_a_store_without_the_fence_of_epochs_is_noticed() -> None:
    assert_noticed(server=OpenServer, among=zombie_schedules())


class ForgetfulServer(Server):
    """A window that takes what it has applied for new."""

    def apply(
        self, shard: int, arrivals: list[Arrival], watermark_ms: int, last: Sources
    ) -> list[Resolution]:
        applied = self.shards[shard]._applied
        before = dict(applied)
        applied.clear()
        resolutions = self.shards[shard].apply(arrivals, watermark_ms)
        applied.clear()
        applied |= {source: max(before.get(source, -1), last.get(source, -1)) for source in {*before, *last}}
        return resolutions


def test_a_window_without_applied_offsets_is_noticed() -> None:
    assert_noticed(server=ForgetfulServer)


class HastyWindow(SimWindow):
    """Moves the watermark with a batch before it applies it."""

    def apply(self, arrivals: Sequence[Arrival], watermark_ms: int) -> list[Resolution]:
        advances: dict[str, int] = {}
        for arrival in arrivals:
            source = f"{(PREDICTIONS, LABELS)[arrival.side]}-{arrival.partition}"
            advances[source] = max(arrival.at_ms, advances.get(source, 0))
        own_ms = self.watermark(advances)
        self.sweep(own_ms)
        return super().apply(arrivals, own_ms)


def test_a_sweep_with_the_watermark_of_the_batch_itself_is_noticed() -> None:
    assert_noticed(Ports(window=HastyWindow), among=leap_schedules())


class SilentServer(Server):
    """Has the name it had, after a loss too."""

    def lose(self, kept: int, parts: frozenset[str] = frozenset({"window", "store"})) -> None:
        name = self.name
        super().lose(kept, parts)
        self.name = name


def test_a_window_that_keeps_its_loss_to_itself_is_noticed() -> None:
    assert_noticed(server=SilentServer, among=schedules())


class CarelessServer(Server):
    """Keeps a snapshot under a later offset than it stands for."""

    def save(self, partition: int, epoch: int, snapshot: Snapshot) -> bool:
        return super().save(partition, epoch, snapshot._replace(offset=snapshot.offset + 1))


def test_a_snapshot_with_a_later_offset_than_its_state_is_noticed() -> None:
    assert_noticed(server=CarelessServer)


def test_a_window_in_which_clicks_replace_one_another_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (match, table):
        monkeypatch.setattr(module, "together", lambda payloads: list(payloads)[-1])
    assert_noticed(among=schedules(lossy=False, worker=CLICKS))
