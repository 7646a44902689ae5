"""From rows to a page: every row checked, in order, unique, and of the span that was asked for."""

import re
from itertools import pairwise
from typing import Final

import msgspec

from bus.errors import MalformedPage
from bus.messages import Candle
from bus.timeframes import Timeframe
from workers.exchanges.base import Page

#: More candles than any venue documents for one answer.
MAX_ROWS: Final = 5_000
#: No price or volume of an honest candle is greater.
MOST: Final = 1e15
#: 2009 to 2100: no exchange is older, and seconds or microseconds taken for ms fall outside.
EARLIEST_MS: Final = 1_230_768_000_000
LATEST_MS: Final = 4_102_444_800_000

#: Significant digits that every float64 keeps.
_KEPT_DIGITS: Final = 15
_IS_NUMERIC: Final = bytes(ord("0") if chr(byte) in "0123456789." else ord(" ") for byte in range(256))
_LONG_NUMBER = re.compile(rb"[0-9.]{%d,}" % (_KEPT_DIGITS + 1))


def page(exchange: str, candles: list[Candle], timeframe: Timeframe, since_ms: int, until_ms: int, raw: bytes) -> Page:
    """The page that those rows make.

    Args:
        candles: As the exchange sent them, in any order.
        raw: The JSON that they came in, in which long decimals are counted.

    Raises:
        MalformedPage: A row cannot be true, two rows contradict each other, or all are of another span.
    """
    if len(candles) > MAX_ROWS:
        raise MalformedPage(exchange, f"{exchange} sent {len(candles)} candles at once, more than {MAX_ROWS}")
    _check(exchange, candles, timeframe)
    ordered = _unique(exchange, sorted(candles))
    within = [candle for candle in ordered if since_ms <= candle.open_time < until_ms]
    if ordered and not within:
        _check_neighbours(exchange, ordered, timeframe, since_ms, until_ms)
    return Page(candles=within, long_decimals=long_decimals(raw))


def native_rows(exchange: str, candles: list[Candle]) -> list[Candle]:
    """Rows of any length of candle, for which we know no grid: possible, unique, oldest first; the last may be open.

    Raises:
        MalformedPage: A row cannot be true, or two contradict each other.
    """
    for candle in candles:
        _check_numbers(exchange, candle)
        if not is_plausible(candle.open_time):
            raise MalformedPage(exchange, f"{exchange} sent a candle whose open time is no ms: {_words(candle)}")
    return _unique(exchange, sorted(candles))


def is_plausible(instant_ms: int) -> bool:
    """Whether it is an instant of our century in ms, and not in seconds or microseconds."""
    return EARLIEST_MS <= instant_ms < LATEST_MS


def long_decimals(raw: bytes) -> int:
    """How many numbers of the JSON have more significant digits than a float64 keeps.

    Numbers of columns that are not used count too.
    """
    # A search for runs of digits is slow; most pages have none, which this finds at a fraction of the cost.
    if b"0" * (_KEPT_DIGITS + 1) not in raw.translate(_IS_NUMERIC):
        return 0
    digits = (number.replace(b".", b"").strip(b"0") for number in _LONG_NUMBER.findall(raw))
    return sum(len(significant) > _KEPT_DIGITS for significant in digits)


def _check(exchange: str, candles: list[Candle], timeframe: Timeframe) -> None:
    duration_ms = timeframe.duration_ms
    for candle in candles:
        _check_numbers(exchange, candle)
        if candle.open_time % duration_ms or not EARLIEST_MS <= candle.open_time < LATEST_MS:
            raise MalformedPage(
                exchange,
                f"{exchange} sent a candle whose open time is no {timeframe.name} time in ms: {_words(candle)}",
            )


def _check_numbers(exchange: str, candle: Candle) -> None:
    _, open_, high, low, close, volume = candle
    # NaN fails every comparison and infinity the last ones.
    if not (0.0 <= low <= open_ <= high <= MOST and low <= close <= high and 0.0 <= volume <= MOST):
        raise MalformedPage(exchange, f"{exchange} sent a candle that cannot be: {_words(candle)}")


def _unique(exchange: str, ordered: list[Candle]) -> list[Candle]:
    if len({candle.open_time for candle in ordered}) == len(ordered):
        return ordered
    kept = list(dict.fromkeys(ordered))
    for before, candle in pairwise(kept):
        if before.open_time == candle.open_time:
            raise MalformedPage(
                exchange, f"{exchange} sent two candles for one open time: {_words(before)} and {_words(candle)}"
            )
    return kept


def _check_neighbours(exchange: str, ordered: list[Candle], timeframe: Timeframe, since_ms: int, until_ms: int) -> None:
    # A row beside the span is a matter of bounds. Rows from elsewhere mean that the span was ignored, and nothing is
    # known of it: taken for an empty page, they would make a false gap.
    first, last = ordered[0].open_time, ordered[-1].open_time
    if last < since_ms - timeframe.duration_ms or first >= until_ms + timeframe.duration_ms:
        raise MalformedPage(
            exchange, f"{exchange} was asked for candles of {since_ms} to {until_ms} and sent {first} to {last}"
        )


def _words(candle: Candle) -> str:
    return msgspec.json.encode(candle).decode()
