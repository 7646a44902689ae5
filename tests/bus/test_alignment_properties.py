"""What "closest first" promises for every input, checked against its definition and against itself."""

import itertools
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.closest_first import closest_first
from tests.bus.alignment_oracle import Row, Times, conflict, oracle, possible_rows, spread
from tests.bus.thoroughness import cases

thorough = cases(full=10_000)
broad = cases(full=3_000)

tolerances = st.sampled_from([0, 1, 2, 3, 5, 8, 13, 100])


def instants(most: int, end: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, end), unique=True, max_size=most).map(sorted)


def series(*sizes: tuple[int, int], end: int = 24) -> st.SearchStrategy[list[list[int]]]:
    """``(number of series, most candles in each)``, several such pairs to choose from."""
    return st.one_of(*(st.lists(instants(most, end), min_size=n, max_size=n) for n, most in sizes))


small = series((2, 9), (3, 6), (4, 4))
large = series((2, 30), (3, 20), (5, 12), end=80)


def rows(times: Times, tolerance_ms: int) -> list[Row]:
    return [tuple(each[k] for each, k in zip(times, row, strict=True)) for row in closest_first(times, tolerance_ms)]


@thorough
@given(small, tolerances)
def test_the_rows_are_those_of_the_definition(times: Times, tolerance: int) -> None:
    assert rows(times, tolerance) == oracle(times, tolerance)


@thorough
@given(series((2, 9), (3, 6), end=9), st.sampled_from([1, 2, 4, 9]))
def test_the_rows_are_those_of_the_definition_where_candles_are_dense(times: Times, tolerance: int) -> None:
    assert rows(times, tolerance) == oracle(times, tolerance)


@broad
@given(large, tolerances, st.randoms(use_true_random=False))
def test_the_order_of_the_series_does_not_matter(times: Times, tolerance: int, chance: random.Random) -> None:
    order = list(range(len(times)))
    chance.shuffle(order)
    turned = rows([times[i] for i in order], tolerance)
    assert turned == [tuple(row[i] for i in order) for row in rows(times, tolerance)]


@broad
@given(large, tolerances)
def test_a_candle_stands_in_one_row_and_rows_do_not_cross(times: Times, tolerance: int) -> None:
    for column in zip(*closest_first(times, tolerance), strict=True):
        assert all(earlier < later for earlier, later in itertools.pairwise(column))


@broad
@given(large, tolerances)
def test_no_row_is_wider_than_the_tolerance(times: Times, tolerance: int) -> None:
    assert all(spread(row) <= tolerance for row in rows(times, tolerance))


@broad
@given(large, tolerances)
def test_an_exact_match_is_always_a_row(times: Times, tolerance: int) -> None:
    exact = set(times[0]).intersection(*times[1:])
    assert exact <= {row[0] for row in rows(times, tolerance) if spread(row) == 0}


@broad
@given(large)
def test_a_tolerance_of_zero_is_the_intersection(times: Times) -> None:
    exact = sorted(set(times[0]).intersection(*times[1:]))
    assert rows(times, 0) == [(instant,) * len(times) for instant in exact]


@broad
@given(large, tolerances, tolerances)
def test_a_larger_tolerance_only_adds_rows(times: Times, one: int, other: int) -> None:
    assert set(rows(times, min(one, other))) <= set(rows(times, max(one, other)))


@broad
@given(large, tolerances, st.integers(-(10**18), 10**18), st.integers(1, 10**6))
def test_shifting_and_scaling_time_shifts_and_scales_the_rows(
    times: Times, tolerance: int, shift: int, scale: int
) -> None:
    moved = [[scale * instant + shift for instant in each] for each in times]
    assert closest_first(moved, scale * tolerance) == closest_first(times, tolerance)


@broad
@given(large, tolerances)
def test_aligning_what_is_aligned_changes_nothing(times: Times, tolerance: int) -> None:
    once = rows(times, tolerance)
    assert rows([list(column) for column in zip(*once, strict=True)], tolerance) == once


@broad
@given(large, tolerances, st.randoms(use_true_random=False))
def test_candles_that_stand_in_no_row_can_be_removed(times: Times, tolerance: int, chance: random.Random) -> None:
    found = rows(times, tolerance)
    used = [{row[i] for row in found} for i in range(len(times))]
    fewer = [[t for t in each if t in kept or chance.random() < 0.5] for each, kept in zip(times, used, strict=True)]
    assert rows(fewer, tolerance) == found


@broad
@given(large, large, tolerances)
def test_stretches_further_apart_than_the_tolerance_do_not_touch(one: Times, other: Times, tolerance: int) -> None:
    n = min(len(one), len(other))
    early, late = one[:n], [[t + 81 + tolerance for t in each] for each in other[:n]]
    together = [a + b for a, b in zip(early, late, strict=True)]
    assert rows(together, tolerance) == rows(early, tolerance) + rows(late, tolerance)


