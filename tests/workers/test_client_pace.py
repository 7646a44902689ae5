"""The pace of a client: how far its requests stand apart, whatever the machine's clock does."""

from typing import Any

import pytest

from bus.errors import ClockRejected, Paused, RateLimited
from tests.workers.exchange_fakes import FakeTime
from tests.workers.scripted import Scripted
from workers.ccxt_client import CcxtClient
from workers.client_pace import Spacing, SteadyClock, shared_spacing


def steady(time: FakeTime) -> SteadyClock:
    return SteadyClock(time.now_ms, time.monotonic, time.sleep)


def test_the_steady_clock_runs_on_when_the_machines_clock_is_set() -> None:
    time = FakeTime()
    clock = steady(time)
    time.began_ms += 600_000
    time.sleep(1.5)
    assert clock.now_ms() == time.began_ms - 600_000 + 1_500


def test_a_request_waits_for_the_cost_of_the_one_before() -> None:
    time = FakeTime()
    spacing = Spacing(steady(time))
    times = []
    for cost_s in (0.7, 7.0, 0.7):
        spacing.acquire("venue", cost_s)
        times.append(time.passed_s)
    assert times == pytest.approx([0, 0.7, 7.7])


def test_the_distance_counts_from_the_answer() -> None:
    time = FakeTime()
    spacing = Spacing(steady(time))
    spacing.acquire("venue", 0.7)
    time.sleep(5)  # a slow answer
    spacing.keep_free(0.7)
    spacing.acquire("venue", 0.7)
    assert time.passed_s == pytest.approx(5.7)


def test_a_short_pause_is_slept_and_a_long_one_is_told() -> None:
    time = FakeTime()
    spacing = Spacing(steady(time))
    spacing.pause(RateLimited("venue", "HTTP 429", pause_ms=4_000))
    spacing.acquire("venue", 0.7)
    assert time.passed_s == pytest.approx(4)
    spacing.pause(RateLimited("venue", "HTTP 418", pause_ms=60_000))
    spacing.pause(RateLimited("venue", "HTTP 429", pause_ms=1_000))
    spacing.wait()
    with pytest.raises(Paused, match=r"venue is left alone for another 60 s") as caught:
        spacing.acquire("venue", 0.7)
    assert caught.value.pause_ms == 60_000
    assert time.passed_s == pytest.approx(4)


def test_there_is_one_spacing_for_an_exchange_and_address() -> None:
    clock = steady(FakeTime())
    one = shared_spacing("venue", "http://a", clock)
    assert shared_spacing("venue", "http://a", steady(FakeTime())) is one
    assert shared_spacing("venue", "http://b", clock) is not one


def test_a_complaint_about_the_clock_has_the_time_measured_before_the_next_try() -> None:
    time = FakeTime()
    refused = {"code": 100421, "msg": "timestamp is off"}
    quote = {"symbol": "BTC-USDT", "lastPrice": "5"}
    with Scripted(time.now_ms) as exchange:
        exchange.answers["ticker"] = [refused, {"code": 0, "data": quote}, refused]
        settings = exchange.settings("bingx", exchange.url)
        with CcxtClient("bingx", settings=settings, clock=steady(time)) as own:
            assert own.ticker("BTC/USDT:USDT")["last"] == 5.0
            assert paths(exchange) == ["contracts", "ticker", "time", "ticker"]
            with pytest.raises(ClockRejected, match=r"timestamp is off .* after 3 tries"):
                own.ticker("BTC/USDT:USDT")
            assert own.time_status().source == "ok"


def test_a_slow_answer_keeps_the_next_question_as_far_away() -> None:
    time = FakeTime()
    with Scripted(time.now_ms) as exchange:
        exchange.answers["ticker"] = [{"code": 0, "data": {"symbol": "BTC-USDT", "lastPrice": "5"}}]
        exchange.takes = lambda: time.sleep(5)
        with CcxtClient("bingx", settings=exchange.settings("bingx", exchange.url), clock=steady(time)) as own:
            own.ticker("BTC/USDT:USDT")
            own.ticker("BTC/USDT:USDT")
    assert time.passed_s == pytest.approx(3 * 5 + 2 * 0.7)


def paths(exchange: Any) -> list[str]:
    return [path.partition("?")[0].rpartition("/")[2] for path in exchange.asked]


@pytest.mark.parametrize("answer", [{"code": 109500, "msg": "busy"}, {"code": 0, "data": []}, {"code": 0, "data": {}}])
def test_a_contract_list_that_is_none_gives_the_fallback(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    time = FakeTime()
    with Scripted(time.now_ms) as exchange:
        exchange.answers["contracts"] = [answer]
        with CcxtClient("bingx", settings=exchange.settings("bingx", exchange.url), clock=steady(time)) as own:
            for _ in range(3):
                assert sorted(own.contracts()) == ["BTC/USDT:USDT", "ETH/USDT:USDT", "VST/USDT:USDT"]
    assert [record.message for record in caplog.records] == ["contract list is not available"]
