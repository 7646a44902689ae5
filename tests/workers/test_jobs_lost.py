"""Requests whose job is lost or cut short: put back, gone on with, or let go."""

from typing import Any

import pytest
import redis as redis_library
from redis import Redis

from bus import keys
from bus.requests import Claim, RequestBook, RequestStatus
from bus.settings import Settings
from candlebus.sandbox import Sandbox
from producers.client import Producer
from tests.workers.turns import BTC, Work, ask_by_rq
from workers.desk import Desk
from workers.jobs import Jobs
from workers.sweeper import put_back_overdue


def test_a_turn_that_is_asked_to_stop_publishes_what_is_under_way_and_goes_back_to_the_queue(
    redis: Redis, sandbox: Sandbox, work: Work
) -> None:
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=3 * 1440)
    desk = Desk("bingx", redis, Settings(pace="full", urls=sandbox.urls))
    stops = iter([False, True])
    jobs = Jobs(redis, desk, "w", job_id=lambda: f"{pending.id}-t1", should_stop=lambda: next(stops))
    jobs.fetch_candles(request_id=pending.id, exchange="bingx", symbol=BTC, timeframe="1m", limit=3 * 1440)
    desk.close()
    assert (pending.status().state, pending.status().pages) == ("queued", 1)
    work()
    assert (pending.status().state, pending.status().pages) == ("done", 3)


def test_a_request_whose_job_was_lost_is_put_back_once(redis: Redis, work: Work) -> None:
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    redis.delete("rq:queue:fetch.bingx")
    assert put_back_overdue(redis, "bingx") == []
    redis.zadd(keys.open_requests("bingx"), {pending.id: 1})
    assert put_back_overdue(redis, "bingx") == [pending.id]
    assert put_back_overdue(redis, "bingx") == []
    work()
    assert pending.status().state == "done"


def test_a_request_that_waits_in_the_queue_is_not_put_back(redis: Redis) -> None:
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    redis.zadd(keys.open_requests("bingx"), {pending.id: 1})
    assert put_back_overdue(redis, "bingx") == []


def test_a_request_that_is_asked_for_again_while_it_is_looked_after_is_not_lost(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    redis.delete("rq:queue:fetch.bingx")
    pending.cancel()
    redis.zadd(keys.open_requests("bingx"), {pending.id: 1})
    status = RequestBook.status

    def asked_again_at_once(book: RequestBook, request_id: str) -> RequestStatus | None:
        found = status(book, request_id)
        assert book.accept(pending.request) == (True, 1)  # by a producer that dies before it enqueues the job
        return found

    monkeypatch.setattr(RequestBook, "status", asked_again_at_once)
    assert put_back_overdue(redis, "bingx") == []
    monkeypatch.undo()
    redis.zadd(keys.open_requests("bingx"), {pending.id: 1}, xx=True)
    assert put_back_overdue(redis, "bingx") == [pending.id]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_request_that_has_ended_or_that_nobody_knows_is_looked_after_no_more(redis: Redis, is_known: bool) -> None:
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    pending.cancel()
    if not is_known:
        redis.delete(keys.request(pending.id))
    redis.zadd(keys.open_requests("bingx"), {pending.id: 1})
    assert put_back_overdue(redis, "bingx") == []
    assert redis.zcard(keys.open_requests("bingx")) == 0


def test_the_job_of_another_app_outlives_a_connection_that_breaks_before_it_is_claimed(
    redis: Redis, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else knows of it: it stands in no book yet."""
    claim, broken = RequestBook.claim, [redis_library.ConnectionError("reset"), redis_library.BusyLoadingError("wait")]

    def breaks(self: RequestBook, *arguments: Any) -> Any:
        if broken:
            raise broken.pop()
        return claim(self, *arguments)

    monkeypatch.setattr(RequestBook, "claim", breaks)
    ask_by_rq(redis, "app-1")
    work()
    done = RequestBook(redis).status("app-1")
    assert done is not None
    assert (done.state, done.candles) == ("done", 24)


def test_a_worker_in_a_long_turn_takes_up_what_a_dead_one_left(
    redis: Redis, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no queue, so that the turn would go on for a hundred pages."""
    monkeypatch.setattr("workers.turn.LOOK_AFTER_EVERY_S", 0.0)
    left = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=10)
    assert isinstance(RequestBook(redis).claim(left.request, 1, "one that died"), Claim)
    redis.delete("rq:queue:fetch.bingx")
    long = Producer(redis).enqueue("bingx:ETH/USDT:USDT", "1m", limit=9 * 1440)
    redis.hset(keys.request(left.id), "lease_until", 1)
    redis.zadd(keys.open_requests("bingx"), {left.id: 1})
    work()
    assert (left.status().state, long.status().state) == ("done", "done")
    assert (left.status().ended_ms or 0) < (long.status().ended_ms or 0)
