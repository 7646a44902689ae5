"""Worker processes while the exchange, the server or other programs misbehave, counted by the stand-in exchange."""

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from redis import Redis

from bus import keys
from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.settings import Settings, child_environment
from bus.traffic import traffic
from candlebus.sandbox import Sandbox
from producers.client import Pending, Producer
from workers.breaker import FEWEST_FAILURES, FREE_RETRIES
from workers.desk import IN_FLIGHT
from workers.supervisor import command

pytestmark = pytest.mark.slow
BTC = "BTC/USDT:USDT"


def wait_until(happened: Callable[[], object], within_s: float = 40) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


class Crew:
    """Worker processes of an exchange on a server."""

    def __init__(self, url: str, sandbox: Sandbox, home: Path, exchange: str = "bingx", processes: int = 2) -> None:
        env = child_environment(Settings(redis_url=url, pace="full", urls=sandbox.urls, home=home))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        argv = command("worker", exchange)
        self.processes = [subprocess.Popen(argv, env=env, **quiet) for _ in range(processes)]  # type: ignore[call-overload]

    def kill(self) -> None:
        """End all of them at once, as a power cut would."""
        for process in self.processes:
            process.kill()
            process.wait()


Hire = Callable[..., Crew]


@pytest.fixture
def hire(tmp_path: Path) -> Iterator[Hire]:
    """Starts crews and ends them."""
    hired: list[Crew] = []

    def start(*arguments: object, **options: object) -> Crew:
        hired.append(Crew(*arguments, tmp_path, **options))  # type: ignore[arg-type]
        return hired[-1]

    yield start
    for crew in hired:
        crew.kill()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limit="off") as stand_ins:
        yield stand_ins


def ask(redis: Redis, exchange: str, count: int) -> list[Pending]:
    """Ask for so many candles, each in a request of its own."""
    producer = Producer(redis)
    times = [1_790_000_000_000 - n * 86_400_000 for n in range(count)]
    return [producer.enqueue(f"{exchange}:{BTC}", "1d", since=at - 86_400_000, until=at) for at in times]


def have_ended(pending: list[Pending]) -> bool:
    return all(one.status().has_ended for one in pending)


@pytest.mark.parametrize("faults", ["http_503=1", "drop=1"])
def test_a_total_outage_never_raises_the_offered_load_above_a_tenth(
    redis: Redis, server: str, sandbox: Sandbox, hire: Hire, faults: str
) -> None:
    asked = 60
    crew = hire(server, sandbox)
    pending = ask(redis, "bingx", asked)
    wait_until(lambda: have_ended(pending))
    normal = sandbox.stats("bingx").requests
    crew.kill()
    redis.flushall()
    sandbox.plan("bingx", faults=faults)
    hire(server, sandbox)
    pending = ask(redis, "bingx", asked)
    time.sleep(10)
    offered = sandbox.stats("bingx").requests - normal
    assert FEWEST_FAILURES <= offered <= 1.1 * normal
    assert traffic(redis, "bingx", "default").breaker is not None
    sandbox.plan("bingx", faults="")
    wait_until(lambda: have_ended(pending), within_s=60)
    assert sum(one.status().state == "done" for one in pending) >= asked - IN_FLIGHT * 2 - FREE_RETRIES


def test_a_server_that_is_killed_lets_no_further_request_out(sandbox: Sandbox, hire: Hire, tmp_path: Path) -> None:
    with EmbeddedServer(data=tmp_path / "data") as embedded:
        redis = connect(embedded.url)
        hire(embedded.url, sandbox)
        ask(redis, "bingx", 300)
        wait_until(lambda: sandbox.stats("bingx").candle_requests > 5)
        redis.shutdown(nosave=True, now=True, force=True)
        killed_ms = time.monotonic() * 1000
        redis.close()
        time.sleep(3)
    # A request whose slot was used up a moment before is still on its way.
    assert [at for at, _ in sandbox.stats("bingx").arrivals if at > killed_ms + 250] == []


def test_a_ban_survives_all_workers_and_the_server(sandbox: Sandbox, hire: Hire, tmp_path: Path) -> None:
    sandbox.plan("bingx", faults="any#3=code_1015")
    with EmbeddedServer(data=tmp_path / "data") as embedded:
        redis = connect(embedded.url)
        crew = hire(embedded.url, sandbox)
        ask(redis, "bingx", 100)
        wait_until(lambda: redis.pttl(keys.pause("bingx", "default")) > 0)
        time.sleep(0.2)
        asked = sandbox.stats("bingx").requests
        crew.kill()
        redis.close()
    with EmbeddedServer(data=tmp_path / "data") as embedded:
        redis = connect(embedded.url)
        hire(embedded.url, sandbox)
        time.sleep(4)
        assert sandbox.stats("bingx").requests == asked
        assert 15_000 < redis.pttl(keys.pause("bingx", "default")) < 30_000
        assert traffic(redis, "bingx", "default").refused == 1
        redis.close()


def test_another_program_that_spends_the_limit_is_yielded_to(redis: Redis, server: str, hire: Hire) -> None:
    # 70 a second, of which the other program takes 60; ours would take 21.
    with Sandbox(venues=["kucoinfutures"], limit="210/3") as sandbox:
        ended, answers = threading.Event(), Counter[int]()

        def spend() -> None:
            next_s = time.monotonic()
            with requests.Session() as session:
                while not ended.wait(max(0, next_s - time.monotonic())):
                    next_s = max(next_s, time.monotonic()) + 1 / 60  # What it missed it does not make up for.
                    answers[session.get(sandbox.url("kucoinfutures") + "/api/v1/timestamp", timeout=5).status_code] += 1

        other = threading.Thread(target=spend)
        other.start()
        hire(server, sandbox, exchange="kucoinfutures")
        pending = ask(redis, "kucoinfutures", 300)
        time.sleep(15)
        ended.set()
        other.join()
        done = sum(one.status().state == "done" for one in pending)
    assert done > 40
    assert answers[429] <= 0.02 * answers.total()
    assert traffic(redis, "kucoinfutures", "default").refused <= 0.02 * done
