"""Many readers of one contract map on a real server: one fetch, whoever dies over it."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from bus import keys
from bus.cache import Cache
from bus.clock import RedisClock
from bus.connection import connect
from candlebus.sandbox import Sandbox
from workers.contracts import ContractBook
from workers.exchanges import registry
from workers.http import HttpClient

CONTRACTS = "/openApi/swap/v2/quote/contracts"
PROCESSES, THREADS = 3, 16
BTC = "BTC/USDT:USDT"


@pytest.fixture(scope="module")
def stand_in() -> Iterator[Sandbox]:
    with Sandbox(venues=["bingx"], limit="off") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(stand_in: Sandbox) -> Iterator[Sandbox]:
    yield stand_in
    stand_in.plan(latency_ms=0, faults="")


def fetches(sandbox: Sandbox) -> int:
    return sandbox.stats("bingx").by_path.get(CONTRACTS, 0)


def book(redis: Redis, url: str, lease_ms: int = 60_000) -> ContractBook:
    clock = RedisClock(redis)
    http = HttpClient("bingx", url, lambda _: None)
    return ContractBook(registry.get("bingx"), http, Cache(redis, clock, lease_ms=lease_ms), clock)


def read_together(server: str, url: str, lease_ms: int, begin: Any, told: Any) -> None:
    """What one process does: sixteen threads read at one moment, each with a book of its own."""
    redis = connect(server)
    together = threading.Barrier(THREADS)
    found: list[str] = []

    def read() -> None:
        own = book(redis, url, lease_ms)
        together.wait()
        found.append(own.contract(BTC).native_id)

    begin.wait()
    threads = [threading.Thread(target=read) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.put(found)


def herd(server: str, url: str, lease_ms: int = 60_000) -> list[str]:
    """What all threads of all processes read."""
    context = multiprocessing.get_context("spawn")
    begin, told = context.Barrier(PROCESSES), context.Queue()
    processes = [
        context.Process(target=read_together, args=(server, url, lease_ms, begin, told)) for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    found = [name for _ in processes for name in told.get(timeout=60)]
    for process in processes:
        process.join()
    return found


@pytest.mark.slow
def test_forty_eight_readers_in_three_processes_cause_one_fetch(redis: Redis, server: str, sandbox: Sandbox) -> None:
    before = fetches(sandbox)
    sandbox.plan(latency_ms=200)
    assert herd(server, sandbox.url("bingx")) == ["BTC-USDT"] * PROCESSES * THREADS
    assert fetches(sandbox) - before == 1


def test_at_an_expiry_one_reader_fetches_and_the_others_go_on_with_the_last_map(redis: Redis, sandbox: Sandbox) -> None:
    book(redis, sandbox.url("bingx")).map()
    redis.delete(keys.contracts("bingx"))
    before = fetches(sandbox)
    sandbox.plan(latency_ms=400)
    took_s: list[float] = []

    def read() -> None:
        own = book(redis, sandbox.url("bingx"))
        began = time.monotonic()
        own.contract(BTC)
        took_s.append(time.monotonic() - began)

    threads = [threading.Thread(target=read) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetches(sandbox) - before == 1
    assert sum(took >= 0.4 for took in took_s) == 1


def hold(server: str, url: str) -> None:
    """What a process does that is about to die: it holds the right to load, and its answer does not come."""
    book(connect(server), url, lease_ms=1_500).map()


@pytest.mark.slow
@pytest.mark.parametrize("last", [signal.SIGKILL, signal.SIGSTOP])
def test_a_holder_that_dies_or_stops_over_the_fetch_is_replaced(
    redis: Redis, server: str, sandbox: Sandbox, last: signal.Signals
) -> None:
    before = fetches(sandbox)
    sandbox.plan(latency_ms=20_000)
    holder = multiprocessing.get_context("spawn").Process(target=hold, args=(server, sandbox.url("bingx")))
    holder.start()
    while fetches(sandbox) == before:
        time.sleep(0.01)
    os.kill(holder.pid or 0, last)
    sandbox.plan(latency_ms=0)
    try:
        assert herd(server, sandbox.url("bingx"), lease_ms=1_500) == ["BTC-USDT"] * PROCESSES * THREADS
        assert fetches(sandbox) - before == 2
    finally:
        holder.kill()
        holder.join()
