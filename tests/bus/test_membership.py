"""Sources that stall, are left out and come back: the stream is the batch that follows the membership log."""

import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.alignment import AlignedRow, align_candles
from bus.errors import GroupError
from bus.membership import Piece, align_pieces, normalized
from bus.messages import Candle
from bus.stream_alignment import StreamAligner
from tests.bus.alignment_oracle import partial_oracle
from tests.bus.test_stream_alignment_properties import TIMEFRAME, Page, Reader, Story, chances, seeds, story, thorough

BAR = 60_000
even_stories = seeds.map(partial(story, even=True, whole_bars=False))


def candle(open_time: int, close: float = 1.0) -> Candle:
    return Candle(open_time, 1.0, 2.0, 0.5, close, 10.0)


def bars(*numbers: int) -> list[Candle]:
    return [candle(k * BAR) for k in numbers]


def aligner(names: str = "ab", **options: int) -> StreamAligner:
    return StreamAligner(list(names), BAR, 10_000, 0, **options)


def members(rows: list[AlignedRow]) -> list[str]:
    return ["".join(row.candles) for row in rows]


def batch(told: Story, log: list[Piece], least: int | None) -> list[AlignedRow]:
    series = {name: list(each.values()) for name, each in told.final.items()}
    return align_pieces(series, told.tolerance_ms, TIMEFRAME, log, least)


def change_members(reader: Reader, chance: random.Random) -> None:
    """Somebody stalls or comes back."""
    roster = reader.aligner.members
    out = [name for name in reader.aligner._sources if name not in roster.log[-1].members]
    if out and chance.random() < 0.5:
        roster.attach(chance.choice(out))
    else:
        slowest = min(roster.now, key=reader.aligner.settled_ms)
        if slowest not in out and roster._can_spare(slowest):
            roster.detach(slowest)


@thorough
@given(even_stories, chances)
def test_the_stream_is_the_batch_that_follows_its_log(told: Story, chance: random.Random) -> None:
    least = chance.choice([None, None, 1, 2])
    least = least if least is None or least <= len(told.final) else None
    reader, out = Reader(told.aligner(min_sources=least)), list[AlignedRow]()
    log = [*reader.aligner.log]
    for page in told.pages:
        reader.push(page)
        if chance.random() < 0.6:
            out += reader.aligner.poll()
        if chance.random() < 0.25:
            change_members(reader, chance)
        if chance.random() < 0.2:
            reader = reader.restarted(chance)
        log += reader.aligner.members.take_begun()
    out += reader.aligner.poll()
    log += [*reader.aligner.members.take_begun(), *reader.aligner.log]
    expected = batch(told, log, least)
    assert out == expected[: len(out)]
    settled_ms = reader.aligner.settled_to_ms
    assert len(out) >= sum(max(c.open_time for c in row.candles.values()) < settled_ms - TIMEFRAME for row in expected)
    assert reader.aligner.take_late() == []


@thorough
@given(even_stories, st.integers(1, 3), chances)
def test_rows_of_at_least_so_many_sources_are_those_of_the_definition(
    told: Story, least: int, chance: random.Random
) -> None:
    reader, out = Reader(told.aligner(min_sources=least)), list[AlignedRow]()
    for page in told.pages:
        reader.push(page)
        if chance.random() < 0.5:
            out += reader.aligner.poll()
        if chance.random() < 0.3:
            reader = reader.restarted(chance)
    # One page more of each source closes the last stretch.
    for name in told.final:
        reader.push(Page(name, 1, 10 * TIMEFRAME, 20 * TIMEFRAME, []))
    out += reader.aligner.poll()
    times = [sorted(t for t in each if t >= told.start_ms) for each in told.final.values()]
    if sum(map(len, times)) < 14:
        rows = partial_oracle(times, told.tolerance_ms, min(least, len(times)))
        assert [[c.open_time for c in row.candles.values()] for row in out] == [
            [t for t in row if t is not None] for row in rows
        ]
    assert out == batch(told, [*reader.aligner.log], least)


def test_a_partial_row_waits_until_every_absent_source_has_passed_it() -> None:
    three = aligner("abc", min_sources=2)
    three.push("a", 1, 0, 2 * BAR, bars(0, 1))
    three.push("b", 1, 0, 2 * BAR, bars(0, 1))
    assert three.poll() == []
    three.push("c", 1, 0, BAR, [])
    assert members(three.poll()) == ["ab"]
    three.push("c", 1, BAR, 2 * BAR, bars(1))
    assert members(three.poll()) == ["abc"]


def test_a_partial_row_waits_for_its_stretch_to_close() -> None:
    two = aligner(min_sources=1)
    two.push("a", 1, 0, BAR, [candle(BAR - 5)])
    two.push("b", 1, 0, BAR, [])
    assert two.poll() == []  # b may open 5 ms later, which is within the tolerance
    two.push("a", 1, BAR, 2 * BAR, [])
    two.push("b", 1, BAR, 2 * BAR, [candle(BAR)])
    assert members(two.poll()) == ["ab"]


def test_complete_rows_are_the_same_with_and_without_partial_ones() -> None:
    some, all_of_them = aligner("abc", min_sources=2), aligner("abc")
    rows = []
    for one in (some, all_of_them):
        for name, missing in zip("abc", (1, 2, 9), strict=True):
            one.push(name, 1, 0, 4 * BAR, bars(*(k for k in range(4) if k != missing)))
        rows.append(one.poll())
    assert [row for row in rows[0] if len(row.candles) == 3] == rows[1]
    assert members(rows[0]) == ["abc", "bc", "ac", "abc"]


