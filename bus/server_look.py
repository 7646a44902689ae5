"""Asks a server what the findings about it rest on."""

import time
from collections.abc import Callable
from typing import Any, Final

import redis as redis_library
from redis import Redis

from bus.roles import ROLES
from bus.server_findings import CONFIG, ServerFacts

_TRIPS: Final = 3


def server_facts(redis: Redis) -> ServerFacts:
    """What the server answers to ``INFO``, ``CONFIG GET`` and ``TIME``; each is asked of the user who is logged in.

    Raises:
        redis.RedisError: It is away, or refuses ``INFO``.
    """
    how = redis.get_connection_kwargs()
    info: Any = redis.info()
    round_trip_ms, skew_ms = min(_timed(redis) for _ in range(_TRIPS))
    return ServerFacts(
        info=info,
        config=None if how.get("username") in ROLES else _config(redis),  # theirs by no table: asking is an alarm
        host="" if how.get("path") else str(how.get("host", "")),
        is_encrypted=issubclass(redis.connection_pool.connection_class, redis_library.SSLConnection),
        user=how.get("username") or "",
        has_password=bool(how.get("password")),
        round_trip_ms=round_trip_ms,
        skew_ms=skew_ms,
    )


def _config(redis: Redis) -> dict[str, str] | None:
    try:
        found: Any = redis.config_get(*CONFIG)
    except redis_library.ResponseError:  # forbidden to this user, or taken away by whoever runs the server
        return None
    return dict(found)


def _timed(redis: Redis, wall: Callable[[], float] = time.time) -> tuple[float, float]:
    """One round trip in ms, and the server's clock less ours in its middle, ms."""
    asked, began = wall(), time.monotonic()
    seconds, micros = redis.time()
    took = time.monotonic() - began
    return took * 1000, (seconds + micros / 1e6 - asked - took / 2) * 1000
