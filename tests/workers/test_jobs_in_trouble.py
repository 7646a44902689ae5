"""A worker's turns while the exchange fails, refuses or wants silence."""

import msgspec
import pytest
from redis import Redis

from bus import keys
from bus.errors import RateLimited
from bus.requests import MAX_STALLS
from bus.settings import Settings
from bus.traffic import traffic
from candlebus.sandbox import Sandbox
from producers.client import Producer
from tests.workers.turns import BTC, Work, error_of
from workers.breaker import OUTAGE_S
from workers.desk import Desk
from workers.exchanges.bingx import BingX
from workers.jobs import Jobs


@pytest.mark.parametrize(
    "faults",
    ["candles#1=short_page", "candles#1=empty_page", "candles#1-2=http_500", "candles#1=html", "candles#1=truncated",
     "candles#1=drop", "candles#1=busy", "candles#1=empty_body", "contracts#1=http_503"],
)  # fmt: skip
def test_a_passing_fault_of_the_exchange_changes_nothing(
    redis: Redis, sandbox: Sandbox, work: Work, faults: str
) -> None:
    sandbox.plan("bingx", faults=faults)
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=300)
    work()
    done = pending.status()
    assert done.state == "done"
    pending.collector.advance()
    assert pending.collector.candles() == sandbox.truth("bingx", BTC, "5m", done.since or 0, done.until)
    assert pending.collector.gaps() == []


def test_an_exchange_that_stays_broken_ends_the_request_with_the_reason(
    redis: Redis, sandbox: Sandbox, work: Work
) -> None:
    sandbox.plan("bingx", faults="candles#1-99=http_503")
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    work()
    assert type(error_of(pending)).__name__ == "ExchangeUnavailable"
    assert "after 3 tries" in str(error_of(pending))


@pytest.mark.parametrize("fault", ["http_429", "http_418", "code_1015"])
def test_a_refusal_pauses_the_exchange_and_the_request_waits(
    redis: Redis, sandbox: Sandbox, work: Work, server: str, fault: str
) -> None:
    sandbox.plan("bingx", faults=f"candles#1={fault}")
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    desk = Desk("bingx", redis, Settings(pace="full", urls=sandbox.urls))
    jobs = Jobs(redis, desk, "w", job_id=lambda: f"{pending.id}-t1", should_stop=lambda: False)
    jobs.fetch_candles(request_id=pending.id, exchange="bingx", symbol=BTC, timeframe="5m", limit=10)
    assert desk.limiter.paused_ms() > 0
    waiting = pending.status()
    assert (waiting.state, waiting.turn, waiting.refusals) == ("queued", 2, 1)
    redis.delete(keys.pause("bingx", "default"))
    desk.close()
    work()
    assert pending.status().state == "done"


def test_overload_below_our_own_quota_is_no_refusal_and_pauses_nobody(
    redis: Redis, sandbox: Sandbox, work: Work
) -> None:
    sandbox.plan("kucoinfutures", faults="candles#1=overload")
    pending = Producer(redis).enqueue(f"kucoinfutures:{BTC}", "5m", limit=10)
    work("kucoinfutures")
    done = pending.status()
    assert (done.state, done.turn, done.refusals) == ("done", 1, 0)
    assert traffic(redis, "kucoinfutures", "default").retried == 1


def test_a_request_is_not_kept_waiting_for_days(redis: Redis, work: Work) -> None:
    redis.set(keys.pause("bingx", "default"), "HTTP 429", px=25 * 3_600_000)
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    work()
    assert "bingx is left alone for another 90000 s: HTTP 429" in str(error_of(pending))


def open_breaker(redis: Redis, *, open_s: float, probe_in_s: float) -> None:
    seconds, micros = redis.time()
    now_us = seconds * 1_000_000 + micros
    opened_us, probe_us = now_us - round(open_s * 1e6), now_us + round(probe_in_s * 1e6)
    fields = {"opened_us": opened_us, "probe_us": probe_us, "probes": 3, "most_us": 60_000_000, "reason": "HTTP 503"}
    redis.hset(keys.breaker("bingx", "default"), mapping=fields)


def test_a_worker_takes_no_job_while_its_exchange_fails_and_the_first_one_to_ask_again_brings_it_back(
    redis: Redis, work: Work
) -> None:
    open_breaker(redis, open_s=10, probe_in_s=0.7)
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=6 * 1440)
    work()
    done = pending.status()
    assert (done.state, done.pages) == ("done", 6)
    assert (done.ended_ms or 0) - done.created_ms >= 600
    assert redis.exists(keys.breaker("bingx", "default")) == 0


def test_a_request_that_meets_a_failing_exchange_waits_in_the_queue_and_is_not_blamed(
    redis: Redis, sandbox: Sandbox
) -> None:
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    desk = Desk("bingx", redis, Settings(pace="full", urls=sandbox.urls))
    desk.exchange_now_ms()
    desk.contracts.contract(BTC)
    for turn in range(1, MAX_STALLS + 3):
        open_breaker(redis, open_s=10, probe_in_s=40)
        jobs = Jobs(redis, desk, "w", job_id=lambda turn=turn: f"{pending.id}-t{turn}", should_stop=lambda: False)
        jobs.fetch_candles(**msgspec.structs.asdict(pending.request))
    desk.close()
    assert pending.status().state == "queued"


def test_an_exchange_that_fails_for_long_ends_requests_with_the_reason_and_is_not_asked(
    redis: Redis, sandbox: Sandbox, work: Work
) -> None:
    before = sandbox.stats("bingx").requests
    open_breaker(redis, open_s=OUTAGE_S + 5, probe_in_s=40)
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    work()
    assert f"bingx has been failing for {OUTAGE_S + 5:.0f}" in str(error_of(pending))
    assert "HTTP 503" in str(error_of(pending))
    assert sandbox.stats("bingx").requests == before


def test_a_worker_takes_no_job_while_its_exchange_is_paused(redis: Redis, sandbox: Sandbox, work: Work) -> None:
    redis.set(keys.pause("bingx", "default"), "HTTP 429", px=700)
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    work()
    done = pending.status()
    assert (done.state, done.turn, done.attempt) == ("done", 1, 1)
    assert (done.ended_ms or 0) - done.created_ms >= 600


def test_a_page_that_fails_in_the_middle_keeps_those_before_it_and_loses_none_after_it(
    redis: Redis, sandbox: Sandbox, work: Work
) -> None:
    sandbox.plan("bingx", faults="candles#3=http_429")
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=6 * 1440)
    work()
    done = pending.status()
    pending.collector.advance()
    assert (done.state, done.pages) == ("done", 6)
    assert pending.collector.candles() == sandbox.truth("bingx", BTC, "1m", done.since or 0, done.until)


def test_a_request_of_an_exchange_that_wants_more_than_a_day_of_silence_fails_with_that(
    redis: Redis, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def banned(*_: object) -> None:
        raise RateLimited("bingx", "bingx wants 90001 s of silence", pause_ms=90_001_000)

    monkeypatch.setattr(BingX, "candles", banned)
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=10)
    work()
    assert pending.status().state == "failed"
    assert str(error_of(pending)) == "bingx wants 90001 s of silence"
