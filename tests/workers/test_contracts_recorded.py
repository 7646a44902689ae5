"""Contract maps of what the exchanges really sent."""

import json
from pathlib import Path
from typing import Any

from bus import keys
from bus.messages import Contract
from tests.workers.exchange_fakes import FakeHttp, FakeTime
from tests.workers.lister import BTC, HOUR_S
from workers.contracts import ContractBook
from workers.exchanges.bingx import BingX
from workers.local_cache import LocalCache


def test_the_whole_recorded_list_goes_through_the_cache_unchanged(recorded: Path, redis: Any) -> None:
    from bus.cache import Cache
    from bus.clock import RedisClock

    body = json.loads((recorded / "bingx/contracts_info.json").read_text())
    http: Any = FakeHttp(body)
    clock = RedisClock(redis)
    fetched = ContractBook(BingX(), http, Cache(redis, clock), clock).map()
    read = ContractBook(BingX(), http, Cache(redis, clock), clock).map()
    assert len(http.asked) == 1
    assert read == fetched
    assert {c.native_id for c in read.contracts.values()} == {entry["symbol"] for entry in body["data"]}
    assert read.contracts["TRUMP/USDT:USDT"].native_id == "TRUMPSOL-USDT"
    assert "VST/USDT:USDT" not in read.contracts
    assert 3_590_000 < redis.pttl(keys.contracts("bingx")) <= 3_600_000
    assert redis.pttl(keys.contracts_last_good("bingx")) == -1


def test_half_of_the_recorded_list_is_not_installed_unseen(recorded: Path) -> None:
    body = json.loads((recorded / "bingx/contracts_info.json").read_text())
    whole, half = FakeHttp(body), FakeHttp(body | {"data": body["data"][:300]})
    time = FakeTime()
    cache = LocalCache(time)
    ContractBook(BingX(), whole, cache, time).map()  # type: ignore[arg-type]
    time.sleep(HOUR_S + 1)
    answers = iter([half, whole])

    class Swapping(BingX):
        def contracts(self, http: Any) -> dict[str, Contract]:
            return super().contracts(next(answers))  # type: ignore[arg-type]

    assert len(ContractBook(Swapping(), whole, cache, time).map().contracts) == 686  # type: ignore[arg-type]


def test_every_recorded_kucoin_contract_is_found_by_ccxts_symbol(recorded: Path) -> None:
    from workers.exchanges.kucoinfutures import KucoinFutures

    ids = json.loads((recorded / "kucoin_futures/kucoin_perp_symbols.json").read_text())["symbols"]
    listings = [
        {"symbol": name, "baseCurrency": name.removesuffix("USDTM"), "quoteCurrency": "USDT", "settleCurrency": "USDT"}
        | {"multiplier": 1, "isInverse": False, "nextFundingRateTime": 1, "status": "Open"}
        for name in ids
        if name.endswith("USDTM")
    ]
    time = FakeTime()
    http: Any = FakeHttp({"code": "200000", "data": listings})
    contracts = ContractBook(KucoinFutures(), http, LocalCache(time), time).map().contracts
    assert len(contracts) == len(listings) > 500
    assert {c.native_id for c in contracts.values()} == {x["symbol"] for x in listings}
    assert contracts[BTC].native_id == "XBTUSDTM"


def test_hostile_and_doubled_entries_cost_no_other_contract() -> None:
    good = {"symbol": "BTC-USDT", "asset": "BTC", "currency": "USDT", "status": 1}
    odd = [
        {"symbol": "X", "asset": "A\x00\r\nB", "currency": "USDT"},
        {"symbol": "X", "asset": "../../etc", "currency": "USDT"},
        {"symbol": "X", "asset": "a:b", "currency": "USDT"},
        {"symbol": "OTHER-USDT", "asset": "BTC", "currency": "USDT"},
        {"symbol": "Q-USDT", "asset": "Q", "currency": "USDT", "tradeMinUSDT": {"odd": []}, "makerFeeRate": "n/a"},
    ]
    time = FakeTime()
    http: Any = FakeHttp({"code": 0, "data": [good, *odd]})
    contracts = ContractBook(BingX(), http, LocalCache(time), time).map().contracts
    assert sorted(contracts) == [BTC, "Q/USDT:USDT"]
    assert contracts[BTC].native_id == "BTC-USDT"
