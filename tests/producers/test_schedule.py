"""A schedule on a real server and a clock that tests move: each candle asked for once it has closed, and once only."""

from collections.abc import Callable

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from bus import keys
from bus.codec import encode
from bus.errors import BusUnavailable, ExchangeUnavailable
from bus.fetch_request import FetchRequest
from bus.messages import ClockOffset
from bus.requests import MAX_OPEN, Claim, RequestBook
from bus.series import Series
from bus.timeframes import SETTLE_MS
from producers.schedule import JITTER_MS, LONGEST_RETRY_MS, RETRY_MS, Scheduler, forget, run_scheduler

BTC, ETH = Series("bingx", "BTC/USDT:USDT"), Series("bingx", "ETH/USDT:USDT")
MINUTE_MS = 60_000
#: A minute's end plus all that a schedule waits after it.
AFTER_CLOSE_MS = SETTLE_MS + JITTER_MS
NOON_MS = 1_780_000_000_000 // MINUTE_MS * MINUTE_MS


class FakeClock:
    def __init__(self, now_ms: int) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def sleep(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


def scheduler(redis: Redis, clock: FakeClock, *series: Series, since_ms: int | None = None) -> Scheduler:
    return Scheduler(redis, series or [BTC], "1m", since_ms=since_ms, clock=clock)


def asked(redis: Redis) -> list[FetchRequest]:
    """The requests that stand open, by their span."""
    book = RequestBook(redis)
    found = [book.status(one.decode()) for one in redis.zrange(keys.open_requests("bingx"), 0, -1)]
    return sorted((status.request for status in found if status), key=lambda one: (one.symbol, one.since or 0))


def spans(redis: Redis) -> list[tuple[int, int]]:
    return [((one.since or 0) - NOON_MS, (one.until or 0) - NOON_MS) for one in asked(redis)]


def serve(redis: Redis, *, until_ms: int | None = None) -> None:
    """Let every open request be done, as a worker would; ``until_ms`` is where the exchange's time bounds it."""
    book = RequestBook(redis)
    for request in asked(redis):
        claim = book.claim(request, 1, "w")
        assert isinstance(claim, Claim)
        end_ms = min(request.until or 0, until_ms or 2**60)
        book.fix_span(claim, request.since or 0, end_ms)
        redis.hset(keys.request(request.request_id), "next_ms", end_ms)
        assert book.finish(claim)


def test_a_new_series_begins_with_the_last_candle_that_has_closed(redis: Redis) -> None:
    scheduler(redis, FakeClock(NOON_MS + AFTER_CLOSE_MS)).step()
    assert spans(redis) == [(-MINUTE_MS, 0)]


def test_a_candle_is_asked_for_only_after_it_has_closed_and_settled(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    line = scheduler(redis, clock)
    line.step()
    serve(redis)
    wait_s = line.step()
    assert 0 < wait_s <= 60
    assert spans(redis) == []
    clock.sleep(wait_s - 0.001)
    line.step()
    assert spans(redis) == []
    clock.sleep(0.002)
    line.step()
    assert spans(redis) == [(0, MINUTE_MS)]
    assert clock.ms >= NOON_MS + MINUTE_MS + SETTLE_MS


def test_it_waits_for_the_answer_before_it_asks_for_more(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    line = scheduler(redis, clock)
    line.step()
    clock.ms += 10 * MINUTE_MS
    line.step()
    assert spans(redis) == [(-MINUTE_MS, 0)]
    serve(redis)
    line.step()
    assert spans(redis) == [(0, 10 * MINUTE_MS)]


def test_after_downtime_it_catches_up_from_where_it_was(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    first = scheduler(redis, clock)
    first.step()
    serve(redis)
    first.step()
    clock.ms += 90 * MINUTE_MS
    scheduler(redis, clock).step()
    assert spans(redis) == [(0, 90 * MINUTE_MS)]


def test_two_schedulers_of_one_series_ask_once(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    both = [scheduler(redis, clock), scheduler(redis, clock)]
    for one in both:
        one.step()
    assert len(asked(redis)) == 1
    assert redis.llen("rq:queue:fetch.bingx") == 1
    serve(redis)
    for one in both:
        one.step()
    assert asked(redis) == []


def test_a_second_scheduler_that_comes_later_follows_what_is_under_way(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    first = scheduler(redis, clock)
    first.step()
    clock.ms += MINUTE_MS  # another candle has closed before the first answer came
    second = scheduler(redis, clock)
    second.step()
    assert spans(redis) == [(-MINUTE_MS, 0)]
    serve(redis)
    for one in (second, first, second, first):
        one.step()
    assert spans(redis) == [(0, MINUTE_MS)]
    assert redis.llen("rq:queue:fetch.bingx") == 2


def test_a_scheduler_that_was_killed_right_after_it_had_said_what_it_asks_for_asks_for_just_that(redis: Redis) -> None:
    name = "bingx:1m:BTC/USDT:USDT"
    redis.hset(keys.schedule_asked(), name, f"{NOON_MS - MINUTE_MS} {NOON_MS}")
    scheduler(redis, FakeClock(NOON_MS + AFTER_CLOSE_MS + 5 * MINUTE_MS)).step()
    assert spans(redis) == [(-MINUTE_MS, 0)]


def test_what_arrived_between_two_looks_of_a_scheduler_is_not_asked_for(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    line = scheduler(redis, clock)._lines[0]
    redis.zadd(keys.schedule(), {"bingx:1m:BTC/USDT:USDT": NOON_MS})
    line._ask(NOON_MS - MINUTE_MS, NOON_MS)
    assert asked(redis) == []


def test_a_request_that_the_server_has_lost_is_asked_for_again(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    line = scheduler(redis, clock)
    line.step()
    redis.flushall()
    line.step()
    assert spans(redis) == [(-MINUTE_MS, 0)]


def test_what_is_forgotten_is_scheduled_no_more(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    line = scheduler(redis, clock, BTC, ETH)
    line.step()
    serve(redis)
    line.step()
    assert forget(redis, [BTC], "1m") == 1
    assert redis.zrange(keys.schedule(), 0, -1) == [b"bingx:1m:ETH/USDT:USDT"]
    assert redis.hkeys(keys.schedule_asked()) == [b"bingx:1m:ETH/USDT:USDT"]
    assert forget(redis, [BTC], "1m") == 0


def test_what_the_exchange_had_not_closed_yet_is_asked_for_again_later(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS + 2 * MINUTE_MS)
    line = scheduler(redis, clock, since_ms=NOON_MS - MINUTE_MS)
    line.step()
    assert spans(redis) == [(-MINUTE_MS, 2 * MINUTE_MS)]
    serve(redis, until_ms=NOON_MS + MINUTE_MS)
    line.step()
    assert spans(redis) == [(MINUTE_MS, 2 * MINUTE_MS)]


def test_a_request_that_failed_is_asked_for_again_after_a_while(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    line = scheduler(redis, clock)
    line.step()
    book = RequestBook(redis)
    claim = book.claim(asked(redis)[0], 1, "w")
    assert isinstance(claim, Claim)
    book.fail(claim, ExchangeUnavailable("bingx", "down"))
    assert line.step() * 1000 == RETRY_MS
    assert asked(redis) == []
    clock.ms += RETRY_MS
    line.step()
    assert spans(redis) == [(-MINUTE_MS, 0)]


def test_a_request_that_keeps_failing_is_asked_for_less_and_less_often(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    line, book, waits = scheduler(redis, clock), RequestBook(redis), []
    for turn in range(1, 7):
        line.step()
        claim = book.claim(asked(redis)[0], turn, "w")
        assert isinstance(claim, Claim)
        book.fail(claim, ExchangeUnavailable("bingx", "down"))
        waits.append(round(line.step() * 1000))
        clock.ms += waits[-1]
    assert waits == [RETRY_MS, 2 * RETRY_MS, 4 * RETRY_MS, *[LONGEST_RETRY_MS] * 3]


def fill_the_book(redis: Redis, exchange: str = "bingx") -> None:
    redis.zadd(keys.open_requests(exchange), {f"other-{number}": 2**45 for number in range(MAX_OPEN)})


def test_a_request_that_a_full_book_refuses_is_asked_for_less_and_less_often_and_costs_no_other_series(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    line = scheduler(redis, clock, BTC, Series("kucoinfutures", "BTC/USDT:USDT"))
    fill_the_book(redis)
    line.step()
    assert redis.zcard(keys.open_requests("kucoinfutures")) == 1
    waits = []
    for _ in range(4):
        waits.append(line._lines[0].step())
        clock.ms += waits[-1]
        line._lines[0].step()
    assert waits == [RETRY_MS, 2 * RETRY_MS, 4 * RETRY_MS, LONGEST_RETRY_MS]
    assert "10000 requests for bingx are open" in vars(caplog.records[0])["cause"]
    assert vars(caplog.records[0])["series"] == str(BTC)
    redis.delete(keys.open_requests("bingx"))
    clock.ms += LONGEST_RETRY_MS
    line.step()
    assert spans(redis) == [(-MINUTE_MS, 0)]


def taken_by_another(redis: Redis, request_id: str) -> None:
    other = FetchRequest(request_id=request_id, exchange="bingx", symbol="X/USDT:USDT", timeframe="1m", limit=1)
    assert RequestBook(redis).accept(other) == (True, 1)


def spoilt(redis: Redis, request_id: str) -> None:
    redis.set(keys.request(request_id), "no record")


@pytest.mark.parametrize("spoil", [taken_by_another, spoilt])
def test_a_series_whose_request_cannot_be_entered_costs_no_other_series(
    redis: Redis, spoil: Callable[[Redis, str], None]
) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    scheduler(redis, clock).step()
    request_id = asked(redis)[0].request_id
    redis.flushall()
    spoil(redis, request_id)
    line = scheduler(redis, clock, BTC, ETH)
    line.step()
    assert [one.symbol for one in asked(redis) if one.symbol in (BTC.symbol, ETH.symbol)] == [ETH.symbol]
    assert line._lines[0].step() == RETRY_MS


def test_a_scheduler_outlives_a_server_whose_scripts_nobody_loads(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[BaseException] = [BusUnavailable("the server has forgotten the scripts"), KeyboardInterrupt()]

    def step(_: Scheduler) -> float:
        raise steps.pop(0)

    monkeypatch.setattr(Scheduler, "step", step)
    monkeypatch.setattr("bus.clock.RedisClock.sleep", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        run_scheduler(redis, [BTC], "1m", since_ms=None)


def test_a_login_that_may_not_ask_ends_the_scheduler(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise NoPermissionError("NOPERM this user has no permissions to run the 'evalsha' command")

    monkeypatch.setattr(RequestBook, "accept", refused)
    with pytest.raises(NoPermissionError):
        run_scheduler(redis, [BTC], "1m", since_ms=None)


def test_closing_is_a_matter_of_the_exchanges_time(redis: Redis) -> None:
    behind = ClockOffset(low_ms=-5 * MINUTE_MS, high_ms=-5 * MINUTE_MS, measured_ms=0)
    redis.set(keys.clock_last("bingx"), encode(behind))
    scheduler(redis, FakeClock(NOON_MS + AFTER_CLOSE_MS)).step()
    assert spans(redis) == [(-6 * MINUTE_MS, -5 * MINUTE_MS)]


def test_series_of_one_timeframe_are_not_asked_for_in_the_same_instant(redis: Redis) -> None:
    clock = FakeClock(NOON_MS + AFTER_CLOSE_MS)
    waits = []
    for series in (BTC, ETH):
        line = scheduler(redis, clock, series)
        line.step()
        serve(redis)
        waits.append(line.step())
    assert waits[0] != waits[1]
