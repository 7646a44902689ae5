"""How soon the groups of an aligner that is killed or paused go on elsewhere: ``python benchmarks/takeover.py``.

A thousand groups on two aligner processes; one of them gets the signal, then a minute of all groups is published. Told
is the time by the clock from the signal until the last group has its row. The server is an embedded one.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

from aligner import GROUPS, MINUTE_MS, group_of, machine, publish, running_aligner
from redis import Redis

from bus import keys
from bus.connection import connect
from bus.embedded import EmbeddedServer

ROUNDS = 3


def main() -> None:
    print(machine())
    print("\n| signal to one of two aligners | until every group has its row, s |\n| --- | ---: |")
    for number in (signal.SIGKILL, signal.SIGSTOP):
        with EmbeddedServer() as server:
            redis = connect(server.url)
            took = [taken_over_in(redis, server.url, number) for _ in range(ROUNDS)]
            redis.close()
        print(f"| {number.name} | {' '.join(f'{seconds:.1f}' for seconds in took)} |")


def taken_over_in(redis: Redis, url: str, number: signal.Signals) -> float:
    """Seconds by the clock."""
    redis.flushall()
    symbols = [f"M{number}/USDT:USDT" for number in range(GROUPS)]
    names = [f"m{number}" for number in range(GROUPS)]
    for name, symbol in zip(names, symbols, strict=True):
        group_of(redis, name, symbol)
    with ExitStack() as running:
        for _ in range(2):
            running.enter_context(running_aligner(url))
        wait_for(lambda: sorted(owners(redis, names).values()) == [GROUPS // 2] * 2)
        publish(redis, symbols, 0, 1)
        wait_for(lambda: written(redis, names, 0) == GROUPS)
        victim = int(next(iter(owners(redis, names))).rsplit("-", 2)[1])
        begun = time.monotonic()
        os.kill(victim, number)
        publish(redis, symbols, 1, 2)
        wait_for(lambda: written(redis, names, 1) == GROUPS)
        seconds = time.monotonic() - begun
        if number == signal.SIGSTOP:
            os.kill(victim, signal.SIGCONT)
    return seconds


def owners(redis: Redis, names: list[str]) -> Counter[str]:
    with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hget(keys.group_lease(name), "owner")
        return Counter(owner.decode() for owner in pipeline.execute() if owner)


def written(redis: Redis, names: list[str], minute: int) -> int:
    """How many groups have their row of the minute."""
    with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.xrange(keys.aligned(name), f"{minute * MINUTE_MS}-1", f"{minute * MINUTE_MS}-1")
        return sum(bool(found) for found in pipeline.execute())


def wait_for(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
