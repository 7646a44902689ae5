"""A worker's desk against stand-in exchanges and a real server: its time, its contracts, its refusals."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from redis import Redis

from bus import keys
from bus.cache import Cache
from bus.clock import RedisClock
from bus.codec import decode, encode
from bus.errors import ClockRejected, ExchangeUnavailable, RateLimited, UnknownSymbol, WorkerEnding
from bus.messages import Candle, ClockOffset
from bus.settings import Settings
from candlebus.sandbox import Sandbox
from tests.workers.exchange_fakes import MINUTE, Venue
from workers.desk import Desk
from workers.turn import span_of
from workers.watched import Watched

TIME = "/openApi/swap/v2/server/time"
OFF_MS = 600_000
Opened = Callable[..., Desk]


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[Sandbox]:
    with Sandbox(limit="off") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(stand_ins: Sandbox) -> Iterator[Sandbox]:
    yield stand_ins
    stand_ins.plan(faults="", clock_skew_ms=0)


@pytest.fixture
def desk(redis: Redis, sandbox: Sandbox) -> Iterator[Opened]:
    """Opens desks of one bus."""
    opened: list[Desk] = []

    def open_desk(exchange: str = "bingx") -> Desk:
        opened.append(Desk(exchange, redis, Settings(pace="full", urls=sandbox.urls)))
        return opened[-1]

    yield open_desk
    for one in opened:
        one.close()


@pytest.mark.parametrize("exchange", ["bingx", "kucoinfutures"])
@pytest.mark.parametrize("skew_ms", [-OFF_MS, OFF_MS])
def test_a_clock_ten_minutes_off_changes_nothing(desk: Opened, sandbox: Sandbox, exchange: str, skew_ms: int) -> None:
    sandbox.plan(exchange, clock_skew_ms=skew_ms)
    now_ms = desk(exchange).exchange_now_ms()
    assert sandbox.now_ms(exchange) - 2_000 <= now_ms <= sandbox.now_ms(exchange)


def test_a_worker_measures_exchange_time_once_as_it_begins(desk: Opened, sandbox: Sandbox) -> None:
    before = sandbox.stats("bingx").by_path.get(TIME, 0)
    desks = [desk() for _ in range(5)]
    for one in desks * 3:
        one.exchange_now_ms()
    assert sandbox.stats("bingx").by_path[TIME] - before == 5


def test_an_exchange_that_does_not_tell_its_time_leaves_the_last_offset(
    redis: Redis, desk: Opened, sandbox: Sandbox
) -> None:
    sandbox.plan("bingx", clock_skew_ms=-OFF_MS)
    desk().exchange_now_ms()
    redis.delete(keys.clock("bingx"))
    redis.set(keys.clock_last("bingx"), aged(redis, minutes=30))
    sandbox.plan("bingx", faults="time#1-99=http_503")
    late = desk()
    assert sandbox.now_ms("bingx") - 2_000 <= late.exchange_now_ms() <= sandbox.now_ms("bingx")
    assert late.time.reading()[1].source == "cached"


def aged(redis: Redis, minutes: int) -> bytes:
    """The last offset as if it had been measured so long ago."""
    found: Any = redis.get(keys.clock_last("bingx"))
    offset = decode(found, ClockOffset)
    return encode(msgspec.structs.replace(offset, measured_ms=offset.measured_ms - minutes * 60_000))


def test_by_our_own_clock_ten_minutes_ahead_no_open_candle_is_taken_for_closed(desk: Opened, sandbox: Sandbox) -> None:
    sandbox.plan("bingx", clock_skew_ms=-OFF_MS, faults="time#1-99=html")
    own = desk()
    from tests.helpers import request

    _, until_ms = span_of(request(limit=10), MINUTE, own.exchange_now_ms())
    assert own.time.reading()[1].source == "local"
    assert until_ms <= MINUTE.floor(sandbox.now_ms("bingx"))


def test_a_refusal_to_tell_the_time_pauses_all_and_is_not_replaced_by_a_guess(desk: Opened, sandbox: Sandbox) -> None:
    sandbox.plan("bingx", faults="time#1=code_1015")
    own = desk()
    with pytest.raises(RateLimited):
        own.exchange_now_ms()
    assert own.limiter.paused_ms() > 20_000


def test_a_refusal_to_list_contracts_pauses_all(desk: Opened, sandbox: Sandbox) -> None:
    sandbox.plan("bingx", faults="contracts#1=code_1015")
    own = desk()
    with pytest.raises(RateLimited):
        own.contracts.contract("SOL/USDT:USDT")
    assert own.limiter.paused_ms() > 20_000


@pytest.mark.parametrize("fault", ["html", "http_503", "drop", "busy", "empty_body"])
def test_without_a_list_only_the_known_few_can_be_asked_for(desk: Opened, sandbox: Sandbox, fault: str) -> None:
    sandbox.plan("bingx", faults=f"contracts#1-99={fault}")
    own = desk()
    with pytest.raises(ExchangeUnavailable, match="contract list of bingx is not available"):
        own.contracts.contract("SOL/USDT:USDT")
    contract = own.contracts.contract("BTC/USDT:USDT")
    until_ms = MINUTE.floor(own.exchange_now_ms() - 2_000)
    page = own.exchange.candles(own.http, contract, MINUTE, until_ms - 600_000, until_ms)
    assert page.candles == sandbox.truth("bingx", "BTC/USDT:USDT", "1m", until_ms - 600_000, until_ms)


def test_with_a_list_a_symbol_that_it_lacks_is_unknown(desk: Opened) -> None:
    with pytest.raises(UnknownSymbol, match=r"bingx lists no VST/USDT:USDT"):
        desk().contracts.contract("VST/USDT:USDT")


def test_a_complaint_about_the_clock_has_it_measured_before_the_next_try() -> None:
    class Complaining(Venue):
        def candles(self, *_: Any) -> Any:
            raise ClockRejected("venue", "wrong clock")

        def server_time(self, http: Any) -> int:
            raise ClockRejected("venue", "wrong clock")

    happened: list[str] = []
    watched = Watched(
        Complaining(),
        on_refusal=lambda _: happened.append("refusal"),
        on_clock_rejected=lambda: happened.append("clock"),
    )
    with pytest.raises(ClockRejected):
        watched.candles(None, None, MINUTE, 0, 1)  # type: ignore[arg-type]
    with pytest.raises(ClockRejected):
        watched.server_time(None)  # type: ignore[arg-type]
    assert happened == ["clock"]


def test_a_complaint_about_the_clock_has_the_worker_measure_and_tell_anew(
    redis: Redis, desk: Opened, sandbox: Sandbox
) -> None:
    own = desk()
    own.exchange_now_ms()
    sandbox.plan("bingx", clock_skew_ms=-OFF_MS)
    own.time.remeasure()
    for one in (own, desk()):
        assert sandbox.now_ms("bingx") - 2_000 <= one.exchange_now_ms() <= sandbox.now_ms("bingx")
    told = Cache(redis, RedisClock(redis)).get(keys.clock("bingx"), ClockOffset)
    assert told is not None
    assert told.low_ms < -OFF_MS + 2_000


def test_a_worker_that_stood_idle_while_the_servers_clock_was_wrong_is_not_misled(
    redis: Redis, desk: Opened, sandbox: Sandbox
) -> None:
    """What another measured and told meanwhile is wrong by the step once the server's clock is right again."""
    idle = desk()
    idle.exchange_now_ms()
    wrong = ClockOffset(low_ms=OFF_MS, high_ms=OFF_MS + 10, measured_ms=RedisClock(redis).now_ms() - 20_000)
    for key in (keys.clock("bingx"), keys.clock_last("bingx")):
        redis.set(key, encode(wrong))
    idle.time._tells_again_ms -= 10_000
    assert sandbox.now_ms("bingx") - 2_000 <= idle.exchange_now_ms() <= sandbox.now_ms("bingx")
    told = Cache(redis, RedisClock(redis)).get(keys.clock("bingx"), ClockOffset)
    assert told is not None
    assert told.high_ms < OFF_MS / 2, "and puts right what producers go by"


def test_candles_of_the_watched_exchange_are_the_exchanges_own(desk: Opened, sandbox: Sandbox) -> None:
    own = desk("kucoinfutures")
    contract = own.contracts.contract("BTC/USDT:USDT")
    assert own.exchange.ticker(own.http, contract).last > 0
    assert own.exchange.facts.name == "kucoinfutures"
    assert isinstance(sandbox.truth("kucoinfutures", "BTC/USDT:USDT", "1d", 0)[0], Candle)


def test_a_request_learns_until_when_it_must_have_left(desk: Opened) -> None:
    before_s = time.monotonic()
    leaves_by_s = desk().http._gate(1)
    assert leaves_by_s is not None
    assert before_s < leaves_by_s < before_s + 60


def test_a_desk_that_ends_sends_what_pages_under_way_need_and_then_nothing(
    desk: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = desk()
    ending.end()
    ending.http._gate(1)
    later_s = time.monotonic() + 5
    monkeypatch.setattr("workers.desk.time.monotonic", lambda: later_s)
    with pytest.raises(WorkerEnding):
        ending.http._gate(1)
    with pytest.raises(WorkerEnding):
        ending.clock.sleep(0.0)
