"""Labels that come later than they did are found, by panes of predictions, in any cut of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from tidegauge.drift.error_baseline import Terms
from tidegauge.drift.error_shift import ErrorShift
from tidegauge.drift.label_delay import (
    AGE_QUANTILE,
    LEAST_SPAN_MS,
    LET_BE,
    REFERENCE,
    DelayTerms,
    LabelDelay,
    bucket,
    quantile_ms,
)
from tidegauge.errors import SnapshotError

HOUR_MS = 3_600_000
TERMS = DelayTerms(grace_ms=2 * HOUR_MS, labels=100, run_length=5_000)
Rows = tuple[np.ndarray, np.ndarray]


def stream(
    seed: int, hours: int, slower_from: float = np.inf, factor: float = 2.0, disorder_ms: int = 0
) -> Rows:
    """Return rows of ten predictions an hour, in the order in which they and their labels come."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, hours * HOUR_MS, 10 * hours))
    delay = np.rint(HOUR_MS * np.exp(0.7 * rng.normal(size=len(at)))).astype(np.int64)
    labelled = at + np.where(at >= slower_from * HOUR_MS, factor * delay, delay).astype(np.int64)
    when = np.concatenate((at, labelled)) + rng.integers(0, disorder_ms + 1, 2 * len(at))
    order = np.argsort(when, kind="stable")
    order = order[when[order] < hours * HOUR_MS]
    predicted = np.concatenate((at, at))[order]
    return predicted, np.concatenate((np.full(len(at), np.nan), labelled))[order]


def pieces(rows: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(rows[0]), size):
        yield rows[0][start : start + size], rows[1][start : start + size]


def run(rows: Rows, size: int, terms: DelayTerms = TERMS) -> tuple[LabelDelay, list[int]]:
    detector = LabelDelay(terms)
    return detector, [change.seen for piece in pieces(rows, size) for change in detector.update(*piece)]


def without_place(shift: dict[str, Any]) -> dict[str, Any]:
    """Return a state without the place of the last change in the update that found it."""
    return shift | {"last": shift["last"] and list(shift["last"])[1:]}


def state(detector: LabelDelay) -> dict[str, Any]:
    found = detector.dump()
    return found | {"shift": without_place(found["shift"])}


def by_hand(rows: Rows, terms: DelayTerms) -> tuple[int | None, list[float], int]:
    """Return the age, the late shares of judged panes and how many rows were not counted, row after row."""
    age, clock, first, delays = terms.age_ms, -(1 << 62), None, []
    panes: dict[int, list[int]] = {}
    closed, unseen, shares = 0, 0, []
    for at, labelled in zip(*(column.tolist() for column in rows), strict=True):
        if first is None:
            clock = max(clock, at)
            if not np.isnan(labelled):
                delays.append(labelled - at)
                if len(delays) >= terms.labels and labelled - rows[0][0] >= LEAST_SPAN_MS:
                    counts: dict[int, int] = {}
                    for each in bucket(np.array(delays)).tolist():
                        counts[each] = counts.get(each, 0) + 1
                    age, first = quantile_ms(counts), clock
                    closed = clock // HOUR_MS + 1
            continue
        pane = at // HOUR_MS
        if pane < closed:
            unseen += 1
        elif np.isnan(labelled):
            panes.setdefault(pane, [0, 0])[0] += 1
        elif labelled - at <= age:
            panes.setdefault(pane, [0, 0])[1] += 1
        clock = max(clock, at)
        while (closed + 1) * HOUR_MS + age + terms.grace_ms <= clock:
            n, k = panes.pop(closed, [0, 0])
            shares += [1 - min(k, n) / n] if n else []
            closed += 1
    return age, shares, unseen


@pytest.mark.parametrize(("seed", "disorder_ms"), [(1, 0), (2, 0), (3, 5 * HOUR_MS), (4, 90_000)])
def test_the_detector_sees_the_shares_that_counting_row_after_row_gives(seed: int, disorder_ms: int) -> None:
    rows = stream(seed, 500, slower_from=400, factor=3.0, disorder_ms=disorder_ms)
    age, shares, unseen = by_hand(rows, TERMS)
    detector, found = run(rows, 200)
    oracle = ErrorShift(Terms(REFERENCE, None, LET_BE, run_length=TERMS.run_length))
    assert found == [change.seen for change in oracle.update(np.array(shares))] != []
    assert detector.age_ms == age
    assert state(detector)["shift"] == without_place(oracle.dump())
    assert detector.unseen == unseen


