import itertools

from hypothesis import given
from hypothesis import strategies as st

from bus.messages import Candle, Contract, Gap
from bus.timeframes import TIMEFRAMES
from workers.windows import closed_until, confirm_windows, first_listed, is_whole, missing, name_gaps, page_end, within

MINUTE = TIMEFRAMES["1m"]
M = 60_000
frames = st.sampled_from(list(TIMEFRAMES.values()))


def test_a_candle_is_closed_once_its_end_has_settled() -> None:
    assert closed_until(10 * M + 2_999, MINUTE, 3_000) == 9 * M
    assert closed_until(10 * M + 3_000, MINUTE, 3_000) == 10 * M


def test_a_page_ends_after_its_rows_or_with_the_span() -> None:
    assert page_end(0, 100 * M, MINUTE, 10) == 10 * M
    assert page_end(95 * M, 100 * M, MINUTE, 10) == 100 * M
    assert page_end(1, 100 * M, MINUTE, 10) == 11 * M


@given(frames, st.integers(0, 10**12), st.integers(1, 2_000), st.integers(1, 1440))
def test_pages_part_a_span_without_gap_or_overlap(frame, start, slots, rows) -> None:
    since = frame.ceil(start)
    until = since + slots * frame.duration_ms
    at, pages = since, []
    while at < until:
        pages.append((at, page_end(at, until, frame, rows)))
        at = pages[-1][1]
    assert at == until
    assert len(pages) == -(-slots // rows)
    assert all(1 <= frame.slots(*page) <= rows for page in pages)


holes = st.tuples(st.integers(1, 300), st.sets(st.integers(0, 299)), st.integers(1, 300))


@given(frames, holes)
def test_what_is_missing_and_what_is_present_make_the_grid(frame, hole) -> None:
    slots, absent, _ = hole
    grid = frame.open_times(0, slots * frame.duration_ms)
    present = {slot for n, slot in enumerate(grid) if n not in absent}
    runs = missing(frame, 0, slots * frame.duration_ms, present)
    lacking = [slot for run in runs for slot in frame.open_times(*run)]
    assert sorted([*lacking, *present]) == list(grid)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(runs))


@given(frames, holes)
def test_every_missing_slot_is_asked_again_in_a_narrower_window(frame, hole) -> None:
    slots, absent, rows = hole
    until = slots * frame.duration_ms
    present = {slot for n, slot in enumerate(frame.open_times(0, until)) if n not in absent}
    runs = missing(frame, 0, until, present)
    windows = confirm_windows(runs, frame, 0, until, rows)
    covered = {slot for window in windows for slot in frame.open_times(*window)}
    lacking = {slot for run in runs for slot in frame.open_times(*run)}
    assert lacking <= covered
    assert all(window[0] in lacking and window[1] - frame.duration_ms in lacking for window in windows)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(windows))
    most = max(1, min(rows, slots) // 2)
    assert all(1 <= frame.slots(*window) <= most for window in windows)
    apart = [run for run in runs if run[0] == 0 or run[1] == until]
    between = sorted(lacking - {slot for run in apart for slot in frame.open_times(*run)})
    groups = [between, *(list(frame.open_times(*run)) for run in apart)]
    assert len(windows) == sum(fewest(slots, most * frame.duration_ms) for slots in groups)


def fewest(lacking: list[int], width_ms: int) -> int:
    """How many windows of that width cover the slots at the least: each begins at the first one left over."""
    count, end = 0, -1
    for slot in lacking:
        if slot >= end:
            count, end = count + 1, slot + width_ms
    return count


def test_one_slot_is_asked_again_as_it_was() -> None:
    assert confirm_windows([(0, M)], MINUTE, 0, M, 500) == [(0, M)]


def test_an_empty_page_is_asked_again_in_halves() -> None:
    assert confirm_windows([(0, 10 * M)], MINUTE, 0, 10 * M, 500) == [(0, 5 * M), (5 * M, 10 * M)]


def test_holes_near_each_other_share_a_window() -> None:
    runs = [(M, 2 * M), (3 * M, 4 * M), (8 * M, 9 * M)]
    assert confirm_windows(runs, MINUTE, 0, 10 * M, 500) == [(M, 4 * M), (8 * M, 9 * M)]


def test_a_hole_at_an_edge_where_answers_are_cut_has_a_window_of_its_own() -> None:
    runs = [(0, M), (3 * M, 4 * M), (6 * M, 7 * M), (8 * M, 10 * M)]
    assert confirm_windows(runs, MINUTE, 0, 10 * M, 500) == [(0, M), (3 * M, 7 * M), (8 * M, 10 * M)]


@given(frames, st.integers(0, 6), st.sets(st.integers(-1, 6)))
def test_a_page_is_whole_when_nothing_is_missing_from_it(frame, slots, held) -> None:
    until = slots * frame.duration_ms
    candles = [Candle(slot * frame.duration_ms, 1.0, 1.0, 1.0, 1.0, 1.0) for slot in sorted(held)]
    inside = within(candles, 0, until)
    assert inside == [candle for candle in candles if 0 <= candle.open_time < until]
    assert is_whole(frame, 0, until, inside) == (not missing(frame, 0, until, {c.open_time for c in inside}))
    assert is_whole(frame, 0, until, candles) == (held == set(range(slots)))


def listed(at_ms: int | None) -> Contract:
    return Contract(symbol="A/B:B", native_id="AB", listed_ms=at_ms)


def test_the_candle_of_the_listing_is_the_first() -> None:
    assert first_listed(listed(5 * M + 1), MINUTE, 0, 10 * M) == 5 * M
    assert first_listed(listed(5 * M), MINUTE, 7 * M, 10 * M) == 7 * M
    assert first_listed(listed(50 * M), MINUTE, 0, 10 * M) == 10 * M
    assert first_listed(listed(None), MINUTE, 0, 10 * M) == 0


def test_a_hole_is_what_the_exchanges_holes_are() -> None:
    runs = [(0, M), (5 * M, 7 * M)]
    assert name_gaps(runs, MINUTE, "unavailable", empty_since_ms=0, rows=1) == [
        Gap(0, M, "unavailable"),
        Gap(5 * M, 7 * M, "unavailable"),
    ]


def test_a_page_of_nothing_at_the_start_is_beyond_history() -> None:
    runs = [(0, 10 * M), (12 * M, 30 * M)]
    assert [g.reason for g in name_gaps(runs, MINUTE, "no_trades", empty_since_ms=0, rows=10)] == [
        "beyond_history",
        "no_trades",
    ]


def test_a_short_silence_at_the_start_is_no_trades() -> None:
    assert name_gaps([(0, 9 * M)], MINUTE, "no_trades", empty_since_ms=0, rows=10) == [Gap(0, 9 * M, "no_trades")]


def test_silence_after_a_candle_was_served_is_no_trades() -> None:
    gaps = name_gaps([(0, 20 * M)], MINUTE, "no_trades", empty_since_ms=None, rows=10)
    assert gaps == [Gap(0, 20 * M, "no_trades")]


def test_silence_that_began_on_an_earlier_page_counts_from_there() -> None:
    gaps = name_gaps([(10 * M, 12 * M)], MINUTE, "no_trades", empty_since_ms=0, rows=10)
    assert gaps == [Gap(10 * M, 12 * M, "beyond_history")]
