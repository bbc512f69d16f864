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
from itertools import compress, pairwise
from struct import Struct
from typing import Any, NamedTuple, TypeVar

import numpy as np
import redis
from numpy.typing import NDArray
from redis import exceptions

from tidegauge.adapters import redis_client
from tidegauge.adapters.window_codes import Codes
from tidegauge.block import Ints
from tidegauge.errors import ConfigError, TidegaugeError, Unavailable, WentBack
from tidegauge.join import (
    COUNTER_NAMES,
    KEY_BYTES,
    VERDICTS,
    Arrival,
    Arrivals,
    Matched,
    Orphan,
    OutcomeRow,
    Resolution,
    Resolutions,
    Rules,
    Side,
)

LAYOUT_VERSION = 3
FIELD_BYTES = 8  # with the bits that chose shard and bucket, two of 1e8 ids meet once in 5e7 windows

_PLACE = np.dtype([("shard", ">u2"), ("bucket", ">u4")])  # the beginning of a key
_WIDE = [("high", ">u2"), ("low", ">u4")]
_POSITION = np.dtype([("at_ms", _WIDE), ("partition", ">u2"), ("offset", _WIDE)])
_OFFSETS = Struct(">BHQQ")
_SOURCE = Struct(">HHI")  # partition, offset in two and four bytes
_ROW = Struct(">Hb")
_REJECTED_EVENT = 2
_OWN_EVENT, _EMIT_PREDICTION, _IS_REPLAY, _HAS_ROWS = 8, 16, 32, 64
_POSITION_BYTES = _POSITION.itemsize
_LENGTH_BYTES = 3
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

# KEYS 1 the filling of a shard, ARGV 1 a name for it, should it be new. Returns the window's name there:
# the process that holds it, and its filling. Another process may have lost writes, and so has a new filling.
_NAME = """
local function name()
  local process = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  return (process or '') .. '.' .. (redis.call('GET', KEYS[1]) or '')
end
"""
_RECOGNISE = (
    _NAME
    + """
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return name()
"""
)
# The beginning of every other script: ARGV 1 is the name that the caller knows.
_ONLY = (
    _NAME
    + """
if name() ~= ARGV[1] then return redis.error_reply('WENTBACK another server, or it was emptied') end
"""
)
# KEYS 2 applied offsets.
_APPLIED = (
    _ONLY
    + """
return redis.call('HGETALL', KEYS[2])
"""
)
_CONTEXTS = _APPLIED  # KEYS 2 contexts
# KEYS 2 marks of the source partitions, 3 the watermark; ARGV 2... source, ms or "idle", and so on.
# The same as `join.advance`.
_ADVANCE = (
    _ONLY
    + """
for index = 2, #ARGV, 2 do
  local mark = redis.call('HGET', KEYS[2], ARGV[index])
  local before = mark and tonumber(string.match(mark, '%d+')) or 0
  if ARGV[index + 1] == 'idle' then
    mark = string.format('%.0f idle', before)
  else
    mark = string.format('%.0f', math.max(before, tonumber(ARGV[index + 1])))
  end
  redis.call('HSET', KEYS[2], ARGV[index], mark)
end
local marks, least, furthest = redis.call('HVALS', KEYS[2]), nil, 0
for _, mark in ipairs(marks) do
  local at = tonumber(string.match(mark, '%d+'))
  furthest = math.max(furthest, at)
  if not string.find(mark, 'idle') then least = math.min(least or at, at) end
end
local watermark = math.max(tonumber(redis.call('GET', KEYS[3]) or 0), least or furthest)
redis.call('SET', KEYS[3], string.format('%.0f', watermark))
return watermark
"""
)

Bytes = NDArray[np.uint8]
Answer = TypeVar("Answer")


class _Batch(NamedTuple):
    """What a shard is given: the script's arguments besides the rules, the keys and the window's name."""

    watermark_ms: int
    offsets: bytes = b""  # the first and the last of each source partition in the batch
    events: bytes = b""
    first: int = 0  # bucket to sweep
    last: int = -1
    contexts: Sequence[bytes] = ()  # of the events, or their codes


