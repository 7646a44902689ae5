"""A worker's turns against stand-in exchanges and a real server, in this process."""

from typing import Any

import pytest
from redis import Redis

from bus import keys
from bus.queue import enqueue_turn
from bus.requests import RequestBook
from bus.streams import Published, Publisher
from candlebus.sandbox import Sandbox
from producers.client import Producer
from tests.workers.turns import BTC, Work, ask_by_rq, error_of


@pytest.mark.parametrize("exchange", ["bingx", "kucoinfutures"])
def test_a_request_brings_every_candle_that_the_exchange_has(
    redis: Redis, sandbox: Sandbox, work: Work, exchange: str
) -> None:
    pending = Producer(redis).enqueue(f"{exchange}:{BTC}", "1m", limit=2_000)
    work(exchange)
    done = pending.status()
    assert (done.state, done.turn) == ("done", 1)
    pending.collector.advance()
    assert pending.collector.candles() == sandbox.truth(exchange, BTC, "1m", done.since or 0, done.until)
    assert done.candles + done.gap_slots == 2_000


def test_a_long_request_lets_a_short_one_pass_after_four_pages_and_then_goes_on_undisturbed(
    redis: Redis, work: Work
) -> None:
    long = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=9 * 1440)
    short = Producer(redis).enqueue("bingx:ETH/USDT:USDT", "1m", limit=100)
    work()
    assert (long.status().state, short.status().state) == ("done", "done")
    assert (long.status().turn, long.status().pages) == (2, 9)
    assert (short.status().ended_ms or 0) < (long.status().ended_ms or 0)


def test_the_same_asking_at_the_same_time_costs_one_fetch(redis: Redis, sandbox: Sandbox, work: Work) -> None:
    before = sandbox.stats("bingx").candle_requests
    askings = [Producer(redis).enqueue(f"bingx:{BTC}", "1d", limit=30) for _ in range(5)]
    assert [one.is_ours for one in askings] == [True, False, False, False, False]
    work()
    assert sandbox.stats("bingx").candle_requests - before == 1
    assert {one.status().state for one in askings} == {"done"}


def test_an_app_that_imports_nothing_of_ours_is_served(redis: Redis, work: Work) -> None:
    ask_by_rq(redis, "app-1")
    work()
    done = RequestBook(redis).status("app-1")
    assert done is not None
    assert (done.state, done.candles) == ("done", 24)


def test_slots_before_the_listing_are_named_in_one_page_and_not_asked_for(
    redis: Redis, sandbox: Sandbox, work: Work
) -> None:
    before = sandbox.stats("bingx").candle_requests
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", since=0, until=1_577_836_800_000)  # 50 years
    work()
    assert (pending.status().pages, pending.status().gap_slots) == (1, 26_297_280)
    pending.collector.advance()
    assert [gap.reason for gap in pending.collector.gaps()] == ["before_listing"]
    assert pending.collector.candles() == []
    assert sandbox.stats("bingx").candle_requests == before


@pytest.mark.parametrize(
    ("exchange", "symbol", "timeframe", "span", "complaint"),
    [
        ("bingx", "BTCX/USDT:USDT", "1m", {"limit": 1}, "no BTCX/USDT:USDT; did you mean bingx:BTC/USDT:USDT?"),
        ("bingx", "QQQQQQ/ZZZ:ZZZ", "1m", {"limit": 1}, "no QQQQQQ/ZZZ:ZZZ; see: candlebus contracts bingx"),
        ("kucoinfutures", BTC, "3m", {"limit": 1}, "kucoinfutures has no 3m candles; it has: 1m 5m"),
        ("kucoinfutures", BTC, "6h", {"limit": 1}, "kucoinfutures has no 6h candles"),
        ("bingx", BTC, "1d", {"limit": 100_000}, "would begin before 1970"),
        ("bingx", BTC, "1d", {"since": 2**45}, "where the last one closed at"),
    ],
)  # fmt: skip
def test_what_no_exchange_can_answer_fails_with_what_to_do(
    redis: Redis, work: Work, exchange: str, symbol: str, timeframe: str, span: dict[str, int], complaint: str
) -> None:
    pending = Producer(redis).enqueue(f"{exchange}:{symbol}", timeframe, **span)  # type: ignore[arg-type]
    work(exchange)
    assert complaint in str(error_of(pending))
    assert error_of(pending).exit_code == 2


def test_a_request_in_the_wrong_queue_fails_with_the_reason(redis: Redis, work: Work) -> None:
    ask_by_rq(redis, "lost", "kucoinfutures")
    work()
    failed = RequestBook(redis).status("lost")
    assert failed is not None
    assert "stands in the queue of bingx" in str(failed.error)


def test_a_cancelled_request_is_not_fetched(redis: Redis, sandbox: Sandbox, work: Work) -> None:
    before = sandbox.stats("bingx").requests
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10)
    assert pending.cancel() == "cancelled"
    work()
    assert pending.status().state == "cancelled"
    assert sandbox.stats("bingx").requests == before


def test_a_request_that_is_cancelled_in_a_turn_and_asked_again_goes_on_where_it_stood(
    redis: Redis, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=3 * 1440)
    publish, outcomes = Publisher.publish, list[str]()

    def cancelled_after_the_first(publisher: Publisher, *page: Any, **counts: Any) -> Published:
        found = publish(publisher, *page, **counts)
        outcomes.append(found.outcome)
        if len(outcomes) == 1:
            assert pending.cancel() == "cancelled"
            assert Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=3 * 1440, request_id=pending.id).is_ours
        return found

    monkeypatch.setattr(Publisher, "publish", cancelled_after_the_first)
    work()
    assert outcomes == ["published"] * 3
    assert (pending.status().state, pending.status().attempt) == ("done", 2)
    pending.collector.advance()
    assert [batch.page for batch in pending.collector.batches] == [0, 1, 2]


def test_the_round_trips_of_one_series_overlap(redis: Redis, sandbox: Sandbox, work: Work) -> None:
    sandbox.plan("bingx", latency_ms=400)
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=8 * 1440)
    before = sandbox.stats("bingx").requests
    work()
    done = pending.status()
    arrivals = [at for at, _ in sandbox.stats("bingx").arrivals][before:]
    assert done.pages == 8
    # One after another, the last page could not leave before seven answers had come.
    assert max(arrivals) - min(arrivals) < 7 * 400
    pending.collector.advance()
    assert [batch.page for batch in pending.collector.batches] == list(range(8))


def test_a_job_delivered_twice_publishes_each_page_once(redis: Redis, work: Work) -> None:
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=3 * 1440)
    enqueue_turn(redis, pending.request, 1)
    work()
    assert pending.status().pages == 3
    assert redis.xlen(keys.candles("bingx", "1m", BTC)) == 3
