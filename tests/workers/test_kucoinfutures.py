import json
import math
from pathlib import Path
from typing import Any

import ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import (
    ClockRejected,
    ExchangeError,
    ExchangeUnavailable,
    MalformedPage,
    RateLimited,
    UnknownSymbol,
)
from bus.messages import Candle, Contract
from bus.timeframes import TIMEFRAMES
from tests.workers.exchange_fakes import MINUTE, START, XBT, FakeHttp, recorded_body
from workers.exchanges.kucoinfutures import KucoinFutures, _base_coins, _decimals

KUCOIN: Any = KucoinFutures()
HOUR = TIMEFRAMES["1h"]
EIGHT_HOURS = TIMEFRAMES["8h"]


def candles(data: Any, contract: Contract = XBT) -> Any:
    http = FakeHttp({"code": "200000", "data": data})
    return KUCOIN.candles(http, contract, MINUTE, START, START + 600_000)


def test_a_page_is_asked_for_by_the_open_times_of_its_candles() -> None:
    http = FakeHttp({"code": "200000", "data": []})
    assert KUCOIN.candles(http, XBT, HOUR, START, START + 3 * 3_600_000).candles == []
    path, params, weight = http.asked[0]
    assert (path, weight) == ("/api/v1/kline/query", 3)
    assert params == {"symbol": "XBTUSDTM", "granularity": "60", "from": START, "to": START + 3 * 3_600_000 - 1}


def test_recorded_pages_are_read_with_volume_in_coins(recorded: Path) -> None:
    http: Any = FakeHttp(recorded_body(recorded, "kucoin_futures_fetchOHLCV_ccxt_static.json"))
    page = KUCOIN.candles(http, XBT, HOUR, 1706630400000, 1706630400000 + 3 * 3_600_000)
    assert page.candles[0] == Candle(1706630400000, 43375.2, 43514.2, 43219.0, 43492.0, 354.348)
    assert [c.volume for c in page.candles] == [354.348, 282.425, 296.246]
    http = FakeHttp(recorded_body(recorded, "kucoin_futures_kline_query.json"))
    page = KUCOIN.candles(http, XBT, EIGHT_HOURS, 1728576000000, 1728576000000 + 3 * 8 * 3_600_000)
    assert [c.volume for c in page.candles] == [5501.167, 1220.98, 3386.359]


def test_a_recorded_month_is_read_whole(recorded: Path) -> None:
    rows = json.loads((recorded / "kucoin_futures/BNBUSDTM_5min_30d.json").read_text())["candles"][:500]
    data = [[r["ts"], r["open"], r["high"], r["low"], r["close"], r["volume"]] for r in rows]
    http = FakeHttp({"code": "200000", "data": data[::-1]})
    bnb = Contract(symbol="BNB/USDT:USDT", native_id="BNBUSDTM", multiplier=0.01, multiplier_decimals=2)
    page = KUCOIN.candles(http, bnb, TIMEFRAMES["5m"], data[0][0], data[-1][0] + 1)
    assert [c.open_time for c in page.candles] == [r[0] for r in data]
    assert [f"{c.volume:.2f}" for c in page.candles] == [f"{r[5] / 100:.2f}" for r in data]


@pytest.mark.parametrize(
    ("multiplier", "decimals", "lots", "coins"),
    [(0.001, 3, 3, 0.003), (0.01, 2, 29, 0.29), (100.0, 0, 7, 700.0), (1e-05, 5, 123456789, 1234.56789), (10, 0, 0, 0)],
)
def test_lots_become_coins_without_binary_noise(multiplier: float, decimals: int, lots: int, coins: float) -> None:
    contract = Contract(symbol="A/B:B", native_id="A", multiplier=multiplier, multiplier_decimals=decimals)
    assert candles([[START, 1, 1, 1, 1, lots]], contract).candles[0].volume == coins


amounts = st.integers(0, 10**13).map(float) | st.floats(-1e20, 1e20) | st.sampled_from([math.nan, math.inf, -math.inf])


