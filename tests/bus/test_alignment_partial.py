"""Rows with absent members: what they add, and that they take nothing from the complete ones."""

import itertools
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.alignment import align_timestamps
from bus.closest_first import closest_first
from bus.errors import RequestError
from bus.partial_alignment import partial_rows
from tests.bus.alignment_oracle import PartialRow, Times, conflict, members, partial_oracle, spread
from tests.bus.thoroughness import cases as thoroughness

thorough = thoroughness(full=6_000)
MINUTE = 60_000
BTC = "BTC/USDT:USDT"


@st.composite
def cases(draw: st.DrawFn, most: int = 3) -> tuple[list[list[int]], int, int]:
    """Series with candles further apart than twice the tolerance, the tolerance, the least number of members."""
    width, tolerance = draw(st.integers(2, 4)), draw(st.sampled_from([0, 1, 2, 5]))
    gaps = st.lists(st.integers(2 * tolerance + 1, 3 * tolerance + 4), max_size=most - 1)
    starts = st.integers(0, 9)
    times = [list(itertools.accumulate(draw(gaps), initial=draw(starts))) for _ in range(width)]
    if draw(st.integers(0, 5)) == 0:
        times[0] = []
    return times, tolerance, draw(st.integers(1, width))


def rows(times: Times, tolerance: int, least: int) -> list[PartialRow]:
    found = partial_rows(times, tolerance, least)
    return [tuple(None if k is None else each[k] for each, k in zip(times, row, strict=True)) for row in found]


@thorough
@given(cases())
def test_the_rows_are_those_of_the_definition(case: tuple[list[list[int]], int, int]) -> None:
    assert rows(*case) == partial_oracle(*case)


@thorough
@given(cases(most=12))
def test_complete_rows_are_the_same_as_without_partial_ones(case: tuple[list[list[int]], int, int]) -> None:
    times, tolerance, least = case
    complete = [row for row in partial_rows(times, tolerance, least) if None not in row]
    assert complete == closest_first(times, tolerance)


@thorough
@given(cases(most=12), st.randoms(use_true_random=False))
def test_the_order_of_the_series_does_not_matter(case: tuple[list[list[int]], int, int], chance: random.Random) -> None:
    times, tolerance, least = case
    order = list(range(len(times)))
    chance.shuffle(order)
    turned = rows([times[i] for i in order], tolerance, least)
    assert turned == [tuple(row[i] for i in order) for row in rows(times, tolerance, least)]


@thorough
@given(cases(most=12))
def test_a_candle_stands_in_one_row_which_is_wide_and_populous_enough(case: tuple[list[list[int]], int, int]) -> None:
    found = rows(*case)
    assert not any(conflict(one, other) for one, other in itertools.combinations(found, 2))
    assert all(len(members(row)) >= case[2] and spread(members(row)) <= case[1] for row in found)


@thorough
@given(cases(most=12))
def test_a_tolerance_of_zero_groups_by_open_time(case: tuple[list[list[int]], int, int]) -> None:
    times, _, least = case
    count = Counter(itertools.chain(*times))
    expected = [tuple(t if t in each else None for each in times) for t in sorted(count) if count[t] >= least]
    assert rows(times, 0, least) == expected


def test_a_tolerance_of_half_the_spacing_is_refused_with_the_way_out() -> None:
    with pytest.raises(RequestError, match=r"smallest spacing, 60000 ms, not 30000 ms; pass timeframe_ms"):
        partial_rows([[0, MINUTE], [0]], MINUTE // 2, 1)


def data(**exchanges: list[int]) -> dict[str, dict[str, list[Any]]]:
    return {exchange: {BTC: [[t, 1.0, 1.0, 1.0, 1.0, 1.0] for t in times]} for exchange, times in exchanges.items()}


def aligned(given: dict[str, dict[str, list[Any]]], **options: Any) -> dict[str, list[int]]:
    found = align_timestamps(given, timeframe_ms=MINUTE, **options)
    return {exchange: [row[0] for row in symbols[BTC]] for exchange, symbols in found.items()}


def test_partial_rows_keep_the_candles_that_stand_in_some_row() -> None:
    given = data(a=[0, MINUTE, 2 * MINUTE], b=[0, MINUTE + 5], c=[0, 3 * MINUTE])
    assert aligned(given, min_sources=2) == {"a": [0, MINUTE], "b": [0, MINUTE + 5], "c": [0]}
    assert aligned(given, min_sources=1) == {
        "a": [0, MINUTE, 2 * MINUTE],
        "b": [0, MINUTE + 5],
        "c": [0, 3 * MINUTE],
    }


def test_an_empty_series_does_not_stand_in_the_way_of_partial_rows() -> None:
    given = data(a=[0, MINUTE], b=[MINUTE], c=[])
    assert aligned(given, min_sources=2) == {"a": [MINUTE], "b": [MINUTE], "c": []}


@pytest.mark.parametrize("least", [3, 4, 99])
def test_as_many_sources_as_there_are_ask_for_complete_rows(least: int) -> None:
    given = data(a=[0, MINUTE], b=[0, MINUTE], c=[0])
    assert aligned(given, min_sources=least) == aligned(given) == {"a": [0], "b": [0], "c": [0]}


def test_partial_rows_of_each_symbol_are_its_own() -> None:
    given = data(a=[0, MINUTE], b=[0], c=[0])
    given["a"]["ETH/USDT:USDT"] = given["a"][BTC][1:]
    found = align_timestamps(given, timeframe_ms=MINUTE, by_symbol=True, min_sources=2)
    assert [row[0] for row in found["a"][BTC]] == [0]
    assert [row[0] for row in found["a"]["ETH/USDT:USDT"]] == [MINUTE]


@pytest.mark.parametrize("least", [0, -1, 1.5, True, "2"])
def test_a_number_of_sources_that_is_none_is_refused(least: Any) -> None:
    with pytest.raises(RequestError, match="min_sources is"):
        align_timestamps({}, min_sources=least)
