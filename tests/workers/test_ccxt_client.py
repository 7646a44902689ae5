"""The client without a bus: candles from stand-in exchanges over HTTP, with a clock that only sleeping moves."""

from typing import Any

import ccxt
import msgspec
import pytest

from bus.errors import (
    RequestError,
    SeriesError,
    UnknownExchange,
    UnknownSymbol,
    UnsupportedTimeframe,
)
from bus.messages import Contract
from bus.timeframes import SETTLE_MS, TIMEFRAMES
from candlebus import CcxtClient
from tests.workers.exchange_fakes import FakeTime, Venue
from tests.workers.stage import BEGAN_MS, BTC, EXCHANGES, MINUTE_MS, NATIVE, Opened, Stage
from workers.client_pace import SteadyClock
from workers.exchanges import registry

# --- candles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXCHANGES)
def test_in_bulk_two_thousand_candles_come_in_four_batches_each_once_and_in_order(
    stage: Stage, client: Opened, name: str
) -> None:
    stage.plan(faults="")
    rows = client(name).fetch_ohlcv_bulk(BTC, "30m", 2000)
    end_ms = TIMEFRAMES["30m"].floor(stage.sandbox.now_ms(name))
    assert rows == stage.truth(name, "30m", end_ms - 2000 * 30 * MINUTE_MS, end_ms)
    times = [row[0] for row in rows]
    assert times == sorted(set(times))
    assert all(isinstance(row, list) and len(row) == 6 for row in rows)


def test_four_batches_are_four_requests_at_least_seven_tenths_of_a_second_apart(stage: Stage, client: Opened) -> None:
    own = client()
    own.ohlcv(BTC, limit=1)
    before, slept = stage.requests("bingx")["klines"], len(stage.time.slept)
    assert len(own.fetch_ohlcv_bulk(BTC, "1m")) == 2000
    assert stage.requests("bingx")["klines"] - before == 4
    waits = [wait for wait in stage.time.slept[slept:] if wait]
    assert len(waits) == 4
    assert all(wait >= 0.6999 for wait in waits)


@pytest.mark.parametrize(("pace", "least_s"), [("conservative", 2.1), ("half", 0.3)])
def test_the_pace_is_that_of_the_settings(stage: Stage, client: Opened, pace: str, least_s: float) -> None:
    client(pace=pace).fetch_ohlcv_bulk(BTC, "1m")
    assert least_s <= stage.time.passed_s < 2.5 * least_s


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("timeframe", ["1m", "5m", "1h", "1d"])
def test_the_newest_candles_are_the_last_closed_ones(stage: Stage, client: Opened, name: str, timeframe: str) -> None:
    frame = TIMEFRAMES[timeframe]
    rows = client(name).ohlcv(BTC, timeframe, limit=20)
    end_ms = frame.floor(stage.sandbox.now_ms(name) - SETTLE_MS)
    assert rows == stage.truth(name, timeframe, end_ms - 20 * frame.duration_ms, end_ms)


def test_the_open_candle_comes_where_it_is_wanted(stage: Stage, client: Opened) -> None:
    rows = client().ohlcv(BTC, "30m", 5, include_open=True)
    opens_ms = TIMEFRAMES["30m"].floor(stage.sandbox.now_ms("bingx"))
    assert [row[0] for row in rows] == [opens_ms - slots * 30 * MINUTE_MS for slots in (4, 3, 2, 1, 0)]


def test_from_a_since_on_the_oldest_come_first(stage: Stage, client: Opened) -> None:
    since_ms = BEGAN_MS - 5_000 * MINUTE_MS
    first_ms = TIMEFRAMES["1m"].ceil(since_ms)
    assert client().ohlcv(BTC, "1m", 10, since_ms) == stage.truth("bingx", "1m", first_ms, first_ms + 10 * MINUTE_MS)


def test_from_before_the_listing_on_the_first_candle_is_the_listings(stage: Stage, client: Opened) -> None:
    listed_ms, day_ms = 1_586_275_200_000, 86_400_000
    assert client().ohlcv(BTC, "1h", 3, 0) == stage.truth("bingx", "1h", listed_ms, listed_ms + 3 * 3_600_000)
    rows = client().ohlcv(BTC, "1d", 3, 0)  # the day of the listing is the first slot, and began before it
    assert rows == stage.truth("bingx", "1d", 0, TIMEFRAMES["1d"].floor(listed_ms) + 3 * day_ms)


def test_from_a_since_to_come_there_is_nothing_yet_and_nothing_is_asked(stage: Stage, client: Opened) -> None:
    assert client().ohlcv(BTC, "1m", 10, BEGAN_MS + 3_600_000) == []
    assert "klines" not in stage.requests("bingx")


