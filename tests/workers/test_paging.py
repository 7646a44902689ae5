"""Pages: asked for, asked again where they lack candles, holes named."""

import contextlib
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import (
    AccessRefused,
    BusUnavailable,
    ClockRejected,
    ExchangeError,
    ExchangeUnavailable,
    MalformedPage,
    RateLimited,
    SpanError,
    UnknownSymbol,
)
from bus.messages import Contract, Gap
from bus.timeframes import Timeframe
from tests.workers.exchange_fakes import BTC, MINUTE, START, Venue, candle
from workers.paging import SettledPage, settle_page

HTTP: Any = None


def at(slot: int) -> int:
    return START + slot * MINUTE.duration_ms


def settle(venue: Venue, since: int, until: int, contract: Contract = BTC, **options: Any) -> SettledPage:
    return settle_page(
        venue, HTTP, contract, MINUTE, at(since), at(until), sleep=options.pop("sleep", lambda _: None), **options
    )


def slots(page: SettledPage) -> list[int]:
    return [(c.open_time - START) // MINUTE.duration_ms for c in page.candles]


def test_a_full_page_costs_one_request() -> None:
    venue = Venue(map(at, range(50)))
    page = settle(venue, 0, 50)
    assert (slots(page), page.gaps, page.requests, page.long_decimals) == (list(range(50)), [], 1, 1)
    assert (page.since_ms, page.until_ms) == (at(0), at(50))


def test_bounds_off_the_grid_are_rounded_up() -> None:
    venue = Venue(map(at, range(50)))
    page = settle_page(venue, HTTP, BTC, MINUTE, at(0) + 1, at(9) + 1)
    assert slots(page) == list(range(1, 10))


def test_candles_outside_the_page_are_dropped() -> None:
    venue = Venue(map(at, range(50)))
    venue.answer = lambda candles, number: [candle(at(-1)), *candles, candle(at(10))]
    assert slots(settle(venue, 0, 10)) == list(range(10))


def test_a_hole_is_believed_after_a_narrower_request() -> None:
    venue = Venue(at(n) for n in range(50) if n != 7)
    page = settle(venue, 0, 50)
    assert page.gaps == [Gap(at(7), at(8), "no_trades")]
    assert venue.asked == [(at(0), at(50)), (at(7), at(8))]


def test_the_exchange_says_what_its_holes_are() -> None:
    venue = Venue([at(0)], hole_reason="unavailable")
    assert settle(venue, 0, 2).gaps == [Gap(at(1), at(2), "unavailable")]


def test_a_candle_that_was_lost_once_is_found_by_asking_again() -> None:
    venue = Venue(map(at, range(20)))
    venue.answer = lambda candles, number: candles[:-1] if number == 1 else candles
    page = settle(venue, 0, 20)
    assert (slots(page), page.gaps, page.requests) == (list(range(20)), [], 2)


def test_of_two_answers_the_later_one_holds() -> None:
    venue = Venue(at(n) for n in (0, 2, 4, 5, 6, 7, 8, 9))
    venue.answer = lambda candles, number: [candle(c.open_time, float(number)) for c in candles]
    page = settle(venue, 0, 10)
    assert [c.close for c in page.candles] == [1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("keep", [slice(0, 20), slice(-20, None), slice(0, 7), slice(0, 3)])
def test_an_exchange_that_cuts_its_answers_short_is_asked_for_less_until_it_does_not(keep: slice) -> None:
    venue = Venue((at(n) for n in range(100) if n != 40), page_rows=100)
    venue.answer = lambda candles, number: candles[keep]
    page = settle(venue, 0, 100)
    assert slots(page) == [n for n in range(100) if n != 40]
    assert page.gaps == [Gap(at(40), at(41), "no_trades")]


@given(st.integers(8, 100), st.sets(st.integers(0, 99), max_size=12), st.booleans())
def test_no_cut_is_taken_for_a_hole(cap: int, absent: set[int], keeps_oldest: bool) -> None:
    venue = Venue((at(n) for n in range(100) if n not in absent), page_rows=100)
    venue.answer = lambda candles, number: candles[:cap] if keeps_oldest else candles[-cap:]
    page = settle(venue, 0, 100)
    assert slots(page) == [n for n in range(100) if n not in absent]
    assert len([slot for gap in page.gaps for slot in MINUTE.open_times(gap.from_ms, gap.to_ms)]) == len(absent)


def test_holes_are_not_believed_of_an_exchange_that_goes_on_cutting() -> None:
    venue = Venue(map(at, range(1000)), page_rows=1000)
    venue.answer = lambda candles, number: candles[:1]
    with pytest.raises(MalformedPage, match="keeps sending a part"):
        settle(venue, 0, 1000)


@given(st.integers(0, 2**32), st.integers(1, 100))
def test_whatever_an_exchange_answers_a_page_ends_after_some_hundred_requests(seed: int, width: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - an exchange that answers at random
    venue = Venue(map(at, range(width)), page_rows=100)
    venue.answer = lambda candles, number: sorted(chance.sample(candles, chance.randint(0, len(candles))))
    with contextlib.suppress(MalformedPage):
        page = settle(venue, 0, width)
        named = sum((gap.to_ms - gap.from_ms) // MINUTE.duration_ms for gap in page.gaps)
        assert len(page.candles) + named == width
    assert len(venue.asked) < 300


def test_a_stretch_before_the_listing_makes_a_page_no_wider_than_the_exchange_answers() -> None:
    venue = Venue(map(at, range(500, 600)), page_rows=100)
    contract = Contract(symbol="A/B:B", native_id="AB", listed_ms=at(500))
    http: Any = None
    page = settle_page(venue, http, contract, MINUTE, at(0), at(600))
    assert (page.gaps, len(page.candles), venue.asked) == (
        [Gap(at(0), at(500), "before_listing")],
        100,
        [(at(500), at(600))],
    )
    with pytest.raises(SpanError):
        settle_page(venue, http, contract, MINUTE, at(0), at(601))


def test_slots_before_the_listing_are_not_asked_for() -> None:
    venue = Venue(map(at, range(5, 10)))
    contract = Contract(symbol="A/B:B", native_id="AB", listed_ms=at(5) + 1)
    page = settle(venue, 0, 10, contract)
    assert page.gaps == [Gap(at(0), at(5), "before_listing")]
    assert venue.asked == [(at(5), at(10))]


def test_a_page_before_the_listing_costs_no_request() -> None:
    venue = Venue()
    page = settle(venue, 0, 10, Contract(symbol="A/B:B", native_id="AB", listed_ms=at(500)))
    assert (page.gaps, page.requests, page.candles) == ([Gap(at(0), at(10), "before_listing")], 0, [])


def test_an_empty_first_page_is_beyond_history() -> None:
    page = settle(Venue(), 0, 100, nothing_served_yet=True)
    assert (page.gaps, page.requests) == ([Gap(at(0), at(100), "beyond_history")], 3)


def test_an_empty_later_page_is_quiet_trading() -> None:
    assert settle(Venue(), 0, 100).gaps == [Gap(at(0), at(100), "no_trades")]


def test_the_end_of_an_emptiness_that_began_pages_ago_is_beyond_history_too() -> None:
    venue = Venue(map(at, range(130, 200)))
    page = settle(venue, 100, 200, nothing_served_yet=True, request_since_ms=at(0))
    assert page.gaps == [Gap(at(100), at(130), "beyond_history")]


def test_a_smaller_pace_means_a_smaller_page() -> None:
    with pytest.raises(SpanError, match="wider than the 50"):
        settle(Venue(), 0, 51, rows=50)
    assert settle(Venue(), 0, 50, rows=50, nothing_served_yet=True).gaps[0].reason == "beyond_history"


@given(st.integers(1, 100), st.sets(st.integers(0, 99)), st.integers(0, 99))
def test_candles_and_gaps_settle_every_slot_once(width: int, absent: set[int], listed: int) -> None:
    venue = Venue(at(n) for n in range(100) if n not in absent)
    page = settle(venue, 0, width, Contract(symbol="A/B:B", native_id="AB", listed_ms=at(listed)))
    in_gaps = [slot for gap in page.gaps for slot in MINUTE.open_times(gap.from_ms, gap.to_ms)]
    assert sorted([c.open_time for c in page.candles] + in_gaps) == [at(n) for n in range(width)]


class Failing(Venue):
    """Raises the errors in turn, then answers."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(map(at, range(10)))
        self.errors = list(errors)

    def candles(self, http: Any, contract: Contract, timeframe: Timeframe, since_ms: int, until_ms: int) -> Any:
        page = super().candles(http, contract, timeframe, since_ms, until_ms)
        if self.errors:
            raise self.errors.pop(0)
        return page


@pytest.mark.parametrize("kind", [ExchangeUnavailable, MalformedPage, ClockRejected])
def test_what_may_pass_is_tried_again_after_a_wait(kind: type[ExchangeError]) -> None:
    waits: list[float] = []
    page = settle(Failing(kind("venue", "no"), kind("venue", "no")), 0, 10, sleep=waits.append)
    assert (len(page.candles), page.requests) == (10, 3)
    assert len(waits) == 2
    assert 0 <= waits[0] <= 0.5
    assert 0 <= waits[1] <= 1


def test_after_the_last_try_the_last_error_says_how_often() -> None:
    venue = Failing(*(MalformedPage("venue", f"bad {n}") for n in range(9)))
    with pytest.raises(MalformedPage, match=r"^bad 2 after 3 tries$") as caught:
        settle(venue, 0, 10)
    assert (caught.value.exchange, len(venue.asked)) == ("venue", 3)


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("venue", "slow down", pause_ms=5),
        AccessRefused("venue", "not you"),
        ExchangeError("venue", "wrong parameter"),
        UnknownSymbol("no such contract"),
        BusUnavailable("the gate has no server"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    venue = Failing(error)
    with pytest.raises(type(error)) as caught:
        settle(venue, 0, 10)
    assert caught.value is error
    assert len(venue.asked) == 1
