"""Request → queue → worker → stream → aligned rows, over real processes, a real server and real HTTP."""

import os
import signal
import threading
import time
from itertools import islice

import pytest
from redis import Redis

from bus.alignment import align_candles
from bus.codec import rows_of
from bus.groups import GroupBook
from bus.messages import CandleBatch
from candlebus.candle_bus import CandleBus
from candlebus.sandbox import Sandbox
from workers.supervisor import Supervisor

PAIR = ["bingx:BTC/USDT:USDT", "kucoinfutures:BTC/USDT:USDT"]
HALF_HOUR_MS = 1_800_000


def test_candles_of_two_exchanges_arrive_complete_and_align(
    server: str, processes: Supervisor, sandbox: Sandbox
) -> None:
    processes.add("worker", "bingx", processes=2)
    processes.add("worker", "kucoinfutures", processes=2)
    with CandleBus(server) as bus:
        result = bus.fetch(PAIR, "30m", limit=1_000, timeout_s=60)
    assert result.complete
    for name, candles in result.candles.items():
        exchange, _, symbol = name.partition(":")
        span = result.statuses[name]
        assert candles == sandbox.truth(exchange, symbol, "30m", span.since or 0, span.until)
    assert result.aligned().rows == align_candles(result.candles, 60_000, HALF_HOUR_MS)
    assert sum(sandbox.stats(venue).refusals for venue in sandbox.urls) == 0


def test_the_aligner_writes_the_rows_that_the_batch_form_gives(
    server: str, redis: Redis, processes: Supervisor
) -> None:
    start_ms = int(time.time()) * 1000 - 1_000 * HALF_HOUR_MS
    GroupBook(redis).add("pair", PAIR, "30m", start_ms=start_ms)
    for role in (("worker", "bingx"), ("worker", "kucoinfutures"), ("aligner",)):
        processes.add(*role)
    with CandleBus(server) as bus:
        result = bus.fetch(PAIR, "30m", since=start_ms, timeout_s=60)
        expected = [row.candles for row in result.aligned().rows]
        rows = []
        for batch in bus.subscribe_aligned("pair", start="start"):
            assert batch is not None
            rows += rows_of(batch)
            if len(rows) >= len(expected):
                break
    assert rows == expected


def test_a_subscriber_sees_the_batches_as_they_are_published(server: str, redis: Redis, processes: Supervisor) -> None:
    processes.add("worker", "bingx")
    seen: list[CandleBatch] = []

    def listen() -> None:
        with CandleBus(server) as bus:
            seen.extend(batch for batch in islice(bus.subscribe(PAIR[0], "5m", start="start"), 3) if batch)

    listener = threading.Thread(target=listen)
    listener.start()
    with CandleBus(server) as bus:
        bus.fetch(PAIR[0], "5m", limit=3 * 1440, timeout_s=60)
    listener.join(timeout=20)
    assert [batch.page for batch in seen] == [0, 1, 2]
    assert sum(batch.n for batch in seen) == 3 * 1440


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_fetch_costs_no_candle_and_no_duplicate(
    server: str, redis: Redis, processes: Supervisor, sandbox: Sandbox
) -> None:
    sandbox.plan("bingx", latency_ms=150)
    processes.add("worker", "bingx", processes=2)
    with CandleBus(server) as bus:
        pending = bus.enqueue(PAIR[0], "1m", limit=20 * 1440)
        while not 2 <= pending.status().pages < 18:
            time.sleep(0.02)
        running = pending.status().worker
        # Guardian and worker go together, at once: nothing of it can tidy up.
        victim = next(one for one in processes.processes if is_of(one.child.pid, running))
        os.kill(victim.child.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        pages = pending.status().pages
        while pending.status().pages <= pages + 1:
            assert time.monotonic() - killed_at < 30
            time.sleep(0.05)
        done = pending.wait(60)
        pending.collector.advance()
    assert done.state == "done"
    assert done.pages == len(pending.collector.batches) == 20
    assert pending.collector.candles() == sandbox.truth("bingx", "BTC/USDT:USDT", "1m", done.since or 0, done.until)


def is_of(guardian: int, worker: str) -> bool:
    """Whether the worker of that name is the child of that guardian."""
    pid = worker.rpartition("-")[2]
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123 - a file of the kernel's
        return f"PPid:\t{guardian}\n" in status.read()
