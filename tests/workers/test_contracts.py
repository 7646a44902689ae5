"""Contract maps: shared for an hour, fetched once however many read, never replaced by a worse one unseen."""

import logging
from typing import Any

import pytest

from bus.errors import AccessRefused, ExchangeError, ExchangeUnavailable, MalformedPage, RateLimited, UnknownSymbol
from tests.workers.exchange_fakes import FakeTime
from tests.workers.lister import BTC, HOUR_S, Lister, book_of, coins, down
from workers.contracts import ContractBook
from workers.local_cache import LocalCache


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