@given(
    st.lists(st.integers(0, 10**13).map(float), max_size=5) | st.lists(amounts, max_size=5),
    st.decimals("1e-25", "1e25", allow_nan=False).map(float)
    | st.sampled_from([0.001, 0.01, 1.0, 10.0, 2**60, math.inf]),
)
def test_whole_lots_become_the_coins_that_rounding_gives(lots: list[float], multiplier: float) -> None:
    decimals = _decimals(multiplier)
    expected = [round(x * multiplier, decimals) for x in lots]
    assert repr(_base_coins(lots, multiplier, decimals)) == repr(expected)


def test_more_columns_are_no_harm() -> None:
    assert candles([[START, 1, 3, 1, 2, 5000, 7.5, "x"]]).candles == [Candle(START, 1.0, 3.0, 1.0, 2.0, 5.0)]


@pytest.mark.parametrize(
    "data",
    [
        {"a": 1},
        None,
        [[START, 1, 1, 1, 1]],
        [{"time": START}],
        [[START, 1, None, 1, 1, 1]],
        [[START, 1, "nan", 1, 1, 1]],
        # The row of the spot market and of the stream: seconds; open, CLOSE, high, low.
        [[str(START // 1000), "3", "4", "5", "2", "1"]],
        [[START, 3, 4, 5, 2, 1]],
    ],
)
def test_rows_of_any_other_kind_are_rejected(data: Any) -> None:
    with pytest.raises(MalformedPage, match=r"^kucoinfutures"):
        candles(data)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *[(code, ExchangeError) for code in ("400100", "100001", "300000", "404000", "999")],
        *[(code, UnknownSymbol) for code in ("100003", "200003")],
        *[(code, RateLimited) for code in ("429000", "200002", "1015")],
        ("400002", ClockRejected),
        ("500000", ExchangeUnavailable),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_codes_say_what_to_do(code: str, kind: type[Exception], status: int) -> None:
    with pytest.raises(Exception, match="because") as caught:
        KUCOIN.candles(FakeHttp({"code": code, "msg": "because"}, status), XBT, MINUTE, START, START + 60_000)
    assert type(caught.value) is kind
    assert code in str(caught.value)


@pytest.mark.parametrize(
    ("body", "status", "headers", "pause_ms"),
    [
        ({"code": "429000"}, 429, {"gw-ratelimit-reset": "12345"}, 12_345),
        ({"code": "429000"}, 200, {"gw-ratelimit-reset": "12345"}, 12_345),
        (b"", 429, {"gw-ratelimit-reset": "12345"}, 12_345),
        ({"code": "429000"}, 429, {"gw-ratelimit-reset": "12345", "retry-after": "2"}, 2_000),
        ({"code": "429000"}, 429, {}, 30_000),
        *[
            ({"code": "429000"}, 429, {"gw-ratelimit-reset": reset}, 30_000)
            for reset in ("0", "-5", "x", "9" * 99, "²")
        ],
        ({"code": "200002"}, 429, {"gw-ratelimit-reset": "29990"}, 10_000),
        ({"code": "429000"}, 403, {}, 30_000),
    ],
)
def test_a_pause_is_as_long_as_the_pool_takes_to_refill(body: Any, status: int, headers: Any, pause_ms: int) -> None:
    with pytest.raises(RateLimited) as caught:
        KUCOIN.server_time(FakeHttp(body, status, **headers))
    assert caught.value.pause_ms == pause_ms


def test_the_time_is_read(recorded: Path) -> None:
    assert KUCOIN.server_time(FakeHttp(recorded_body(recorded, "kucoin_futures_timestamp.json"))) == 1729260030774
    for data in (1729260030, {"serverTime": START}, None):
        with pytest.raises(MalformedPage):
            KUCOIN.server_time(FakeHttp({"code": "200000", "data": data}))


def listing(**fields: Any) -> dict[str, Any]:
    return {
        "symbol": "XBTUSDTM",
        "baseCurrency": "XBT",
        "quoteCurrency": "USDT",
        "settleCurrency": "USDT",
        "multiplier": 0.001,
        "isInverse": False,
        "expireDate": None,
        "nextFundingRateTime": 17752926,
        "firstOpenDate": 1585555200000,
        "status": "Open",
    } | fields


def contracts(*listings: dict[str, Any]) -> dict[str, Contract]:
    found: dict[str, Contract] = KUCOIN.contracts(FakeHttp({"code": "200000", "data": list(listings)}))
    return found


@pytest.mark.parametrize("name", ["kucoin_futures_contracts_active.json", "kucoin_futures_contracts_active_old.json"])
def test_recorded_contracts_are_named_as_ccxt_names_them(recorded: Path, name: str) -> None:
    body = recorded_body(recorded, name)
    assert_as_ccxt(body["data"])
    btc = KUCOIN.contracts(FakeHttp(body))["BTC/USDT:USDT"]
    assert (btc.native_id, btc.multiplier, btc.multiplier_decimals) == ("XBTUSDTM", 0.001, 3)
    assert (btc.listed_ms, btc.is_open) == (1585555200000, True)


def test_ccxts_aliases_are_the_ones_that_ccxt_has() -> None:
    bases = ["XBT", "BCHSV", "BIFI", "VAI", "WAX", "ALT", "KALT", "ETH", "1000PEPE", "eth2"]
    assert_as_ccxt([listing(symbol=f"{base}USDTM", baseCurrency=base) for base in bases])


def assert_as_ccxt(listings: list[dict[str, Any]]) -> None:
    """Every linear perpetual has ccxt's symbol and size."""
    venue: Any = ccxt.kucoinfutures()
    venue.futuresPublicGetContractsActive = lambda params=None: {"code": "200000", "data": listings}
    theirs = {
        m["id"]: (m["symbol"], m["contractSize"]) for m in venue.fetch_contract_markets() if m["linear"] and m["swap"]
    }
    ours = {c.native_id: (c.symbol, c.multiplier) for c in contracts(*listings).values()}
    assert ours == theirs


def test_only_linear_perpetuals_are_contracts() -> None:
    found = contracts(
        listing(),
        listing(symbol="XBTUSDM", quoteCurrency="USD", settleCurrency="XBT", isInverse=True, multiplier=-1),
        listing(symbol="XBTMZ25", expireDate=1766736000000, nextFundingRateTime=None),
        listing(symbol="OLDUSDTM", baseCurrency="OLD", expireDate=1766736000000),
        listing(symbol="NEWUSDTM", baseCurrency="NEW", nextFundingRateTime=None, status="Init"),
    )
    assert sorted(found) == ["BTC/USDT:USDT", "NEW/USDT:USDT", "OLD/USDT:USDT"]
    assert not found["NEW/USDT:USDT"].is_open


def test_contracts_that_make_no_symbol_are_skipped() -> None:
    odd = [listing(baseCurrency="FUD"), listing(multiplier=0), listing(multiplier=None), listing(settleCurrency=None)]
    assert list(contracts(listing(), *odd)) == ["BTC/USDT:USDT"]
    with pytest.raises(MalformedPage, match="lists 4 perpetuals, none readable"):
        contracts(*odd)


def test_a_negative_multiplier_counts_by_its_size() -> None:
    assert contracts(listing(multiplier=-0.5))["BTC/USDT:USDT"].multiplier == 0.5
    assert contracts(listing(multiplier="1e-05"))["BTC/USDT:USDT"].multiplier_decimals == 5


def test_the_ticker_is_read(recorded: Path) -> None:
    ticker = KUCOIN.ticker(FakeHttp(recorded_body(recorded, "kucoin_futures_ticker_ccxt_static.json")), XBT)
    assert (ticker.last, ticker.bid, ticker.ask, ticker.time_ms) == (73400.0, 73399.9, 73400.0, 1710328243260)
    with pytest.raises(MalformedPage):  # the recorded answer is of another contract
        KUCOIN.ticker(FakeHttp(recorded_body(recorded, "kucoin_futures_ticker.json")), XBT)
