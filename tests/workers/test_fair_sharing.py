"""A long request does not starve a short one: turns stand in one queue, and each has a few pages only."""

from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from bus.connection import connect
from bus.settings import Settings
from candlebus.sandbox import Sandbox
from producers.client import Producer
from workers.desk import Desk
from workers.lifespan import Lifespan
from workers.turn import PAGES_A_TURN
from workers.worker import ExchangeWorker

YEAR_OF_MINUTES = 365 * 1440
COINS = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "LINK", "BNB", "1000PEPE")
LONG = [f"bingx:{coin}/USDT:USDT" for coin in COINS]
Work = Callable[[int], ExchangeWorker]


@pytest.fixture
def work(redis: Redis, server: str) -> Iterator[Work]:
    """Runs one worker of BingX for so many jobs."""
    with Sandbox(venues=["bingx"]) as sandbox:
        desk, rq_connection = Desk("bingx", redis, Settings(pace="full", urls=sandbox.urls)), connect(server)

        def run(jobs: int) -> ExchangeWorker:
            lifespan = Lifespan(jobs=jobs, resident=lambda: 0, chance=lambda: 1.0)
            worker = ExchangeWorker(desk, redis, rq_connection, lifespan)
            worker.work(burst=True, logging_level="ERROR")
            return worker

        yield run
        rq_connection.close()
        desk.close()


@pytest.mark.slow
def test_a_hundred_candles_wait_for_one_turn_of_each_of_ten_years_and_no_longer(redis: Redis, work: Work) -> None:
    years = [Producer(redis).enqueue(series, "1m", limit=YEAR_OF_MINUTES) for series in LONG]
    short = Producer(redis).enqueue(LONG[0], "1m", limit=100)
    work(len(years) + 1)
    assert short.status().state == "done"
    assert [one.status().pages for one in years] == [PAGES_A_TURN] * len(years)


def test_a_worker_that_is_due_ends_between_two_jobs_and_the_next_one_goes_on(redis: Redis, work: Work) -> None:
    asked = [Producer(redis).enqueue(series, "1m", limit=10) for series in LONG[:3]]
    assert work(2).ends_on_purpose
    assert [one.status().state for one in asked] == ["done", "done", "queued"]
    assert not work(2).ends_on_purpose
    assert asked[2].status().state == "done"