@pytest.mark.parametrize("fault", ["short_page", "empty_page", "http_500", "html", "truncated", "drop", "busy"])
def test_a_fault_that_passes_leaves_no_trace(stage: Stage, client: Opened, fault: str) -> None:
    stage.plan(faults=f"candles#1={fault},candles#4={fault}")
    rows = client().fetch_ohlcv_bulk(BTC, "5m", 900)
    assert rows == stage.truth("bingx", "5m", rows[-1][0] - 899 * 5 * MINUTE_MS, rows[-1][0] + 1)  # type: ignore[arg-type]


# --- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["500", 1.5, 0, -1, True, None, [5], float("nan")])
@pytest.mark.parametrize("call", ["ohlcv", "fetch_ohlcv_bulk"])
def test_a_limit_that_is_no_whole_number_from_one_on_is_refused(
    stage: Stage, client: Opened, call: str, limit: Any
) -> None:
    with pytest.raises(RequestError, match="limit must be a whole number of at least 1, not"):
        getattr(client(), call)(BTC, "1m", limit)
    assert stage.requests("bingx") == {}


@pytest.mark.parametrize("since", ["2025", -1, 1.5, True, 2**60])
def test_a_since_that_is_no_time_is_refused(client: Opened, since: Any) -> None:
    with pytest.raises(RequestError, match="since must be a time in ms since 1970"):
        client().ohlcv(BTC, "1m", 5, since)


def test_more_than_two_thousand_is_refused_with_what_to_do_instead(stage: Stage, client: Opened) -> None:
    with pytest.raises(RequestError) as caught:
        client().fetch_ohlcv_bulk(BTC, "5m", 2001)
    assert str(caught.value) == (
        "2001 candles are more than the 2000 of 4 batches; pass max_batches=5 to fetch_ohlcv_bulk, or: "
        "candlebus fetch bingx:BTC/USDT:USDT -t 5m -n 2001"
    )
    assert stage.requests("bingx") == {}
    assert len(client().fetch_ohlcv_bulk(BTC, "5m", 2001, max_batches=5)) == 2001


@pytest.mark.parametrize(
    ("name", "timeframe"),
    [("kucoinfutures", "3m"), ("kucoinfutures", "6h"), ("bingx", "7m"), ("bingx", ""), ("bingx", 5)],
)
def test_a_timeframe_that_the_exchange_lacks_is_refused_before_any_request(
    stage: Stage, client: Opened, name: str, timeframe: Any
) -> None:
    for call in ("ohlcv", "fetch_ohlcv_bulk"):
        with pytest.raises(UnsupportedTimeframe, match=f"{name} has no {timeframe} candles; it has: 1m .* 1d .*1w"):
            getattr(client(name), call)(BTC, timeframe)
    with pytest.raises(UnsupportedTimeframe):
        client(name).fetch_native(BTC, timeframe if timeframe != 5 else 7)
    assert stage.requests(name) == {}


def test_each_exchange_has_exactly_its_own_intervals(client: Opened) -> None:
    assert " ".join(client().timeframes) == "1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M"
    assert " ".join(client("kucoinfutures").timeframes) == "1m 5m 15m 30m 1h 2h 4h 8h 12h 1d 1w"
    assert " ".join(client("kucoinfutures").timeframes.values()) == "1 5 15 30 60 120 240 480 720 1440 10080"


def test_a_symbol_that_is_none_of_the_exchanges_is_refused_with_the_likeliest(client: Opened) -> None:
    with pytest.raises(SeriesError, match="bingx:BTC/USDT is spot; the perpetual is bingx:BTC/USDT:USDT"):
        client().ohlcv("BTC/USDT")
    with pytest.raises(UnknownSymbol, match="did you mean bingx:BTC/USDT:USDT"):
        client().ticker("BTCX/USDT:USDT")
    with pytest.raises(RequestError):
        client().ohlcv(5)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="a symbol is text"):
        client().fetch_native(5, "1m")  # type: ignore[arg-type]


def test_an_unknown_exchange_is_refused_at_once() -> None:
    with pytest.raises(UnknownExchange, match="unknown exchange 'kucoinfuture': did you mean kucoinfutures"):
        CcxtClient("kucoinfuture")