class RedisWindow:
    """The window of a deployment, in `shards` times `buckets` hashes under `prefix`."""

    def __init__(
        self, client: redis.Redis, rules: Rules, shards: int, buckets: int, prefix: str = "tgw"
    ) -> None:
        self._client = client
        self._shards = shards
        self._buckets = buckets
        self.prefix = prefix
        self._rule_arguments = (rules.horizon_ms, rules.lateness_ms, rules.revisions)
        self._script = _ONLY.encode() + resources.files(__package__).joinpath("join.lua").read_bytes()
        self._sha = sha1(self._script, usedforsecurity=False).hexdigest()
        self._applying = ThreadPoolExecutor(1, "tidegauge-window")  # makes its thread when one is needed
        self._next_bucket = 0
        self._names: list[bytes] = []  # of each shard, as it was recognised
        self._codes = [Codes() for _ in range(shards)]
        self._digits = len(str(buckets - 1))
        self._events = _event_type(self._digits)
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
            pipeline.execute_command("EVAL", _RECOGNISE, 1, self._key(shard, "filling"), filling)
        names = _executed(pipeline)
        if names != self._names:
            self._names, self._codes = names, [Codes() for _ in range(self._shards)]
        return sha1(b" ".join(self._names), usedforsecurity=False).hexdigest()

    def apply(self, arrivals: Sequence[Arrival], watermark_ms: int) -> Resolutions:
        """Return what became of each arrival, in their order. See `join.MemoryWindow.apply`.

        Each partition's arrivals come in the order of their offsets, none left out. `watermark_ms` is that of
        what has been delivered, so that a replayed batch still finds its entries.
        Raises Unavailable; then a part of the shards may have been applied, and the batch can be sent again.
        Raises WentBack where a shard may have lost writes since it was recognised; nothing is applied to it.
        """
        columns = Arrivals.of(arrivals)
        if not len(columns):
            return Resolutions.of(())
        self._recognised()
        heads, shards = self._heads(columns)
        order = np.argsort(shards, kind="stable")
        bounds = np.searchsorted(shards[order], np.arange(self._shards + 1))
        contexts = _contexts(columns, heads, order, bounds)
        events, offsets = _texts(columns, heads, order), _offsets(columns)
        batches = [
            _Batch(watermark_ms, offsets, b"".join(events[start:end]), contexts=codes.short(own))
            for (start, end), codes, own in zip(
                pairwise((3 * bounds).tolist()), self._codes, contexts, strict=True
            )
        ]
        replies = self._run(batches)
        self._learn(shard for shard, own in enumerate(contexts) if self._codes[shard].lack(own))
        codes = [np.frombuffer(reply[0], np.uint8) for reply in replies]
        places = [order[start:end] for start, end in pairwise(bounds.tolist())]
        texts = [
            text
            for shard, reply in enumerate(replies)
            for text in self._whole(shard, reply[1:], codes[shard], columns.sides[places[shard]])
        ]
        return _resolutions(columns, order, np.concatenate(codes), texts)

    def begin(self, arrivals: Sequence[Arrival], watermark_ms: int) -> Callable[[], Resolutions]:
        """Begin to apply arrivals, and return what waits for the end; until then no other call may apply."""
        return self._applying.submit(self.apply, arrivals, watermark_ms).result

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
        self._run([_Batch(watermark_ms, first=first, last=last)] * self._shards)
        self._next_bucket = (last + 1) % self._buckets
        return self._next_bucket == 0

    def counters(self) -> dict[str, int]:
        """Return `predictions.received` and so on; those of a side add up (see join.COUNTERS)."""
        totals = dict.fromkeys(COUNTER_NAMES, 0)
        for shard in self._each_shard("HGETALL", "counters"):
            for name, count in _pairs(shard):
                totals[name.decode()] += int(count)
        return totals

    def applied(self) -> dict[tuple[Side, int], int]:
        """Return the offset up to which each source partition has been applied in every shard.

        Less than the offset committed to Kafka means that the server lost writes: read again from there.
        Raises WentBack as `apply` does.
        """
        least: dict[str, list[int]] = {}
        for shard in self._checked(_APPLIED, "applied"):
            for source, offset in _pairs(shard):
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
            for source, held in _pairs(shard):
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
        names = self._recognised()
        return int(_translated(lambda: self._client.eval(_ADVANCE, len(keys), *keys, names[_MARKS], *texts)))

    def _key(self, shard: int, name: str) -> str:
        return f"{self.prefix}:{{{shard}}}:{name}"

    def _recognised(self) -> list[bytes]:
        if not self._names:
            self.recognise()
        return self._names

    def _checked(self, script: str, name: str) -> list[Any]:
        """Return what a script makes of a key of each shard, if it is the shard that was recognised."""
        names = self._recognised()
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

    def _whole(self, shard: int, texts: list[bytes], codes: Bytes, sides: Bytes) -> list[bytes]:
        """Return the rows of a shard's reply, in which the predictions have their contexts again."""
        if not texts:
            return texts
        told = codes >= _HAS_ROWS
        own = codes[told] & _OWN_EVENT > 0
        other_is_prediction = own & (sides[told] == Side.LABEL)
        if other_is_prediction.all():
            return self._with_contexts(shard, texts)
        for at in np.flatnonzero(other_is_prediction).tolist():
            texts[at : at + 1] = self._with_contexts(shard, [texts[at]])
        for at in np.flatnonzero(~own).tolist():
            _, payload, _, end = _event(texts[at], 0)
            (whole,) = self._with_contexts(shard, [payload])
            position = texts[at][_LENGTH_BYTES:][:_POSITION_BYTES]
            texts[at] = len(whole).to_bytes(_LENGTH_BYTES) + position + whole + texts[at][end:]
        return texts

    def _with_contexts(self, shard: int, texts: list[bytes]) -> list[bytes]:
        if not self._codes[shard].cover(texts):
            self._learn([shard])
        return self._codes[shard].whole(texts)

    def _learn(self, shards: Iterable[int]) -> None:
        """Know all codes of these shards."""
        pipeline: Any = self._client.pipeline(transaction=False)
        asked = list(shards)
        for shard in asked:
            keys = (self._key(shard, "filling"), self._key(shard, "contexts"))
            pipeline.execute_command("EVAL", _CONTEXTS, len(keys), *keys, self._names[shard])
        for shard, codes in zip(asked, _executed(pipeline) if asked else (), strict=True):
            self._codes[shard].learn(dict(_pairs(codes)))

    def _run(self, batches: Sequence[_Batch]) -> list[Any]:
        """Return each shard's reply to its batch."""
        names = self._recognised()
        replies = self._send(dict(enumerate(batches)), names)
        unknown = {
            shard: batches[shard]
            for shard, reply in replies.items()
            if isinstance(reply, exceptions.NoScriptError)
        }
        if unknown:
            _translated(lambda: self._client.script_load(self._script))
            replies |= self._send(unknown, names)
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


