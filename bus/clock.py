"""Clocks that can be passed in: the machine's, the server's, and their common face."""

import time
from typing import Protocol

from redis import Redis


class Clock(Protocol):
    """Where a component gets the time and how it waits."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; returns early never, late sometimes."""
        ...


class SystemClock:
    """This machine's wall clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class RedisClock:
    """The server's clock, which every process of a bus shares whatever its own machine says."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def now_ms(self) -> int:
        seconds, microseconds = self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))