@broad
@given(large, tolerances)
def test_a_copy_of_a_series_gets_the_same_candles(times: Times, tolerance: int) -> None:
    assert rows([*times, times[0]], tolerance) == [(*row, row[0]) for row in rows(times, tolerance)]


@broad
@given(small, tolerances)
def test_nothing_that_still_fits_is_left_out(times: Times, tolerance: int) -> None:
    found = rows(times, tolerance)
    assert all(any(conflict(row, other) for other in found) for row in possible_rows(times, tolerance))


@st.composite
def spaced_series(draw: st.DrawFn) -> tuple[list[list[int]], int]:
    """Series whose candles are further apart than twice the tolerance, and the tolerance."""
    tolerance = draw(st.integers(0, 6))
    gaps = st.lists(st.integers(2 * tolerance + 1, 4 * tolerance + 3), max_size=5)
    starts = st.integers(0, 20)
    return [
        list(itertools.accumulate(draw(gaps), initial=draw(starts))) for _ in range(draw(st.integers(2, 4)))
    ], tolerance


@broad
@given(spaced_series())
def test_below_half_the_spacing_every_possible_row_is_a_row(spaced: tuple[list[list[int]], int]) -> None:
    times, tolerance = spaced
    assert rows(times, tolerance) == sorted(possible_rows(times, tolerance))


def nearest(instant: int, others: list[int], tolerance: int) -> int | None:
    """The only candle within the tolerance of the instant, if there is one."""
    return next((other for other in others if abs(other - instant) <= tolerance), None)


def mutual_best(times: Times, tolerance: int) -> list[Row]:
    """Another rule: rows whose candles are each other's nearest."""
    found = [tuple(nearest(t, each, tolerance) for each in times) for t in times[0]]
    whole = [tuple(t for t in row if t is not None) for row in found]
    return [
        row
        for row in whole
        if len(row) == len(times) and all(nearest(t, each, tolerance) in row for t in row for each in times)
        if spread(row) <= tolerance
    ]


def earliest_window(times: Times, tolerance: int) -> list[Row]:
    """Another rule: the first candles of all, as soon as they are close enough."""
    found, heads = list[Row](), [0] * len(times)
    while all(k < len(each) for k, each in zip(heads, times, strict=True)):
        row = tuple(each[k] for k, each in zip(heads, times, strict=True))
        fits = spread(row) <= tolerance
        found += [row] if fits else []
        heads = [k + 1 if fits or t == min(row) else k for k, t in zip(heads, row, strict=True)]
    return found


@broad
@given(spaced_series())
def test_below_half_the_spacing_simpler_rules_find_the_same_rows(spaced: tuple[list[list[int]], int]) -> None:
    times, tolerance = spaced
    assert rows(times, tolerance) == mutual_best(times, tolerance) == earliest_window(times, tolerance)


@broad
@given(spaced_series())
def test_below_half_the_spacing_the_rows_of_fewer_series_hold_those_of_more(
    spaced: tuple[list[list[int]], int],
) -> None:
    times, tolerance = spaced
    assert {row[1:] for row in rows(times, tolerance)} <= set(rows(times[1:], tolerance))


@pytest.mark.parametrize("missing", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("width", [2, 5])
def test_long_runs_on_the_grid_are_the_intersection(missing: float, width: int) -> None:
    chance = random.Random(7)  # noqa: S311 - the same data every time
    times = [[60_000 * k for k in range(2_000) if chance.random() >= missing] for _ in range(width)]
    exact = sorted(set(times[0]).intersection(*times[1:]))
    assert rows(times, 29_999) == [(instant,) * width for instant in exact]


@pytest.mark.parametrize("jitter", [1, 9_000])
def test_long_runs_off_the_grid_match_bar_by_bar(jitter: int) -> None:
    chance = random.Random(7)  # noqa: S311 - the same data every time
    times = [[60_000 * k + chance.randint(0, jitter) for k in range(2_000) if k % 97 != i] for i in range(3)]
    assert [row[0] // 60_000 for row in rows(times, 29_999)] == [k for k in range(2_000) if k % 97 > 2]


def test_ten_thousand_candles_with_ever_shrinking_gaps_are_solved_quickly() -> None:
    edges = list(itertools.accumulate(range(20_000, 10_000, -1)))
    started = time.process_time()
    found = rows([edges[::2], edges[1::2]], 10**9)
    assert time.process_time() - started < 5
    assert found == list(zip(edges[::2], edges[1::2], strict=True))


def test_ten_thousand_candles_with_ever_growing_gaps_are_solved_quickly() -> None:
    edges = list(itertools.accumulate(range(10_000)))
    started = time.process_time()
    assert len(closest_first([edges[::2], edges[1::2]], 10**9)) == 5_000
    assert time.process_time() - started < 5
