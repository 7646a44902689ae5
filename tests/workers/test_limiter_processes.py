"""Processes that share a limit and are stopped and killed at any moment, counted where their requests arrive."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from random import Random

import pytest
from redis import Redis

from bus import keys
from candlebus.sandbox import Sandbox

pytestmark = pytest.mark.slow
LIMIT = 50
CHANCE = Random(7)  # noqa: S311 - which process is stopped, and when


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(venues=["bingx"], limit=f"{LIMIT}/1", latency_ms=20, jitter_ms=130) as stand_in:
        yield stand_in


class Processes:
    """Processes that use up the limit."""

    def __init__(self, server: str, sandbox: Sandbox, count: int) -> None:
        self._argv = [sys.executable, "-m", "tests.workers.limited_worker", server, sandbox.url("bingx"), str(LIMIT)]
        self.running = [self._start() for _ in range(count)]

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop_for(self, seconds: float) -> None:
        process = CHANCE.choice(self.running)
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    def replace(self) -> None:
        process = self.running.pop(CHANCE.randrange(len(self.running)))
        process.kill()
        process.wait()
        self.running.append(self._start())

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


@pytest.fixture
def processes(redis: Redis, server: str, sandbox: Sandbox) -> Iterator[Processes]:
    running = Processes(server, sandbox, 4)
    deadline = time.monotonic() + 40
    while sandbox.stats("bingx").requests < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield running
    running.end()


def assert_within_the_limit(sandbox: Sandbox) -> None:
    stats = sandbox.stats("bingx")
    assert stats.requests > LIMIT  # the limit was used
    assert (stats.refusals, stats.max_in_window(1_000) <= LIMIT) == (0, True)


def test_stopped_and_killed_at_random_they_never_exceed_it(processes: Processes, sandbox: Sandbox) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        processes.stop_for(CHANCE.choice([0.01, 0.03, 0.25, 1.2]))
        time.sleep(CHANCE.uniform(0, 0.2))
        if CHANCE.random() < 0.15:
            processes.replace()
    assert_within_the_limit(sandbox)


def test_a_server_that_loses_its_memory_over_and_over_does_not_make_them_exceed_it(
    redis: Redis, processes: Processes, sandbox: Sandbox
) -> None:
    ends = time.monotonic() + 6
    while time.monotonic() < ends:
        redis.delete(keys.limit("bingx", "default"))
        time.sleep(CHANCE.uniform(0.1, 1.5))
    assert_within_the_limit(sandbox)
