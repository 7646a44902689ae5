"""Clocks that can be passed in: the machine's, the server's, and their common face."""

import sys
import time
from typing import Protocol

from redis import Redis


def steady_s() -> float:
    """Seconds of a clock that nobody sets and, where the system has such a one, nobody speeds up either.

    ``time.monotonic`` never goes back, but follows what corrects the wall clock: chrony may speed it up by 8 %.
    """
    if sys.platform == "win32":
        return time.monotonic()
    return time.clock_gettime(time.CLOCK_MONOTONIC_RAW)


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
