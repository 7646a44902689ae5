"""Which processes of a role live: each says so again and again, by the server's clock."""

import os
import socket
import time
from typing import Any, Final

from redis import Redis

from bus import keys
from bus.clock import RedisClock
from bus.scripts import Script

#: How long a scheduler that says nothing is still taken for alive.
SCHEDULER_LIFE_MS: Final = 15_000


def process_name() -> str:
    """A name for this process, unlike any other's; it begins with the host's."""
    return f"{socket.gethostname()}-{os.getpid()}-{time.time_ns():x}"


class Roll:
    """The processes of one role, in a sorted set by when each is taken for dead."""

    def __init__(self, redis: Redis, key: str) -> None:
        """Look at nothing yet.

        Args:
            key: Name of the sorted set, such as :func:`bus.keys.aligners`.
        """
        self._redis = redis
        self._key = key
        self._join = Script(redis, "join")

    def join(self, name: str, life_ms: int) -> int:
        """Say that the process lives for another ``life_ms``; how many do."""
        return int(self._join([self._key], [name, life_ms]))

    def leave(self, name: str) -> None:
        """Say that the process ends."""
        self._redis.zrem(self._key, name)

    def names(self) -> list[str]:
        """The processes that live now."""
        found: Any = self._redis.zrangebyscore(self._key, f"({RedisClock(self._redis).now_ms()}", "+inf")
        return [name.decode() for name in found]


def schedulers(redis: Redis) -> Roll:
    """The scheduler processes."""
    return Roll(redis, keys.schedulers())


def aligners(redis: Redis) -> Roll:
    """The aligner processes."""
    return Roll(redis, keys.aligners())
