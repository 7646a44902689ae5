import json
from pathlib import Path
from typing import Any

import ccxt
import pytest

from bus.errors import (
    ClockRejected,
    ExchangeError,
    ExchangeUnavailable,
    MalformedPage,
    RateLimited,
    UnknownSymbol,
)
from bus.messages import Candle
from bus.timeframes import TIMEFRAMES, timeframe
from tests.workers.exchange_fakes import BTC, MINUTE, START, FakeHttp, recorded_body
from workers.exchanges.bingx import BingX

BINGX: Any = BingX()
HOUR = TIMEFRAMES["1h"]


def candles(data: Any, **envelope: Any) -> Any:
    http = FakeHttp({"code": 0, "msg": "", "data": data} | envelope)
    return BINGX.candles(http, BTC, MINUTE, START, START + 600_000)


def row(slot: int, price: str = "2") -> dict[str, Any]:
    return dict.fromkeys(("open", "high", "low", "close", "volume"), price) | {"time": START + slot * 60_000}


def test_a_page_is_asked_for_with_both_bounds_and_its_length() -> None:
    http = FakeHttp({"code": 0, "data": []})
    BINGX.candles(http, BTC, HOUR, START, START + 3 * 3_600_000)
    path, params, weight = http.asked[0]
    assert (path, weight) == ("/openApi/swap/v3/quote/klines", 1)
    assert params == {
        "symbol": "BTC-USDT",
        "interval": "1h",
        "startTime": START - 1,
        "endTime": START + 3 * 3_600_000 - 1,
        "limit": 3,
    }


def test_the_recorded_page_is_read(recorded: Path) -> None:
    http: Any = FakeHttp(recorded_body(recorded, "bingx_swap_v3_klines.json"))
    page = BINGX.candles(http, BTC, HOUR, 1702717200000, 1702717200000 + 3_600_000)
    assert page.candles == [Candle(1702717200000, 0.7034, 0.7081, 0.7033, 0.7065, 635494.0)]
    assert page.long_decimals == 0


def test_recorded_rows_are_read_in_every_form_and_order(recorded: Path) -> None:
    rows = json.loads((recorded / "recorded/bingx_btcusdt_1h_20231010_ccxt_pr19518.json").read_text())["rows"]
    names = ("time", "open", "high", "low", "close", "volume")
    objects = [{n: v if n == "time" else str(v) for n, v in zip(names, r, strict=True)} for r in rows]
    for data in (objects, objects[::-1], rows, [[str(v) for v in r] + ["x"] * 5 for r in rows]):
        http: Any = FakeHttp({"code": "0", "data": data})
        page = BINGX.candles(http, BTC, HOUR, rows[0][0], rows[-1][0] + 3_600_000)
        assert page.candles == [Candle(*r) for r in rows]


@pytest.mark.parametrize(
    "data",
    [
        {"a": 1},
        "text",
        5,
        None,
        [[START, 1, 1, 1, 1]],
        [1, 2],
        [row(0), [START, 1, 1, 1, 1, 1]],
        [{"openTime": START, "open": "1", "high": "1", "low": "1", "close": "1", "volume": "1"}],
        [row(0, "nan")],
        [row(0, "1e999")],
        [row(0, "")],
        [row(0) | {"high": None}],
        [row(0) | {"volume": True}],
        [row(0) | {"time": START // 1000}],
        [row(0), row(0, "3")],
        [row(1000)],
    ],
)
def test_rows_of_any_other_kind_are_rejected(data: Any) -> None:
    with pytest.raises(MalformedPage, match=r"^bingx"):
        candles(data)


def test_an_empty_span_is_an_empty_page_in_either_form() -> None:
    assert candles([]).candles == []
    assert candles(None, code=100204, msg="no data").candles == []


def test_long_decimals_are_counted() -> None:
    assert candles([row(0, "1.2345678901234567")]).long_decimals == 5


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *[(code, ExchangeError) for code in (109400, 80014, 100400, 100404, 999)],
        *[(code, UnknownSymbol) for code in (109425, 109418, 109417, 100490)],
        *[(code, RateLimited) for code in (100410, 109429, 429)],
        (100421, ClockRejected),
        *[(code, ExchangeUnavailable) for code in (100500, 109500)],
    ],
)
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("form", [int, str])
def test_codes_old_and_new_say_what_to_do(code: int, kind: type[Exception], status: int, form: Any) -> None:
    http = FakeHttp({"code": form(code), "msg": "because"}, status)
    with pytest.raises(Exception, match="because") as caught:
        BINGX.candles(http, BTC, MINUTE, START, START + 60_000)
    assert type(caught.value) is kind
    assert str(code) in str(caught.value)
    assert "1m candles of BTC/USDT:USDT" in str(caught.value)


