"""The runner of a stage: restarts, truth about health, and an orderly end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from tidegauge.errors import DeliveryFailed, Unavailable
from tidegauge.ports import Patience
from tidegauge.stages.runner import StageService

WAIT_SECONDS = 20


class Scripted:
    """A stage whose steps do what a list says; then it waits to be stopped."""

    def __init__(self, steps: list[Callable[[], int]]) -> None:
        self.steps = steps
        self.closed: list[bool] = []
        self.threads: set[int] = set()

    def step(self) -> int:
        self.threads.add(threading.get_ident())
        return self.steps.pop(0)() if self.steps else 0

    def ready(self) -> bool:
        return True

    def close(self, failed: bool) -> None:
        self.threads.add(threading.get_ident())
        self.closed.append(failed)


def raising(error: Exception) -> Callable[[], int]:
    def step() -> int:
        raise error

    return step


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not what():
            await asyncio.sleep(0.01)


def test_a_stage_runs_in_one_thread_and_is_closed_whole_when_the_service_stops() -> None:
    stage = Scripted([lambda: 3, lambda: 4])

    async def run() -> StageService:
        service = StageService("test", lambda patience: stage)
        await service.start()
        await until(lambda: service.processed == 7)
        assert service.alive()
        assert service.ready()
        await service.stop()
        return service

    service = asyncio.run(run())
    assert stage.closed == [False]
    assert len(stage.threads) == 1
    assert not service.alive()
    assert not service.ready()


def test_a_failure_with_a_name_closes_the_stage_and_builds_it_anew() -> None:
    stages = [Scripted([raising(DeliveryFailed("the broker refused"))]), Scripted([lambda: 5])]
    built: list[Scripted] = []

    def build(patience: Patience) -> Scripted:
        built.append(stages[len(built)])
        return built[-1]

    async def run() -> None:
        service = StageService("test", build)
        await service.start()
        await until(lambda: service.trouble is not None)
        assert not service.ready()
        assert service.alive()
        assert service.trouble == "the broker refused"
        await until(service.ready)
        await until(lambda: service.processed == 5)
        assert service.restarts == 1
        await service.stop()

    asyncio.run(run())
    assert [stage.closed for stage in stages] == [[True], [False]]


def test_a_defect_stops_the_worker_instead_of_looping() -> None:
    stage = Scripted([raising(ValueError("a defect"))])

    async def run() -> BaseException | None:
        service = StageService("test", lambda patience: stage)
        await service.start()
        await until(lambda: service.crashed)
        await until(lambda: not service.alive())
        await service.stop()
        return service.crash_reason

    assert isinstance(asyncio.run(run()), ValueError)
    assert stage.closed == [True]


def test_a_server_that_is_away_is_waited_for_in_place_and_the_wait_is_told() -> None:
    answers: list[Callable[[], int]] = [raising(Unavailable("Redis is away"))] * 3 + [lambda: 5]
    rested: list[float] = []

    patient: list[Patience] = []

    def rest(seconds: float) -> None:
        rested.append(seconds)
        troubles.append(service.trouble)

    def answer() -> int:
        return answers.pop(0)()

    def build(patience: Patience) -> Scripted:
        patient.append(patience)
        return Scripted([lambda: patience.keep(answer, rest)])

    troubles: list[str | None] = []
    service = StageService("test", build)

    async def run() -> None:
        await service.start()
        await until(lambda: service.processed == 5)
        await until(lambda: service.trouble is None)
        await service.stop()

    asyncio.run(run())
    assert len(patient) == 1  # the stage was not built anew
    assert rested == [0.1, 0.2, 0.4]
    assert set(troubles) == {"Redis is away"}
