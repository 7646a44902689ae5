"""Counts of what was done for an exchange: in which class a turn falls, and that a page counts once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from bus.counters import TURN_BOUNDS_S, count_turn, counts_of, page_counters
from bus.requests import Claim, RequestBook
from bus.streams import Publisher
from tests.helpers import MINUTE_MS, batch, request


@pytest.mark.parametrize(
    ("seconds", "place"), [(0.0, 0), (0.1, 0), (0.11, 1), (0.5, 2), (300.0, 10), (300.5, 11), (1e6, 11)]
)
def test_a_turn_counts_in_the_first_class_whose_bound_it_does_not_pass(
    redis: Redis, seconds: float, place: int
) -> None:
    count_turn(redis, "bingx", "done", seconds)
    counts = counts_of(redis, "bingx")
    assert [number for number, found in enumerate(counts.turn_seconds) if found] == [place]
    assert len(counts.turn_seconds) == len(TURN_BOUNDS_S) + 1
    assert (counts.turns["done"], counts.turn_ms) == (1, round(seconds * 1000))


def test_a_page_that_is_sent_twice_counts_once(redis: Redis) -> None:
    book, publisher = RequestBook(redis), Publisher(redis)
    claim = book.claim(request("r1"), 0, "w")
    assert isinstance(claim, Claim)
    book.fix_span(claim, 0, 10 * MINUTE_MS)
    page = batch(0, 10, missing=(3, 4))
    for _ in range(2):
        publisher.publish(claim, page)
    counts = counts_of(redis, "bingx")
    assert (counts.pages, counts.candles) == (1, 8)
    assert counts.gap_slots == {"no_trades": 0, "before_listing": 0, "beyond_history": 0, "unavailable": 2}


@given(st.sets(st.integers(0, 29)))
def test_candles_and_gaps_of_a_page_together_are_its_slots(missing: set[int]) -> None:
    added = page_counters(batch(0, 30, missing=tuple(missing)))
    numbers = dict(zip(added[::2], added[1::2], strict=True))
    assert numbers["candles"] == 30 - len(missing)
    assert numbers.get("gap_slots:unavailable", 0) == len(missing)
    assert numbers["pages"] == 1