def stalled_pair() -> StreamAligner:
    """``b`` is silent from bar 1 on, and ``a`` has been fetched up to 90 s after it passed ``b``."""
    pair = aligner()
    pair.push("a", 60_000, 0, BAR, bars(0))
    pair.push("b", 61_000, 0, BAR, bars(0))
    pair.push("a", 120_000, BAR, 2 * BAR, bars(1))
    pair.push("a", 210_000, 2 * BAR, 3 * BAR, bars(2))
    assert members(pair.poll()) == ["ab"]
    return pair


def test_a_source_that_holds_the_others_is_named_with_how_long_by_the_producers_clock() -> None:
    pair = stalled_pair()
    assert (pair.members.holder(), pair.members.held_ms()) == ("b", 90_000)
    assert pair.members.stalled(90_000) == "b"
    assert pair.members.stalled(90_001) is None
    pair.push("b", 211_000, BAR, 3 * BAR, bars(1, 2))
    assert (pair.members.holder(), pair.members.held_ms()) == (None, 0)


def test_nobody_waits_where_everybody_is_silent() -> None:
    pair = aligner()
    pair.push("a", 60_000, 0, BAR, [])
    pair.push("b", 9_999_000, 0, BAR, [])
    assert pair.members.holder() is None


def test_a_source_that_moves_is_not_stalled_however_far_behind_it_is() -> None:
    pair = aligner()
    pair.push("a", 60_000, 0, 99 * BAR, [])
    for k in range(9):
        pair.push("b", 100_000 * (k + 1), k * BAR, (k + 1) * BAR, bars(k))
        assert (pair.members.holder(), pair.members.held_ms()) == ("b", 0)


def test_rows_go_on_without_a_source_that_is_left_out_and_with_it_once_it_is_back() -> None:
    pair = stalled_pair()
    pair.members.detach("b")
    assert members(pair.poll()) == ["a", "a"]
    assert pair.members.returned() == []
    pair.push("a", 300_000, 3 * BAR, 4 * BAR, bars(3))
    pair.push("b", 301_000, 3 * BAR, 4 * BAR, bars(3))
    assert members(pair.poll()) == ["a"]
    assert pair.members.returned() == ["b"]
    pair.members.attach("b")
    pair.push("a", 360_000, 4 * BAR, 5 * BAR, bars(4))
    assert pair.poll() == []
    pair.push("b", 361_000, 4 * BAR, 5 * BAR, bars(4))
    assert members(pair.poll()) == ["ab"]
    begun = pair.members.take_begun()
    assert begun == [Piece(BAR, ("a",)), Piece(4 * BAR, ("a", "b"))]


def test_a_source_is_left_out_only_after_the_rows_that_are_out() -> None:
    three, candles = aligner("abc"), {"a": [candle(0)], "b": [candle(1_000)], "c": [candle(4_000)]}
    log = [*three.log]
    for name, until_ms in (("a", BAR), ("b", 2_000), ("c", BAR)):
        three.push(name, 1, 0, until_ms, candles[name])
    rows = three.poll()
    three.members.detach("b")  # which is settled to a time within the row
    rows += three.poll()
    log += three.members.take_begun()
    assert members(rows) == ["abc"]
    assert rows == align_pieces(candles, 10_000, BAR, log)


def test_what_a_source_left_out_brings_of_that_time_is_not_late() -> None:
    pair = stalled_pair()
    pair.members.detach("b")
    pair.poll()
    pair.push("b", 300_000, 2 * BAR, 3 * BAR, bars(2))
    pair.members.attach("b")
    pair.push("a", 300_001, 3 * BAR, 4 * BAR, bars(3))
    pair.push("b", 300_002, 3 * BAR, 4 * BAR, bars(3))
    assert members(pair.poll()) == ["ab"]
    pair.push("b", 300_003, BAR, 2 * BAR, bars(1))
    pair.push("b", 300_004, 2 * BAR, 3 * BAR, bars(2))
    assert pair.take_late() == []


def test_a_source_left_out_again_before_it_was_back_took_no_part_in_between() -> None:
    pair = stalled_pair()
    pair.members.detach("b")
    pair.push("b", 300_000, 2 * BAR, 3 * BAR, [])
    pair.members.attach("b")
    pair.members.detach("b")
    pair.push("b", 300_001, BAR, 3 * BAR, bars(1, 2))
    assert (pair.pending("b"), pair.take_late()) == (0, [])


def test_the_last_source_and_those_that_a_row_needs_are_never_left_out() -> None:
    pair = stalled_pair()
    pair.members.detach("b")
    pair.push("a", 9_999_999, 3 * BAR, 4 * BAR, [])
    assert pair.members.stalled(0) is None
    with pytest.raises(GroupError, match="a cannot be left out: a row needs 1 of those that are left"):
        pair.members.detach("a")
    three = aligner("abc", min_sources=3)
    three.push("a", 1, 0, BAR, [])
    assert three.members.stalled(0) is None


def test_of_two_pieces_from_one_instant_on_the_later_holds() -> None:
    assert normalized([Piece(5, ("a", "b")), Piece(0, ("a",)), Piece(5, ("b",))]) == [
        Piece(0, ("a",)),
        Piece(5, ("b",)),
    ]


def test_a_log_of_one_piece_changes_nothing() -> None:
    series = {"a": bars(0, 1, 2), "b": bars(0, 2)}
    assert align_pieces(series, 10_000, BAR, [Piece(0, ("a", "b"))]) == align_candles(series, 10_000, BAR)
