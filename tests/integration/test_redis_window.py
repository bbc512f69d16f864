"""The window in Redis does what the window in memory does, and survives what a server does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.test_join import (
    BEYOND_THEN_CORRECTED,
    TIMES,
    WATERMARKS,
    assert_adds_up,
    interleaved,
    labelled,
    partitions,
    predicted,
    rejected,
)
from tidegauge.adapters.redis_window import RedisWindow
from tidegauge.adapters.window_codes import MOST_CODES
from tidegauge.errors import ConfigError, TidegaugeError, Unavailable, WentBack
from tidegauge.join import Arrival, Arrivals, MemoryWindow, Orphan, Rules, Side, key_of
from tidegauge.servers import Servers

NewWindow = Callable[..., RedisWindow]
ON_SERVERS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def new_window(servers: Servers) -> Iterator[NewWindow]:
    """A window of its own prefix: two shards of one bucket, so that entries share their hash."""
    opened: list[RedisWindow] = []
    numbers = count()

    def create(rules: Rules, shards: int = 2, buckets: int = 1, prefix: str = "") -> RedisWindow:
        name = prefix or f"w{next(numbers)}"
        opened.append(RedisWindow.connect(servers.redis_url, rules, shards, buckets, name))
        return opened[-1]

    yield create
    for window in opened:
        window.close()


def padded(arrival: Arrival, payload_bytes: int) -> Arrival:
    return arrival._replace(payload=arrival.payload.ljust(payload_bytes, b"."))


def steps(draw: st.DrawFn, arrivals: Sequence[Arrival]) -> Iterator[tuple[str, Any, int]]:
    """Batches that end anywhere and begin anew at or before that place, with sweeps and advances between."""
    at = 0
    while at < len(arrivals):
        end = draw(st.integers(at + 1, len(arrivals)))
        yield "apply", arrivals[at:end], draw(st.just(0) | WATERMARKS)
        at = draw(st.integers(max(0, end - 4), end)) if draw(st.booleans()) else end
        if draw(st.integers(0, 3)) == 0:
            yield "sweep", None, draw(WATERMARKS)


@ON_SERVERS
@given(data=st.data())
def test_both_windows_give_the_same_answers_to_the_same_arrivals(
    store: redis.Redis, new_window: NewWindow, data: st.DataObject
) -> None:
    rules = Rules(100, 10, data.draw(st.sampled_from([1, 32])), data.draw(st.sampled_from([2, 32])))
    sizes = st.sampled_from([0, 30, 44, 45, 50, 180, 300, 70_000])
    arrivals = [
        padded(it, data.draw(sizes)) if it.side is Side.PREDICTION else it
        for it in data.draw(partitions().flatmap(interleaved))
    ]
    memory, server = MemoryWindow(rules), new_window(rules)
    for what, batch, watermark_ms in steps(data.draw, arrivals):
        if what == "apply":
            assert list(server.apply(batch, watermark_ms)) == memory.apply(batch, watermark_ms)
            assert server.applied() == memory.applied()
        else:
            assert server.sweep(watermark_ms, buckets=1) == memory.sweep(watermark_ms)
        assert server.counters() == memory.counters()
        assert sorted(server.outbox()) == sorted(memory.outbox())
        delivered = memory.outbox(limit=1)
        memory.acknowledge(delivered)
        server.acknowledge(delivered)
    assert_adds_up(server.counters())
    memory.sweep(10_000)
    server.sweep(10_000)
    assert server.counters() == memory.counters()
    assert sorted(server.outbox()) == sorted(memory.outbox())
    assert not list(store.scan_iter(f"{server.prefix}:*:b:*")), "nothing is left behind"


@ON_SERVERS
@given(
    advances=st.lists(
        st.dictionaries(st.sampled_from(["p-0", "p-1", "l-0"]), st.none() | TIMES, max_size=3), max_size=6
    )
)
def test_both_windows_keep_the_same_watermark(
    store: redis.Redis, new_window: NewWindow, advances: list[dict[str, int | None]]
) -> None:
    rules = Rules(100, 10)
    memory, server = MemoryWindow(rules), new_window(rules)
    for advanced in advances:
        assert server.watermark(advanced) == memory.watermark(advanced)


def test_a_label_beyond_the_horizon_confirms_nothing(store: redis.Redis, new_window: NewWindow) -> None:
    verdicts = [it.verdict for it in new_window(Rules(100, 10)).apply(BEYOND_THEN_CORRECTED, 0)]
    assert verdicts == ["waiting", "matched", "duplicate", "corrected"]


def test_times_and_offsets_of_real_size_come_back_whole(store: redis.Redis, new_window: NewWindow) -> None:
    window = new_window(Rules(7 * 86_400_000, 3_600_000))
    last_ms, far = 253_402_300_799_999, 2**47
    came = [predicted(far, last_ms, partition=65_535), labelled(far, last_ms - 1, b"1", partition=65_535)]
    _, resolution = window.apply(came, 0)
    assert resolution.predicted_at_ms == last_ms
    assert resolution.outcomes[0].labelled_at_ms == last_ms - 1
    assert window.applied() == {(Side.PREDICTION, 65_535): far, (Side.LABEL, 65_535): far}
    assert all(
        again.replay and again[1:5] == first[1:5]
        for again, first in zip(
            window.apply(came, 0), [window.apply([came[0]], 0)[0], resolution], strict=True
        )
    )


def test_an_orphan_names_its_label(store: redis.Redis, new_window: NewWindow) -> None:
    window = new_window(Rules(100, 10))
    name = "é" * 40
    window.apply([labelled(70_000_000_000, 1_357_000_000_000, b"1", name=name, partition=300)], 0)
    window.sweep(1_357_000_000_111)
    assert window.outbox() == [Orphan(300, 70_000_000_000, 1_357_000_000_000, name)]


def test_a_sweep_goes_through_the_buckets_a_few_at_a_time(store: redis.Redis, new_window: NewWindow) -> None:
    window = new_window(Rules(100, 10), shards=3, buckets=5)
    window.apply([predicted(offset, 0, name=str(offset)) for offset in range(60)], 0)
    assert [window.sweep(111, buckets=2) for _ in range(3)] == [False, False, True]
    assert window.counters()["predictions.expired"] == 60


def test_small_entries_lie_in_listpacks_and_long_ones_too(store: redis.Redis, new_window: NewWindow) -> None:
    window = new_window(Rules(100, 10), shards=1, buckets=1, prefix="packed")
    window.apply([predicted(offset, 0, name=str(offset), payload=b"p" * 230) for offset in range(64)], 0)
    assert store.hlen("packed:{0}:b:0") == 64 * 4
    assert store.object("encoding", "packed:{0}:b:0") == b"listpack"


def with_contexts(arrivals: Sequence[Arrival], texts: Sequence[bytes]) -> Arrivals:
    """The arrivals, each with a context after its payload."""
    columns = Arrivals.of(arrivals)
    return replace(columns, contexts=np.arange(len(columns)), texts=texts)


def test_a_context_is_stored_once_a_shard_and_known_to_every_worker(
    store: redis.Redis, new_window: NewWindow
) -> None:
    rules = Rules(100, 10)
    one, other = (new_window(rules, shards=1, prefix="contexts") for _ in range(2))
    predictions = [predicted(offset, 0, name=str(offset)) for offset in range(4)]
    one.apply(with_contexts(predictions, [b"model a", b"model b"] * 2), 0)
    assert store.hlen("contexts:{0}:contexts") == 2
    labels = [labelled(offset, 1, b"1", name=str(offset)) for offset in range(5)]
    found = [it.predicted for it in other.apply(labels, 0)][:4]
    assert found == [predictions[0].payload + text for text in [b"model a", b"model b"] * 2]
    correction = labelled(5, 2, b"0", name="0")
    assert one.apply([correction], 0)[0].predicted == found[0]
    late = with_contexts([predicted(4, 0, name="4")], [b"model c"])
    assert other.apply(late, 0)[0].predicted == late[0].payload == predictions[0].payload + b"model c"


def test_contexts_beyond_the_codes_are_stored_with_their_predictions(
    store: redis.Redis, new_window: NewWindow
) -> None:
    window = new_window(Rules(100, 10), shards=1, buckets=64, prefix="many")
    texts = [b"model %d" % number for number in range(MOST_CODES + 50)]
    predictions = [predicted(offset, 0, name=str(offset)) for offset in range(len(texts))]
    labels = [labelled(offset, 1, b"1", name=str(offset)) for offset in range(len(texts))]
    window.apply(with_contexts(predictions, texts), 0)
    assert store.hlen("many:{0}:contexts") == MOST_CODES
    assert [it.predicted for it in window.apply(labels, 0)] == [
        predictions[0].payload + text for text in texts
    ]


def test_what_is_begun_is_applied_when_it_is_waited_for(store: redis.Redis, new_window: NewWindow) -> None:
    window = new_window(Rules(100, 10))
    applying = window.begin([predicted(0, 0)], 0)
    assert [it.verdict for it in applying()] == ["waiting"]
    assert window.counters()["predictions.waiting"] == 1


def test_a_worker_with_another_layout_is_refused(store: redis.Redis, new_window: NewWindow) -> None:
    rules = Rules(100, 10)
    new_window(rules, shards=2, buckets=4, prefix="shared").open()
    new_window(rules, shards=2, buckets=4, prefix="shared").apply([predicted(0, 0)], 0)
    with pytest.raises(ConfigError, match=r"join\.buckets: expected 4, .* got 8"):
        new_window(rules, shards=2, buckets=8, prefix="shared").apply([predicted(1, 0)], 0)


def test_a_server_that_forgot_the_script_is_given_it_again(store: redis.Redis, new_window: NewWindow) -> None:
    window = new_window(Rules(100, 10))
    assert window.apply([predicted(0, 0)], 0)[0].verdict == "waiting"
    store.script_flush()
    assert window.apply([predicted(1, 0)], 0)[0].verdict == "duplicate"


CALLS: dict[str, Callable[[RedisWindow], Any]] = {
    "apply": lambda window: window.apply([predicted(1, 10)], 0),
    "sweep": lambda window: window.sweep(0),
    "applied": lambda window: window.applied(),
    "watermark": lambda window: window.watermark({"p-0": 1}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_window_that_was_emptied_refuses_whoever_does_not_recognise_it_anew(
    store: redis.Redis, new_window: NewWindow, call: Callable[[RedisWindow], Any]
) -> None:
    window = new_window(Rules(100, 0))
    before = window.recognise()
    window.apply([predicted(0, 10)], 0)
    store.flushall()
    with pytest.raises(WentBack):
        call(window)
    assert store.keys() == [], "nothing was written"
    assert window.recognise() != before
    call(window)


def test_two_workers_know_a_window_by_the_same_name(store: redis.Redis, new_window: NewWindow) -> None:
    first = new_window(Rules(100, 0), prefix="same")
    assert first.recognise() == new_window(Rules(100, 0), prefix="same").recognise()


def test_a_server_that_restarted_has_another_name_though_it_kept_everything(
    servers: Servers, store: redis.Redis, new_window: NewWindow
) -> None:
    window = new_window(Rules(100, 0))
    before = window.recognise()
    window.apply([predicted(0, 10)], 0)
    servers.store.restart()
    with pytest.raises(WentBack):
        window.apply([predicted(1, 10)], 0)
    assert window.recognise() != before
    assert window.applied() == {(Side.PREDICTION, 0): 0}


def test_a_full_server_takes_nothing_and_says_so(store: redis.Redis, new_window: NewWindow) -> None:
    window = new_window(Rules(100, 10))
    window.apply([predicted(0, 0)], 0)
    before = window.counters()
    store.config_set("maxmemory", 1)
    try:
        with pytest.raises(Unavailable, match="cannot serve now"):
            window.apply([predicted(1, 0, "b"), rejected(Side.LABEL, 0)], 0)
    finally:
        store.config_set("maxmemory", 0)
    assert window.counters() == before
    assert [it.verdict for it in window.apply([predicted(1, 0, "b"), rejected(Side.LABEL, 0)], 0)] == [
        "waiting",
        "rejected",
    ]


def test_a_server_out_of_reach_is_unavailable() -> None:
    window = RedisWindow.connect("redis://127.0.0.1:1/0", Rules(100, 10), 2, 1, timeout_seconds=0.2)
    with pytest.raises(Unavailable):
        window.apply([predicted(0, 0)], 0)


def test_a_key_of_another_type_is_an_error_that_a_retry_does_not_mend(
    store: redis.Redis, new_window: NewWindow
) -> None:
    window = new_window(Rules(100, 10), shards=1, prefix="broken")
    store.set("broken:{0}:counters", "text")
    with pytest.raises(TidegaugeError, match="refused a call") as caught:
        window.apply([Arrival(Side.PREDICTION, key_of("a"), 0, 0, 0, b"")], 0)
    assert not isinstance(caught.value, Unavailable | ConfigError)


def test_an_unusable_url_is_named() -> None:
    with pytest.raises(ConfigError, match=r"redis\.url"):
        RedisWindow.connect("localhost:6379", Rules(100, 10), 1, 1)
