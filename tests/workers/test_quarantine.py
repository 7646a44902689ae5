"""Rows that cannot be true stand in no page: asked for again, then kept apart, counted and named as a gap."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from bus import keys
from bus.audit import audit
from bus.codec import decode
from bus.counters import counts_of
from bus.errors import MalformedPage
from bus.messages import Candle, Gap, QuarantinedRows, Rejected
from bus.requests import Claim, RequestBook
from bus.streams import Publisher
from producers.client import Producer
from tests.helpers import batch, request
from tests.workers.exchange_fakes import BTC, MINUTE, START, Venue, candle
from tests.workers.turns import BTC as BITCOIN
from tests.workers.turns import Work
from workers.exchanges import bingx
from workers.exchanges.base import Page
from workers.exchanges.rows import page
from workers.paging import SettledPage, settle_page


def at(slot: int) -> int:
    return START + slot * MINUTE.duration_ms


class Poisoned(Venue):
    """Spoils some rows of its answers; all of them are proved as those of a real venue are."""

    def __init__(self, *args: Any, spoils: dict[int, float], answers: float = math.inf, **options: Any) -> None:
        super().__init__(*args, **options)
        self.spoils, self.answers = spoils, answers

    def candles(self, http: Any, contract: Any, timeframe: Any, since_ms: int, until_ms: int) -> Page:
        served = super().candles(http, contract, timeframe, since_ms, until_ms).candles
        spoilt = self.spoils if len(self.asked) <= self.answers else {}
        told = [one._replace(high=spoilt[one.open_time]) if one.open_time in spoilt else one for one in served]
        return page("venue", told, timeframe, since_ms, until_ms, b"")


def settled(venue: Venue, slots: int) -> SettledPage:
    http: Any = None
    return settle_page(venue, http, BTC, MINUTE, at(0), at(slots), sleep=lambda _: None)


def test_a_row_that_is_true_when_it_is_asked_for_again_is_a_candle_like_any_other() -> None:
    venue = Poisoned(map(at, range(20)), spoils={at(7): math.nan}, answers=1)
    found = settled(venue, 20)
    assert (found.candles, found.gaps, found.rejected, found.requests) == (
        list(map(candle, map(at, range(20)))),
        [],
        [],
        2,
    )


def test_a_row_that_is_never_true_becomes_a_gap_of_its_own_beside_slots_without_trades() -> None:
    venue = Poisoned([at(n) for n in range(20) if n != 8], spoils={at(7): -1.0})
    found = settled(venue, 20)
    assert found.gaps == [Gap(at(7), at(8), "unavailable"), Gap(at(8), at(9), "no_trades")]
    assert [one.open_time // MINUTE.duration_ms * MINUTE.duration_ms for one in found.candles] == [
        at(n) for n in range(20) if n not in (7, 8)
    ]
    assert [(one.open_time, one.reason) for one in found.rejected] == [(at(7), "impossible")]


def test_where_a_row_tells_no_time_no_slot_that_is_missing_can_be_told_from_it() -> None:
    venue = Poisoned([at(n) for n in range(20) if n != 8], spoils={})
    honest = venue.candles

    def strayed(*args: Any) -> Page:
        served = honest(*args).candles
        told = [one._replace(open_time=one.open_time + 1) if one.open_time == at(3) else one for one in served]
        return page("venue", told, MINUTE, *args[-2:], b"")

    venue.candles = strayed  # type: ignore[method-assign]
    found = settled(venue, 20)
    assert found.gaps == [Gap(at(3), at(4), "unavailable"), Gap(at(8), at(9), "unavailable")]


@pytest.mark.parametrize("slots", [1, 20])
def test_a_page_of_nothing_that_can_be_true_fails_after_three_tries(slots: int) -> None:
    venue = Poisoned(map(at, range(slots)), spoils=dict.fromkeys(map(at, range(slots)), math.inf))
    with pytest.raises(MalformedPage, match=r"venue sent a candle that cannot be: \[.*\] after 3 tries") as caught:
        settled(venue, slots)
    assert (type(caught.value), len(venue.asked)) == (MalformedPage, 3)


@given(
    st.sets(st.integers(0, 39), max_size=30),
    st.dictionaries(st.integers(0, 39), st.sampled_from([math.nan, -1.0, 2e15, 0.5]), max_size=10),
)
def test_every_slot_is_a_true_candle_or_a_named_gap(missing: set[int], spoils: dict[int, float]) -> None:
    has = set(range(40)) - missing
    venue = Poisoned(map(at, sorted(has)), spoils={at(slot): high for slot, high in spoils.items()})
    bad = has & spoils.keys()
    if has and bad == has:
        with pytest.raises(MalformedPage):
            settled(venue, 40)
        return
    found = settled(venue, 40)
    assert found.candles == [candle(at(slot)) for slot in sorted(has - bad)]
    named = {slot: gap.reason for gap in found.gaps for slot in range(gap.from_ms, gap.to_ms, MINUTE.duration_ms)}
    assert named == {at(n): "unavailable" if n in bad else "no_trades" for n in range(40) if n not in has - bad}
    assert {one.open_time for one in found.rejected} == set(map(at, bad))
    assert len(found.rejected) == len(bad)


def test_quarantined_rows_are_published_with_their_page_once_counted_and_cut(redis: Redis) -> None:
    book = RequestBook(redis)
    claim = book.claim(request(), 1, "w")
    assert isinstance(claim, Claim)
    book.fix_span(claim, 0, 240_000)
    rejected = [Rejected(None, "time", "x" * 1_000)] * 29 + [Rejected(60_000, "impossible", "y")]
    for _ in range(2):
        Publisher(redis).publish(claim, batch(0, 2), rejected=rejected)
    Publisher(redis).publish(claim, batch(2, 4, page=1))
    status = book.status("r1")
    assert status is not None
    assert (status.pages, status.quarantined) == (2, 30)
    assert counts_of(redis, "bingx").quarantined == {"time": 29, "impossible": 1, "contradiction": 0}
    ((_, fields),) = redis.xrange(keys.quarantine("bingx"))
    told = decode(fields[b"b"], QuarantinedRows)
    assert (told.request_id, told.page, told.n, len(told.rows), told.rows[0].row) == ("r1", 0, 30, 20, "x" * 200)


@pytest.mark.slow
def test_a_request_with_a_poisoned_row_is_done_and_says_so(
    redis: Redis, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = bingx.as_candles

    def spoilt(rows: Any) -> list[Candle]:
        return [one._replace(low=-1.0) if one.open_time // 60_000 % 1_000 == 7 else one for one in honest(rows)]

    monkeypatch.setattr(bingx, "as_candles", spoilt)
    pending = Producer(redis).enqueue(f"bingx:{BITCOIN}", "1m", limit=3_000)
    work()
    status = pending.status()
    assert (status.state, status.quarantined, status.candles) == ("done", 3, 2_997)
    entries: Any = redis.xrange(keys.quarantine("bingx"))
    assert sum(decode(fields[b"b"], QuarantinedRows).n for _, fields in entries) == status.quarantined
    assert audit(redis).violations == []
