"""What is done to a trial, by name. After each fault a scenario waits until lag is back at zero."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial

from tests.faults.sabotage import Guard, Point
from tests.faults.trial import Trial

Scenario = Callable[[Trial], None]

_ZOMBIE_SECONDS = 15.0
_OUTAGE_SECONDS = 4.0
_LOST_SECONDS = 1.0  # of what Redis acknowledged
_SMALL_MEMORY = "1mb"
_PUBLISHED_SECONDS = 3.0  # monitor.publish_seconds is over by then


def calm(trial: Trial) -> None:
    """No fault: what the others are compared with."""
    trial.hire()
    trial.begin()


def kill_at(point: Point, trial: Trial, passages: tuple[int, int]) -> None:
    """Workers kill themselves at a named point, one after the other; a supervisor starts the next."""
    draw = random.Random(trial.seed)
    worker = trial.hire(point=point, passage=draw.randint(*passages))
    trial.begin()
    for plan in ({"point": point, "passage": draw.randint(1, 4)}, {}):  # it has a backlog: large batches
        since = trial.await_death(worker)
        worker = trial.hire(**plan)
        if not plan:
            trial.recover(since)


def kill_in_revoke(role: str, trial: Trial) -> None:
    """A second worker comes; the first dies while it gives partitions up."""
    point = f"revoking-{role}"
    first = trial.hire(point=point)
    trial.begin(0.2)
    trial.hire()
    since = trial.await_death(first)
    trial.hire()
    trial.recover(since)


def kill_at_random(trial: Trial, times: int = 3) -> None:
    """Two workers share the partitions; at random moments one of them is killed."""
    draw = random.Random(trial.seed)
    workers = [trial.hire(), trial.hire()]
    trial.begin(0.1)
    for _ in range(times):
        time.sleep(draw.uniform(0.0, 1.5))
        place = draw.randrange(len(workers))
        since = trial.kill(workers[place])
        workers[place] = trial.hire()
        trial.recover(since)


def zombie(roles: str, point: Point, trial: Trial) -> None:
    """A worker stops for 15 s while its session lasts 6 s, and then carries on where it was."""
    draw = random.Random(trial.seed)
    sleeper = trial.hire(roles, point=point, passage=draw.randint(20, 40), then="stop")
    if roles == "monitor":
        trial.hire("join,control")
    trial.begin()
    since = trial.await_stop(sleeper)
    trial.hire()
    trial.recover(since)
    time.sleep(max(0.0, _ZOMBIE_SECONDS - (time.monotonic() - since)))
    trial.settle()
    sleeper.signal(signal.SIGCONT)
    time.sleep(3.0)
    if roles == "monitor" and not trial.fenced():
        trial.findings.broken.append("nothing was fenced, although a zombie wrote")


def terminate(trial: Trial) -> None:
    """Workers are replaced one after the other, as in a deployment."""
    old = trial.hire()
    trial.begin(0.3)
    new = trial.hire()
    trial.await_presence(new)
    since = time.monotonic()
    trial.retire(old)
    trial.recover(since)
    trial.await_presence(trial.hire())
    since = time.monotonic()
    trial.retire(new)
    trial.recover(since)


def scale(trial: Trial) -> None:
    """One worker becomes three, and three become one."""
    trial.hire()
    trial.begin(0.2)
    since = time.monotonic()
    others = [trial.hire(), trial.hire()]
    trial.await_presence(*others)
    trial.recover(since)
    since = time.monotonic()
    for other in others:
        trial.retire(other)
    trial.recover(since)


def broker_killed(trial: Trial) -> None:
    """The broker is killed and started again."""
    trial.hire()
    trial.begin(0.3)
    trial.rig.kafka.kill()
    trial.kills += 1
    time.sleep(_OUTAGE_SECONDS)
    trial.rig.kafka.start()
    trial.recover(time.monotonic())


def redis_killed(trial: Trial, tail: bool = False) -> None:
    """Redis is killed and comes back from its append-only file, with `tail` without the last second."""
    trial.hire()
    trial.begin(0.3)
    size = trial.rig.journal().stat().st_size
    time.sleep(_LOST_SECONDS)
    before = trial.window_counts()
    trial.rig.redis.kill()
    trial.kills += 1
    if tail:
        trial.rig.cut_tail(size)
    time.sleep(1.0)
    trial.rig.redis_proxy.cut()
    trial.rig.redis.start()
    if tail:
        went_back(trial, before)
    trial.rig.redis_proxy.heal()
    trial.recover(time.monotonic())


def went_back(trial: Trial, before: int) -> None:
    """The Redis in use has forgotten events, or the trial proves nothing."""
    if trial.window_counts() >= before:
        trial.findings.broken.append("Redis had lost nothing")


def failover(trial: Trial, and_a_worker: bool = False) -> None:
    """The primary is lost, and a replica that is two seconds behind is promoted.

    With `and_a_worker` there are two workers, and one is lost with the primary and what it knew.
    """
    replica = trial.rig.replica()
    worker = trial.hire()
    if and_a_worker:
        trial.await_presence(trial.hire(), worker)
    trial.begin(0.3)
    trial.rig.replica_proxy.stall()
    time.sleep(2 * _LOST_SECONDS)
    before = trial.window_counts()
    trial.rig.redis.kill()
    trial.kills += 1
    if and_a_worker:
        trial.kill(worker)
        trial.hire()
    trial.rig.replica_proxy.drop()
    trial.rig.lead(replica)
    went_back(trial, before)
    trial.rig.use(replica)
    trial.gauge.switch(trial.rig.client())
    trial.recover(time.monotonic())


def redis_emptied(trial: Trial) -> None:
    """Redis loses everything."""
    trial.hire()
    trial.begin(0.4)
    trial.rig.client().flushall()
    trial.recover(time.monotonic())


def scripts_flushed(trial: Trial) -> None:
    """Redis forgets its scripts, again and again."""
    trial.hire()
    trial.begin(0.2)
    for _ in range(10):
        trial.rig.client().script_flush()
        time.sleep(0.2)
    trial.recover(time.monotonic())


def out_of_memory(trial: Trial) -> None:
    """Redis takes no more writes for a while."""
    trial.hire()
    trial.begin(0.3)
    client = trial.rig.client()
    client.config_set("maxmemory", _SMALL_MEMORY)
    time.sleep(_OUTAGE_SECONDS)
    client.config_set("maxmemory", "0")
    trial.recover(time.monotonic())


def damaged_snapshots(trial: Trial) -> None:
    """While the worker is down: one partition has no whole snapshot, one a truncated one, one an old one."""
    worker = trial.hire()
    trial.begin(0.4)
    since = trial.kill(worker)
    client = trial.rig.client()
    for key in ("tgs:{0}", "tgs:{0}:previous", "tgs:{1}"):
        state = client.hget(key, "state")
        if state is None:
            trial.findings.broken.append(f"{key}: there is no snapshot to damage")
        else:
            client.hset(key, "state", state[: len(state) // 2])
    client.copy("tgs:{2}:previous", "tgs:{2}", replace=True)
    trial.hire()
    trial.recover(since)


def cut_off(server: str, trial: Trial) -> None:
    """The network resets every connection to a server for some seconds, and later swallows every byte."""
    proxy = {"redis": trial.rig.redis_proxy, "kafka": trial.rig.kafka_proxy}[server]
    trial.hire()
    trial.begin(0.2)
    for interrupt in (proxy.cut, proxy.stall):
        interrupt()
        time.sleep(_OUTAGE_SECONDS)
        proxy.heal()
        trial.recover(time.monotonic())


SCENARIOS: Mapping[str, Scenario] = {
    "calm": calm,
    "kill-applied": partial(kill_at, "applied", passages=(20, 50)),
    "kill-produced": partial(kill_at, "produced", passages=(20, 50)),
    "kill-delivered": partial(kill_at, "delivered", passages=(20, 50)),
    "kill-saved": partial(kill_at, "saved", passages=(3, 8)),
    "kill-revoking-join": partial(kill_in_revoke, "join"),
    "kill-revoking-monitor": partial(kill_in_revoke, "monitor"),
    "kill-random": kill_at_random,
    "kill-random-kip-848": kill_at_random,
    "sigterm-kip-848": terminate,
    "zombie-join": partial(zombie, "join,monitor,control", "applied"),
    "zombie-monitor": partial(zombie, "monitor", "publishing"),
    "sigterm": terminate,
    "scale-1-3-1": scale,
    "broker-killed": broker_killed,
    "redis-killed": redis_killed,
    "redis-tail-lost": partial(redis_killed, tail=True),
    "redis-failover": failover,
    "redis-and-worker-lost": partial(failover, and_a_worker=True),
    "redis-emptied": redis_emptied,
    "redis-script-flush": scripts_flushed,
    "redis-out-of-memory": out_of_memory,
    "snapshots-damaged": damaged_snapshots,
    "cut-redis": partial(cut_off, "redis"),
    "cut-kafka": partial(cut_off, "kafka"),
}
# Of the stream, where it is not the usual one: it shall go on while there are faults.
LENGTHS: Mapping[str, float] = {
    "kill-random": 2.5,
    "kill-random-kip-848": 2.5,
    "sigterm-kip-848": 1.5,
    "sigterm": 1.5,
    "scale-1-3-1": 2.0,
    "cut-redis": 1.7,
    "cut-kafka": 1.7,
}
# Where groups are managed by the broker, since Kafka 4.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    name: {"group.protocol": "consumer"} for name in ("kill-random-kip-848", "sigterm-kip-848")
}
KILLING = ("kill-applied", "kill-produced", "kill-delivered", "kill-saved", "kill-random")


# The same faults with a guard switched off: each must be found out, or the suite proves nothing.


def without_fence(trial: Trial) -> None:
    """Zombie and successor die, or the successor would notice the stale write and set things right."""
    sleeper = trial.hire("monitor", point="publishing", passage=30, then="last", without="fence")
    trial.hire("join,control")
    trial.begin()
    trial.await_stop(sleeper)
    successor = trial.hire("monitor")
    trial.settle()
    time.sleep(_PUBLISHED_SECONDS)
    trial.kill(successor)
    sleeper.signal(signal.SIGCONT)
    trial.await_death(sleeper)


def without_dedupe(trial: Trial) -> None:
    worker = trial.hire("join,control", point="delivered", passage=30)
    trial.hire("monitor", without="dedupe")
    trial.begin()
    trial.await_death(worker)
    trial.hire("join,control")


def without_offsets(trial: Trial) -> None:
    worker = trial.hire("join,control", point="applied", passage=30, without="offsets")
    trial.hire("monitor")
    trial.begin()
    trial.await_death(worker)
    trial.hire("join,control", without="offsets")


WITHOUT: Mapping[Guard, Scenario] = {
    "fence": without_fence,
    "dedupe": without_dedupe,
    "offsets": without_offsets,
}