# --- markets, prices, native calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXCHANGES)
def test_contracts_and_markets_are_the_exchanges_own_for_an_hour(stage: Stage, client: Opened, name: str) -> None:
    own = client(name)
    assert own.contracts()[BTC] == NATIVE[name]
    assert set(own.contracts()) == {s for s in stage.sandbox.symbols(name) if s.endswith(":USDT")}
    assert own.markets()[BTC]["id"] == NATIVE[name]
    assert own.contract_map().source == "exchange"
    assert sum(n for path, n in stage.requests(name).items() if path in ("contracts", "active")) == 1
    stage.time.sleep(3_601)
    own.contracts()
    assert sum(n for path, n in stage.requests(name).items() if path in ("contracts", "active")) == 2


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_ticker_is_ccxts(stage: Stage, client: Opened, name: str) -> None:
    own = client(name)
    found = own.ticker(BTC)
    assert (found["symbol"], found["last"], found["close"]) == (BTC, found["bid"], found["bid"])
    assert found["ask"] > found["bid"] > 0
    assert abs(found["timestamp"] - stage.sandbox.now_ms(name)) < 1000
    assert found["datetime"] == ccxt.Exchange.iso8601(found["timestamp"])


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("symbol", [BTC, ""])
def test_a_native_call_is_one_request_in_the_exchanges_words(
    stage: Stage, client: Opened, name: str, symbol: str
) -> None:
    own = client(name)
    end_ms = TIMEFRAMES["30m"].floor(BEGAN_MS) - 1
    start_ms = end_ms - 20 * 30 * MINUTE_MS + 1
    interval = {"bingx": "30m", "kucoinfutures": "30"}[name]
    rows = own.fetch_native(symbol or NATIVE[name], interval, start_ms, end_ms, 20)
    assert rows == stage.truth(name, "30m", start_ms, end_ms + 1)
    assert rows == own.fetch_native(symbol or NATIVE[name], "30m", start_ms, end_ms)
    assert len(own.fetch_native(BTC, "1h", limit=7)) == 7
    assert own.fetch_native(BTC, "1h", start_time=start_ms, limit=3)[0][0] == TIMEFRAMES["1h"].ceil(start_ms)


def test_the_originals_names_are_the_same_functions(stage: Stage, client: Opened) -> None:
    bingx, kucoin = client("bingx"), client("kucoinfutures")
    assert bingx._get_bingx_contracts()[BTC] == "BTC-USDT"
    assert kucoin._get_kucoin_contracts()[BTC] == "XBTUSDTM"
    assert abs(bingx._get_bingx_server_time() - stage.sandbox.now_ms("bingx")) <= 2
    assert abs(kucoin._get_kucoin_server_time() - stage.sandbox.now_ms("kucoinfutures")) <= 2
    start_ms, end_ms = BEGAN_MS - 10_000_000, BEGAN_MS - 1_000_000
    for own, call in ((bingx, "_fetch_with_ultimate_bingx_format"), (kucoin, "_fetch_with_ultimate_kucoin_format")):
        fetch = getattr(own, call)
        assert fetch(BTC, "5m", start_ms, end_ms, 500) == own.fetch_native(BTC, "5m", start_ms, end_ms, 500)
        assert fetch(symbol=BTC, interval="5m", start_time=start_ms, end_time=end_ms, limit=500)
    with pytest.raises(RequestError, match=r"this client is of bingx; for that call use CcxtClient\('kucoinfutures'\)"):
        bingx._get_kucoin_server_time()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"limit": 1441}, "at most 1440 candles a request, not 1441"),
        ({"limit": "9"}, "limit must be a whole number"),
        ({"start_time": 10, "end_time": 5}, "start 10 lies after end 5"),
        ({"start_time": 0, "end_time": BEGAN_MS}, "candles are more than the 1440 of one request"),
        ({"start_time": "x"}, "start_time must be a time in ms"),
    ],
)
def test_a_native_call_that_would_lose_candles_unseen_is_refused(
    stage: Stage, client: Opened, given: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(RequestError, match=complaint):
        client().fetch_native(BTC, "30m", **given)
    assert stage.requests("bingx") == {}


# --- any other exchange ----------------------------------------------------------------------------------------------


def test_an_exchange_without_native_calls_serves_what_its_adapter_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Venue):
        def __init__(self) -> None:
            super().__init__(range(BEGAN_MS // 3_600_000 * 3_600_000 - 999 * 3_600_000, BEGAN_MS, 3_600_000))
            self.facts = msgspec.structs.replace(self.facts, timeframes={"1h": "60", "1w": "W"}, page_rows=100)

        def contracts(self, http: Any) -> dict[str, Contract]:
            return {BTC: Contract(symbol=BTC, native_id="BTC-PERP")}

        def server_time(self, http: Any) -> int:
            return time.now_ms()

    time, venue = FakeTime(BEGAN_MS), Other()
    monkeypatch.setattr(registry, "get", lambda name: venue)
    with CcxtClient("other", clock=SteadyClock(time.now_ms, time.monotonic, time.sleep)) as own:
        assert own.timeframes == {"1h": "60"}
        assert len(own.fetch_ohlcv_bulk(BTC, "1h", 700)) == 700
        assert len(venue.asked) == 7  # its own pages are smaller than a batch
        assert own.contracts() == {BTC: "BTC-PERP"}
        with pytest.raises(UnsupportedTimeframe, match="venue has no 1w candles; it has: 1h"):
            own.ohlcv(BTC, "1w")
        with pytest.raises(RequestError, match="venue has no native-format call here; use ohlcv"):
            own.fetch_native(BTC, "1h")
