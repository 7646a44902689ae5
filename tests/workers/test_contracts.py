"""Contract maps: shared for an hour, fetched once however many read, never replaced by a worse one unseen."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from bus import keys
from bus.errors import AccessRefused, ExchangeError, ExchangeUnavailable, MalformedPage, RateLimited, UnknownSymbol
from bus.messages import Contract
from tests.workers.exchange_fakes import FakeHttp, FakeTime, Venue
from workers.contracts import ContractBook
from workers.exchanges.bingx import BingX
from workers.local_cache import LocalCache

HOUR_S = 3_600.0
BTC = "BTC/USDT:USDT"


class Lister(Venue):
    """Lists what it is told to, in turn; the last of it for ever."""

    def __init__(self, *answers: Any, name: str = "bingx") -> None:
        super().__init__()
        self.facts = BingX().facts if name == "bingx" else self.facts
        self.answers = list(answers)
        self.fetches = 0

    def contracts(self, http: Any) -> dict[str, Contract]:
        self.fetches += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {symbol: Contract(symbol=symbol, native_id=symbol) for symbol in answer}


def coins(count: int, first: int = 0) -> list[str]:
    return [f"C{number}/USDT:USDT" for number in range(first, first + count)]


def down(text: str = "bingx does not answer") -> list[Exception]:
    """What three tries bring while the exchange is away."""
    return [ExchangeUnavailable("bingx", text)] * 3


def book_of(venue: Lister, time: FakeTime, cache: LocalCache | None = None) -> ContractBook:
    return ContractBook(venue, None, cache or LocalCache(time), time)  # type: ignore[arg-type]


def test_the_list_is_fetched_once_an_hour() -> None:
    time, venue = FakeTime(), Lister(coins(3))
    book = book_of(venue, time)
    for _ in range(59):
        assert len(book.map().contracts) == 3
        time.sleep(60)
    assert venue.fetches == 1
    time.sleep(120)
    book.map()
    assert venue.fetches == 2


def test_a_reader_of_another_book_uses_the_shared_map() -> None:
    time, venue = FakeTime(), Lister(coins(3))
    cache = LocalCache(time)
    maps = [book_of(venue, time, cache).map() for _ in range(5)]
    assert venue.fetches == 1
    assert all(found == maps[0] for found in maps)


def test_a_symbol_that_is_not_listed_is_looked_for_once_a_minute_at_most() -> None:
    time, venue = FakeTime(), Lister(coins(3), coins(4))
    book = book_of(venue, time)
    with pytest.raises(UnknownSymbol, match="bingx lists no C3/USDT:USDT; see: candlebus contracts bingx"):
        book.contract("C3/USDT:USDT")
    assert venue.fetches == 1
    time.sleep(61)
    assert book.contract("C3/USDT:USDT").native_id == "C3/USDT:USDT"
    with pytest.raises(UnknownSymbol):
        book.contract("C9/USDT:USDT")
    assert venue.fetches == 2


def test_a_refresh_is_one_fetch_from_now_on() -> None:
    time, venue = FakeTime(), Lister(coins(3), coins(5))
    book = book_of(venue, time)
    book.map()
    time.sleep(1)
    assert len(book.refresh().contracts) == 5
    assert venue.fetches == 2


def test_the_last_good_map_is_served_while_the_exchange_is_away_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    time, venue = FakeTime(), Lister(coins(3), *down(), *down(), coins(4))
    book = book_of(venue, time)
    book.map()
    time.sleep(HOUR_S + 1)
    assert len(book.map().contracts) == 3
    fetches = venue.fetches
    assert len(book.map().contracts) == 3
    assert venue.fetches == fetches  # a map that stands in is not looked for at every question
    time.sleep(10)
    assert book.map().source == "exchange"
    time.sleep(10)
    assert len(book.map().contracts) == 4
    assert [r.message for r in caplog.records] == ["contract list is not available", "contract list is back"]
    assert book.cause is None


def test_a_symbol_that_an_old_map_lacks_is_not_called_unknown() -> None:
    time, venue = FakeTime(), Lister(coins(3), *down())
    book = book_of(venue, time)
    book.map()
    time.sleep(2 * HOUR_S)
    with pytest.raises(ExchangeUnavailable, match=r"contract list of bingx is not available \(bingx does not answer"):
        book.contract("C9/USDT:USDT")
    assert book.contract("C1/USDT:USDT")


def test_where_nothing_is_known_a_few_contracts_stand_in(caplog: pytest.LogCaptureFixture) -> None:
    time, venue = FakeTime(), Lister(*down(), *down(), coins(2))
    book = book_of(venue, time)
    listed = book.map()
    assert (listed.source, listed.fetched_ms) == ("fallback", 0)
    assert {s: c.native_id for s, c in listed.contracts.items()} == {
        BTC: "BTC-USDT",
        "ETH/USDT:USDT": "ETH-USDT",
        "VST/USDT:USDT": "VST-USDT",
    }
    assert book.contract(BTC).native_id == "BTC-USDT"
    with pytest.raises(ExchangeUnavailable, match=r"contract list .* is not available .* so SOL/USDT:USDT cannot be"):
        book.contract("SOL/USDT:USDT")
    assert len(caplog.records) == 1
    time.sleep(20)
    book.map()
    time.sleep(20)
    assert book.map().source == "exchange"


def test_kucoins_fallback_has_its_sizes_and_no_play_money() -> None:
    from workers.fallback_contracts import fallback_map

    found = fallback_map("kucoinfutures")
    assert found is not None
    told = {s: (c.native_id, c.multiplier, c.multiplier_decimals) for s, c in found.contracts.items()}
    assert told == {BTC: ("XBTUSDTM", 0.001, 3), "ETH/USDT:USDT": ("ETHUSDTM", 0.01, 2)}


def test_an_exchange_without_a_fallback_says_why_there_is_no_map() -> None:
    with pytest.raises(ExchangeUnavailable, match="away after 3 tries"):
        book_of(Lister(ExchangeUnavailable("venue", "away"), name="venue"), FakeTime()).map()


@pytest.mark.parametrize(
    "refusal",
    [RateLimited("bingx", "slow down", pause_ms=60_000), AccessRefused("bingx", "refuses this address (HTTP 451)")],
)
def test_a_refusal_is_told_as_it_is(refusal: ExchangeError) -> None:
    book = book_of(Lister(refusal), FakeTime())
    with pytest.raises(type(refusal)) as caught:
        book.contract("SOL/USDT:USDT")
    assert caught.value is refusal
    assert book.contract(BTC).native_id == "BTC-USDT"


def shrunk(*answers: Any) -> tuple[ContractBook, Lister]:
    """A book that knew a hundred contracts an hour ago."""
    time, venue = FakeTime(), Lister(coins(100), *answers)
    book = book_of(venue, time)
    book.map()
    time.sleep(HOUR_S + 1)
    return book, venue


def test_a_list_of_half_is_believed_at_once() -> None:
    book, venue = shrunk(coins(50))
    assert (len(book.map().contracts), venue.fetches) == (50, 2)


def test_a_list_of_less_than_half_is_asked_for_again() -> None:
    book, venue = shrunk(coins(49), coins(101))
    assert (len(book.map().contracts), venue.fetches) == (101, 3)


def test_a_list_of_less_than_half_is_believed_when_it_comes_twice(caplog: pytest.LogCaptureFixture) -> None:
    book, venue = shrunk(coins(49), coins(49)[::-1])
    assert (len(book.map().contracts), venue.fetches) == (49, 3)
    assert [r.message for r in caplog.records] == ["contract list has shrunk by more than half, twice the same"]
    book.map()
    assert len(caplog.records) == 1


def test_two_lists_of_less_than_half_that_disagree_are_not_installed(caplog: pytest.LogCaptureFixture) -> None:
    book, _ = shrunk(coins(49), coins(40))
    assert len(book.map().contracts) == 100
    assert "lists 49 contracts, then 40 others, of 100" in str(book.cause)
    for _ in range(3):
        book.map()
    assert len(caplog.records) == 1


@pytest.mark.parametrize("answer", [[], MalformedPage("bingx", "bingx lists 0 contracts, none readable")])
def test_an_empty_list_is_never_installed(answer: Any) -> None:
    book, _ = shrunk(answer)
    assert len(book.map().contracts) == 100


def test_a_map_is_fetched_ahead_once_most_of_its_life_is_over() -> None:
    time, venue = FakeTime(), Lister(coins(3))
    cache = LocalCache(time)
    books = [book_of(venue, time, cache) for _ in range(4)]
    for _ in range(47):
        for book in books:
            book.warm()
        time.sleep(60)
    assert venue.fetches == 1
    time.sleep(60)
    for book in books:
        book.warm()
    assert venue.fetches == 2
    time.sleep(HOUR_S - 60)
    books[0].map()  # an hour after the first fetch there is still a map
    assert venue.fetches == 2


DAY_MS = 86_400_000


def test_a_clock_that_is_set_back_keeps_no_map_in_memory_and_costs_one_fetch_for_all() -> None:
    time, venue = FakeTime(), Lister(coins(3), coins(4), coins(5))
    cache = LocalCache(time)
    books = [book_of(venue, time, cache) for _ in range(4)]
    for book in books:
        book.map()
    time.began_ms -= DAY_MS
    assert [len(book.map().contracts) for book in books] == [4] * 4
    time.sleep(HOUR_S - 1)
    assert {len(book.map().contracts) for book in books} == {4}
    time.sleep(2)
    assert {len(book.map().contracts) for book in books} == {5}
    assert venue.fetches == 3


def test_a_map_is_fetched_ahead_too_where_the_clock_was_set_back() -> None:
    time, venue = FakeTime(), Lister(coins(3))
    book = book_of(venue, time)
    book.map()
    time.began_ms -= DAY_MS
    for _ in range(3):
        book.warm()
    assert venue.fetches == 2


def test_who_comes_after_the_clock_was_set_back_fetches_a_map_whose_age_nobody_knows_any_more() -> None:
    time, venue = FakeTime(), Lister(coins(3))
    cache = LocalCache(time)
    book_of(venue, time, cache).map()
    time.began_ms -= DAY_MS
    for _ in range(3):
        assert book_of(venue, time, cache).map().fetched_ms == time.now_ms()
    assert venue.fetches == 2


def test_a_symbol_that_was_listed_since_is_found_after_the_clock_was_set_back() -> None:
    time, venue = FakeTime(), Lister(coins(3), coins(4))
    book = book_of(venue, time)
    book.map()
    time.began_ms -= DAY_MS
    assert book.contract("C3/USDT:USDT").native_id == "C3/USDT:USDT"
    with pytest.raises(UnknownSymbol):
        book.contract("C9/USDT:USDT")
    assert venue.fetches == 2


def test_a_refresh_after_the_clock_was_set_back_is_a_fetch() -> None:
    time, venue = FakeTime(), Lister(coins(3), coins(5))
    book = book_of(venue, time)
    book.map()
    time.began_ms -= DAY_MS
    assert len(book.refresh().contracts) == 5


def test_a_clock_that_is_set_back_while_the_exchange_is_away_makes_nobody_ask_more_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    time, venue = FakeTime(), Lister(coins(3), *down(), *down(), coins(4))
    cache = LocalCache(time)
    book_of(venue, time, cache).map()
    time.began_ms -= DAY_MS
    books = [book_of(venue, time, cache) for _ in range(4)]
    for book in books:
        assert len(book.map().contracts) == 3
    assert venue.fetches == 4
    time.sleep(6)
    assert len(books[0].map().contracts) == 3
    time.sleep(6)
    assert len(books[0].map().contracts) == 4
    assert books[0].cause is None
    assert [r.message for r in caplog.records] == ["contract list is not available", "contract list is back"]


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
