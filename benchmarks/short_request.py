"""How long a request for 100 candles waits beside ten requests for a year of 1m candles, with one worker and with four.

The stand-in answers after 50 ms and allows what BingX documents; workers go at pace ``full``. Run:

    python benchmarks/short_request.py
"""

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from redis import Redis

from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.requests import RequestBook
from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox
from producers.client import Pending, Producer, workers_of
from workers.exchanges import registry
from workers.limiter import budget
from workers.supervisor import Supervisor
from workers.turn import PAGES_A_TURN

YEAR = 365 * 1440
COINS = ("ETH", "LINK", "ADA", "XRP", "LTC", "SOL", "DOGE", "BNB", "1000PEPE", "TONCOIN")
SHORT = "bingx:BTC/USDT:USDT"
TIMES = 12


class Wait(NamedTuple):
    """What one short request met: seconds until it was done, and pages of the others meanwhile."""

    seconds: float
    pages: int


@contextmanager
def bus_of(workers: int) -> Iterator[Redis]:
    """A bus with so many workers."""
    with (
        Sandbox(venues=["bingx"], latency_ms=50) as sandbox,
        EmbeddedServer() as server,
        tempfile.TemporaryDirectory() as home,
        connect(server.url) as redis,
    ):
        settings = Settings(redis_url=server.url, pace="full", urls=sandbox.urls, home=Path(home), log="json")
        supervisor = Supervisor(child_environment(settings))
        supervisor.add("worker", "bingx", processes=workers)
        while workers_of(redis, "bingx") < workers:
            time.sleep(0.05)
        yield redis
        supervisor.stop()
        assert sandbox.stats("bingx").refusals == 0


def waits(redis: Redis, long: list[Pending]) -> list[Wait]:
    """The waits of short requests, one after another, each for other candles."""
    book, found = RequestBook(redis), []

    def pages() -> int:
        return sum(status.pages for status in book.statuses([one.id for one in long]) if status)

    for number in range(TIMES):
        time.sleep(0.7)
        until = 1_750_000_000_000 + number * 86_400_000
        before, began = pages(), time.monotonic()
        short = Producer(redis).enqueue(SHORT, "1m", since=until - 6_000_000, until=until, afresh=True)
        assert short.wait(120).state == "done"
        found.append(Wait(time.monotonic() - began, pages() - before))
    return found


def main() -> None:
    """Print one row a number of workers."""
    interval_s = budget(registry.get("bingx").facts, "full").interval_us / 1e6
    turns_s = len(COINS) * PAGES_A_TURN * interval_s
    print(f"{platform.platform()}, Python {platform.python_version()}; {TIMES} short requests each")
    print(f"one turn of each of ten long requests takes {turns_s:.2f} s at the allowed rate")
    print(f"all that they ask for takes {len(COINS) * -(-YEAR // 1440) * interval_s:.0f} s")
    print("workers | alone, median s | beside ten: median s | most s | pages of the others: median | most")
    for workers in (1, 4):
        with bus_of(workers) as redis:
            alone = statistics.median(wait.seconds for wait in waits(redis, []))
            long = [Producer(redis).enqueue(f"bingx:{coin}/USDT:USDT", "1m", limit=YEAR) for coin in COINS[:9]]
            long.append(Producer(redis).enqueue(SHORT, "1m", limit=YEAR))
            while not all(one.status().pages for one in long):
                time.sleep(0.05)
            beside = waits(redis, long)
        seconds, pages = [wait.seconds for wait in beside], [wait.pages for wait in beside]
        print(
            f"{workers:7} | {alone:15.2f} | {statistics.median(seconds):20.2f} | {max(seconds):6.2f} | "
            f"{statistics.median(pages):27.0f} | {max(pages):4}"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
