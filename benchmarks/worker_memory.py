"""How much memory a worker has after so many turns of four full pages: whether it grows.

The limiter is left out, so that hours of work pass in minutes. Run:

    python benchmarks/worker_memory.py
"""

import math
import platform
import subprocess
import sys
import time
from pathlib import Path

from bus import keys
from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.settings import Settings
from candlebus.sandbox import Sandbox
from producers.client import Producer
from workers.desk import Desk
from workers.lifespan import Lifespan, resident_bytes
from workers.worker import ExchangeWorker

TURNS = 2_000
EVERY = 250
MIB = 2**20


def work(url: str, exchange_url: str) -> None:
    """The worker: prints its memory after every so many turns."""
    turns = 0

    def told() -> int:
        nonlocal turns
        turns += 1
        if turns == 1 or turns % EVERY == 0:
            print(turns, resident_bytes() / MIB, flush=True)
        return 0

    redis, rq_connection = connect(url), connect(url)
    desk = Desk("bingx", redis, Settings(pace="full", urls={"bingx": exchange_url}))
    desk.limiter.acquire = lambda _: math.inf  # type: ignore[method-assign]
    ExchangeWorker(desk, redis, rq_connection, Lifespan(resident=told)).work(burst=True, logging_level="ERROR")


def main() -> None:
    """Keep a worker busy, a hundred requests at a time, and print what it says."""
    print(f"{platform.platform()}, Python {platform.python_version()}; turns of four pages of 1,440 candles")
    with Sandbox(venues=["bingx"], limit="off") as sandbox, EmbeddedServer() as server, connect(server.url) as redis:
        producer, stream = Producer(redis), keys.candles("bingx", "1m", "BTC/USDT:USDT")

        def enqueue() -> None:
            redis.xtrim(stream, maxlen=0)
            for _ in range(100):
                producer.enqueue("bingx:BTC/USDT:USDT", "1m", limit=4 * 1440, afresh=True)

        enqueue()
        command = [sys.executable, str(Path(__file__)), server.url, sandbox.url("bingx")]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for _ in range(TURNS // 100 - 1):
            while redis.llen("rq:queue:fetch.bingx") > 50:  # the worker is never without work
                assert worker.poll() is None
                time.sleep(0.1)
            enqueue()
        out, _ = worker.communicate()
    print("turns | pages | memory MiB")
    for line in out.splitlines():
        turns, mib = line.split()
        print(f"{int(turns):5} | {4 * int(turns):5} | {float(mib):6.1f}")


if __name__ == "__main__":
    work(*sys.argv[1:]) if len(sys.argv) > 1 else main()