@pytest.mark.parametrize("disorder_ms", [0, 5 * HOUR_MS])
def test_any_cut_of_a_stream_comes_to_the_same_state(disorder_ms: int) -> None:
    rows = stream(5, 420, slower_from=350, factor=4.0, disorder_ms=disorder_ms)
    runs = [run(rows, size) for size in (1, 7, 500, len(rows[0]))]
    assert len({str(found) for _, found in runs}) == 1
    assert all(state(detector) == state(runs[0][0]) for detector, _ in runs)


def test_labels_may_be_read_behind_their_predictions_by_less_than_the_grace() -> None:
    rows = stream(6, 420, slower_from=350, factor=4.0)
    at, labelled = rows
    is_label = np.isfinite(labelled)
    behind = np.argsort(np.where(is_label, labelled + 1.9 * HOUR_MS, at), kind="stable")
    terms = TERMS._replace(age_ms=3 * HOUR_MS)  # which labels come first teaches another age
    evenly, unevenly = run(rows, 64, terms)[0], run((at[behind], labelled[behind]), 64, terms)[0]
    assert state(evenly)["shift"] == state(unevenly)["shift"]
    assert evenly.shift.changes > 0


def test_a_label_age_that_is_given_is_not_learned() -> None:
    detector, _ = run(stream(1, 300), 100, TERMS._replace(age_ms=HOUR_MS))
    assert detector.age_ms == HOUR_MS
    assert detector.share_before == pytest.approx(0.5, abs=0.05)  # the median of the delays


def test_labels_that_stop_altogether_are_missed() -> None:
    rows = stream(7, 500)
    stopped = np.isnan(rows[1]) | (rows[1] < 400 * HOUR_MS)
    detector, found = run((rows[0][stopped], rows[1][stopped]), 100)
    assert found != []
    assert detector.share_before == pytest.approx(AGE_QUANTILE, abs=0.05)
    assert detector.share_after is not None and detector.share_after < 0.2


def test_without_a_shift_nothing_is_found_and_quicker_labels_are_no_alarm() -> None:
    for seed in range(5):
        assert run(stream(seed, 1_000), 1_000)[1] == []
        assert run(stream(seed, 1_000, slower_from=500, factor=0.3), 1_000)[1] == []


def test_what_is_not_known_is_none() -> None:
    detector, _ = run(stream(1, 30), 100)
    assert (detector.share_before, detector.share_after) == (None, None)


def test_a_pause_of_traffic_is_no_delay_of_labels() -> None:
    first, second = stream(8, 400), stream(9, 100)
    rest = 5_000 * HOUR_MS
    rows = np.concatenate((first[0], second[0] + rest)), np.concatenate((first[1], second[1] + rest))
    cut = first[0] < 390 * HOUR_MS  # all labels of what was predicted come before the pause
    kept = np.concatenate((cut, np.ones(len(second[0]), np.bool_)))
    assert run((rows[0][kept], rows[1][kept]), 100)[1] == []


def test_a_restored_detector_goes_on_as_if_nothing_had_happened() -> None:
    rows = stream(5, 420, slower_from=350, factor=4.0)
    for count in (0, 50, 900, 4_000, 6_500):
        first = LabelDelay(TERMS)
        first.update(rows[0][:count], rows[1][:count])
        saved = msgspec.msgpack.decode(msgspec.msgpack.encode(first.dump()), strict=False)
        again = LabelDelay.load(saved, TERMS)
        again.update(rows[0][count:], rows[1][count:])
        assert state(again) == state(run(rows, len(rows[0]))[0])


@pytest.mark.parametrize(
    ("change", "terms"),
    [({"version": 2}, TERMS), ({"panes": 3}, TERMS), ({}, TERMS._replace(age_ms=5_000))],
)
def test_another_state_is_refused(change: dict[str, object], terms: DelayTerms) -> None:
    with pytest.raises(SnapshotError, match="label delay"):
        LabelDelay.load(run(stream(1, 100), 100)[0].dump() | change, terms)


@pytest.mark.parametrize("seed", range(5))
def test_the_age_is_the_quantile_of_delays_to_within_two_percent(seed: int) -> None:
    delays = np.random.default_rng(seed).lognormal(15, 1, 2_000)
    buckets, counts = np.unique(bucket(delays), return_counts=True)
    counted: Sequence[tuple[int, int]] = list(zip(buckets.tolist(), counts.tolist(), strict=True))
    exact = np.quantile(delays, AGE_QUANTILE, method="inverted_cdf")
    assert exact <= quantile_ms(dict(counted)) <= 1.0201 * exact
