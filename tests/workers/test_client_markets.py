"""Markets and tickers in ccxt's forms: the same values as ccxt reads from the same answers."""

import json
from pathlib import Path
from typing import Any

import ccxt
import pytest

from tests.workers.exchange_fakes import FakeHttp, recorded_body
from workers.client_markets import iso8601, market, ticker
from workers.exchanges.base import Ticker
from workers.exchanges.bingx import BingX
from workers.exchanges.kucoinfutures import KucoinFutures
from workers.exchanges.terms import number, step_of_decimals

#: What ours leaves out of ccxt's: its raw names of coins, its internals, and bounds of prices that nobody needs.
_OTHERWISE = {"info", "baseId", "quoteId", "settleId", "lowercaseId", "subType", "index", "feeSide", "marginModes"}


def assert_as_ccxt(ours: dict[str, Any], theirs: dict[str, Any], *, but: set[str]) -> None:
    for key in theirs.keys() - _OTHERWISE - but - {"limits"}:
        assert ours[key] == theirs[key], (ours["symbol"], key)
    for name in ("amount", "cost"):
        for bound in ("min", "max"):
            assert ours["limits"][name][bound] == theirs["limits"][name][bound], (ours["symbol"], name, bound)


def test_every_recorded_bingx_market_is_as_ccxt_tells_it(recorded: Path) -> None:
    body = json.loads((recorded / "bingx/contracts_info.json").read_text())
    ours = {c.native_id: market(c) for c in BingX().contracts(FakeHttp(body)).values()}  # type: ignore[arg-type]
    venue = ccxt.bingx()
    assert len(ours) == 686
    for entry in body["data"]:
        # ccxt tells no listing of BingX's contracts, and calls those active that may be traded over the API.
        assert_as_ccxt(ours[entry["symbol"]], venue.parse_market(entry), but={"created", "active"})
    assert ours["BTC-USDT"]["created"] == 1_586_275_200_000


def test_every_recorded_kucoin_market_is_as_ccxt_tells_it(recorded: Path) -> None:
    body = recorded_body(recorded, "kucoin_futures_contracts_active.json")
    venue: Any = ccxt.kucoinfutures()
    venue.futuresPublicGetContractsActive = lambda params=None: body
    theirs = {m["id"]: m for m in venue.fetch_contract_markets() if m["linear"] and m["swap"]}
    ours = {c.native_id: market(c) for c in KucoinFutures().contracts(FakeHttp(body)).values()}  # type: ignore[arg-type]
    assert ours.keys() == theirs.keys()
    for name, found in ours.items():
        assert_as_ccxt(found, theirs[name], but=set())
        assert found["limits"]["leverage"]["max"] == theirs[name]["limits"]["leverage"]["max"]


def test_a_ticker_has_every_key_of_ccxts() -> None:
    theirs = ccxt.Exchange().safe_ticker({"symbol": "BTC/USDT:USDT", "last": 2.0})
    ours = ticker(Ticker(symbol="BTC/USDT:USDT", last=2.0))
    assert theirs.keys() - ours.keys() <= {"indexPrice", "markPrice"}
    assert (ours["last"], ours["close"], ours["bid"], ours["datetime"]) == (2.0, 2.0, None, None)


@pytest.mark.parametrize("instant_ms", [0, 1, 999, 1_764_601_234_567])
def test_an_instant_is_written_as_ccxt_writes_it(instant_ms: int) -> None:
    assert iso8601(instant_ms) == ccxt.Exchange.iso8601(instant_ms)


@pytest.mark.parametrize(
    ("value", "found"),
    [(1, 1.0), ("0.0001", 0.0001), (2.5, 2.5), *[(odd, None) for odd in ("", "n/a", None, True, [], {}, "inf", "nan")]],
)
def test_a_number_is_read_where_there_is_one(value: object, found: float | None) -> None:
    assert number(value) == found


@pytest.mark.parametrize(
    ("value", "found"), [(0, 1.0), (4, 0.0001), ("3", 0.001), (-1, None), (2.5, None), (99, None), (None, None)]
)
def test_a_count_of_decimals_is_a_step(value: object, found: float | None) -> None:
    assert step_of_decimals(value) == found
