"""What a bus costs besides CPU: ``python benchmarks/footprint.py``; a minute or two.

Memory of the server for a candle; time from the start of a worker process to its first request and to its first batch;
from asking to the first batch with a warm worker. The stand-in answers at once, so times are those of the bus.
A worker's memory has a benchmark of its own, ``worker_memory.py``.
"""

import json
import statistics
import subprocess
import sys
import time

from shared import HERE, NO_LIMIT, Bus, bus, done, heading, machine, row, wait_until

from bus import keys

SERIES = "bingx:BTC/USDT:USDT"
STREAM = keys.candles("bingx", "1m", "BTC/USDT:USDT")
STARTS, ASKINGS = 10, 300


def used_bytes(ground: Bus) -> int:
    return int(ground.redis.info("memory")["used_memory"])


def memory_of_the_server() -> None:
    heading("on the server", "bytes a candle")
    for candles, what in ((144_000, "pages of 1,440"), (1_440, "one page and its request"), (1, "a live candle")):
        with bus("bingx", NO_LIMIT) as ground:
            ground.start_workers(1)
            done(ground.ask(SERIES, 10, until=1_735_689_600_000))  # contracts, clock and scripts are there already
            time.sleep(1)
            before, found = used_bytes(ground), 0
            for number in range(1 if candles > 1 else 100):
                found += done(ground.ask(SERIES, candles, until=1_767_225_600_000 + number * 60_000))
            time.sleep(1)
            row(what, f"{(used_bytes(ground) - before) / found:,.0f}")
    with bus("bingx", NO_LIMIT) as ground:
        before = used_bytes(ground)
        told = subprocess.run(
            [sys.executable, str(HERE / "one_by_one.py"), ground.url], capture_output=True, text=True, check=True
        )
        row(
            "an entry a candle, fields as text",
            f"{(used_bytes(ground) - before) / json.loads(told.stdout)['candles']:,.0f}",
        )


def start_up() -> None:
    to_request, to_batch = [], []
    for _ in range(STARTS):
        with bus("bingx", None) as ground:
            ground.ask(SERIES, 100)
            begun_s = time.monotonic()
            ground.start_worker()
            wait_until(lambda: ground.redis.xlen(STREAM), every_s=0.002)
            to_batch.append(time.monotonic() - begun_s)
            to_request.append(ground.sandbox.stats("bingx").arrivals[0][0] / 1000 - begun_s)
    heading("from the start of a worker's process, ms", "median", "most")
    for what, found in (("to its first request", to_request), ("to its first batch on the stream", to_batch)):
        row(what, f"{statistics.median(found) * 1000:,.0f}", f"{max(found) * 1000:,.0f}")


def asking() -> None:
    taken = []
    with bus("bingx", NO_LIMIT) as ground:
        ground.start_workers(1)
        done(ground.ask(SERIES, 10))
        for number in range(ASKINGS):
            last = ground.redis.xrevrange(STREAM, count=1)[0][0]
            time.sleep(0.02)
            begun = time.perf_counter()
            ground.ask(SERIES, 100, until=1_767_225_600_000 + number * 60_000)
            while not ground.redis.xread({STREAM: last}, block=5_000):
                pass
            taken.append((time.perf_counter() - begun) * 1000)
    cuts = statistics.quantiles(taken, n=100)
    heading(f"from asking to the batch on the stream, {ASKINGS} times, ms", "p50", "p99", "most")
    row("100 candles, worker warm and free", f"{cuts[49]:.1f}", f"{cuts[98]:.1f}", f"{max(taken):.1f}")


def main() -> None:
    print(machine())
    memory_of_the_server()
    start_up()
    asking()


if __name__ == "__main__":
    main()
