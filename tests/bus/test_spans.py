"""The union of settled spans and its watermark."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import SpanError
from bus.spans import MAX_SPANS, Spans
from tests.bus.thoroughness import cases

pairs = st.lists(st.tuples(st.integers(-5, 30), st.integers(0, 9)).map(lambda p: (p[0], p[0] + p[1])), max_size=12)


@cases(full=6_000)
@given(pairs, st.integers(-8, 40), st.randoms(use_true_random=False))
def test_the_watermark_is_the_first_instant_that_no_span_covers(
    added: list[tuple[int, int]], start: int, chance: random.Random
) -> None:
    covered = {instant for since, until in added for instant in range(since, until)}
    expected = next(instant for instant in range(start, 100) if instant not in covered)
    chance.shuffle(added)
    spans = Spans(added)
    assert spans.watermark(start) == expected
    assert {instant for since, until in spans.to_list() for instant in range(since, until)} == covered
    assert all(earlier[1] < later[0] for earlier, later in zip(spans.to_list(), spans.to_list()[1:], strict=False))


def test_spans_that_touch_are_one() -> None:
    assert Spans([(10, 20), (0, 5), (5, 10)]).to_list() == [[0, 20]]


def test_nothing_added_settles_nothing() -> None:
    assert Spans().watermark(7) == 7
    assert Spans([(7, 7), (8, 9)]).watermark(7) == 7


def test_a_hole_holds_the_watermark_until_it_is_filled() -> None:
    spans = Spans([(0, 5), (6, 10)])
    assert spans.watermark(0) == 5
    spans.add(5, 6)
    assert spans.watermark(0) == 10


def test_spans_survive_the_wire() -> None:
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(Spans([(0, 5), (-9, -3)]).to_list()))
    assert Spans(kept).to_list() == [[-9, -3], [0, 5]]


def test_a_span_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(SpanError, match="ends at 4 ms, before it starts at 5 ms"):
        Spans().add(5, 4)


def test_separate_spans_are_bounded_and_what_merges_still_fits() -> None:
    spans = Spans((2 * k, 2 * k + 1) for k in range(MAX_SPANS))
    with pytest.raises(SpanError, match="separate spans"):
        spans.add(-10, -9)
    spans.add(1, 2)
    assert spans.watermark(0) == 3
    assert len(spans.to_list()) == MAX_SPANS - 1
