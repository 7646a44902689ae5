"""The BingX dialect over real HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest

from candlebus.sandbox import Sandbox
from candlebus.sandbox.listings import RECENTLY_MS
from tests.sandbox.clients import BINGX_CANDLES, BTC, MINUTE_MS, bingx_candles, ccxt_client, get
from tests.sandbox.conftest import NOW_MS

V2_CANDLES = "/openApi/swap/v2/quote/klines"
OPEN_MS = NOW_MS // MINUTE_MS * MINUTE_MS
FIELDS = [
    "contractId",
    "symbol",
    "size",
    "quantityPrecision",
    "pricePrecision",
    "feeRate",
    "makerFeeRate",
    "takerFeeRate",
    "tradeMinLimit",
    "tradeMinQuantity",
    "tradeMinUSDT",
    "currency",
    "asset",
    "status",
    "apiStateOpen",
    "apiStateClose",
    "ensureTrigger",
    "triggerFeeRate",
    "brokerState",
    "launchTime",
    "maintainTime",
    "offTime",
    "displayName",
]


def times(rows: list[dict[str, Any]]) -> list[int]:
    return [row["time"] for row in rows]


def test_the_time_of_the_server_comes_in_ms(sandbox: Sandbox) -> None:
    answer = get(sandbox, "bingx", "/openApi/swap/v2/server/time").json()
    assert answer == {"code": 0, "msg": "", "data": {"serverTime": NOW_MS}}


def test_a_row_holds_decimals_as_text_and_its_open_time_as_a_number(sandbox: Sandbox) -> None:
    row = bingx_candles(sandbox, limit=2)[1]
    truth = sandbox.truth("bingx", BTC, "1m", row["time"])[0]
    assert {name: type(value) for name, value in row.items()} == {
        **dict.fromkeys(("open", "close", "high", "low", "volume"), str),
        "time": int,
    }
    assert truth == (row["time"], *(float(row[name]) for name in ("open", "high", "low", "close", "volume")))


def test_small_numbers_are_written_without_an_exponent(sandbox: Sandbox) -> None:
    row = bingx_candles(sandbox, symbol="1000PEPE-USDT", limit=1)[0]
    assert "e" not in "".join(str(value) for value in row.values())


def test_without_bounds_come_the_newest_500_newest_first_with_the_forming_candle(sandbox: Sandbox) -> None:
    assert times(bingx_candles(sandbox)) == [OPEN_MS - i * MINUTE_MS for i in range(500)]


def test_the_older_path_answers_the_same_oldest_first(sandbox: Sandbox) -> None:
    assert bingx_candles(sandbox, path=V2_CANDLES, limit=7) == bingx_candles(sandbox, limit=7)[::-1]


def test_both_bounds_are_inclusive(sandbox: Sandbox) -> None:
    rows = bingx_candles(sandbox, startTime=OPEN_MS - 9 * MINUTE_MS, endTime=OPEN_MS - 5 * MINUTE_MS)
    assert times(rows) == [OPEN_MS - i * MINUTE_MS for i in range(5, 10)]


def test_of_a_span_longer_than_the_limit_the_newest_rows_come(sandbox: Sandbox) -> None:
    rows = bingx_candles(sandbox, startTime=OPEN_MS - 99 * MINUTE_MS, endTime=OPEN_MS - MINUTE_MS, limit=10)
    assert times(rows) == [OPEN_MS - i * MINUTE_MS for i in range(1, 11)]


def test_with_an_end_alone_slots_count_back_from_it_even_from_the_future(sandbox: Sandbox) -> None:
    past = bingx_candles(sandbox, endTime=OPEN_MS - 1, limit=3)
    future = bingx_candles(sandbox, endTime=OPEN_MS + 2 * MINUTE_MS, limit=5)
    assert times(past) == [OPEN_MS - i * MINUTE_MS for i in (1, 2, 3)]
    assert times(future) == [OPEN_MS - i * MINUTE_MS for i in range(3)]


def test_with_a_start_alone_slots_count_on_from_it(sandbox: Sandbox) -> None:
    rows = bingx_candles(sandbox, startTime=OPEN_MS - 100 * MINUTE_MS - 1, limit=3)
    assert times(rows) == [OPEN_MS - i * MINUTE_MS for i in (98, 99, 100)]


def test_a_page_holds_up_to_1440_rows(sandbox: Sandbox) -> None:
    assert len(bingx_candles(sandbox, limit=1440)) == 1440


def test_nothing_comes_from_before_the_listing(sandbox: Sandbox) -> None:
    day_ms = 1440 * MINUTE_MS
    before = bingx_candles(sandbox, symbol="NOVA-USDT", startTime=RECENTLY_MS - day_ms, endTime=RECENTLY_MS - 1)
    across = bingx_candles(sandbox, symbol="NOVA-USDT", startTime=RECENTLY_MS - day_ms, endTime=RECENTLY_MS)
    assert (before, times(across)) == ([], [RECENTLY_MS])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": "VST-USDT"}, 109425),
        ({"symbol": "BTCUSDT"}, 109400),
        ({"symbol": ""}, 109400),
        ({"interval": "7m"}, 109400),
        ({"limit": 1441}, 109400),
        ({"limit": 0}, 109400),
        ({"limit": "x"}, 109400),
        ({"startTime": "yesterday"}, 109400),
        ({"startTime": 2, "endTime": 1}, 109400),
    ],
)
def test_what_cannot_be_answered_has_its_code(sandbox: Sandbox, query: dict[str, Any], code: int) -> None:
    asked = {"symbol": "BTC-USDT", "interval": "1m"} | query
    assert get(sandbox, "bingx", BINGX_CANDLES, **asked).json()["code"] == code


def test_a_path_that_does_not_exist_has_its_code(sandbox: Sandbox) -> None:
    assert get(sandbox, "bingx", "/openApi/nowhere").json()["code"] == 100404


def test_contracts_have_the_venues_fields_and_traps(sandbox: Sandbox) -> None:
    entries = {e["symbol"]: e for e in get(sandbox, "bingx", "/openApi/swap/v2/quote/contracts").json()["data"]}
    assert all(list(entry) == FIELDS for entry in entries.values())
    assert entries["BTC-USDT"]["launchTime"] == 1586275200000
    assert (entries["BTC-USDT"]["size"], entries["BTC-USDT"]["apiStateOpen"]) == ("0.0001", "true")
    assert (entries["TONCOIN-USDT"]["displayName"], entries["TONCOIN-USDT"]["launchTime"]) == ("TON-USDT", 0)
    assert entries["UNITAS-USDT"]["status"] == 25
    assert "1000PEPE-USDT" in entries
    assert "VST-USDT" not in entries


def test_fields_and_types_are_those_of_the_recorded_contracts(sandbox: Sandbox, recorded: Path) -> None:
    real = json.loads((recorded / "bingx/contracts_info.json").read_text())["data"][0]
    ours = get(sandbox, "bingx", "/openApi/swap/v2/quote/contracts").json()["data"][0]
    assert {name: type(value) for name, value in ours.items()} == {name: type(value) for name, value in real.items()}
    assert ours == real


def test_a_ticker_is_one_object_and_all_tickers_are_a_list(sandbox: Sandbox) -> None:
    path = "/openApi/swap/v2/quote/ticker"
    one = get(sandbox, "bingx", path, symbol="BTC-USDT").json()["data"]
    every = get(sandbox, "bingx", path).json()["data"]
    assert one in every
    assert len(every) == len(sandbox.symbols("bingx"))
    assert one["lastPrice"] == bingx_candles(sandbox, limit=1)[0]["close"]


def test_ccxt_finds_every_contract_and_the_true_candles(sandbox: Sandbox) -> None:
    client = ccxt_client(sandbox, "bingx")
    assert set(sandbox.symbols("bingx")) <= set(client.load_markets())
    for symbol in sandbox.symbols("bingx"):
        truth = sandbox.truth("bingx", symbol, "30m", NOW_MS - 50 * 3_600_000)
        rows = client.fetch_ohlcv(symbol, "30m", since=truth[0].open_time, limit=len(truth))
        assert rows == [list(candle) for candle in truth]
        assert len(rows) == 99
    assert client.fetch_ticker(BTC)["last"] > 0
    assert client.fetch_time() == NOW_MS