def _event_type(digits: int) -> np.dtype[Any]:
    """Return the head of an event, where a bucket's number has so many digits."""
    return np.dtype(
        [
            ("side", "u1"),
            ("bucket", f"S{digits}"),
            ("field", "u1", (FIELD_BYTES,)),
            ("context", ">u4"),  # which of the batch's, from 1 on; 0: it is in the payload
            ("id_bytes", ">u2"),
            ("payload_bytes", ">u4"),
            ("flags", "u1"),  # of the entry that a prediction begins
            ("at_ms", _WIDE),
            ("source", ">u8"),  # partition in two bytes, offset in six
        ]
    )


def _contexts(arrivals: Arrivals, heads: NDArray[Any], order: Ints, bounds: Ints) -> list[list[bytes]]:
    """Return the contexts of each shard's events, and write into the heads which each event has."""
    contexts = []
    for start, end in pairwise(bounds.tolist()):
        places = order[start:end]
        distinct, inverse = np.unique(arrivals.contexts[places], return_inverse=True)
        own = distinct[distinct >= 0].tolist()
        heads["context"][places] = inverse + 1 - (len(distinct) - len(own))
        contexts.append([arrivals.texts[each] for each in own])
    return contexts


def _texts(arrivals: Arrivals, heads: NDArray[Any], order: Ints) -> list[bytes]:
    """Return three texts of each event: its head, the payload, and of a label the id."""
    names = [b""] * len(arrivals)  # of labels alone: they may become orphans
    for at in np.flatnonzero(arrivals.sides == Side.LABEL).tolist():
        names[at] = arrivals.names[at].encode()
    heads["id_bytes"] = np.fromiter(map(len, names), np.int64, len(names))
    size, joined, places = heads.itemsize, heads[order].tobytes(), order.tolist()
    texts = [b""] * (3 * len(arrivals))
    texts[0::3] = [joined[at : at + size] for at in range(0, len(joined), size)]
    texts[1::3] = [arrivals.payloads[at] for at in places]
    texts[2::3] = [names[at] for at in places]
    return texts


def _offsets(arrivals: Arrivals) -> bytes:
    """Return the first and the last offset of each source partition."""
    sources = arrivals.partitions * len(Side) + arrivals.sides
    packed = []
    for source in np.unique(sources).tolist():
        offsets = arrivals.offsets[sources == source]
        partition, side = divmod(source, len(Side))
        packed.append(_OFFSETS.pack(side, partition, offsets[0], offsets[-1]))
    return b"".join(packed)


