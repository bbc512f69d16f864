"""Blocks of rows that may be known under another trigger: each outcome counts once."""

from __future__ import annotations

import pytest

from tests.monitor.streams import binary
from tidegauge.adapters import block_codec
from tidegauge.block import Block, Labelled, Trigger
from tidegauge.block_builder import BlockBuilder
from tidegauge.config import Settings
from tidegauge.monitor import Monitor

ONE = binary(1, seed=1)[0]
Row = tuple[int, bool, int]  # revision, label, sign


def told(
    *labels: tuple[int, bool], offset: int, again: bool, topic: str = "labels", instead: bool = False
) -> Block:
    """Return a block with rows (sign, label) of one prediction under one trigger."""
    builder = BlockBuilder()
    for place, (sign, label) in enumerate(labels):
        revision = 0 if instead else place
        labelled = Labelled(label, 1.0, {"revenue": 1.0})
        builder.outcome(
            "p", 7, Trigger(topic, 0, offset), ONE.predicted, labelled, 60_000, revision, sign, again
        )
    return builder.build()


def counted(monitor: Monitor) -> tuple[str, str, str]:
    fields = monitor.report().writes["tg:metrics:churn:v1"]
    return fields["n@24h"], fields["accuracy@24h"], fields["kpi.revenue.sum@24h"]


def after(*blocks: Block) -> tuple[str, str, str]:
    monitor = Monitor(Settings())
    for block in blocks:
        monitor.observe(block_codec.decode(block_codec.encode(block)))
    return counted(monitor)


RIGHT, WRONG = bool(ONE.prediction), not ONE.prediction
FIRST = told((1, WRONG), offset=5, again=False)
CORRECTED = told((-1, WRONG), (1, RIGHT), offset=6, again=False)
ONCE = ("1.0", "1.0", "1.0")


@pytest.mark.parametrize("topic", ["labels", "predictions"])
@pytest.mark.parametrize("offset", [1, 5, 99])
def test_an_outcome_that_is_told_again_counts_once_whatever_its_trigger(topic: str, offset: int) -> None:
    again = told((1, WRONG), offset=offset, again=True, topic=topic)
    assert after(FIRST, again) == after(FIRST)


def test_an_outcome_that_was_never_told_counts_although_its_trigger_is_an_old_one() -> None:
    other = told((1, RIGHT), offset=99, again=False)
    builder = BlockBuilder()
    builder.outcome(
        "q", 8, Trigger("labels", 0, 3), ONE.predicted, Labelled(RIGHT, 1.0, {}), 60_000, 0, 1, True
    )
    assert after(other, builder.build())[0] == "2.0"


def test_a_correction_that_is_told_again_counts_once() -> None:
    again = told((-1, WRONG), (1, RIGHT), offset=99, again=True)
    assert after(FIRST, CORRECTED) == after(FIRST, CORRECTED, again) == ONCE


def test_a_correction_of_what_was_counted_counts() -> None:
    assert after(FIRST, told((-1, WRONG), (1, RIGHT), offset=2, again=True)) == ONCE


def test_a_correction_whose_result_is_counted_already_is_known() -> None:
    straight = told((1, RIGHT), offset=5, again=False)
    assert after(straight, told((-1, WRONG), (1, RIGHT), offset=6, again=True)) == ONCE


def test_an_older_revision_that_is_told_again_does_not_come_back() -> None:
    assert after(FIRST, CORRECTED, told((1, WRONG), offset=99, again=True)) == ONCE


def test_what_stands_instead_of_what_was_counted_counts() -> None:
    other = told((1, RIGHT), offset=99, again=True)  # another first outcome, of a window that was lost
    instead = told((-1, WRONG), (1, RIGHT), offset=99, again=True, instead=True)
    assert after(FIRST, other, instead) == ONCE


def test_what_stands_instead_of_something_that_was_never_told_is_known() -> None:
    straight = told((1, RIGHT), offset=5, again=False)
    instead = told((-1, WRONG), (1, RIGHT), offset=99, again=True, instead=True)
    assert after(straight, instead) == ONCE


def test_what_stands_instead_of_something_forgotten_does_not_count() -> None:
    instead = told((-1, WRONG), (1, RIGHT), offset=99, again=True, instead=True)
    assert "tg:metrics:churn:v1" not in Monitor(Settings()).report().writes
    monitor = Monitor(Settings())
    monitor.observe(instead)
    assert monitor.report().writes.get("tg:metrics:churn:v1", {}).get("n@24h", "0.0") == "0.0"


