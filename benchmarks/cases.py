"""What is measured: a row a case, whole and quick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.events import Stream
from benchmarks.figures import MILLION
from benchmarks.table import amount

Arguments = tuple[str, ...]

WORKER: Arguments = ()  # of `tidegauge worker`: every role in one process
STAGES: tuple[Arguments, ...] = (("--only", "join"), ("--only", "monitor", "--only", "control"))


class Case(NamedTuple):
    """A stream through Tidegauge: the arguments of each worker, and settings beside the defaults."""

    name: str
    title: str
    stream: Stream
    workers: tuple[Arguments, ...] = (WORKER,)
    settings: Mapping[str, str] = {}
    labels_first: bool = False


class Plan(NamedTuple):
    """A whole run."""

    cases: tuple[Case, ...]
    limits: Stream
    peers: Mapping[str, Stream]  # fewer events where they are slow; the first ones of the same stream
    waiting: tuple[int, ...]
    paced: tuple[str, ...]  # of the cases of latency
    latency_seconds: float  # of each
    rows: int  # of the arithmetic alone
    row_peers: tuple[str, ...]
    repeated: frozenset[str] = frozenset()  # the fastest of `repeats` counts: what the ratios rest on
    repeats: int = 1


# Many small models: each has fewer outcomes than the hundred after which a task is decided by default.
_SMALL_MODELS = {"TIDEGAUGE_MONITOR__INFERENCE_OUTCOMES": "20"}
# Four workers share the partitions of the observations only if their models lie in all of them.
_SHARED = 16


def full() -> Plan:
    """Return what `make bench` measures: about half an hour."""
    one = Stream(500_000)
    return Plan(
        cases=_cases(one, shared=1_000_000, models=10_000, each=50, wide=50_000, other=250_000),
        limits=one,
        peers={
            "faust": Stream(25_000),
            "quix": Stream(100_000),
            "bytewax": Stream(100_000),
            "plain": Stream(100_000),
        },
        waiting=(1 * MILLION, 5 * MILLION, 10 * MILLION),
        paced=("latency", "latency_spread", "latency_trickle", "latency_gathered"),
        latency_seconds=60.0,
        rows=105_000,
        row_peers=("evidently", "nannyml", "whylogs"),
        repeated=frozenset({"consume", "decode", "one", "models10k", "features200", "faust", "quix"}),
        repeats=2,
    )


def quick() -> Plan:
    """Return what `make bench QUICK=1` measures: that everything runs and counts right, in minutes."""
    one = Stream(60_000)
    return Plan(
        cases=_cases(one, shared=30_000, models=1_000, each=30, wide=4_000, other=20_000),
        limits=one,
        peers={
            "faust": Stream(4_000),
            "quix": Stream(10_000),
            "bytewax": Stream(10_000),
            "plain": Stream(10_000),
        },
        waiting=(100_000,),
        paced=("latency",),
        latency_seconds=6.0,
        rows=15_000,
        row_peers=("whylogs",),  # the others take minutes to install
    )


def _cases(one: Stream, shared: int, models: int, each: int, wide: int, other: int) -> tuple[Case, ...]:
    many, spread = Stream(models * each, models), Stream(shared, models=_SHARED)
    return (
        Case("one", "1 model, 10 features", one),
        Case("stages", "the same, JOIN and MONITOR in processes of their own", one, STAGES),
        Case("models10k", f"{amount(models)} models, 10 features", many, settings=_SMALL_MODELS),
        Case("features200", "1 model, 200 features", Stream(wide, features=200)),
        Case("labels_first", "every label before its prediction", Stream(other), labels_first=True),
        Case("corrections", "20 % of the labels corrected", Stream(other, corrections=0.2)),
        Case("bytes200", "messages of 200 bytes", Stream(other, features=1, message_bytes=200)),
        Case("bytes4k", "messages of 4 kB", Stream(wide * 2, message_bytes=4_096)),
        Case("workers1", f"{_SHARED} models, 1 worker", spread),
        Case("workers2", f"{_SHARED} models, 2 workers", spread, 2 * (WORKER,)),
        Case("workers4", f"{_SHARED} models, 4 workers", spread, 4 * (WORKER,)),
    )