def _resolutions(arrivals: Arrivals, order: Ints, ordered: Bytes, texts: list[bytes]) -> Resolutions:
    """Return what the shards say, in this order of the arrivals: a code of each, and rows of some."""
    codes = np.zeros(len(arrivals), np.uint8)
    codes[order] = ordered
    where = order[codes[order] >= _HAS_ROWS]
    own = codes[where] & _OWN_EVENT > 0
    found = Resolutions(
        codes % len(VERDICTS),
        codes & _EMIT_PREDICTION > 0,
        codes & _IS_REPLAY > 0,
        _matched(arrivals, where[own], list(compress(texts, own.tolist()))),
    )
    others = zip(where[~own].tolist(), compress(texts, (~own).tolist()), strict=True)
    found.others.update({place: _with_rows(found[place], text) for place, text in others})
    return found


def _matched(arrivals: Arrivals, places: Ints, texts: list[bytes]) -> Matched:
    """Return the outcomes of which the arrivals at these places are one half, and the texts the other."""
    order = np.argsort(places)
    places, texts = places[order], [texts[at] for at in order.tolist()]
    positions = np.frombuffer(b"".join([text[:_POSITION_BYTES] for text in texts]), _POSITION)
    met, met_ms = [text[_POSITION_BYTES:] for text in texts], _wide(positions["at_ms"])
    own, own_ms = [arrivals.payload(place) for place in places.tolist()], arrivals.at_ms[places]
    labels = arrivals.sides[places] == Side.LABEL
    predicted, labelled = (met, own) if labels.all() else _sorted_out(labels.tolist(), met, own)
    return Matched(
        places,
        predicted,
        np.where(labels, met_ms, own_ms),
        labelled,
        np.where(labels, own_ms, met_ms),
        positions["partition"].astype(np.int64),
        _wide(positions["offset"]),
    )


def _sorted_out(
    labels: list[bool], met: Sequence[bytes], own: Sequence[bytes]
) -> tuple[list[bytes], list[bytes]]:
    halves = zip(labels, met, own, strict=True)
    pairs = [(other, mine) if label else (mine, other) for label, other, mine in halves]
    return [predicted for predicted, _ in pairs], [labelled for _, labelled in pairs]


def _wide(parts: NDArray[Any]) -> Ints:
    """Return the numbers that came in two and four bytes."""
    wide: Ints = parts["high"].astype(np.int64) << 32 | parts["low"]
    return wide


def _with_rows(resolution: Resolution, text: bytes) -> Resolution:
    predicted_at_ms, predicted, partner, at = _event(text, 0)
    outcomes: list[OutcomeRow] = []
    instead: list[OutcomeRow] = []
    taken_back: OutcomeRow | None = None
    first = None  # label in the text: the one that a prediction met
    while at < len(text):
        revision, sign = _ROW.unpack_from(text, at)
        labelled_at_ms, label, source, at = _event(text, at + _ROW.size)
        first = first or source
        row = OutcomeRow(revision, sign, labelled_at_ms, label)
        if sign < 0:
            taken_back = row
            continue
        rows = instead if taken_back is not None and taken_back.revision == revision else outcomes
        rows += [row] if taken_back is None else [taken_back, row]
        taken_back = None
    return resolution._replace(
        outcomes=tuple(outcomes),
        predicted=predicted,
        predicted_at_ms=predicted_at_ms,
        partner=first if resolution.emit_prediction else partner,
        instead=tuple(instead),
    )


def _event(text: bytes, at: int) -> tuple[int, bytes, tuple[int, int], int]:
    """Return time, payload and source of the event that lies in `text` at `at`, and where it ends."""
    start = at + 3 + _POSITION_BYTES
    end = start + int.from_bytes(text[at : at + 3])
    source = _source(*_SOURCE.unpack_from(text, at + 9))
    return int.from_bytes(text[at + 3 : at + 9]), text[start:end], source, end


def _source(partition: int, high: int, low: int) -> tuple[int, int]:
    """Return partition and offset; the offset comes in two and four bytes."""
    return partition, high << 32 | low


def _pairs(reply: Any) -> list[tuple[bytes, bytes]]:
    """Return the fields and values of a hash, however the protocol's version lays them out."""
    if isinstance(reply, dict):
        return list(reply.items())
    if reply and isinstance(reply[0], list | tuple):
        return [(field, value) for field, value in reply]
    return list(zip(reply[::2], reply[1::2], strict=True))


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