def test_a_correction_of_kpis_alone_is_a_correction() -> None:
    builder = BlockBuilder()
    trigger = Trigger("labels", 0, 9)
    for revision, sign, kpi in ((0, -1, 1.0), (1, 1, 5.0)):
        labelled = Labelled(WRONG, 1.0, {"revenue": kpi})
        builder.outcome("p", 7, trigger, ONE.predicted, labelled, 60_000, revision, sign, True)
    assert after(FIRST, builder.build()) == ("1.0", "0.0", "5.0")


def test_rows_told_again_move_the_last_trigger_so_that_a_plain_replay_of_them_is_known() -> None:
    again = told((1, WRONG), offset=5, again=True)
    assert after(again, FIRST) == after(FIRST)


def test_in_one_block_what_comes_again_sees_what_came_before_it() -> None:
    builder = BlockBuilder()
    for offset, again, old, new in ((6, False, WRONG, RIGHT), (7, True, RIGHT, WRONG)):
        for sign, label in ((-1, old), (1, new)):
            trigger = Trigger("labels", 0, offset)
            labelled = Labelled(label, 1.0, {"revenue": 1.0})
            builder.outcome(
                "p", 7, trigger, ONE.predicted, labelled, 60_000 + offset, offset - 5, sign, again
            )
    assert after(FIRST, builder.build()) == ("1.0", "0.0", "1.0")


def test_the_memory_survives_a_restore() -> None:
    first, second = Monitor(Settings()), Monitor(Settings())
    first.observe(FIRST)
    second.restore(block_codec.unpack(block_codec.pack(first.state())))
    second.observe(told((1, WRONG), offset=99, again=True))
    assert counted(second) == after(FIRST)


def rows_of(rows: tuple[Row, ...], topic: str, offset: int, again: bool) -> Block:
    """Return a block with rows of one prediction under one trigger, the revisions a second apart."""
    builder = BlockBuilder()
    for revision, label, sign in rows:
        labelled = Labelled(label, 1.0, {"revenue": 1.0})
        trigger, at_ms = Trigger(topic, 0, offset), 60_000 + 1_000 * revision
        builder.outcome("p", 7, trigger, ONE.predicted, labelled, at_ms, revision, sign, again)
    return builder.build()


OUTCOME: tuple[Row, ...] = ((0, WRONG, 1),)
CORRECTION: tuple[Row, ...] = ((0, WRONG, -1), (1, RIGHT, 1))
BACK: tuple[Row, ...] = ((1, RIGHT, -1), (2, WRONG, 1))


@pytest.mark.parametrize("corrections", [(CORRECTION,), (CORRECTION, BACK)])
@pytest.mark.parametrize("told_before", [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("outcome_again", [False, True])
def test_a_correction_may_come_again_before_what_it_takes_back(
    corrections: tuple[tuple[Row, ...], ...], told_before: tuple[int, int], place: int, outcome_again: bool
) -> None:
    outcomes_before, corrections_before = told_before
    before = [rows_of(OUTCOME, "predictions", 5, again=False)][:outcomes_before]
    before += [rows_of(rows, "labels", n, again=False) for n, rows in enumerate(corrections)][
        :corrections_before
    ]
    again = [rows_of(rows, "labels", n, again=True) for n, rows in enumerate(corrections)]
    again.insert(place, rows_of(OUTCOME, "predictions", 5, again=outcome_again))
    assert after(*before, *again) == ("1.0", str(float(len(corrections) == 1)), "1.0")


def test_what_stands_instead_of_what_is_owed_pays_it() -> None:
    correction = rows_of(CORRECTION, "labels", 3, again=False)  # its outcome was never told
    straight = ((0, RIGHT, 1), (0, WRONG, -1), (0, RIGHT, 1))
    assert after(correction, rows_of(straight, "predictions", 5, again=True)) == ONCE
    twice = [rows_of(straight, "predictions", 5, again=True)] * 2
    assert after(correction, *twice) == ONCE


def test_what_is_owed_survives_a_restore() -> None:
    first, second = Monitor(Settings()), Monitor(Settings())
    first.observe(rows_of(CORRECTION, "labels", 3, again=True))
    second.restore(block_codec.unpack(block_codec.pack(first.state())))
    second.observe(rows_of(OUTCOME, "predictions", 5, again=True))
    assert counted(second) == ONCE
