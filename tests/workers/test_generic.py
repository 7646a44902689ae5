"""ccxt's venues against stand-ins over real HTTP: every candle once, every hole named, every request gated."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.errors import ExchangeError, ExchangeUnavailable, MalformedPage, RateLimited, UnknownSymbol
from bus.messages import Candle, Contract, Gap
from bus.timeframes import timeframe
from tests.workers import ccxt_stand_ins as stand_ins
from tests.workers.ccxt_stand_ins import Answer, Binance, Bybit, Okx, StandIn, lean, made_up, month, served
from tests.workers.exchange_fakes import MINUTE, START
from workers.exchange_time import measure
from workers.exchanges import registry
from workers.exchanges.base import Exchange
from workers.http import HttpClient
from workers.paging import SettledPage, settle_page
from workers.windows import page_end

BTC = "BTC/USDT:USDT"
IDS = {"binanceusdm": "BTCUSDT", "binance": "BTCUSDT", "bybit": "BTCUSDT", "okx": "BTC-USDT-SWAP"}
KINDS = {"binanceusdm": Binance, "binance": Binance, "bybit": Bybit, "okx": Okx}
CANDLES = {"binanceusdm": "klines", "binance": "klines", "bybit": "kline", "okx": "candles"}
SLOTS = 1_200

pytestmark = pytest.mark.filterwarnings("error")


class Asked:
    """A venue, what asks it, and the weights that the gate has let pass."""

    def __init__(self, name: str, venue: StandIn, http: HttpClient, weights: list[int]) -> None:
        self.name = name
        self.venue = venue
        self.http = http
        self.weights = weights
        self.exchange: Exchange = registry.get(name)

    def contract(self, symbol: str = BTC) -> Contract:
        return self.exchange.contracts(self.http)[symbol]

    def pages(self, name: str, since_ms: int, until_ms: int, symbol: str = BTC) -> list[SettledPage]:
        frame, contract, at, out = timeframe(name), self.contract(symbol), since_ms, []
        while at < until_ms:
            end = page_end(at, until_ms, frame, self.exchange.facts.page_rows)
            out.append(settle_page(self.exchange, self.http, contract, frame, at, end, sleep=lambda _: None))
            at = end
        return out


@pytest.fixture
def open_venue() -> Iterator[Any]:
    """Serves the candles in the shape of the venue of that name, and asks it through our adapter."""
    with ExitStack() as stack:

        def start(name: str, candles: list[Candle], frame: str = "1m", now_ms: int = 0) -> Asked:
            end_ms = candles[-1].open_time + timeframe(frame).duration_ms
            venue = stack.enter_context(served(KINDS[name]({(IDS[name], frame): candles}, now_ms or end_ms)))
            weights: list[int] = []
            http = stack.enter_context(HttpClient(name, venue.url, weights.append))
            return Asked(name, venue, http, weights)

        yield start


def candles_of(pages: list[SettledPage]) -> list[Candle]:
    return [candle for page in pages for candle in page.candles]


def gaps_of(pages: list[SettledPage]) -> list[Gap]:
    return [gap for page in pages for gap in page.gaps]


def at(slot: int) -> int:
    return START + slot * MINUTE.duration_ms


@pytest.mark.parametrize("name", KINDS)
def test_every_candle_arrives_once_and_in_order_whatever_the_venues_own_order(open_venue: Any, name: str) -> None:
    asked = open_venue(name, made_up(START, SLOTS))
    pages = asked.pages("1m", at(0), at(SLOTS))
    assert candles_of(pages) == made_up(START, SLOTS)
    assert gaps_of(pages) == []


@pytest.mark.parametrize("name", KINDS)
def test_every_request_passes_the_gate_before_it_leaves(open_venue: Any, name: str) -> None:
    asked = open_venue(name, made_up(START, SLOTS))
    asked.exchange.server_time(asked.http)
    asked.pages("1m", at(0), at(SLOTS))
    assert len(asked.weights) == len(asked.venue.requests) > 4
    assert asked.exchange.facts.weights.candles in asked.weights


def test_a_request_weighs_what_ccxt_says_that_it_costs(open_venue: Any) -> None:
    asked = open_venue("binanceusdm", made_up(START, SLOTS))
    contract = asked.contract()
    asked.weights.clear()
    for slots in (99, 100, 499):
        asked.exchange.candles(asked.http, contract, MINUTE, at(0), at(slots))
    assert asked.weights == [100, 200, 200]


@pytest.mark.parametrize("name", KINDS)
def test_no_more_is_loaded_than_the_linear_perpetuals(open_venue: Any, name: str) -> None:
    asked = open_venue(name, made_up(START, 10))
    contracts = asked.exchange.contracts(asked.http)
    assert contracts == {BTC: Contract(symbol=BTC, native_id=IDS[name], listed_ms=stand_ins.LISTED_MS)}
    assert len(asked.venue.requests) == (2 if name == "bybit" else 1)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("cap", [37, 100])
def test_a_venue_that_serves_fewer_rows_than_it_says_ends_complete(open_venue: Any, name: str, cap: int) -> None:
    candles = made_up(START, SLOTS, without=[40, 700])
    asked = open_venue(name, candles)
    asked.venue.cap = cap
    pages = asked.pages("1m", at(0), at(SLOTS))
    assert candles_of(pages) == candles
    assert gaps_of(pages) == [Gap(at(40), at(41), "unavailable"), Gap(at(700), at(701), "unavailable")]
    needed = SLOTS / cap
    assert len(asked.venue.asked(CANDLES[name])) < 3 * needed


@pytest.mark.parametrize("name", KINDS)
def test_a_hole_is_named_after_a_narrower_question(open_venue: Any, name: str) -> None:
    candles = made_up(START, 200, without=[5, 6, 7, 150])
    asked = open_venue(name, candles)
    pages = asked.pages("1m", at(0), at(200))
    assert candles_of(pages) == candles
    assert gaps_of(pages) == [Gap(at(5), at(8), "unavailable"), Gap(at(150), at(151), "unavailable")]


@pytest.mark.parametrize("name", KINDS)
def test_what_lies_beyond_the_span_is_not_served(open_venue: Any, name: str) -> None:
    asked = open_venue(name, made_up(START, 60))
    page = asked.exchange.candles(asked.http, asked.contract(), MINUTE, at(10), at(20))
    assert page.candles == made_up(START, 60)[10:20]


@pytest.mark.parametrize("name", KINDS)
def test_a_worker_that_has_not_loaded_the_markets_itself_can_ask(open_venue: Any, name: str) -> None:
    asked = open_venue(name, made_up(START, 60))
    contract = Contract(symbol=BTC, native_id=IDS[name])
    assert asked.exchange.candles(asked.http, contract, MINUTE, at(0), at(60)).candles == made_up(START, 60)
    assert len(asked.weights) == len(asked.venue.requests)


@pytest.mark.parametrize("name", KINDS)
def test_the_venues_clock_is_found(open_venue: Any, name: str) -> None:
    asked = open_venue(name, made_up(START, 10), now_ms=at(10) + 3_000)
    offset = measure(asked.exchange, asked.http, lambda: at(10))
    assert (offset.low_ms, offset.high_ms) == (2_999, 3_001)


def test_a_venue_without_a_clock_is_dated_by_its_answers_to_the_second_below(open_venue: Any) -> None:
    asked = open_venue("binanceusdm", made_up(START, 10), now_ms=at(9) + 2_999)
    asked.exchange.facts = msgspec.structs.replace(asked.exchange.facts, clock_step_ms=1_000)
    for _ in ("first its contracts answer", "then a candle"):
        assert asked.exchange.server_time(asked.http) == at(9) + 2_000
    assert [path for path, _ in asked.venue.requests] == ["/fapi/v1/exchangeInfo", "/fapi/v1/klines"]
    offset = measure(asked.exchange, asked.http, lambda: at(10))
    assert (offset.low_ms, offset.high_ms) == (-58_001, -57_000)
    assert offset.low_ms <= asked.venue.now_ms - at(10) <= offset.high_ms


def test_a_ticker_is_the_last_trade(open_venue: Any) -> None:
    asked = open_venue("binanceusdm", made_up(START, 10))
    ticker = asked.exchange.ticker(asked.http, asked.contract())
    assert (ticker.symbol, ticker.last, ticker.time_ms) == (BTC, 20.0, at(10))


# Recorded candles


def test_a_recorded_month_arrives_unchanged_in_binances_shape(open_venue: Any, recorded: Path) -> None:
    candles = month(recorded / "binance_futures/BTCUSDT_15m_30d.json")
    asked = open_venue("binanceusdm", candles, "15m")
    pages = asked.pages("15m", candles[0].open_time, candles[-1].open_time)
    assert candles_of(pages) == candles[:-1]
    assert gaps_of(pages) == []
    assert len(asked.venue.asked("klines")) == 6


def test_a_recorded_half_day_arrives_unchanged_in_bybits_shape(open_venue: Any, recorded: Path) -> None:
    candles = lean(recorded / "lean_20221213/perp_bybit_btcusdt_1m.csv")
    asked = open_venue("bybit", candles)
    pages = asked.pages("1m", candles[0].open_time, candles[-1].open_time)
    assert candles_of(pages) == candles[:-1]
    assert gaps_of(pages) == []


def test_a_recorded_day_arrives_unchanged_in_okxs_shape_and_in_coins(open_venue: Any, recorded: Path) -> None:
    candles = lean(recorded / "lean_20221213/perp_binance_adausdt_1m.csv")
    asked = open_venue("okx", candles)
    pages = asked.pages("1m", candles[0].open_time, candles[-1].open_time)
    assert candles_of(pages) == candles[:-1]
    assert asked.venue.asked("market/history-candles")
    assert asked.exchange.facts.volume_unit == "base"


def test_the_one_minute_that_a_recording_lacks_is_the_one_gap(open_venue: Any, recorded: Path) -> None:
    candles = lean(recorded / "lean_20221213/perp_binance_btcusd_1m.csv")
    asked = open_venue("binanceusdm", candles)
    pages = asked.pages("1m", candles[0].open_time, candles[-1].open_time)
    times = {candle.open_time for candle in candles}
    absent = next(t for t in range(candles[0].open_time, candles[-1].open_time, 60_000) if t not in times)
    assert gaps_of(pages) == [Gap(absent, absent + 60_000, "unavailable")]
    assert candles_of(pages) == candles[:-1]


# Bad answers


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(200, b"<html>maintenance</html>"), MalformedPage),
        (Answer(200, b""), MalformedPage),
        (Answer(200, b'{"code":"0","retCode":0,"data":[["17'), MalformedPage),
        (Answer(302, b"", location="http://elsewhere/"), MalformedPage),
        (Answer(500, b"<html>"), ExchangeUnavailable),
        (Answer(503, b""), ExchangeUnavailable),
    ],
)
def test_a_bad_answer_that_passes_leaves_no_trace_and_one_that_stays_is_an_error(
    open_venue: Any, name: str, answer: Answer, kind: type[ExchangeError]
) -> None:
    asked = open_venue(name, made_up(START, 60))
    contract = asked.contract()
    asked.venue.instead = [(CANDLES[name], answer)]
    page = settle_page(asked.exchange, asked.http, contract, MINUTE, at(0), at(60), sleep=lambda _: None)
    assert (page.candles, page.gaps, page.requests) == (made_up(START, 60), [], 2)
    asked.venue.instead = [(CANDLES[name], answer)] * 3
    with pytest.raises(kind, match=f"^{name} .* after 3 tries$"):
        settle_page(asked.exchange, asked.http, contract, MINUTE, at(0), at(60), sleep=lambda _: None)


@pytest.mark.parametrize("name", KINDS)
def test_a_refusal_for_the_rate_says_how_long(open_venue: Any, name: str) -> None:
    asked = open_venue(name, made_up(START, 60))
    asked.venue.instead = [("time", Answer(429, {"code": -1003, "msg": "slow down"}, retry_after="7"))]
    with pytest.raises(RateLimited) as caught:
        asked.exchange.server_time(asked.http)
    assert caught.value.pause_ms == 7_000


@pytest.mark.parametrize("name", ["binanceusdm", "okx"])
def test_a_contract_that_the_venue_has_taken_off_is_unknown(open_venue: Any, name: str) -> None:
    asked = open_venue(name, made_up(START, 60))
    contract = asked.contract()
    asked.venue.tracks = {("ETHUSDT" if name == "binanceusdm" else "ETH-USDT-SWAP", "1m"): made_up(START, 60)}
    with pytest.raises(UnknownSymbol, match=BTC):
        asked.exchange.candles(asked.http, contract, MINUTE, at(0), at(60))


def test_a_symbol_that_the_venue_never_had_is_unknown(open_venue: Any) -> None:
    asked = open_venue("okx", made_up(START, 60))
    with pytest.raises(UnknownSymbol, match="NO/USDT:USDT"):
        asked.exchange.candles(asked.http, Contract(symbol="NO/USDT:USDT", native_id="NO"), MINUTE, at(0), at(60))


@pytest.mark.parametrize("name", KINDS)
def test_an_empty_list_of_contracts_is_no_list(open_venue: Any, name: str) -> None:
    asked = open_venue(name, made_up(START, 60))
    asked.venue.tracks = {}
    with pytest.raises(ExchangeError, match=f"{name} lists .*no"):
        asked.exchange.contracts(asked.http)
