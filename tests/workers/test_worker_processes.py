"""Workers as processes on several hosts: how they end when asked to, and that a rolling restart loses nothing."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from bus import keys
from bus.clock import RedisClock
from bus.requests import RequestStatus
from bus.settings import Pace, Settings, child_environment
from candlebus.sandbox import Sandbox
from producers.client import Pending, Producer, workers_of
from workers.desk import IN_FLIGHT
from workers.supervisor import Supervisor, command

BTC = "bingx:BTC/USDT:USDT"
PAGE = 1440
#: What is promised of every worker.
END_S = 25.0

StartWorker = Callable[[Pace], "subprocess.Popen[bytes]"]
StartHost = Callable[[int], Supervisor]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(venues=["bingx"]) as stand_in:
        yield stand_in


@pytest.fixture
def start_worker(server: str, redis: Redis, sandbox: Sandbox, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts a worker process that nobody supervises."""
    started = []

    def start(pace: Pace) -> "subprocess.Popen[bytes]":
        settings = Settings(redis_url=server, pace=pace, urls=sandbox.urls, home=tmp_path)
        started.append(subprocess.Popen(command("worker", "bingx"), env=child_environment(settings)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def start_host(server: str, redis: Redis, sandbox: Sandbox, tmp_path: Path) -> Iterator[StartHost]:
    """Starts a supervisor with so many workers, as on a host of its own."""
    settings = Settings(redis_url=server, pace="full", urls=sandbox.urls, home=tmp_path)
    hosts = []

    def start(processes: int) -> Supervisor:
        hosts.append(Supervisor(child_environment(settings)))
        hosts[-1].add("worker", "bingx", processes=processes)
        return hosts[-1]

    yield start
    for host in hosts:
        host.stop()


def wait_until(happened: Callable[[], bool], within_s: float = 40) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def entries_of(redis: Redis) -> int:
    return int(redis.xlen(keys.candles("bingx", "1m", "BTC/USDT:USDT")))


def every_page_once(redis: Redis, pending: Pending) -> RequestStatus:
    """The request, done: its pages join, and its stream holds each of them once."""
    status = pending.status()
    assert (status.state, status.next_ms) == ("done", status.until)
    pending.collector.advance()  # raises where pages do not join
    assert entries_of(redis) == status.pages
    return status


@pytest.mark.slow
@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM], [signal.SIGTERM, signal.SIGTERM], [signal.SIGINT]], ids=["once", "twice", "ctrl-c"]
)
def test_a_worker_that_is_asked_to_end_publishes_what_is_under_way_and_asks_nothing_more(
    redis: Redis, sandbox: Sandbox, start_worker: StartWorker, signals: list[signal.Signals]
) -> None:
    sandbox.plan("bingx", latency_ms=800)
    pending = Producer(redis).enqueue(BTC, "1m", limit=40 * PAGE)
    worker = start_worker("conservative")
    wait_until(lambda: sandbox.stats("bingx").candle_requests > 0)
    began = time.monotonic()
    for number in signals:
        worker.send_signal(number)
        time.sleep(1.2)  # a second signal within a second would pass for the first one's echo
    assert worker.wait(timeout=END_S) == 0
    assert time.monotonic() - began < END_S
    status = pending.status()
    assert (status.state, status.lease_until, status.turn) == ("queued", 0, 2)
    assert 1 <= status.pages <= sandbox.stats("bingx").candle_requests <= IN_FLIGHT + 1
    assert entries_of(redis) == status.pages
    assert redis.hget(keys.request(pending.id), "stalls") == b"0"
    assert redis.lrange("rq:queue:fetch.bingx", 0, -1) == [f"{pending.id}-t2".encode()]
    assert workers_of(redis, "bingx") == 0


@pytest.mark.slow
def test_an_exchange_that_never_answers_does_not_keep_a_worker_from_ending_in_time(
    redis: Redis, sandbox: Sandbox, start_worker: StartWorker
) -> None:
    sandbox.plan("bingx", latency_ms=60_000)
    Producer(redis).enqueue(BTC, "1m", limit=40 * PAGE)
    worker = start_worker("full")
    wait_until(lambda: sandbox.stats("bingx").requests > 0)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=END_S) == 0


@pytest.mark.slow
def test_a_worker_that_waits_for_another_try_ends_in_time_and_puts_its_request_back(
    redis: Redis, sandbox: Sandbox, start_worker: StartWorker
) -> None:
    """Others have used up the tries that all workers share, for which each waits up to 44 s."""
    pending = Producer(redis).enqueue(BTC, "1m", limit=40 * PAGE)
    worker = start_worker("full")
    wait_until(lambda: sandbox.stats("bingx").candle_requests > 2)
    bucket = RedisClock(redis).now_ms() // 10_000
    for number in range(bucket - 1, bucket + 6):
        redis.hset(keys.traffic("bingx", "default"), f"{number}:retried", 1_000)
    before = sandbox.stats("bingx").candle_requests
    sandbox.plan("bingx", faults="http_500=1.0")
    wait_until(lambda: sandbox.stats("bingx").candle_requests > before + 3)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=END_S) == 0
    assert pending.status().state == "queued"


@pytest.mark.slow
def test_a_rolling_restart_of_all_hosts_loses_no_page_and_repeats_none(
    redis: Redis, sandbox: Sandbox, start_host: StartHost
) -> None:
    pending = Producer(redis).enqueue(BTC, "1m", limit=120 * PAGE)
    others = [Producer(redis).enqueue(f"bingx:{coin}/USDT:USDT", "1m", limit=30 * PAGE) for coin in ("ETH", "SOL")]
    hosts = [start_host(2), start_host(2)]
    for number in range(2):
        wait_until(lambda: pending.status().pages > 0)
        before = pending.status().pages
        hosts[number].stop()
        hosts.append(start_host(2))
        wait_until(lambda before=before: pending.status().pages > before + 4)  # type: ignore[misc]
    wait_until(lambda: all(one.status().has_ended for one in (pending, *others)))
    status = every_page_once(redis, pending)
    assert status.pages == 120
    assert {one.status().state for one in others} == {"done"}
    assert sandbox.stats("bingx").refusals == 0


@pytest.mark.slow
def test_more_workers_on_more_hosts_draw_one_budget(redis: Redis, sandbox: Sandbox, start_host: StartHost) -> None:
    asked = [Producer(redis).enqueue(f"bingx:{coin}/USDT:USDT", "1m", limit=20 * PAGE) for coin in ("BTC", "ETH")]
    for processes in (1, 2, 3):
        start_host(processes)
    wait_until(lambda: workers_of(redis, "bingx") == 6)
    wait_until(lambda: all(one.status().has_ended for one in asked))
    assert {one.status().state for one in asked} == {"done"}
    assert sandbox.stats("bingx").refusals == 0
