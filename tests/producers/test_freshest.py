"""What a subscriber sees of candles that several requests brought."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bus.codec import candles_of, columns
from bus.messages import Candle
from producers.freshest import Freshest
from tests.helpers import MINUTE_MS, batch, candle


def minutes(found: object) -> list[int]:
    return [one.open_time // MINUTE_MS for one in candles_of(found)]  # type: ignore[arg-type]


def test_a_candle_that_comes_again_is_dropped() -> None:
    freshest = Freshest()
    assert minutes(freshest.news(batch(0, 3))) == [0, 1, 2]
    assert minutes(freshest.news(batch(1, 5, version=2))) == [3, 4]
    assert freshest.news(batch(0, 5, version=3)) is None


def test_an_empty_batch_still_tells_its_gaps() -> None:
    empty = batch(0, 1, missing=(0,))
    assert Freshest().news(empty) == empty


def test_a_correction_passes_and_the_older_version_after_it_does_not() -> None:
    freshest = Freshest()
    freshest.news(batch(0, 1))
    corrected = msgspec.structs.replace(batch(0, 1, version=5), **columns([candle(0, 99.0)]))
    assert freshest.news(corrected) == corrected
    assert freshest.news(batch(0, 1, version=4)) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), max_size=30))
def test_whatever_the_order_the_last_word_on_a_minute_is_its_greatest_version(
    arrivals: list[tuple[int, int]],
) -> None:
    freshest, last = Freshest(), dict[int, Candle]()
    for minute, version in arrivals:
        sent = msgspec.structs.replace(
            batch(minute, minute + 1, version=version), **columns([candle(minute * MINUTE_MS, float(version))])
        )
        news = freshest.news(sent)
        last |= {one.open_time: one for one in candles_of(news)} if news else {}
    greatest = {minute: max(v for m, v in arrivals if m == minute) for minute, _ in arrivals}
    assert {t // MINUTE_MS: one.close for t, one in last.items()} == greatest


def test_memory_is_bounded() -> None:
    freshest = Freshest(remember=10)
    for minute in range(100):
        freshest.news(batch(minute, minute + 1))
    assert len(freshest._seen) <= 20