@pytest.mark.parametrize(
    ("date", "pause_ms"),
    [
        ("Sun, 08 Oct 2023 07:45:00 GMT", 41_337),
        ("Sun, 08 Oct 2023 07:46:00 GMT", 300_000),
        ("", 300_000),
    ],
)
def test_the_end_of_a_block_is_read_from_the_message(date: str, pause_ms: int) -> None:
    message = "code:100410:rate limited, disabled period, will be unblocked after 1696751141337"
    for status, default_ms in ((200, pause_ms), (418, 3_600_000 if pause_ms == 300_000 else pause_ms)):
        with pytest.raises(RateLimited) as caught:
            BINGX.server_time(FakeHttp({"code": 100410, "msg": message}, status, date=date))
        assert caught.value.pause_ms == default_ms


@pytest.mark.parametrize("data", [{"serverTime": START}, START, str(START), {"serverTime": str(START), "x": 1}])
def test_the_time_is_read_in_both_forms(data: Any) -> None:
    assert BINGX.server_time(FakeHttp({"code": 0, "data": data})) == START


@pytest.mark.parametrize("data", [START // 1000, START * 1000, {}, "now", None, [], -1, 0])
def test_a_time_that_is_no_ms_is_rejected(data: Any) -> None:
    with pytest.raises(MalformedPage):
        BINGX.server_time(FakeHttp({"code": 0, "data": data}))


def test_contracts_are_named_as_ccxt_names_them(recorded: Path) -> None:
    body = json.loads((recorded / "bingx/contracts_info.json").read_text())
    contracts = BINGX.contracts(FakeHttp(body))
    venue = ccxt.bingx()
    theirs = {m["id"]: m["symbol"] for m in map(venue.parse_market, body["data"]) if m}
    assert len(contracts) == len(body["data"]) == 686
    assert {c.native_id: c.symbol for c in contracts.values()} == theirs
    assert all(symbol == contract.symbol for symbol, contract in contracts.items())
    assert contracts["TRUMP/USDT:USDT"].native_id == "TRUMPSOL-USDT"
    assert contracts["TONCOIN/USDT:USDT"].native_id == "TONCOIN-USDT"


def test_recorded_contracts_tell_listing_and_state(recorded: Path) -> None:
    contracts = BINGX.contracts(FakeHttp(json.loads((recorded / "bingx/contracts_info.json").read_text())))
    btc = contracts["BTC/USDT:USDT"]
    assert (btc.listed_ms, btc.is_open, btc.multiplier) == (1586275200000, True, 1.0)
    assert contracts["KSM/USDT:USDT"].listed_ms is None
    assert sum(not c.is_open for c in contracts.values()) == 6


def test_ccxts_aliases_are_the_ones_that_ccxt_has() -> None:
    assets = ["XBT", "BCHSV", "SNOW", "OMNI", "TRUMP", "TRUMPSOL", "trumpsol", "VAI"]
    listings = [{"symbol": f"{a}-USDT", "asset": a, "currency": "USDT"} for a in assets]
    venue = ccxt.bingx()
    contracts = BINGX.contracts(FakeHttp({"code": 0, "data": listings}))
    assert set(contracts) == {venue.parse_market(listing)["symbol"] for listing in listings}


def test_contracts_that_make_no_symbol_are_skipped() -> None:
    good = {"symbol": "A-USDT", "asset": "A", "currency": "USDT"}
    odd = [{"symbol": "N-USDT", "asset": "N A", "currency": "USDT"}, {"asset": "B", "currency": "USDT"}, {}, good]
    assert list(BINGX.contracts(FakeHttp({"code": 0, "data": [good, *odd]}))) == ["A/USDT:USDT"]
    with pytest.raises(MalformedPage, match="lists 3 contracts, none readable"):
        BINGX.contracts(FakeHttp({"code": 0, "data": odd[:3]}))


def test_the_ticker_is_read_as_object_or_list(recorded: Path) -> None:
    body = recorded_body(recorded, "bingx_swap_v2_ticker.json")
    sfp: Any = type(BTC)(symbol="SFP/USDT:USDT", native_id="SFP-USDT")
    for data in (body["data"], [body["data"]]):
        ticker = BINGX.ticker(FakeHttp(body | {"data": data}), sfp)
        assert (ticker.symbol, ticker.last, ticker.bid, ticker.ask) == ("SFP/USDT:USDT", 0.7409, 0.7413, 0.7414)
        assert ticker.time_ms == 1702719798603
    with pytest.raises(MalformedPage):
        BINGX.ticker(FakeHttp(body), BTC)


def test_every_timeframe_of_ours_has_a_spelling() -> None:
    assert all(BINGX.facts.spelling(timeframe(name)) == name for name in TIMEFRAMES)
