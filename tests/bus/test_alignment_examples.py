"""Inputs on which simpler rules go wrong, and what real exchanges do, each with the answer of ours."""

import itertools

import pytest

from bus.closest_first import closest_first

MINUTE = 60_000
HOUR = 60 * MINUTE
HALF_BAR = MINUTE // 2 - 1


def rows(tolerance: int, *times: list[int]) -> list[tuple[int, ...]]:
    return [tuple(each[k] for each, k in zip(times, row, strict=True)) for row in closest_first(times, tolerance)]


def test_exchanges_off_the_grid_still_match() -> None:
    assert rows(1, [0], [1]) == [(0, 1)]


def test_an_exact_match_beats_an_earlier_fit() -> None:
    assert rows(1, [19], [18, 19]) == [(19, 19)]


def test_a_candle_is_not_used_twice_whichever_side_it_is_on() -> None:
    assert rows(1, [0, 1], [0]) == [(0, 0)]
    assert rows(1, [0], [0, 1]) == [(0, 0)]


@pytest.mark.parametrize("order", list(itertools.permutations([[1], [4], [0]])))
def test_every_two_candles_of_a_row_are_within_the_tolerance(order: tuple[list[int], ...]) -> None:
    assert rows(3, *order) == []


def test_two_candles_of_one_series_do_not_share_a_partner() -> None:
    assert rows(MINUTE, [0, MINUTE, 3 * MINUTE], [0, 2 * MINUTE, 3 * MINUTE]) == [
        (0, 0),
        (MINUTE, 2 * MINUTE),
        (3 * MINUTE, 3 * MINUTE),
    ]


def test_a_fit_of_the_first_candles_does_not_spoil_a_closer_one() -> None:
    assert rows(1, [0, 17], [0, 16, 17]) == [(0, 0), (17, 17)]


def test_one_missing_candle_does_not_shift_the_history() -> None:
    assert rows(60, [0, 60, 120, 180], [60, 120, 180]) == [(60, 60), (120, 120), (180, 180)]


@pytest.mark.parametrize("tolerance", [1, 2])
def test_a_larger_tolerance_keeps_the_closer_row(tolerance: int) -> None:
    assert rows(tolerance, [2], [0, 1]) == [(2, 1)]


def test_a_chain_of_neighbours_does_not_widen_a_row() -> None:
    assert rows(1, [0, 1], [2]) == [(1, 2)]


def test_a_window_does_not_begin_at_whichever_candle_comes_first() -> None:
    assert rows(1, [0, 3], [2, 3]) == [(3, 3)]


def test_jitter_around_the_minute_does_not_split_a_bar() -> None:
    ours = [k * MINUTE + jitter for k, jitter in enumerate([-2_000, 1_500, -1, 0, 2_000])]
    theirs = [k * MINUTE - jitter for k, jitter in enumerate([-2_000, 1_500, -1, 0, 2_000])]
    assert rows(HALF_BAR, ours, theirs) == list(zip(ours, theirs, strict=True))


def test_two_ms_apart_is_close_on_either_side_of_any_grid() -> None:
    assert rows(2, [29_999], [30_001]) == [(29_999, 30_001)]


def test_one_more_row_is_not_bought_by_shifting_the_others() -> None:
    assert rows(10, [0, 10], [10, 20]) == [(10, 10)]


def test_what_is_within_the_tolerance_and_free_is_matched() -> None:
    ours, theirs = list(range(0, 600, 60)), list(range(30, 630, 60))
    assert rows(60, ours, theirs) == list(zip(ours, theirs, strict=True))


def test_the_default_tolerance_on_minutes_reaches_the_neighbour_across_a_gap() -> None:
    ours, theirs = [0, MINUTE, 3 * MINUTE], [0, 2 * MINUTE, 3 * MINUTE]
    assert (MINUTE, 2 * MINUTE) in rows(MINUTE, ours, theirs)
    assert rows(HALF_BAR, ours, theirs) == [(0, 0), (3 * MINUTE, 3 * MINUTE)]


def test_a_phase_of_28_minutes_15_seconds_is_within_half_an_hour_less_a_ms() -> None:
    phase = 28 * MINUTE + 15_000
    ours, theirs = [k * HOUR for k in range(5)], [k * HOUR + phase for k in range(5)]
    assert rows(HOUR // 2 - 1, ours, theirs) == list(zip(ours, theirs, strict=True))
    assert rows(MINUTE, ours, theirs) == []


def test_a_source_stamped_with_the_close_matches_the_wrong_bar_and_no_rule_could_see_it() -> None:
    bars = [k * MINUTE for k in range(4)]
    stamped_at_close = [t + MINUTE for t in bars]
    assert rows(HALF_BAR, bars, stamped_at_close) == [(t, t) for t in bars[1:]]
    assert rows(HALF_BAR, bars, [t - MINUTE for t in stamped_at_close]) == [(t, t) for t in bars]


@pytest.mark.parametrize("width", [1, 2, 16, 64])
def test_any_number_of_series_is_aligned(width: int) -> None:
    times = [[k * MINUTE + i for k in range(5) if k != 2 or i != 3] for i in range(width)]
    kept = [k for k in range(5) if k != 2 or width <= 3]
    assert rows(100, *times) == [tuple(k * MINUTE + i for i in range(width)) for k in kept]


@pytest.mark.parametrize("origin", [-(10**12), -1, 0, 2**53 + 1, 2**70])
def test_any_int_is_an_instant(origin: int) -> None:
    assert rows(1, [origin, origin + 10], [origin + 1, origin + 12]) == [(origin, origin + 1)]


def test_series_without_candles_leave_no_rows() -> None:
    assert rows(10) == []
    assert rows(10, []) == []
    assert rows(10, [1], []) == []


def test_a_single_series_is_its_own_row() -> None:
    assert rows(0, [1, 5]) == [(1,), (5,)]
