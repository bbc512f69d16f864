"""The client of a deployment's Redis: of one server, or of a Redis Cluster.

`redis+cluster://host:port`, with TLS `rediss+cluster://`, names any node of a cluster; the client finds the
others. What must change together lies in one slot, by the braces in its keys.
"""

from __future__ import annotations

from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from tidegauge.config import CLUSTER, check_redis_url
from tidegauge.errors import ConfigError, Unavailable
from tidegauge.redact import redacted_url


def connect(url: str, timeout_seconds: float, key: str = "redis.url", **options: Any) -> redis.Redis:
    """Return a client; of a cluster it is one too, for all that is called here.

    Raises ConfigError naming `key` for an unusable URL, Unavailable where a cluster cannot be asked for its
    nodes. One server is not called yet.
    """
    check_redis_url(url, key)
    timeouts = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    try:
        if not is_cluster(url):
            return redis.Redis.from_url(url, **timeouts, **options)
        # One more try, with the nodes as they are by then; how long to wait for a server the stages decide.
        retry = Retry(NoBackoff(), 1)
        node = url.replace(CLUSTER, "", 1)
        cluster: Any = redis.RedisCluster.from_url(node, retry=retry, **timeouts, **options)
        return cast(redis.Redis, cluster)
    except ValueError as error:
        raise ConfigError(f"{key}: {redacted_url(url)}: {error}") from error
    except (RedisClusterException, redis.RedisError) as error:
        raise Unavailable(f"Redis Cluster at {redacted_url(url)}: {error}") from error


def is_cluster(url: str) -> bool:
    """Return whether a URL names a cluster.

    >>> is_cluster("redis+cluster://db:7000"), is_cluster("redis://db:6379/0")
    (True, False)
    """
    return CLUSTER in url.partition("://")[0]
