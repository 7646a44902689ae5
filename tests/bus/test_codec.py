"""Messages to bytes and back, and what is refused on the way."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.codec import candles_of, column, columns, decode, encode, numbers
from bus.errors import BusError, DecodeError, UnknownVersion
from bus.messages import Candle, CandleBatch, ClockOffset, Gap
from tests.helpers import MINUTE_MS, batch, candle

prices = st.floats(0, 1e15, allow_nan=False)


@given(st.lists(st.tuples(prices, prices, prices, prices, prices), max_size=20))
def test_a_batch_comes_back_as_it_was(rows: list[tuple[float, float, float, float, float]]) -> None:
    candles = [Candle(k * MINUTE_MS, *row) for k, row in enumerate(rows)]
    sent = msgspec.structs.replace(batch(0, 20), n=len(rows), **columns(candles))
    received = decode(encode(sent), CandleBatch)
    assert received == sent
    assert candles_of(received) == candles


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_raise_our_error_and_no_other(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(body, CandleBatch)


@given(st.integers(0, 600), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_yields_a_valid_batch(place: int, value: int) -> None:
    body = bytearray(encode(batch(0, 5, missing=(2,))))
    body[place % len(body)] = value
    try:
        received = decode(bytes(body), CandleBatch)
    except BusError:
        return
    assert len(candles_of(received)) == received.n


def test_every_prefix_of_a_message_is_refused() -> None:
    body = encode(batch(0, 5))
    for length in range(len(body)):
        with pytest.raises(DecodeError):
            decode(body[:length], CandleBatch)


def test_another_layout_is_named() -> None:
    with pytest.raises(UnknownVersion, match=r"layout 'clock.v1' is unknown here, which reads 'candles.v1'"):
        decode(encode(ClockOffset(low_ms=0, high_ms=1, measured_ms=2)), CandleBatch)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"n": 4}, "columns do not hold 4"),
        ({"c": column("d", [1, 2, float("nan"), 4, 5])}, "not finite"),
        ({"h": column("d", [1, 2, float("inf"), 4, 5])}, "not finite"),
        ({"t": column("q", [0, 0, 120_000, 180_000, 240_000])}, "do not rise"),
        ({"t": column("q", [0, 60_000, 120_000, 180_000, 300_000])}, "leave"),
        ({"t": column("q", [0, 60_000, 120_000, 180_001, 240_000])}, "off the 1m grid"),
        ({"gaps": (Gap(-60_000, 0, "no_trades"),)}, "a gap leaves"),
        ({"gaps": (Gap(0, 0, "no_trades"),)}, "a gap leaves"),
        ({"timeframe": "7m"}, "unknown timeframe"),
        ({"until": -1}, "candles in"),
    ],
)
def test_a_batch_that_contradicts_itself_is_refused(change: dict[str, object], complaint: str) -> None:
    body = encode(msgspec.structs.replace(batch(0, 5), **change))
    with pytest.raises(DecodeError, match=complaint):
        decode(body, CandleBatch)


def test_columns_are_little_endian_on_every_machine() -> None:
    assert column("q", [1]) == b"\x01" + bytes(7)
    assert list(numbers("d", column("d", [0.1, 2.5]))) == [0.1, 2.5]


def test_no_candles_have_empty_columns() -> None:
    assert set(columns([]).values()) == {b""}
    assert columns([candle(0)])["t"] == bytes(8)
