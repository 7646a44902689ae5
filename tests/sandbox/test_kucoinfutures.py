"""The KuCoin Futures dialect over real HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest

from candlebus.sandbox import Sandbox
from candlebus.sandbox.listings import RECENTLY_MS
from tests.sandbox.clients import BTC, KUCOIN_CANDLES, MINUTE_MS, ccxt_client, get, kucoin_candles
from tests.sandbox.conftest import NOW_MS

OPEN_MS = NOW_MS // MINUTE_MS * MINUTE_MS
CONTRACTS = "/api/v1/contracts/active"


def served(sandbox: Sandbox, first_ms: int, last_ms: int) -> list[int]:
    return [candle.open_time for candle in sandbox.truth("kucoinfutures", BTC, "1m", first_ms, last_ms + 1)]


def times(rows: list[list[float]]) -> list[float]:
    return [row[0] for row in rows]


def test_the_time_of_the_server_is_the_data_itself(sandbox: Sandbox) -> None:
    assert get(sandbox, "kucoinfutures", "/api/v1/timestamp").json() == {"code": "200000", "data": NOW_MS}


def test_a_row_holds_numbers_and_its_volume_is_in_lots(sandbox: Sandbox) -> None:
    row = kucoin_candles(sandbox, to=OPEN_MS - MINUTE_MS)[-1]
    truth = sandbox.truth("kucoinfutures", BTC, "1m", int(row[0]))[0]
    assert [type(value) for value in row] == [int, float, float, float, float, int]
    assert truth == (*row[:5], round(row[5] * 0.001, 3))


def test_without_bounds_come_the_newest_500_slots_oldest_first_with_the_forming_candle(sandbox: Sandbox) -> None:
    first = OPEN_MS - 499 * MINUTE_MS
    assert times(kucoin_candles(sandbox)) == [*served(sandbox, first, OPEN_MS), OPEN_MS]


def test_both_bounds_are_inclusive(sandbox: Sandbox) -> None:
    since, until = OPEN_MS - 90 * MINUTE_MS, OPEN_MS - 10 * MINUTE_MS
    rows = kucoin_candles(sandbox, **{"from": since, "to": until})
    assert times(rows) == served(sandbox, since, until)
    assert (rows[0][0], rows[-1][0]) == (since, until)


def test_of_a_span_longer_than_a_page_the_oldest_500_slots_come(sandbox: Sandbox) -> None:
    since = OPEN_MS - 2000 * MINUTE_MS
    rows = kucoin_candles(sandbox, **{"from": since, "to": OPEN_MS})
    assert times(rows) == served(sandbox, since, since + 499 * MINUTE_MS)


def test_one_bound_alone_counts_500_slots_from_it(sandbox: Sandbox) -> None:
    bound, reach = OPEN_MS - 3000 * MINUTE_MS, 499 * MINUTE_MS
    assert times(kucoin_candles(sandbox, **{"from": bound})) == served(sandbox, bound, bound + reach)
    assert times(kucoin_candles(sandbox, to=bound)) == served(sandbox, bound - reach, bound)


def test_candles_without_trades_are_left_out(sandbox: Sandbox) -> None:
    since = OPEN_MS - 5000 * MINUTE_MS
    found = served(sandbox, since, OPEN_MS - MINUTE_MS)
    assert 4950 < len(found) < 5000


def test_nothing_comes_from_before_the_listing(sandbox: Sandbox) -> None:
    bounds = {"from": RECENTLY_MS - 100 * MINUTE_MS, "to": RECENTLY_MS - 1}
    assert kucoin_candles(sandbox, symbol="NOVAUSDTM", **bounds) == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": "BTCUSDTM"}, "100003"),
        ({"symbol": ""}, "400100"),
        ({"granularity": 3}, "400100"),
        ({"granularity": "1m"}, "400100"),
        ({"from": "x"}, "400100"),
        ({"from": 2, "to": 1}, "400100"),
    ],
)
def test_what_cannot_be_answered_has_its_code(sandbox: Sandbox, query: dict[str, Any], code: str) -> None:
    asked = {"symbol": "XBTUSDTM", "granularity": 1} | query
    assert get(sandbox, "kucoinfutures", KUCOIN_CANDLES, **asked).json()["code"] == code


def test_a_path_that_does_not_exist_has_its_code(sandbox: Sandbox) -> None:
    answer = get(sandbox, "kucoinfutures", "/api/v9/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "404000")


def test_contracts_have_the_venues_traps(sandbox: Sandbox) -> None:
    entries = {entry["symbol"]: entry for entry in get(sandbox, "kucoinfutures", CONTRACTS).json()["data"]}
    bitcoin, inverse, dated = entries["XBTUSDTM"], entries["XBTUSDM"], entries["XBTMM27"]
    assert (bitcoin["baseCurrency"], bitcoin["multiplier"], bitcoin["expireDate"]) == ("XBT", 0.001, None)
    assert (inverse["quoteCurrency"], inverse["settleCurrency"], inverse["isInverse"]) == ("USD", "XBT", True)
    assert dated["expireDate"] is not None
    assert dated["nextFundingRateTime"] is None
    assert entries["LTCUSDTM"]["expireDate"] is not None
    assert entries["LTCUSDTM"]["nextFundingRateTime"] is not None
    multipliers = {"ETHUSDTM": 0.01, "BNBUSDTM": 0.01, "DOGEUSDTM": 100, "SOLUSDTM": 0.1}
    assert {name: entries[name]["multiplier"] for name in multipliers} == multipliers


def test_fields_and_types_are_those_of_the_recorded_contract(sandbox: Sandbox, recorded: Path) -> None:
    text = (recorded / "recorded/kucoin_futures_contract_XBTUSDTM.json").read_text()
    real, ours = json.loads(text)["body"]["data"], get(sandbox, "kucoinfutures", f"{CONTRACTS[:-6]}XBTUSDTM").json()
    kinds = {name: _kind(value) for name, value in ours["data"].items()}
    assert kinds == {name: _kind(value) for name, value in real.items()}


def test_one_contract_is_the_entry_of_the_list(sandbox: Sandbox) -> None:
    one = get(sandbox, "kucoinfutures", "/api/v1/contracts/ETHUSDTM").json()["data"]
    assert one in get(sandbox, "kucoinfutures", CONTRACTS).json()["data"]
    assert get(sandbox, "kucoinfutures", "/api/v1/contracts/NOSUCHM").json()["code"] == "100003"


def test_a_ticker_tells_its_time_in_nanoseconds(sandbox: Sandbox) -> None:
    ticker = get(sandbox, "kucoinfutures", "/api/v1/ticker", symbol="XBTUSDTM").json()["data"]
    assert ticker["ts"] == NOW_MS * 1_000_000
    assert float(ticker["price"]) == kucoin_candles(sandbox)[-1][4]
    assert ticker in get(sandbox, "kucoinfutures", "/api/v1/allTickers").json()["data"]
    assert get(sandbox, "kucoinfutures", "/api/v1/status").json()["data"]["status"] == "open"


def test_ccxt_finds_every_contract_and_the_true_candles_in_lots(sandbox: Sandbox) -> None:
    client = ccxt_client(sandbox, "kucoinfutures")
    markets = client.load_markets()
    assert set(markets) == set(sandbox.symbols("kucoinfutures"))
    for symbol in sandbox.symbols("kucoinfutures"):
        forming = NOW_MS // 1_800_000 * 1_800_000
        truth = sandbox.truth("kucoinfutures", symbol, "30m", forming - 99 * 1_800_000)
        rows = client.fetch_ohlcv(symbol, "30m", since=forming - 99 * 1_800_000, limit=100)
        rows = [row for row in rows if row[0] < forming]
        size = markets[symbol]["contractSize"]
        assert [row[:5] for row in rows] == [list(candle[:5]) for candle in truth]
        assert [row[5] * size for row in rows] == pytest.approx([candle.volume for candle in truth])
    assert client.fetch_ticker(BTC)["last"] > 0


def _kind(value: Any) -> str:
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
