"""Redis state: what others read (`tg:`), and the monitor's snapshots (`tgs:`).

A snapshot is one hash with the epoch, the next offset, a checksum and the packed state; it and its
predecessor stay. Only the owner of the newest epoch may write: an epoch is claimed when a
partition is gained, so what a former owner still sends is refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import Any, cast

import msgspec
import redis
from redis import exceptions

from tidegauge import keys
from tidegauge.adapters import redis_client
from tidegauge.config import Redis
from tidegauge.errors import ConfigError, SnapshotError, TidegaugeError, Unavailable, WentBack
from tidegauge.ports import Snapshot, Writes

# By the clock, so that an epoch lost with the tail of Redis is not given out a second time.
_CLAIM = """
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
local epoch = math.max(time[1] * 1000000 + time[2], last + 1)
redis.call('SET', KEYS[1], string.format('%.0f', epoch))
return epoch
"""
# KEYS the snapshot, the one before, epoch, tally; ARGV the epoch, offset, checksum, state, and two tallies:
# that of the last publication, and the next, should its reply have been lost. Returns the stored tally
# where it is another: the store has lost writes, and what is stored now must not stand on them.
_SAVE = """
if tonumber(redis.call('GET', KEYS[3]) or '0') ~= tonumber(ARGV[1]) then return 0 end
local tally = redis.call('GET', KEYS[4])
if ARGV[5] ~= '' and tally ~= ARGV[5] and tally ~= ARGV[6] then return tally or 'nothing' end
local stored = redis.call('HMGET', KEYS[1], 'offset', 'checksum')
if stored[1] == ARGV[2] and stored[2] == ARGV[3] then return 1 end
if stored[1] then redis.call('RENAME', KEYS[1], KEYS[2]) end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'offset', ARGV[2], 'checksum', ARGV[3], 'state', ARGV[4])
return 1
"""
# KEYS epoch, tally, and hashes; ARGV the epoch, the tally as it was, as it is to be, and of each hash its
# fields and values as one msgpack array. One call, because who waits for an answer waits for a turn in the
# process as well; a thousand texts at once, because Lua's stack holds no more than eight thousand. Redis
# keeps up to 512 fields in a list, in which it looks for each from the beginning: at 400 fields that takes
# four times as long as a table of twice the bytes. A long value makes a table of a hash for good.
_PUBLISH = """
if tonumber(redis.call('GET', KEYS[1]) or '0') ~= tonumber(ARGV[1]) then return 'fenced' end
local stored = redis.call('GET', KEYS[2])
if ARGV[2] ~= '' and stored ~= ARGV[2] and stored ~= ARGV[3] then return stored or 'nothing' end
redis.call('SET', KEYS[2], ARGV[3])
for i = 3, #KEYS do
  local texts = cmsgpack.unpack(ARGV[i + 1])
  local as_table = #texts > 256
  if as_table then redis.call('HSET', KEYS[i], '', string.rep(' ', 65)) end
  for first = 1, #texts, 1000 do
    redis.call('HSET', KEYS[i], unpack(texts, first, math.min(first + 999, #texts)))
  end
  if as_table then redis.call('HDEL', KEYS[i], '') end
end
return 'published'
"""
_pack = msgspec.msgpack.Encoder().encode  # redis-py looks at each argument, which takes longer
_RESOLVED = "tgs:resolved"  # incidents, by the time of their resolution
_LOG_ALERT = """
local incident, alert, firing, length = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if firing == '0' then
  redis.call('HDEL', KEYS[1], incident)
  redis.call('ZADD', KEYS[3], redis.call('TIME')[1], incident)
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -10 * length - 1)
elseif not redis.call('ZSCORE', KEYS[3], incident) then
  redis.call('HSET', KEYS[1], incident, alert)
end
redis.call('LREM', KEYS[2], 0, alert)
redis.call('LPUSH', KEYS[2], alert)
redis.call('LTRIM', KEYS[2], 0, length - 1)
"""


class RedisState:
    """Reads and writes the state of a deployment; safe to share between threads."""

    def __init__(self, settings: Redis) -> None:
        self._redis = redis_client.connect(settings.url, settings.timeout_seconds)
        self._cluster = redis_client.is_cluster(settings.url)
        self._claim = self._redis.register_script(_CLAIM)
        self._save = self._redis.register_script(_SAVE)
        self._publish = self._redis.register_script(_PUBLISH)
        self._log = self._redis.register_script(_LOG_ALERT)
        self._tally: dict[int, tuple[int, int]] = {}  # partition -> epoch, publications that went well
        self._publishing = ThreadPoolExecutor(1, "tidegauge-state")  # makes its thread when one is needed

    def claim(self, partition: int) -> int:
        """Return a new epoch for a partition; every older one is refused from now on."""
        with _translated():
            return int(cast(Any, self._claim(keys=[f"tgs:{{{partition}}}:epoch"])))

    def load(self, partition: int) -> Snapshot | None:
        """Return the newest snapshot that is whole, or None where there is none.

        Raises SnapshotError where there are snapshots and none is whole.
        """
        damaged = False
        for key in _snapshot_keys(partition):
            with _translated():
                fields = cast(dict[bytes, bytes], self._redis.hgetall(key))
            if fields and _checksum(fields.get(b"state", b"")) == fields.get(b"checksum"):
                return Snapshot(int(fields[b"offset"]), fields[b"state"])
            damaged = damaged or bool(fields)
        if damaged:
            raise SnapshotError(f"tgs:{{{partition}}}: no snapshot of this partition is whole")
        return None

    def save(self, partition: int, epoch: int, snapshot: Snapshot) -> bool:
        """Store a snapshot; return False where the epoch is no longer the newest.

        Raises WentBack where Redis has lost what was published before.
        """
        keys = [*_snapshot_keys(partition), *_publication_keys(partition)]
        tallies = self._tallies(partition, epoch)
        state = snapshot.state
        arguments: list[Any] = [epoch, snapshot.offset, _checksum(state), state, *tallies]
        with _translated():
            said = cast(Any, self._save(keys=keys, args=arguments))
        if isinstance(said, bytes):
            raise _lost_writes(partition, said, tallies[0])
        return bool(said)

    def publish(self, partition: int, epoch: int, writes: Writes) -> bool:
        """Write public hashes; return False where the epoch is no longer the newest.

        Raises WentBack where Redis has lost what was published before.
        """
        return self.begin_publish(partition, epoch, writes)()

    def begin_publish(self, partition: int, epoch: int, writes: Writes) -> Callable[[], bool]:
        """Begin to publish, and return what waits for the end; until then nothing else of the partition."""
        before, after = self._tallies(partition, epoch)
        # In a cluster the owner is fenced once, before the writes.
        at_once, apart = ({}, writes) if self._cluster else (writes, {})
        packed = (_pack(list(chain.from_iterable(fields.items()))) for fields in at_once.values())
        names, arguments = [*_publication_keys(partition), *at_once], [epoch, before, after, *packed]
        running = self._publishing.submit(self._published, names, arguments, apart)

        def ended() -> bool:
            said = running.result()
            if said == b"fenced":
                return False
            if said != b"published":
                raise _lost_writes(partition, said, before)
            last, count = self._tally.get(partition, (0, 0))
            self._tally[partition] = (epoch, count + 1 if last == epoch else 1)
            return True

        return ended

    def _published(self, names: list[str], arguments: list[Any], apart: Writes) -> object:
        """Return what the script says; where it agrees, write the hashes that it was not given."""
        with _translated():
            said = cast(Any, self._publish(keys=names, args=arguments))
        if said == b"published" and apart:
            self.write(apart)
        return said

    def _tallies(self, partition: int, epoch: int) -> tuple[str, str]:
        """Return the tally of what was published under an epoch, empty before the first, and the next one."""
        last, count = self._tally.get(partition, (0, 0))
        if last != epoch:
            return "", f"{epoch} 1"
        return f"{epoch} {count}", f"{epoch} {count + 1}"

    def write(self, writes: Writes) -> None:
        """Write hashes that no epoch guards."""
        with _translated(), self._redis.pipeline(transaction=False) as pipeline:
            for key, fields in writes.items():
                pipeline.hset(key, mapping=cast(Any, fields))
            pipeline.execute()

    def add_members(self, key: str, members: list[str]) -> None:
        """Add texts to a set."""
        if members:
            with _translated():
                self._redis.sadd(key, *members)

    def members(self, key: str) -> set[str]:
        """Return the texts of a set."""
        with _translated():
            return {member.decode() for member in cast(set[bytes], self._redis.smembers(key))}

    def log_alert(self, incident_id: str, alert: bytes, firing: bool) -> None:
        """Put an alert into the capped log, and into or out of the hash of active ones.

        In any order and any number of times: an incident that is resolved does not come back.
        """
        names = [keys.ALERTS_ACTIVE, keys.ALERTS_LOG, _RESOLVED]
        with _translated():
            if self._cluster:
                self._log_spread(incident_id, alert, firing)
            else:
                self._log(keys=names, args=[incident_id, alert, int(firing), keys.ALERTS_LOG_LENGTH])

    def _log_spread(self, incident_id: str, alert: bytes, firing: bool) -> None:
        """Do what `_LOG_ALERT` does with keys on several nodes.

        A resolution is noted before it takes the alert out, and looked for again after an alert is put in,
        so whichever comes last sees the other.
        """
        client: Any = self._redis
        if firing and client.zscore(_RESOLVED, incident_id) is None:
            client.hset(keys.ALERTS_ACTIVE, incident_id, alert)
        if not firing:
            client.zadd(_RESOLVED, {incident_id: client.time()[0]})
            client.zremrangebyrank(_RESOLVED, 0, -10 * keys.ALERTS_LOG_LENGTH - 1)
        if not firing or client.zscore(_RESOLVED, incident_id) is not None:
            client.hdel(keys.ALERTS_ACTIVE, incident_id)
        client.lrem(keys.ALERTS_LOG, 0, alert)
        client.lpush(keys.ALERTS_LOG, alert)
        client.ltrim(keys.ALERTS_LOG, 0, keys.ALERTS_LOG_LENGTH - 1)

    def require(self) -> None:
        """Raise Unavailable where Redis does not answer."""
        with _translated():
            self._redis.ping()

    def ping(self) -> bool:
        """Return whether Redis answers."""
        try:
            self.require()
        except TidegaugeError:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._publishing.shutdown()
        self._redis.close()


def _snapshot_keys(partition: int) -> tuple[str, str]:
    return f"tgs:{{{partition}}}", f"tgs:{{{partition}}}:previous"


def _publication_keys(partition: int) -> tuple[str, str]:
    """Return the keys of the epoch that guards what a partition publishes, and of the count of its writes."""
    return f"tgs:{{{partition}}}:epoch", f"tgs:{{{partition}}}:published"


def _lost_writes(partition: int, stored: object, expected: str) -> WentBack:
    return WentBack(f"Redis has lost writes of partition {partition}: expected {expected!r}, got {stored!r}")


def _checksum(state: bytes) -> bytes:
    return f"{zlib.crc32(state):08x}".encode()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (redis.AuthenticationError, exceptions.NoPermissionError) as error:
        raise ConfigError(f"redis.url: the server refused the user: {error}") from error
    except (
        redis.ConnectionError,
        redis.TimeoutError,
        redis.BusyLoadingError,
        redis.OutOfMemoryError,
        exceptions.ClusterError,
        exceptions.AskError,
        exceptions.RedisClusterException,
    ) as error:
        raise Unavailable(f"Redis: {error}") from error
    except redis.RedisError as error:
        raise TidegaugeError(f"Redis: {error}") from error
