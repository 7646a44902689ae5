"""Contract maps while clocks are set back: none from the future is believed, and nobody asks more often."""

import logging

import pytest

from bus.errors import UnknownSymbol
from tests.workers.exchange_fakes import FakeTime
from tests.workers.lister import HOUR_S, Lister, book_of, coins, down
from workers.local_cache import LocalCache

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
