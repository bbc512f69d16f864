"""The join: its table row by row, and what must hold whatever arrives in whatever order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.block import Labelled, Predicted
from tidegauge.join import (
    COUNTERS,
    Arrival,
    MemoryWindow,
    Orphan,
    OutcomeRow,
    Resolution,
    Rules,
    Side,
    Verdict,
    advance,
    key_of,
    pack_labelled,
    pack_predicted,
    unpack_labelled,
    unpack_predicted,
)
from tidegauge.join.partial import is_partial, pack_partial, together

RULES = Rules(horizon_ms=100, lateness_ms=10, revisions=2)


def predicted(offset: int, at_ms: int, name: str = "a", payload: bytes = b"p", partition: int = 0) -> Arrival:
    return Arrival(Side.PREDICTION, key_of(name), partition, offset, at_ms, payload)


def labelled(offset: int, at_ms: int, value: bytes, name: str = "a", partition: int = 0) -> Arrival:
    return Arrival(Side.LABEL, key_of(name), partition, offset, at_ms, value, name)


def rejected(side: Side, offset: int, partition: int = 0) -> Arrival:
    return Arrival(side, b"", partition, offset, 0, b"", rejected=True)


def told(window: MemoryWindow, *arrivals: Arrival, watermark_ms: int = 0) -> list[Verdict]:
    return [resolution.verdict for resolution in window.apply(arrivals, watermark_ms)]


def counted(window: MemoryWindow) -> dict[str, int]:
    return {name: count for name, count in window.counters().items() if count}


def assert_adds_up(counters: dict[str, int]) -> None:
    for side, names in COUNTERS.items():
        parts = [counters[f"{side.plural}.{name}"] for name in names]
        assert counters[f"{side.plural}.received"] == sum(parts)
        assert min(parts) >= 0


# --- the table -----------------------------------------------------------------------------------


def test_the_first_prediction_waits_and_is_emitted() -> None:
    window = MemoryWindow(RULES)
    assert window.apply([predicted(0, 50)], 0) == [Resolution(Verdict.WAITING, emit_prediction=True)]
    assert counted(window) == {"predictions.received": 1, "predictions.waiting": 1}


def test_a_label_without_a_prediction_waits() -> None:
    window = MemoryWindow(RULES)
    assert window.apply([labelled(0, 50, b"1")], 0) == [Resolution(Verdict.WAITING)]
    assert counted(window) == {"labels.received": 1, "labels.waiting": 1}


def test_a_second_prediction_is_a_duplicate_before_and_after_its_label() -> None:
    window = MemoryWindow(RULES)
    verdicts = told(window, predicted(0, 50), predicted(1, 51), labelled(0, 60, b"1"), predicted(2, 52))
    assert verdicts == ["waiting", "duplicate", "matched", "duplicate"]
    assert window.counters()["predictions.duplicate"] == 2


def test_a_label_matches_a_waiting_prediction_up_to_the_horizon_on_either_side() -> None:
    for at_ms, verdict in ((150, "matched"), (-50, "matched"), (151, "late"), (-51, "late")):
        window = MemoryWindow(RULES)
        assert told(window, predicted(0, 50), labelled(0, at_ms, b"1")) == ["waiting", verdict]


def test_a_match_by_the_label_emits_the_outcome_of_the_stored_prediction() -> None:
    window = MemoryWindow(RULES)
    _, resolution = window.apply([predicted(0, 50, payload=b"stored"), labelled(0, 60, b"1")], 0)
    assert resolution == Resolution(
        Verdict.MATCHED, False, (OutcomeRow(0, 1, 60, b"1"),), b"stored", 50, partner=(0, 0)
    )
    assert counted(window) == {
        "predictions.received": 1,
        "predictions.matched": 1,
        "labels.received": 1,
        "labels.matched": 1,
    }


def test_a_late_label_leaves_the_prediction_waiting() -> None:
    window = MemoryWindow(RULES)
    verdicts = told(window, predicted(0, 50), labelled(0, 200, b"1"), labelled(1, 60, b"0"))
    assert verdicts == ["waiting", "late", "matched"]


def test_a_prediction_that_finds_its_label_emits_both_rows() -> None:
    window = MemoryWindow(RULES)
    _, resolution = window.apply([labelled(0, 60, b"1"), predicted(0, 50)], 0)
    assert resolution == Resolution(
        Verdict.MATCHED, True, (OutcomeRow(0, 1, 60, b"1"),), b"p", 50, partner=(0, 0)
    )
    assert counted(window) == {
        "predictions.received": 1,
        "predictions.matched": 1,
        "labels.received": 1,
        "labels.matched": 1,
    }


def test_labels_beyond_the_horizon_become_orphans_when_the_prediction_comes() -> None:
    window = MemoryWindow(RULES)
    assert told(window, labelled(7, 500, b"1"), predicted(0, 50)) == ["waiting", "waiting"]
    assert window.outbox() == [Orphan(0, 7, 500, "a")]
    assert counted(window) == {
        "predictions.received": 1,
        "predictions.waiting": 1,
        "labels.received": 1,
        "labels.orphan": 1,
    }


def test_the_newest_waiting_label_within_the_horizon_matches() -> None:
    window = MemoryWindow(RULES)
    came = [labelled(0, 80, b"0"), labelled(1, 60, b"1"), labelled(2, 500, b"2"), predicted(0, 50)]
    *_, resolution = window.apply(came, 0)
    assert resolution.outcomes == (OutcomeRow(0, 1, 80, b"0"),)
    assert counted(window) == {
        "predictions.received": 1,
        "predictions.matched": 1,
        "labels.received": 3,
        "labels.matched": 1,
        "labels.superseded": 1,
        "labels.orphan": 1,
    }


def test_a_waiting_label_told_again_counts_as_duplicate_and_keeps_its_first_time() -> None:
    window = MemoryWindow(RULES)
    came = [labelled(0, 60, b"1"), labelled(1, 60, b"1"), labelled(2, 70, b"1"), predicted(0, 50)]
    resolutions = window.apply(came, 0)
    assert [resolution.verdict for resolution in resolutions] == [
        "waiting",
        "duplicate",
        "waiting",
        "matched",
    ]
    assert resolutions[-1].outcomes == (OutcomeRow(0, 1, 60, b"1"),)
    assert window.counters()["labels.duplicate"] == 2


def test_a_label_of_an_older_time_is_superseded_and_of_an_equal_time_the_later_read_stands() -> None:
    window = MemoryWindow(RULES)
    verdicts = told(
        window, predicted(0, 50), labelled(0, 60, b"1"), labelled(1, 59, b"0"), labelled(2, 60, b"0")
    )
    assert verdicts == ["waiting", "matched", "superseded", "corrected"]


def test_a_label_with_the_value_that_stands_is_a_duplicate_and_confirms_it() -> None:
    window = MemoryWindow(RULES)
    verdicts = told(
        window, predicted(0, 50), labelled(0, 60, b"1"), labelled(1, 80, b"1"), labelled(2, 70, b"0")
    )
    assert verdicts == ["waiting", "matched", "duplicate", "superseded"]


BEYOND_THEN_CORRECTED = [
    predicted(0, 50),
    labelled(0, 60, b"1"),
    labelled(1, 500, b"1"),
    labelled(2, 70, b"0"),
]


def test_a_label_beyond_the_horizon_confirms_nothing() -> None:
    verdicts = told(MemoryWindow(RULES), *BEYOND_THEN_CORRECTED)
    assert verdicts == ["waiting", "matched", "duplicate", "corrected"]


def test_a_correction_takes_the_old_outcome_back_before_it_gives_the_new_one() -> None:
    window = MemoryWindow(RULES)
    *_, resolution = window.apply([predicted(0, 50), labelled(0, 60, b"1"), labelled(1, 70, b"0")], 0)
    assert resolution == Resolution(
        Verdict.CORRECTED,
        False,
        (OutcomeRow(0, -1, 60, b"1"), OutcomeRow(1, 1, 70, b"0")),
        b"p",
        50,
        partner=(0, 0),
    )


def test_a_matched_prediction_takes_no_label_beyond_the_horizon() -> None:
    window = MemoryWindow(RULES)
    assert told(window, predicted(0, 50), labelled(0, 60, b"1"), labelled(1, 151, b"0"))[-1] == "late"


def test_more_corrections_than_are_kept_are_rejected() -> None:
    window = MemoryWindow(RULES)
    labels = [labelled(offset, 60 + offset, b"%d" % offset) for offset in range(4)]
    assert told(window, predicted(0, 50), *labels)[1:] == ["matched", "corrected", "corrected", "rejected"]
    waiting = MemoryWindow(RULES)
    assert told(waiting, *labels) == ["waiting", "waiting", "waiting", "rejected"]
    assert told(waiting, *labels)[-1] == "rejected"
    assert_adds_up(window.counters())


def test_a_rejected_event_is_counted_once() -> None:
    window = MemoryWindow(RULES)
    first, again = (window.apply([rejected(Side.LABEL, 3)], 0)[0] for _ in range(2))
    assert (first, again) == (Resolution(Verdict.REJECTED), Resolution(Verdict.REJECTED, replay=True))
    assert counted(window) == {"labels.received": 1, "labels.rejected": 1}


# --- partial labels ------------------------------------------------------------------------------


def gains(row: OutcomeRow) -> object:
    return unpack_labelled(row.label).label


A, B, A_TWICE, A_AND_B = (pack_partial(label) for label in (["a"], ["b"], {"a": 2.0}, ["a", "b"]))


def test_a_partial_label_that_says_something_new_corrects_the_union() -> None:
    window = MemoryWindow(RULES)
    came = [predicted(0, 50), labelled(0, 70, A), labelled(1, 60, B), labelled(2, 80, A)]
    _, first, second, third = window.apply(came, 0)
    assert [gains(row) for row in first.outcomes] == [["a"]]
    assert [(row.sign, gains(row)) for row in second.outcomes] == [(-1, ["a"]), (1, ["a", "b"])]
    assert [row.labelled_at_ms for row in second.outcomes] == [70, 70], "no earlier than what it corrects"
    assert (second.verdict, third.verdict) == (Verdict.CORRECTED, Verdict.DUPLICATE)


def test_the_greatest_gain_of_an_item_counts_in_either_order() -> None:
    for came in ([A, A_TWICE], [A_TWICE, A]):
        window = MemoryWindow(RULES)
        labels = [labelled(offset, 60, value) for offset, value in enumerate(came)]
        rows = [row for each in window.apply([predicted(0, 50), *labels], 0) for row in each.outcomes]
        assert gains(rows[-1]) == {"a": 2.0}


def test_partial_labels_that_waited_match_together() -> None:
    window = MemoryWindow(RULES)
    came = [labelled(0, 60, A), labelled(1, 55, B), labelled(2, 500, A_TWICE), predicted(0, 50)]
    *_, resolution = window.apply(came, 0)
    assert [(row.labelled_at_ms, gains(row)) for row in resolution.outcomes] == [(60, ["a", "b"])]
    assert counted(window) == {
        "predictions.received": 1,
        "predictions.matched": 1,
        "labels.received": 3,
        "labels.matched": 1,
        "labels.superseded": 1,
        "labels.orphan": 1,
    }


def test_a_whole_label_counts_before_partial_ones_whenever_it_comes() -> None:
    arrivals = [labelled(0, 70, A), labelled(1, 60, b"whole"), labelled(2, 80, B)]
    for place in range(4):
        came = [it._replace(partition=at) for at, it in enumerate(arrivals)]
        came.insert(place, predicted(0, 50))
        window = MemoryWindow(RULES)
        rows = [row for resolution in window.apply(came, 0) for row in resolution.outcomes]
        assert rows[-1].label == b"whole"
        assert_adds_up(window.counters())


def test_more_items_than_may_add_up_are_rejected_and_told_again() -> None:
    few = Rules(horizon_ms=100, lateness_ms=10, revisions=9, items=2)
    more = pack_partial(["c"])
    for came in (
        [predicted(0, 50), labelled(0, 60, A_AND_B), labelled(1, 60, more)],
        [labelled(0, 60, A_AND_B), labelled(1, 60, more)],
    ):
        window = MemoryWindow(few)
        assert told(window, *came)[-1] == told(window, *came)[-1] == "rejected"


def test_what_may_have_been_told_before_a_loss_is_replaced_by_the_union() -> None:
    came = [labelled(0, 60, A), labelled(1, 70, A_AND_B), labelled(2, 65, A), predicted(0, 50)]
    *_, resolution = MemoryWindow(ROOMY).apply(came, 0)
    assert [(row.sign, row.labelled_at_ms, gains(row)) for row in resolution.instead] == [
        (-1, 60, ["a"]),
        (1, 70, ["a", "b"]),
    ]


# --- replays -------------------------------------------------------------------------------------


def test_a_replay_tells_the_rows_of_its_own_event_again() -> None:
    came = [predicted(0, 50), labelled(0, 60, b"1"), labelled(1, 70, b"0"), labelled(2, 900, b"3")]
    window = MemoryWindow(RULES)
    first = window.apply(came, 0)
    before = window.counters()
    again = window.apply(came, 0)
    assert [resolution[1:5] for resolution in again] == [resolution[1:5] for resolution in first]
    assert [resolution.verdict for resolution in again] == ["replay", "replay", "replay", "late"]
    assert all(resolution.replay for resolution in again)
    assert window.counters() == before


def test_a_replayed_label_emits_nothing_where_the_prediction_completed_the_outcome() -> None:
    window = MemoryWindow(RULES)
    came = [labelled(0, 60, b"1"), predicted(0, 50)]
    first = window.apply(came, 0)
    again = window.apply(came, 0)
    assert again[0] == Resolution(Verdict.REPLAY, replay=True)
    assert again[1] == first[1]._replace(verdict=Verdict.REPLAY, replay=True)


def test_a_replayed_duplicate_emits_nothing() -> None:
    window = MemoryWindow(RULES)
    window.apply([predicted(0, 50), predicted(1, 50)], 0)
    assert window.apply([predicted(1, 50)], 0) == [Resolution(Verdict.REPLAY, replay=True)]


# --- time ----------------------------------------------------------------------------------------


def test_a_prediction_expires_when_no_label_of_its_horizon_can_come_any_more() -> None:
    window = MemoryWindow(RULES)
    window.apply([predicted(0, 50)], 0)
    window.sweep(160)
    assert window.counters()["predictions.waiting"] == 1
    window.sweep(161)
    assert counted(window) == {"predictions.received": 1, "predictions.expired": 1}
    assert told(window, labelled(0, 60, b"1"), watermark_ms=161) == ["waiting"]


def test_what_is_due_counts_as_gone_when_it_is_met() -> None:
    window = MemoryWindow(RULES)
    assert told(window, predicted(0, 50)) == ["waiting"]
    assert told(window, labelled(0, 60, b"1"), watermark_ms=161) == ["waiting"]
    assert window.counters()["predictions.expired"] == 1


def test_a_waiting_label_that_is_due_goes_to_the_outbox_until_it_is_acknowledged() -> None:
    window = MemoryWindow(RULES)
    window.apply([labelled(4, 50, b"1"), labelled(5, 90, b"1")], 0)
    assert window.sweep(170)
    orphans = window.outbox()
    assert orphans == [Orphan(0, 4, 50, "a")]
    window.acknowledge(orphans)
    assert window.outbox() == []
    assert counted(window) == {"labels.received": 2, "labels.waiting": 1, "labels.orphan": 1}


def test_a_matched_entry_goes_without_a_count() -> None:
    window = MemoryWindow(RULES)
    window.apply([predicted(0, 50), labelled(0, 60, b"1")], 0)
    before = window.counters()
    window.sweep(161)
    assert window.counters() == before
    assert told(window, labelled(1, 61, b"0"), watermark_ms=161) == ["waiting"]


def test_the_watermark_is_the_least_of_the_busy_partitions_and_never_goes_back() -> None:
    window = MemoryWindow(RULES)
    assert window.watermark({}) == 0
    assert window.watermark({"p-0": 50, "p-1": 30}) == 30
    assert window.watermark({"p-1": None}) == 50
    assert window.watermark({"p-1": 20}) == 50
    assert window.watermark({"p-0": None, "p-1": None}) == 50
    assert window.watermark({"p-0": 70, "p-1": 60}) == 60


def test_a_partition_that_has_not_been_read_holds_the_watermark_back() -> None:
    assert advance({}, 0, {"p-0": 50, "p-1": 0}) == 0


# --- payloads ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what",
    [
        Predicted("m", "v", (), 5, True, None, None),
        Predicted("m", "v", (("a", "x"), ("b", "y")), 5, "cat", 0.25, None),
        Predicted("m", "v", (("a", "x"),), 5, 3, {"cat": 0.5, "dog": 0.5}, 9.5),
        Predicted("m", "v", (), 5, ["x", 1, 2.5], None, 0.0),
    ],
)
def test_a_prediction_comes_back_as_it_was_packed(what: Predicted) -> None:
    assert unpack_predicted(pack_predicted(what), what.predicted_at_ms) == what


def test_a_label_comes_back_equal_to_what_was_packed() -> None:
    gains = {"i7": 2.0, "i2": 0.5}
    for what in (
        Labelled(True, 1.0, {}),
        Labelled("b", 2.5, {"z": 1.0, "a": -0.5}),
        Labelled(gains, 1.0, {}),
    ):
        assert unpack_labelled(pack_labelled(what)) == what


def test_relevant_items_are_a_set_of_texts() -> None:
    packed = {pack_labelled(Labelled(items, 1.0, {})) for items in (["b", 1], [1.0, "b", "b"], ["1", "b"])}
    assert [unpack_labelled(one) for one in packed] == [Labelled(["1", "b"], 1.0, {})]
    assert pack_labelled(Labelled({"a": 1, "b": 2}, 1, {})) == pack_labelled(
        Labelled({"b": 2.0, "a": 1.0}, 1, {})
    )


def test_equal_labels_have_equal_bytes_and_others_have_not() -> None:
    for same in (True, 1, 1.0):
        assert pack_labelled(Labelled(same, 1, {})) == pack_labelled(Labelled(1, 1.0, {}))
    one, other = {"a": 1.0, "b": 2.0}, {"b": 2, "a": 1}
    assert pack_labelled(Labelled("x", 1.0, one)) == pack_labelled(Labelled("x", 1.0, other))
    for different in (Labelled("1", 1.0, {}), Labelled(1, 2.0, {}), Labelled(1, 1.0, {"a": 0.0})):
        assert pack_labelled(different) != pack_labelled(Labelled(1, 1.0, {}))
    assert pack_labelled(Labelled(2.0**60, 1.0, {})) != pack_labelled(Labelled(2.0**60 + 256, 1.0, {}))


# --- whatever arrives in whatever order ----------------------------------------------------------

# Few names and times, so that events meet, and meet the horizon (100 ms) and the purge (10 ms later) exactly.
NAMES = ("a", "b")
PARTITIONS = 2
TIMES = st.sampled_from(range(0, 301, 50))
WATERMARKS = st.sampled_from([0, *(at_ms + 110 + more for at_ms in range(0, 301, 50) for more in (0, 1))])


PARTIAL = [pack_partial(label) for label in ([], ["x"], {"y": 0.5}, {"x": 3, "y": 0.25}, ["y", "z"])]


def said(label: bytes) -> bytes:
    """The label in the one form that all have that say the same."""
    return pack_labelled(unpack_labelled(label)) if is_partial(label) else label


@st.composite
def partitions(draw: st.DrawFn) -> list[list[Arrival]]:
    """What lies in each source partition, in order: duplicates and corrections included."""
    at_ms = {name: draw(TIMES) for name in NAMES}
    streams: list[list[Arrival]] = []
    for side in Side:
        for partition in range(PARTITIONS):
            stream: list[Arrival] = []
            for offset in range(draw(st.integers(0, 6))):
                name = draw(st.sampled_from(NAMES))
                if side is Side.PREDICTION:
                    stream.append(predicted(offset, at_ms[name], name, partition=partition))
                elif draw(st.integers(0, 9)) == 0:
                    stream.append(rejected(side, offset, partition))
                else:
                    value = draw(st.sampled_from([b"0", b"1", b"1" * 70, *PARTIAL]))
                    stream.append(labelled(offset, draw(TIMES), value, name, partition))
            streams.append(stream)
    return streams


@st.composite
def interleaved(draw: st.DrawFn, streams: Sequence[Sequence[Arrival]]) -> list[Arrival]:
    """The streams as one, each in its own order."""
    turns = [place for place, stream in enumerate(streams) for _ in stream]
    heads = [iter(stream) for stream in streams]
    return [next(heads[place]) for place in draw(st.permutations(turns))]


def standing(resolutions: Iterable[Resolution], arrivals: Iterable[Arrival]) -> dict[bytes, Counter[bytes]]:
    """What a reader of the rows ends up with: per key the prediction rows and the labels that stand."""
    found: dict[bytes, Counter[bytes]] = {}
    for resolution, arrival in zip(resolutions, arrivals, strict=True):
        sums = found.setdefault(arrival.key, Counter())
        sums[b"rows of the prediction"] += resolution.emit_prediction
        for row in resolution.outcomes:
            sums[said(row.label)] += row.sign
    return {key: Counter({what: n for what, n in sums.items() if n}) for key, sums in found.items()}


def expected(arrivals: Iterable[Arrival], rules: Rules) -> dict[bytes, Counter[bytes]]:
    """The same from the definition: the newest label within the horizon of the prediction."""
    came = list(arrivals)
    found: dict[bytes, Counter[bytes]] = {arrival.key: Counter() for arrival in came}
    for key, sums in found.items():
        times = {it.at_ms for it in came if it.key == key and it.side is Side.PREDICTION and not it.rejected}
        if times:
            at_ms = times.pop()
            inside = [
                (it.at_ms, it.partition, it.offset, it.payload)
                for it in came
                if it.key == key and it.side is Side.LABEL and abs(it.at_ms - at_ms) <= rules.horizon_ms
            ]
            sums[b"rows of the prediction"] = 1
            whole = [it for it in inside if not is_partial(it[-1])]
            if whole:
                sums[max(whole)[-1]] = 1
            elif inside:
                sums[said(together([it[-1] for it in inside]))] = 1
    return found


def rows(resolution: Resolution) -> tuple[object, ...]:
    """What a monitor is told, if no window is lost."""
    return resolution[1:5] if resolution.outcomes else resolution[1:3]


ROOMY = Rules(horizon_ms=100, lateness_ms=10, revisions=32)


@given(st.data())
def test_what_stands_in_the_end_does_not_depend_on_the_order_of_arrival(data: st.DataObject) -> None:
    arrivals = data.draw(partitions().flatmap(interleaved))
    window = MemoryWindow(ROOMY)
    resolutions = window.apply(arrivals, 0)
    assert standing(resolutions, arrivals) == expected(arrivals, ROOMY)
    assert_adds_up(window.counters())
    waits = window.counters()["predictions.waiting"]
    assert waits == sum(
        sums == {b"rows of the prediction": 1} for sums in standing(resolutions, arrivals).values()
    )


@given(st.data())
def test_every_suffix_that_is_read_again_yields_the_same_rows_and_counts_nothing(data: st.DataObject) -> None:
    arrivals = data.draw(partitions().flatmap(interleaved))
    crash = data.draw(st.integers(0, len(arrivals)))
    committed = data.draw(st.integers(0, crash))
    window = MemoryWindow(ROOMY)
    first = window.apply(arrivals[:crash], 0)
    before, orphans = window.counters(), window.outbox()
    again = window.apply(arrivals[committed:crash], 0)
    assert list(map(rows, again)) == list(map(rows, first[committed:]))
    assert all(resolution.replay for resolution in again)
    assert (window.counters(), window.outbox()) == (before, orphans)
    whole = MemoryWindow(ROOMY)
    assert window.apply(arrivals[crash:], 0) == whole.apply(arrivals, 0)[crash:]


@given(st.data())
def test_in_the_end_every_event_is_in_one_counter_and_nothing_waits(data: st.DataObject) -> None:
    arrivals = data.draw(partitions().flatmap(interleaved))
    window = MemoryWindow(RULES)
    for start in range(0, len(arrivals), 3):
        window.apply(arrivals[start : start + 3], data.draw(WATERMARKS))
        window.sweep(data.draw(WATERMARKS))
        assert_adds_up(window.counters())
    window.sweep(10_000)
    counters = window.counters()
    assert counters["predictions.waiting"] == counters["labels.waiting"] == 0
    assert counters["labels.orphan"] == len(window.outbox())
    assert counters["predictions.received"] + counters["labels.received"] == len(arrivals)


LABELS_OF_A = [
    Arrival(Side.LABEL, key_of("a"), 0, offset, 20 + offset, value)
    for offset, value in enumerate((b"0", b"1"))
]
PREDICTION_A = Arrival(Side.PREDICTION, key_of("a"), 0, 0, 10, b"p")
INSTEAD = (OutcomeRow(0, -1, 20, b"0"), OutcomeRow(0, 1, 21, b"1"))


def test_a_prediction_that_meets_two_labels_tells_what_stands_instead_of_the_older() -> None:
    *_, resolution = MemoryWindow(ROOMY).apply([*LABELS_OF_A, PREDICTION_A], 0)
    assert resolution.outcomes == (OutcomeRow(0, 1, 21, b"1"),)
    assert resolution.instead == INSTEAD


def test_an_older_label_that_comes_after_tells_what_stands_instead_of_it() -> None:
    older, newer = LABELS_OF_A[0], LABELS_OF_A[1]._replace(partition=1)
    *_, resolution = MemoryWindow(ROOMY).apply([PREDICTION_A, newer, older], 0)
    assert (resolution.verdict, resolution.outcomes) == (Verdict.SUPERSEDED, ())
    assert resolution.instead == INSTEAD
