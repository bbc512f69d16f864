"""The join window in Redis or Valkey: `join.MemoryWindow` on a server, by the script `join.lua`.

A batch is one script call a shard, all in one pipeline. Each call writes entries, counters, orphans and
applied offsets together, so a call that runs twice (a client's retry, a replayed batch) changes nothing
the second time. Every shard is told the last offsets of every batch: the least of them over the shards
is how far a source partition has been applied.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from importlib import resources
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
import redis
from numpy.typing import NDArray
from redis import exceptions

from tidegauge.adapters import redis_client
from tidegauge.adapters.window_codes import Codes
from tidegauge.adapters.window_events import FIELD_BYTES, contexts_of, event_type, offsets_of, texts_of
from tidegauge.adapters.window_replies import (
    HAS_ROWS,
    LENGTH_BYTES,
    OWN_EVENT,
    POSITION_BYTES,
    Bytes,
    event,
    pairs,
    resolutions,
)
from tidegauge.adapters.window_scripts import ADVANCE, APPLIED, CODES, CONTEXTS, ONLY, RECOGNISE
from tidegauge.block import Ints
from tidegauge.errors import ConfigError, TidegaugeError, Unavailable, WentBack
from tidegauge.join import (
    COUNTER_NAMES,
    KEY_BYTES,
    Arrival,
    Arrivals,
    Orphan,
    Resolutions,
    Rules,
    Side,
)

LAYOUT_VERSION = 3

_PLACE = np.dtype([("shard", ">u2"), ("bucket", ">u4")])  # the beginning of a key
_REJECTED_EVENT = 2
_PREDICTION = 1  # flag of an entry
_KEYS = ("filling", "applied", "counters", "outbox", "contexts")
_MARKS = 0  # the shard that keeps the watermark

_UNAVAILABLE = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterError,
    exceptions.AskError,  # and MovedError: slots move faster than the client finds them
    exceptions.RedisClusterException,
    exceptions.TryAgainError,
)
# Error codes of the protocol, the first word of a reply, for which redis-py has no class.
_UNAVAILABLE_CODES = {"BUSY", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM"}

Answer = TypeVar("Answer")


class _Batch(NamedTuple):
    """What a shard is given: the script's arguments besides the rules, the keys and the window's name."""

    watermark_ms: int
    offsets: bytes = b""  # the first and the last of each source partition in the batch
    events: bytes = b""
    first: int = 0  # bucket to sweep
    last: int = -1
    contexts: Sequence[bytes] = ()  # of the events, or their codes


class _View(NamedTuple):
    """A window under one name: that of each shard, and the codes that its contexts have there."""

    names: list[bytes]
    codes: list[Codes]


class RedisWindow:
    """The window of a deployment, in `shards` times `buckets` hashes under `prefix`."""

    def __init__(
        self, client: redis.Redis, rules: Rules, shards: int, buckets: int, prefix: str = "tgw"
    ) -> None:
        self._client = client
        self._shards = shards
        self._buckets = buckets
        self.prefix = prefix
        self._rule_arguments = (rules.horizon_ms, rules.lateness_ms, rules.revisions, rules.items)
        self._script = ONLY.encode() + resources.files(__package__).joinpath("join.lua").read_bytes()
        self._sha = sha1(self._script, usedforsecurity=False).hexdigest()
        self._applying = ThreadPoolExecutor(1, "tidegauge-window")  # makes its thread when one is needed
        self._next_bucket = 0
        self._view: _View | None = None  # as it was recognised
        self._digits = len(str(buckets - 1))
        self._events = event_type(self._digits)
        self._bucket_names = np.char.zfill(np.arange(buckets).astype("S"), self._digits)

    @classmethod
    def connect(
        cls,
        url: str,
        rules: Rules,
        shards: int,
        buckets: int,
        prefix: str = "tgw",
        timeout_seconds: float = 5.0,
    ) -> RedisWindow:
        """Return the window at a URL; see `redis_client.connect`."""
        client = redis_client.connect(url, timeout_seconds)
        return cls(client, rules, shards, buckets, prefix)

    def close(self) -> None:
        """Close the connections."""
        self._applying.shutdown()
        self._client.close()

    def open(self) -> None:
        """Check that the window there has this layout, or give a new one this layout.

        Raises ConfigError when it was filled with other settings, Unavailable without a server.
        """
        layout = {"version": LAYOUT_VERSION, "shards": self._shards, "buckets": self._buckets}
        meta = f"{self.prefix}:meta"
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hsetnx(meta, "layout", json.dumps(layout))
        pipeline.hget(meta, "layout")
        stored = json.loads(_translated(pipeline.execute)[1])
        for name, value in layout.items():
            if stored.get(name) != value:
                raise ConfigError(
                    f"join.{name}: expected {stored.get(name)}, as the window in Redis was filled with it, "
                    f"got {value}"
                )

    def recognise(self) -> str:
        """Return the name of the window as it is now. Every later call is refused by another: WentBack.

        It has another name where it may have lost writes: after a restart, a failover, or when emptied.
        Raises ConfigError when it was filled with other settings, Unavailable without a server.
        """
        self.open()
        filling = secrets.token_hex(8)
        pipeline: Any = self._client.pipeline(transaction=False)
        for shard in range(self._shards):
            pipeline.execute_command("EVAL", RECOGNISE, 1, self._key(shard, "filling"), filling)
        names = _executed(pipeline)
        if self._view is None or names != self._view.names:
            self._view = _View(names, [Codes() for _ in names])
        return sha1(b" ".join(names), usedforsecurity=False).hexdigest()

    def apply(self, arrivals: Sequence[Arrival], watermark_ms: int) -> Resolutions:
        """Return what became of each arrival, in their order. See `join.MemoryWindow.apply`.

        Each partition's arrivals come in the order of their offsets, none left out. `watermark_ms` is that of
        what has been delivered, so that a replayed batch still finds its entries.
        Raises Unavailable; then a part of the shards may have been applied, and the batch can be sent again.
        Raises WentBack where a shard may have lost writes since it was recognised; nothing is applied to it.
        """
        return self.begin(arrivals, watermark_ms)()

    def begin(self, arrivals: Sequence[Arrival], watermark_ms: int) -> Callable[[], Resolutions]:
        """Begin to apply arrivals, and return what waits for the end; until then no other call may apply.

        It is done under the name that the window has now, whatever is recognised meanwhile.
        """
        columns, view = Arrivals.of(arrivals), self._recognised()
        if not len(columns):
            return lambda: Resolutions.of(())
        heads, shards = self._heads(columns)
        order = np.argsort(shards, kind="stable")
        bounds = np.searchsorted(shards[order], np.arange(self._shards + 1))
        contexts = contexts_of(columns, heads, order, bounds)
        events, offsets = texts_of(columns, heads, order), offsets_of(columns)
        batches = [
            _Batch(watermark_ms, offsets, b"".join(events[start:end]), contexts=codes.short(own))
            for (start, end), codes, own in zip(
                pairwise((3 * bounds).tolist()), view.codes, contexts, strict=True
            )
        ]
        running = self._applying.submit(self._run, batches, view)

        def ended() -> Resolutions:
            replies = running.result()
            self._learn_new(view, contexts)
            return self._told(columns, order, bounds, replies, view)

        return ended

    def _told(
        self, columns: Arrivals, order: Ints, bounds: Ints, replies: Sequence[Any], view: _View
    ) -> Resolutions:
        """Return what the shards' replies say of the arrivals, which went to them in this order."""
        codes = [np.frombuffer(reply[0], np.uint8) for reply in replies]
        places = [order[start:end] for start, end in pairwise(bounds.tolist())]
        texts = [
            text
            for shard, reply in enumerate(replies)
            for text in self._whole(view, shard, reply[1:], codes[shard], columns.sides[places[shard]])
        ]
        return resolutions(columns, order, np.concatenate(codes), texts)

    def _heads(self, arrivals: Arrivals) -> tuple[NDArray[Any], Ints]:
        """Return the beginnings of the events [n], and the shards [n] they go to."""
        count = len(arrivals)
        keys = np.frombuffer(arrivals.keys, np.uint8).reshape(count, KEY_BYTES)
        place = np.ascontiguousarray(keys[:, : _PLACE.itemsize]).view(_PLACE)[:, 0]
        shards = np.where(arrivals.rejected, arrivals.partitions, place["shard"]) % self._shards
        heads = np.zeros(count, self._events)
        heads["side"] = arrivals.sides + _REJECTED_EVENT * arrivals.rejected
        heads["bucket"] = self._bucket_names[np.where(arrivals.rejected, 0, place["bucket"] % self._buckets)]
        heads["field"] = keys[:, -FIELD_BYTES:]
        heads["payload_bytes"] = np.fromiter(map(len, arrivals.payloads), np.int64, count)
        heads["flags"] = _PREDICTION
        heads["at_ms"]["high"], heads["at_ms"]["low"] = arrivals.at_ms >> 32, arrivals.at_ms & 0xFFFFFFFF
        heads["source"] = arrivals.partitions << 48 | arrivals.offsets
        return heads, shards

    def sweep(self, watermark_ms: int, buckets: int = 1) -> bool:
        """Let go of what is due in the next `buckets` of each shard; True when a pass is complete."""
        first = self._next_bucket
        last = min(first + buckets, self._buckets) - 1
        self._run([_Batch(watermark_ms, first=first, last=last)] * self._shards, self._recognised())
        self._next_bucket = (last + 1) % self._buckets
        return self._next_bucket == 0

    def counters(self) -> dict[str, int]:
        """Return `predictions.received` and so on; those of a side add up (see join.COUNTERS)."""
        totals = dict.fromkeys(COUNTER_NAMES, 0)
        for shard in self._each_shard("HGETALL", "counters"):
            for name, count in pairs(shard):
                totals[name.decode()] += int(count)
        return totals

    def applied(self) -> dict[tuple[Side, int], int]:
        """Return the offset up to which each source partition has been applied in every shard.

        Less than the offset committed to Kafka means that the server lost writes: read again from there.
        Raises WentBack as `apply` does.
        """
        least: dict[str, list[int]] = {}
        for shard in self._checked(APPLIED, "applied"):
            for source, offset in pairs(shard):
                least.setdefault(source.decode(), []).append(int(offset))
        applied = {}
        sides = {side.plural: side for side in Side}
        for name, offsets in least.items():
            plural, _, partition = name.partition(".")
            known_everywhere = len(offsets) == self._shards
            applied[sides[plural], int(partition)] = min(offsets) if known_everywhere else -1
        return applied

    def outbox(self, limit: int = 1_000) -> list[Orphan]:
        """Return up to `limit` orphans of each shard whose dead letter has not been acknowledged."""
        orphans = []
        for shard in self._each_shard("HRANDFIELD", "outbox", limit, "WITHVALUES"):
            for source, held in pairs(shard):
                partition, offset = int.from_bytes(source[:2]), int.from_bytes(source[2:])
                orphans.append(Orphan(partition, offset, int.from_bytes(held[:6]), held[6:].decode()))
        return orphans

    def acknowledge(self, orphans: Iterable[Orphan]) -> None:
        """Take orphans out of the outbox, as their dead letters have been delivered."""
        names = [(orphan.partition << 48 | orphan.offset).to_bytes(8) for orphan in orphans]
        if names:
            self._each_shard("HDEL", "outbox", *names)

    def watermark(self, advances: Mapping[str, int | None]) -> int:
        """Return the watermark in ms of all workers after these advances: see `join.advance`."""
        arguments = [text for pair in advances.items() for text in (pair[0], pair[1])]
        texts = ["idle" if value is None else value for value in arguments]
        keys = [self._key(_MARKS, name) for name in ("filling", "marks", "watermark")]
        names = self._recognised().names
        return int(_translated(lambda: self._client.eval(ADVANCE, len(keys), *keys, names[_MARKS], *texts)))

    def _key(self, shard: int, name: str) -> str:
        return f"{self.prefix}:{{{shard}}}:{name}"

    def _recognised(self) -> _View:
        if self._view is None:
            self.recognise()
        assert self._view is not None  # it was recognised
        return self._view

    def _checked(self, script: str, name: str) -> list[Any]:
        """Return what a script makes of a key of each shard, if it is the shard that was recognised."""
        names = self._recognised().names
        pipeline: Any = self._client.pipeline(transaction=False)
        for shard in range(self._shards):
            keys = (self._key(shard, "filling"), self._key(shard, name))
            pipeline.execute_command("EVAL", script, len(keys), *keys, names[shard])
        return _executed(pipeline)

    def _each_shard(self, command: str, name: str, *arguments: Any) -> list[Any]:
        pipeline: Any = self._client.pipeline(transaction=False)
        for shard in range(self._shards):
            pipeline.execute_command(command, self._key(shard, name), *arguments)
        return _executed(pipeline)

    def _whole(self, view: _View, shard: int, texts: list[bytes], codes: Bytes, sides: Bytes) -> list[bytes]:
        """Return the rows of a shard's reply, in which the predictions have their contexts again."""
        if not texts:
            return texts
        told = codes >= HAS_ROWS
        own = codes[told] & OWN_EVENT > 0
        other_is_prediction = own & (sides[told] == Side.LABEL)
        if other_is_prediction.all():
            return self._with_contexts(view, shard, texts)
        for at in np.flatnonzero(other_is_prediction).tolist():
            texts[at : at + 1] = self._with_contexts(view, shard, [texts[at]])
        for at in np.flatnonzero(~own).tolist():
            _, payload, _, end = event(texts[at], 0)
            (whole,) = self._with_contexts(view, shard, [payload])
            position = texts[at][LENGTH_BYTES:][:POSITION_BYTES]
            texts[at] = len(whole).to_bytes(LENGTH_BYTES) + position + whole + texts[at][end:]
        return texts

    def _with_contexts(self, view: _View, shard: int, texts: list[bytes]) -> list[bytes]:
        if not view.codes[shard].cover(texts):
            self._learn(view, [shard])
        return view.codes[shard].whole(texts)

    def _learn_new(self, view: _View, contexts: Sequence[Sequence[bytes]]) -> None:
        """Know the codes that a batch's contexts have now; where a shard has room for no more, all codes."""
        lacking = [codes.lacking(own) for codes, own in zip(view.codes, contexts, strict=True)]
        asked = [shard for shard, own in enumerate(lacking) if own]
        pipeline: Any = self._client.pipeline(transaction=False)
        for shard in asked:
            keys = (self._key(shard, "filling"), self._key(shard, "contexts"))
            pipeline.execute_command("EVAL", CODES, len(keys), *keys, view.names[shard], *lacking[shard])
        full = []
        for shard, codes in zip(asked, _executed(pipeline) if asked else (), strict=True):
            known = zip(lacking[shard], codes, strict=True)
            view.codes[shard].learn({context: code for context, code in known if code is not None})
            full += [shard] if None in codes else []
        self._learn(view, full)

    def _learn(self, view: _View, shards: Iterable[int]) -> None:
        """Know all codes of these shards."""
        pipeline: Any = self._client.pipeline(transaction=False)
        asked = list(shards)
        for shard in asked:
            keys = (self._key(shard, "filling"), self._key(shard, "contexts"))
            pipeline.execute_command("EVAL", CONTEXTS, len(keys), *keys, view.names[shard])
        for shard, codes in zip(asked, _executed(pipeline) if asked else (), strict=True):
            view.codes[shard].learn(dict(pairs(codes)))

    def _run(self, batches: Sequence[_Batch], view: _View) -> list[Any]:
        """Return each shard's reply to its batch, if it still has its name."""
        replies = self._send(dict(enumerate(batches)), view.names)
        unknown = {
            shard: batches[shard]
            for shard, reply in replies.items()
            if isinstance(reply, exceptions.NoScriptError)
        }
        if unknown:
            _translated(lambda: self._client.script_load(self._script))
            replies |= self._send(unknown, view.names)
        for reply in replies.values():
            if isinstance(reply, Exception):
                raise _translation(reply) from reply
        return list(replies.values())

    def _send(self, batches: Mapping[int, _Batch], names: Sequence[bytes]) -> dict[int, Any]:
        pipeline: Any = self._client.pipeline(transaction=False)
        for shard, batch in batches.items():
            keys = [self._key(shard, name) for name in _KEYS]
            rest: list[Any] = [
                batch.watermark_ms,
                *self._rule_arguments,
                self._key(shard, "b:"),
                self._digits,
            ]
            rest += [*batch[1:-1], *batch.contexts]
            pipeline.execute_command("EVALSHA", self._sha, len(keys), *keys, names[shard], *rest)
        replies = _translated(lambda: pipeline.execute(raise_on_error=False))
        return dict(zip(batches, replies, strict=True))


def _executed(pipeline: Any) -> list[Any]:
    """Return the replies to a pipeline, if none of them is an error."""
    replies: list[Any] = _translated(lambda: pipeline.execute(raise_on_error=False))
    for reply in replies:
        if isinstance(reply, Exception):
            raise _translation(reply) from reply
    return replies


def _translated(call: Callable[[], Answer]) -> Any:
    try:
        return call()
    except (exceptions.RedisError, exceptions.RedisClusterException) as error:
        raise _translation(error) from error


def _translation(error: Exception) -> TidegaugeError:
    """Return the error of ours that says what a redis error means."""
    code = str(error).partition(" ")[0]
    if code == "WENTBACK":
        return WentBack(f"the join window may have lost writes: {error}")
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError):
        return ConfigError(f"redis.url: the server refused the user: {error}")
    if isinstance(error, _UNAVAILABLE) or code in _UNAVAILABLE_CODES:
        return Unavailable(f"the join window's server cannot serve now: {error}")
    return TidegaugeError(f"the join window's server refused a call: {error}")
