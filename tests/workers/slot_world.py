"""Workers that share a budget in simulated time: the script runs on a real server, but by a clock of the test's."""

import heapq
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis

import bus.scripts
from workers.limiter import Budget

LIMIT, PAUSE, *_ = KEYS = ["limit", "pause", "breaker", "traffic", "counters"]
_BEGAN_US = 1_800_000_000_000_000


def script_of_our_time(redis: Redis, name: str) -> Callable[..., Any]:
    """A script that is told the time by its last two arguments, in place of the server's clock."""
    text = (Path(bus.scripts.__file__).parent / f"{name}.lua").read_text()
    assert "redis.call('TIME')" in text
    return redis.register_script(text.replace("redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}"))


class Worker(msgspec.Struct, kw_only=True):
    """One worker, which asks for the next request as soon as it has sent one.

    Attributes:
        late_us: How much later than it asked for it wakes up.
        held_up_us: How long after the server's consent its request leaves.
        weight: Of its next request.
        dies_after: Naps.
    """

    late_us: Callable[[], int]
    held_up_us: Callable[[], int] = lambda: 0
    weight: Callable[[], int] = lambda: 1
    dies_after: int = 1_000_000
    naps: int = 0


class World:
    """Runs workers until an instant; what they sent stands in ``arrivals``, instant in ms and weight."""

    def __init__(self, redis: Redis, budget: Budget, workers: list[Worker]) -> None:
        redis.flushall()
        self.redis = redis
        self.budget = budget
        self.now_us = 0
        self.clock_us = _BEGAN_US
        self.arrivals: list[tuple[float, int]] = []
        self._reserve = script_of_our_time(redis, "reserve")
        self._numbers = itertools.count()
        self._to_come: list[tuple[int, int, Any, tuple[Any, ...]]] = []
        for number, worker in enumerate(workers):
            self.at(number * 137, self._ask, worker, worker.weight(), b"")

    def at(self, instant_us: int, act: Any, *arguments: Any) -> None:
        """Let something happen at an instant of true time, µs from the beginning."""
        heapq.heappush(self._to_come, (instant_us, next(self._numbers), act, arguments))

    def run(self, until_us: int) -> None:
        while self._to_come and self._to_come[0][0] <= until_us:
            self.now_us, _, act, arguments = heapq.heappop(self._to_come)
            act(*arguments)

    def _ask(self, worker: Worker, weight: int, slot: bytes) -> None:
        if worker.naps > worker.dies_after:
            return
        server_us = self.clock_us + self.now_us
        args = [weight * self.budget.interval_us, self.budget.max_ahead_us, self.budget.late_us, slot, 30 * 10**6, 0]
        what, micros, detail = self._reserve(keys=KEYS, args=[*args, server_us // 10**6, server_us % 10**6])
        if what == b"go":
            self._go(worker, weight, int(micros))
        else:
            worker.naps += 1
            nap_us = int(micros) + worker.late_us()
            self.at(self.now_us + nap_us, self._ask, worker, weight, detail if what == b"wait" else b"")

    def _go(self, worker: Worker, weight: int, within_us: int) -> None:
        leaves_us = self.now_us + worker.held_up_us()
        if leaves_us - self.now_us > within_us:  # the look at the clock right before bytes leave
            self.at(leaves_us, self._ask, worker, weight, b"")
        else:
            self.arrivals.append((leaves_us / 1000, weight))
            self.at(leaves_us + 1, self._ask, worker, worker.weight(), b"")
