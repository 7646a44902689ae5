"""A worker's turns against stand-in exchanges and a real server, in this process."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import redis as redis_library
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from bus import keys
from bus.connection import connect
from bus.errors import CandleBusError, RateLimited
from bus.queue import enqueue_turn
from bus.requests import MAX_STALLS, Claim, RequestBook, RequestStatus
from bus.settings import Settings
from bus.streams import Published, Publisher
from bus.timeframes import SETTLE_MS
from bus.traffic import traffic
from candlebus.sandbox import Sandbox
from producers.client import Pending, Producer
from tests.workers.exchange_fakes import MINUTE
from workers.breaker import OUTAGE_S
from workers.desk import Desk
from workers.exchanges.base import Page
from workers.exchanges.bingx import BingX
from workers.jobs import Jobs
from workers.sweeper import put_back_overdue
from workers.worker import ExchangeWorker

BTC = "BTC/USDT:USDT"
Work = Callable[..., None]


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(stand_ins: Sandbox) -> Iterator[Sandbox]:
    yield stand_ins
    stand_ins.plan(faults="", latency_ms=0)


@pytest.fixture
def work(redis: Redis, server: str, sandbox: Sandbox) -> Iterator[Work]:
    """Runs the queue of an exchange until it is empty."""
    opened = []

    def run(exchange: str = "bingx") -> None:
        rq_connection = connect(server)
        desk = Desk(exchange, redis, Settings(pace="full", urls=sandbox.urls))
        opened.extend([rq_connection.close, desk.close])
        ExchangeWorker(desk, redis, rq_connection).work(burst=True, logging_level="ERROR")

    yield run
    for close in opened:
        close()


def error_of(pending: Pending) -> CandleBusError:
    error = pending.status().error
    assert error is not None
    return error


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
    queue = Queue("fetch.bingx", connection=redis, serializer=JSONSerializer)
    asked = {"request_id": "app-1", "exchange": "bingx", "symbol": BTC, "timeframe": "1h", "limit": 24}
    queue.enqueue("candlebus.fetch_candles", **asked)
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
    queue = Queue("fetch.bingx", connection=redis, serializer=JSONSerializer)
    asked = {"request_id": "lost", "exchange": "kucoinfutures", "symbol": BTC, "timeframe": "1h", "limit": 24}
    queue.enqueue("candlebus.fetch_candles", **asked)
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


def test_a_job_delivered_twice_publishes_each_page_once(redis: Redis, work: Work) -> None:
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=3 * 1440)
    enqueue_turn(redis, pending.request, 1)
    work()
    assert pending.status().pages == 3
    assert redis.xlen(keys.candles("bingx", "1m", BTC)) == 3


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


def test_a_page_of_a_span_that_was_fixed_by_a_time_ahead_is_asked_for_once_it_has_closed(
    redis: Redis, sandbox: Sandbox, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a worker begins while the exchange does not tell its time, and the server's clock has been set ahead."""
    until_ms = MINUTE.floor(sandbox.now_ms("bingx") - SETTLE_MS)
    exchange_ms, asked_ms = [until_ms - 60_000], list[int]()

    def a_little_later(_: Desk) -> int:
        exchange_ms[0] += 10_000
        return exchange_ms[0]

    class Noting(BingX):
        def candles(self, *arguments: Any) -> Page:
            asked_ms.append(exchange_ms[0])
            return super().candles(*arguments)

    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=10)
    book = RequestBook(redis)
    claim = book.claim(pending.request, 1, "one whose time ran ahead")
    assert isinstance(claim, Claim)
    book.fix_span(claim, until_ms - 600_000, until_ms)
    redis.delete("rq:queue:fetch.bingx")
    enqueue_turn(redis, pending.request, book.release(claim, blameless=True))
    for name in ("_LONGEST_WAIT_S", "_LOOK_S"):
        monkeypatch.setattr(f"workers.turn.{name}", 0.0)
    monkeypatch.setattr(Desk, "exchange_now_ms", a_little_later)
    monkeypatch.setattr("workers.desk.registry.get", lambda _: Noting())
    work()
    done = pending.status()
    assert (done.state, done.candles) == ("done", 10)
    assert done.turn > 2, "it went back to the queue meanwhile"
    assert len(asked_ms) == 1
    assert asked_ms[0] >= until_ms + SETTLE_MS


def test_a_turn_waits_for_the_readers_of_a_full_stream_and_asks_the_exchange_for_nothing_meanwhile(
    redis: Redis, sandbox: Sandbox, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their entries are older than an hour, so that nothing else holds them."""
    stream, consumers = keys.candles("bingx", "1m", BTC), keys.align_consumer_group("g")
    redis.config_set("stream-node-max-entries", 1)  # the server trims whole nodes
    for at_ms in (1, 2, 3):
        redis.xadd(stream, {"b": "x"}, id=f"{at_ms}-0")
    redis.sadd(keys.streams(), stream)
    redis.xgroup_create(stream, consumers, id="0")
    monkeypatch.setitem(Publisher.__init__.__kwdefaults__, "high_water", 3)
    for name in ("_LONGEST_WAIT_S", "_LOOK_S"):
        monkeypatch.setattr(f"workers.turn.{name}", 0.01)
    before, pending = sandbox.stats("bingx").candle_requests, Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=10)
    asked_while_full: list[int] = []

    def read_in_the_end() -> None:
        while pending.status().turn < MAX_STALLS + 2 and not pending.status().has_ended:  # no turn of them is blamed
            time.sleep(0.01)
        asked_while_full.append(sandbox.stats("bingx").candle_requests - before)
        redis.xreadgroup(consumers, "c", {stream: ">"})
        redis.xack(stream, consumers, "1-0", "2-0", "3-0")

    reader = threading.Thread(target=read_in_the_end)
    reader.start()
    work()
    reader.join()
    done = pending.status()
    redis.config_set("stream-node-max-entries", 100)
    assert (done.state, done.candles) == ("done", 10)
    assert asked_while_full == [0]


def test_a_page_that_finds_no_room_though_there_was_some_is_nobodys_fault(
    redis: Redis, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another publisher took it while the exchange was asked, more often than attempts may end without a page."""
    room, published = [0] * (MAX_STALLS + 2), Publisher.publish

    def late(self: Publisher, *arguments: Any, **counts: Any) -> Published:
        self._high_water = room.pop() if room else keys.STREAM_HIGH_WATER
        return published(self, *arguments, **counts)

    monkeypatch.setattr(Publisher, "publish", late)
    monkeypatch.setattr(Publisher, "has_room", lambda *_: True)
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=10)
    work()
    assert (pending.status().state, pending.status().candles) == ("done", 10)
    assert room == []


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
    queue = Queue("fetch.bingx", connection=redis, serializer=JSONSerializer)
    asked = {"request_id": "app-1", "exchange": "bingx", "symbol": BTC, "timeframe": "1h", "limit": 24}
    queue.enqueue("candlebus.fetch_candles", **asked)
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
