"""The proof of rows, whichever exchange sent them: a page of candles that can be, and what is kept out of it."""

import json
import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bus.errors import (
    MalformedPage,
)
from bus.messages import Candle
from tests.workers.exchange_fakes import MINUTE, START, candle
from workers.exchanges.base import NothingTrue
from workers.exchanges.rows import EARLIEST_MS, LATEST_MS, long_decimals, page

# Rows


def at(slot: int) -> int:
    return START + slot * MINUTE.duration_ms


def rows(*candles: Any, since: int = 0, until: int = 10, raw: bytes = b"") -> Any:
    return page("venue", [Candle(*c) for c in candles], MINUTE, at(since), at(until), raw)


def test_rows_in_any_order_with_repeats_make_a_page() -> None:
    served = [candle(at(n)) for n in (5, 3, 4, 3, -1, 10)]
    assert rows(*served).candles == [candle(at(n)) for n in (3, 4, 5)]


GOOD = (at(0), 10.0, 12.0, 9.0, 11.0, 5.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0, at(0) + 1),
        (0, at(0) // 1000),
        (0, at(0) * 1000),
        (0, 0),
        (0, -60_000),
        (1, 13.0),
        (1, 8.0),
        (2, 10.5),
        (3, 10.5),
        (3, -1.0),
        (4, 8.0),
        (4, 13.0),
        (5, -0.1),
        (5, 1e16),
        (2, 1e16),
        *[(field, value) for field in range(1, 6) for value in (math.nan, math.inf, -math.inf)],
    ],
)
def test_a_candle_that_cannot_be_is_kept_out_of_the_page_and_told(field: int, value: float) -> None:
    assert rows(GOOD).candles == [Candle(*GOOD)]
    bad = [value if n == field else v for n, v in enumerate(GOOD)]
    for other in (candle(at(5)), candle(at(1))):
        found = rows(other, bad)
        assert found.candles == [other]
        (rejected,) = found.rejected
        assert (rejected.open_time, rejected.reason) == ((at(0), "impossible") if field else (None, "time"))
        assert len(json.loads(rejected.row)) == 6
    with pytest.raises(NothingTrue, match="venue sent a candle") as caught:
        rows(bad)
    assert caught.value.rejected == (rejected,)


def test_a_bad_row_beside_the_span_is_passed_over_like_a_good_one() -> None:
    found = rows(candle(at(0)), [at(10), math.nan, 1, 1, 1, 1])
    assert (found.candles, found.rejected, found.passed_over) == ([candle(at(0))], (), 1)


def test_rows_that_contradict_each_other_are_both_rejected_and_rows_alike_are_one() -> None:
    found = rows(candle(at(0)), candle(at(1), 1.0), candle(at(1), 2.0), candle(at(2)), candle(at(2)))
    assert found.candles == [candle(at(0)), candle(at(2))]
    assert [(one.open_time, one.reason) for one in found.rejected] == [(at(1), "contradiction")] * 2
    assert found.passed_over == 1


@pytest.mark.parametrize("bound_ms", [EARLIEST_MS, LATEST_MS])
def test_rows_that_run_out_of_our_time_reject_the_page(bound_ms: int) -> None:
    with pytest.raises(MalformedPage, match="was asked for candles of"):
        rows(*(candle(bound_ms + n * MINUTE.duration_ms) for n in range(-1, 1)))


def test_two_stories_about_one_open_time_reject_the_page() -> None:
    with pytest.raises(MalformedPage, match="two candles for one open time"):
        rows(candle(at(0), 1.0), candle(at(0), 2.0))


def test_candles_of_another_span_are_no_empty_page() -> None:
    with pytest.raises(MalformedPage, match="was asked for candles of"):
        rows(candle(at(50)), candle(at(51)))
    assert rows(candle(at(-1))).candles == []
    assert rows(candle(at(10))).candles == []


def test_more_rows_than_any_exchange_sends_reject_the_page() -> None:
    with pytest.raises(MalformedPage, match="sent 5001 candles at once"):
        rows(*(candle(at(n)) for n in range(5001)))


honest = st.builds(lambda a, b, c, v: (a, max(a, b, c), min(a, b, c), c, v), *[st.floats(0, 1e5)] * 4)
odd = st.sampled_from([0.0, -0.0, -1.0, 50.0, 1e15, 2e15, math.nan, math.inf, -math.inf])
places = st.tuples(st.integers(0, 11), st.integers(1, 5), odd)
grids = st.one_of(
    st.builds(lambda first, n: list(range(first, first + n)), st.integers(-3, 12), st.integers(0, 12)),
    st.lists(st.integers(-3, 14), max_size=12),
)
shifts = st.sampled_from([0, 0, 0, 1, -at(0), -at(0) // 1000, LATEST_MS - at(5)])


@given(grids, st.lists(honest, min_size=12, max_size=12), st.lists(places, max_size=2), st.booleans(), shifts)
def test_a_page_is_the_same_when_its_rows_are_proved_by_columns(
    slots: list[int], numbers: list[Any], spoilt: list[Any], newest_first: bool, shift_ms: int
) -> None:
    times = [at(n) + shift_ms for n in (slots[::-1] if newest_first else slots)]
    told = [[time, *row] for time, row in zip(times, numbers, strict=False)]
    for row, field, value in spoilt:
        if row < len(told):
            told[row][field] = value

    def judged() -> Any:
        try:
            return page("venue", [Candle(*row) for row in told], MINUTE, at(0), at(10), b"")
        except MalformedPage as error:
            return str(error)

    by_columns = judged()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.exchanges.rows._in_step", lambda *_: None)
        assert by_columns == judged()


@given(st.lists(st.tuples(st.integers(-3, 12), honest, st.none() | st.tuples(st.integers(0, 5), odd)), max_size=20))
def test_each_row_is_a_candle_of_the_page_rejected_or_passed_over(told: list[Any]) -> None:
    received = [[at(n), *row] for n, row, _ in told]
    for row, (_, _, spoilt) in zip(received, told, strict=True):
        if spoilt is not None:
            row[spoilt[0]] = spoilt[1] if spoilt[0] else at(0) + 1
    try:
        found = page("venue", [Candle(*row) for row in received], MINUTE, at(0), at(10), b"")
    except MalformedPage:
        return
    assert len(found.candles) + len(found.rejected) + found.passed_over == len(received)
    assert all(any(list(candle) == row for row in received) for candle in found.candles)


@pytest.mark.parametrize("newest_first", [False, True])
def test_rows_in_step_are_proved_by_columns_alone(newest_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.exchanges.rows._one_by_one", None)  # a row after the other is never looked at
    candles = [candle(at(n)) for n in range(10)]
    assert rows(*(candles[::-1] if newest_first else candles)).candles == candles


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (b'["1234567890.12345"]', 0),
        (b'["1234567890.123456"]', 1),
        (b'["0.0000000000123456789"]', 0),
        (b'["1000000.00000000000000"]', 0),
        (b"[1234567890123456,0.12345678901234567,1.5]", 2),
        (b"[1735689600000]", 0),
        (b"", 0),
    ],
)
def test_decimals_longer_than_a_float_keeps_are_counted(raw: bytes, count: int) -> None:
    assert long_decimals(raw) == count


@given(st.decimals(min_value=0, max_value=10**12, places=4).map(str))
@example("911290211475.1690")  # its 13 digits survive, a 16th would not
def test_decimals_that_are_not_counted_survive_unchanged(text: str) -> None:
    if not long_decimals(text.encode()):
        assert float(text) == msgspec.json.decode(text)
        assert Decimal(repr(float(text))) == Decimal(text)
