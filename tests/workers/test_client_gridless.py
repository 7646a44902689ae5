"""Weeks, months and three days, whose open times only the exchange knows."""

from calendar import timegm
from typing import Any

import pytest

from bus.errors import ClockRejected
from bus.messages import Candle, Contract
from candlebus.sandbox import Sandbox
from tests.workers.exchange_fakes import FakeTime, Venue, candle
from tests.workers.scripted import Scripted
from workers.ccxt_client import CcxtClient
from workers.client_candles import DAY_MS, GRIDLESS, CandleDesk, Wanted
from workers.client_pace import SteadyClock
from workers.exchange_time import TimeStatus
from workers.watched import Watched

BTC = "BTC/USDT:USDT"


def month(number: int) -> int:
    """The first instant of a month, ms; 0 is January 2020."""
    return timegm((2020 + number // 12, number % 12 + 1, 1, 0, 0, 0, 0, 0, 0)) * 1000


class Monthly(Venue):
    """Has the months from one on to one that is not over; of a longer span the newest rows come."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.native_intervals = {"1M": "1M"}
        self.months = [month(number) for number in range(first, last + 1)]
        self.spans: list[tuple[int, int]] = []
        self.loses: set[int] = set()
        self.error: Exception | None = None

    def native_candles(
        self, http: Any, contract: Contract, interval: str, start_ms: Any, end_ms: Any, limit: Any
    ) -> list[Candle]:
        self.spans.append((start_ms, end_ms))
        lost, self.loses = self.loses, set()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        found = [candle(at) for at in self.months if start_ms <= at <= end_ms and at not in lost]
        return found[-limit:]


def ask(venue: Monthly, now_ms: int, source: Any = "ok", **wanted: Any) -> list[int]:
    """The open times of the months that come."""
    time = FakeTime(now_ms)
    watched = Watched(venue, on_refusal=lambda _: None, on_clock_rejected=lambda: venue.spans.append((-1, -1)))
    reading = (now_ms, TimeStatus(source=source, low_ms=0, high_ms=0))
    clock = SteadyClock(time.now_ms, time.monotonic, time.sleep)
    desk = CandleDesk(watched, None, clock, lambda: reading)  # type: ignore[arg-type]
    contract = wanted.pop("contract", Contract(symbol=BTC, native_id="BTC-USDT"))
    given: dict[str, Any] = {"limit": 12, "since_ms": None, "include_open": False, "rows": 500} | wanted
    found = desk.gridless(Wanted(contract=contract, **given), venue, "1M", GRIDLESS["1M"])
    return [one.open_time for one in found]


MIDDLE_MS = month(73) + 14 * DAY_MS  # in February 2026


def test_the_newest_months_that_are_over() -> None:
    assert ask(Monthly(0, 73), MIDDLE_MS) == [month(number) for number in range(61, 73)]


def test_the_month_that_is_not_over_comes_where_it_is_wanted() -> None:
    assert ask(Monthly(0, 73), MIDDLE_MS, include_open=True) == [month(number) for number in range(62, 74)]


def test_a_short_month_is_over_as_soon_as_the_next_has_begun() -> None:
    now_ms = month(74) + 3_000
    assert ask(Monthly(0, 74), now_ms, limit=1) == [month(73)]
    assert ask(Monthly(0, 73), now_ms, limit=1) == [month(72)]  # nothing shows yet that February is over


def test_from_a_since_on_the_oldest_months_come() -> None:
    assert ask(Monthly(0, 73), MIDDLE_MS, since_ms=month(10) + 1, limit=5) == [month(n) for n in range(11, 16)]
    assert ask(Monthly(0, 73), MIDDLE_MS, since_ms=month(70), limit=50) == [month(70), month(71), month(72)]
    assert ask(Monthly(0, 73), MIDDLE_MS, since_ms=MIDDLE_MS + DAY_MS, limit=5) == []


def test_no_window_holds_more_than_one_answer_does() -> None:
    venue = Monthly(0, 73)
    assert ask(venue, MIDDLE_MS, limit=60, rows=10) == [month(number) for number in range(13, 73)]
    assert all(before[1] == after[0] for before, after in zip(venue.spans, venue.spans[1:], strict=False))


def test_what_lies_before_the_listing_is_not_asked_for() -> None:
    venue = Monthly(60, 73)
    contract = Contract(symbol=BTC, native_id="BTC-USDT", listed_ms=month(60) + DAY_MS)
    assert ask(venue, MIDDLE_MS, limit=2000, contract=contract) == [month(number) for number in range(60, 73)]
    assert len(venue.spans) == 1


def test_a_month_that_is_missing_once_is_asked_for_again() -> None:
    venue = Monthly(0, 73)
    venue.loses = {month(70)}
    assert ask(venue, MIDDLE_MS) == [month(number) for number in range(61, 73)]
    assert len(venue.spans) == 2


def test_no_month_is_lost_where_the_first_bound_is_exclusive() -> None:
    class Exclusive(Monthly):
        def native_candles(
            self, http: Any, contract: Contract, interval: str, start_ms: Any, end_ms: Any, limit: Any
        ) -> list[Candle]:
            return super().native_candles(http, contract, interval, start_ms + 1, end_ms, limit)

    months = ask(Exclusive(0, 73), MIDDLE_MS, since_ms=month(10), limit=5)
    assert months == [month(number) for number in range(10, 15)]


def test_a_complaint_about_the_clock_is_heeded_here_too() -> None:
    venue = Monthly(0, 73)
    venue.error = ClockRejected("venue", "wrong clock")
    assert len(ask(venue, MIDDLE_MS)) == 12
    assert venue.spans[1] == (-1, -1)


@pytest.mark.parametrize(
    ("name", "timeframe", "days"), [("bingx", "1w", 7), ("bingx", "3d", 3), ("kucoinfutures", "1w", 7)]
)
def test_weeks_and_three_days_come_over_http(name: str, timeframe: str, days: int) -> None:
    time = FakeTime()
    with Sandbox(limit="off", clock=time.now_ms) as sandbox:
        url = Scripted.settings(name, sandbox.url(name))
        clock = SteadyClock(time.now_ms, time.monotonic, time.sleep)
        with CcxtClient(name, settings=url, clock=clock) as own:
            rows = own.fetch_ohlcv_bulk(BTC, timeframe, 30)
            with_open = own.ohlcv(BTC, timeframe, 31, include_open=True)
    opens_ms = time.now_ms() // (days * DAY_MS) * days * DAY_MS
    assert [row[0] for row in rows] == [opens_ms - number * days * DAY_MS for number in range(30, 0, -1)]
    assert with_open[:-1] == rows
    assert with_open[-1][0] == opens_ms


def test_months_are_asked_for_in_the_exchanges_words_over_http() -> None:
    rows = [
        {"time": month(number), "open": "1", "high": "2", "low": "1", "close": "2", "volume": "3.5"}
        for number in range(50, 74)
    ]
    time = FakeTime(MIDDLE_MS)
    with Scripted(time.now_ms) as exchange:
        exchange.answers["klines"] = [{"code": 0, "data": rows[::-1]}]
        clock = SteadyClock(time.now_ms, time.monotonic, time.sleep)
        with CcxtClient("bingx", settings=exchange.settings("bingx", exchange.url), clock=clock) as own:
            assert own.ohlcv(BTC, "1M", 2) == [[month(n), 1.0, 2.0, 1.0, 2.0, 3.5] for n in (71, 72)]
        asked = exchange.asked[-1]
    assert "interval=1M" in asked
    assert "symbol=BTC-USDT" in asked
